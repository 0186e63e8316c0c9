//! Complete runs: paging, grouping, names and periods.
use std::sync::{Arc, OnceLock};

use tower_api_key_name::names::Provider;
use tower_api_key_name::{KeyNames, SharedKeyNames};

use api_key_name_proxy::spend::{DayRange, Dimension, Every, SpendQuery};

use crate::organization::{Organization, SECRET, day, november, openai_row, query, rows};

#[tokio::test]
async fn openai_costs_by_key_are_read_one_bucket_per_page() {
    let (first, last) = (day("2026-11-01"), day("2026-11-03"));
    let api = Organization::default()
        .openai_row(first, openai_row(Some("key_a"), "0.1", "usd"))
        .openai_row(first, openai_row(Some("key_b"), "0.2", "usd"))
        .openai_row(first, openai_row(None, "5", "usd"))
        .openai_row(last, openai_row(Some("key_c"), "1e-7", "usd"))
        .serve(&[("key_a", "Alpha"), ("key_b", "Alpha")])
        .await;
    let query = query(november(1, 3), Every::Total, &[Dimension::KeyName], Provider::OpenAi);
    let report = api.run(&query).await;
    assert_eq!(report.missing_costs, [""; 0]);
    assert_eq!(
        rows(&report),
        ["2026-11-01 null 0 USD 5", "2026-11-01 Alpha 2 USD 0.3", "2026-11-01 (key_c) 1 USD 0.0000001",]
    );
    let prefix = "/v1/organization/costs?start_time=1793491200&end_time=1793750400&bucket_width=1d&limit=1\
        &group_by[]=api_key_id";
    let expected = ["", "&page=page+/1793577600=", "&page=page+/1793664000="];
    assert_eq!(api.targets(), expected.map(|page| format!("{prefix}{page}")));
}

