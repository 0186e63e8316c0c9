//! The names of a report: known names, and the provider's lists.
use tower_api_key_name::directory::AdminKey;
use tower_api_key_name::names::Provider;
use tower_api_key_name::{KeyNames, SharedKeyNames};

use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::spend::{Dimension, Every, SpendQuery, SpendReport, read_report};

use crate::organization::{
    FakeApi, NOW, Organization, Reply, SECRET, day, november, openai_row, query, rows,
};

/// Serves a day with costs of one key. The lists of names are rejected.
async fn serve_without_lists() -> FakeApi {
    Organization::default()
        .openai_row(day("2026-11-01"), openai_row(Some("key_a"), "1", "usd"))
        .hook(|received| {
            let is_cost = received.target.starts_with("/v1/organization/costs?");
            if is_cost { None } else { Some(Reply::error(403, "forbidden")) }
        })
        .serve(&[])
        .await
}

/// Reads the report of OpenAI's costs by name with known names.
async fn read_with(api: &FakeApi, known_names: Option<KeyNames>) -> SpendReport {
    let query = query(november(1, 1), Every::Total, &[Dimension::KeyName], Provider::OpenAi);
    read(api, query, known_names).await
}

async fn read(api: &FakeApi, query: SpendQuery, known_names: Option<KeyNames>) -> SpendReport {
    let keys = ByProvider::both(Some(AdminKey::new(SECRET.to_owned()).unwrap()));
    let snapshot = known_names.map(|names| SharedKeyNames::new(names).snapshot());
    let known_names = ByProvider { openai: snapshot, anthropic: None };
    let settings = api.settings(query.labels().unwrap());
    let now = NOW.parse().unwrap();
    read_report(query, keys, &known_names, &settings, now, |_, _| {}, |_| {}).await.unwrap()
}

#[tokio::test]
async fn list_that_cannot_be_read_is_in_the_missing_names() {
    let api = serve_without_lists().await;
    let report = read_with(&api, None).await;
    assert_eq!(rows(&report), ["2026-11-01 (key_a) 1 USD 1"]);
    assert!(report.has_all_costs() && !report.is_complete());
    assert!(report.missing_names[0].starts_with("OpenAI: names: "), "{:?}", report.missing_names);
}

#[tokio::test]
async fn costs_by_project_need_no_list_of_keys() {
    let api = serve_without_lists().await;
    let query = query(november(1, 1), Every::Total, &[Dimension::ProjectName], Provider::OpenAi);
    let report = read(&api, query, None).await;
    assert_eq!(report.missing_names.len(), 1);
    assert!(report.missing_names[0].contains("projects"), "{:?}", report.missing_names);
    assert_eq!(api.targets().len(), 2);
}

#[tokio::test]
async fn known_names_are_used_without_a_request_for_a_list() {
    let api = serve_without_lists().await;
    let report = read_with(&api, Some(KeyNames::new([("key_a", "Alpha")]).unwrap())).await;
    assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 1"]);
    assert!(report.is_complete());
    assert_eq!(api.targets().len(), 1);
}