#[tokio::test]
async fn anthropic_costs_are_read_in_ranges_of_31_days() {
    let days = DayRange { first: day("2026-10-01"), last: day("2026-11-30") };
    let api = Organization { page_rows: 1, ..Organization::default() }
        .anthropic_row(day("2026-10-01"), r#""api_key_id":"apikey_1""#, "150.5")
        .anthropic_row(day("2026-10-31"), r#""api_key_id":"apikey_1""#, "1")
        .anthropic_row(day("2026-11-01"), r#""api_key_id":"apikey_1""#, "2")
        .anthropic_row(day("2026-11-30"), r#""api_key_id":null"#, "3")
        .serve(&[("apikey_1", "Alpha")])
        .await;
    let query = query(days, Every::Month, &[Dimension::KeyName], Provider::Anthropic);
    let report = api.run(&query).await;
    assert_eq!(report.missing_costs, [""; 0]);
    assert_eq!(
        rows(&report),
        ["2026-10-01 Alpha 1 USD 1.515", "2026-11-01 null 0 USD 0.03", "2026-11-01 Alpha 1 USD 0.02",]
    );
    let first_range = "starting_at=2026-10-01T00:00:00Z&ending_at=2026-11-01T00:00:00Z";
    let second_range = "starting_at=2026-11-01T00:00:00Z&ending_at=2026-12-01T00:00:00Z";
    let target = |range, page| {
        format!(
            "/v1/organizations/analytics/cost?{range}&time_bucket_width=1d&limit=1000&group_by[]=api_key_id{page}"
        )
    };
    assert_eq!(
        api.targets(),
        [
            target(first_range, ""),
            target(first_range, "&page=1"),
            target(second_range, ""),
            target(second_range, "&page=1")
        ]
    );
    assert_eq!(api.headers(0)["anthropic-beta"], "analytics-usage-cost-2026-08-24");
    assert_eq!(api.headers(0)["anthropic-version"], "2023-06-01");
}

#[tokio::test]
async fn costs_of_both_providers_are_in_one_report() {
    let first = day("2026-11-01");
    let api = Organization::default()
        .openai_row(first, openai_row(Some("key_a"), "0.1", "usd"))
        .anthropic_row(first, r#""api_key_id":"apikey_1""#, "250")
        .serve(&[("key_a", "Alpha"), ("apikey_1", "Alpha")])
        .await;
    let providers = vec![Provider::OpenAi, Provider::Anthropic];
    let query = SpendQuery::new(november(1, 1), Every::Day, vec![Dimension::KeyName], providers).unwrap();
    let report = api.run(&query).await;
    assert_eq!(rows(&report), ["2026-11-01 Alpha 2 USD 2.6"]);
}

#[tokio::test]
async fn names_that_change_during_a_run_are_those_at_the_time_of_each_page() {
    let names = Arc::new(OnceLock::<SharedKeyNames>::new());
    let names_of_hook = names.clone();
    let api = Organization::default()
        .openai_row(day("2026-11-01"), openai_row(Some("key_a"), "1", "usd"))
        .openai_row(day("2026-11-02"), openai_row(Some("key_a"), "2", "usd"))
        .hook(move |received| {
            if received.number == 1 {
                names_of_hook.get().unwrap().replace(KeyNames::new([("key_a", "New")]).unwrap());
            }
            None
        })
        .serve(&[("key_a", "Old")])
        .await;
    names.set(api.names.clone()).unwrap();
    let query = query(november(1, 2), Every::Total, &[Dimension::KeyName], Provider::OpenAi);
    assert_eq!(rows(&api.run(&query).await), ["2026-11-01 New 1 USD 2", "2026-11-01 Old 1 USD 1"]);
}

#[tokio::test]
async fn projects_workspaces_and_users_are_named() {
    let first = day("2026-11-01");
    let row = r#"{"amount":{"value":1,"currency":"usd"},"project_id":"proj_1","user_id":"user_1"}"#;
    let api = Organization::default()
        .openai_row(first, row.to_owned())
        .anthropic_row(first, r#""workspace_id":"wrkspc_1""#, "200")
        .anthropic_row(first, r#""workspace_id":null"#, "300")
        .serve(&[])
        .await;
    let names = KeyNames::default()
        .with_section("project_id", [("proj_1", "Shop")])
        .and_then(|names| names.with_section("workspace_id", [("wrkspc_1", "Shop")]))
        .and_then(|names| names.with_section("user_id", [("user_1", "Ana")]));
    api.names.replace(names.unwrap());

    let providers = vec![Provider::OpenAi, Provider::Anthropic];
    let by_project =
        SpendQuery::new(november(1, 1), Every::Day, vec![Dimension::ProjectName], providers).unwrap();
    assert_eq!(rows(&api.run(&by_project).await), ["2026-11-01 Shop - USD 3", "2026-11-01 null - USD 3"]);
    let mut targets = api.targets();
    targets.sort();
    assert!(targets[0].ends_with("&limit=180&group_by[]=project_id"), "{targets:?}");
    assert!(targets[1].ends_with("&limit=1000&group_by[]=workspace_id"), "{targets:?}");

    let by_user = query(november(1, 1), Every::Day, &[Dimension::UserName], Provider::OpenAi);
    assert_eq!(rows(&api.run(&by_user).await), ["2026-11-01 Ana - USD 1"]);
}

#[tokio::test]
async fn focus_query_groups_by_key_line_item_and_project() {
    let first = day("2026-11-01");
    let group = r#""api_key_id":"apikey_1","workspace_id":"wrkspc_1","model":"m","cost_type":"tokens","token_type":null,"organization_id":"org-row""#;
    let api = Organization::default()
        .openai_row(first, openai_row(Some("key_a"), "1", "usd"))
        .anthropic_row(first, group, "200")
        .serve(&[("key_a", "Alpha")])
        .await;
    let providers = vec![Provider::OpenAi, Provider::Anthropic];
    let query = SpendQuery::focus(november(1, 1), providers).unwrap();
    assert_eq!(
        rows(&api.run(&query).await),
        [
            "2026-11-01 Anthropic|org-row|apikey_1|(apikey_1)|m, tokens|wrkspc_1|(wrkspc_1) 1 USD 2",
            "2026-11-01 OpenAI|org-header|key_a|Alpha|null|null|null 1 USD 1",
        ]
    );
    let mut targets = api.targets();
    targets.sort();
    let openai_groups = "limit=1&group_by[]=api_key_id&group_by[]=project_id&group_by[]=line_item";
    assert!(targets[0].ends_with(openai_groups), "{targets:?}");
    let anthropic_groups = "limit=1000&group_by[]=api_key_id&group_by[]=workspace_id&group_by[]=model\
        &group_by[]=cost_type&group_by[]=token_type";
    assert!(targets[1].ends_with(anthropic_groups), "{targets:?}");
}

#[tokio::test]
async fn requests_contain_the_credential_in_a_header_only() {
    let api = Organization::default().serve(&[]).await;
    let query = query(november(1, 1), Every::Day, &[Dimension::KeyId], Provider::OpenAi);
    let report = api.run(&query).await;
    assert!(report.is_complete() && rows(&report).is_empty());
    assert_eq!(api.headers(0)["authorization"], SECRET);
    assert!(!api.targets()[0].contains(SECRET));
}
