//! The demo API, directly and through the proxy.
use std::collections::BTreeSet;

use http::Request;
use serde_json::Value;

use crate::peer::{Proxy, Reply, client, full, limits, settings, soon};
use api_key_name_proxy::demo::{Demo, labels, names};
use api_key_name_proxy::settings::ProxySettings;

const DAY: u64 = 86_400;
const START: u64 = 1_750_000_000 / DAY * DAY;

struct DemoAndProxy {
    demo: Demo,
    proxy: Proxy,
}

impl DemoAndProxy {
    async fn start() -> Self {
        let demo = Demo::start(limits()).await.unwrap();
        let names = tower_api_key_name::SharedKeyNames::new(names().unwrap());
        let settings = ProxySettings { labels: labels(), ..settings(&demo.base.to_string()) };
        let proxy = Proxy::naming(names, settings, limits()).await;
        Self { demo, proxy }
    }

    async fn direct(&self, target: &str) -> Reply {
        let request = Request::get(format!("{}{target}", self.demo.base)).body(full("")).unwrap();
        Reply::read(soon(client(false).request(request)).await.unwrap()).await.unwrap()
    }

    async fn named(&self, target: &str) -> Value {
        let reply = self.proxy.get(target).await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }
}

fn rows(page: &Value) -> impl Iterator<Item = &Value> {
    let buckets = page["data"].as_array().unwrap().iter();
    buckets.flat_map(|bucket| bucket["results"].as_array().unwrap())
}

#[tokio::test]
async fn costs_through_the_proxy_have_names_and_the_same_digits() {
    let demo = DemoAndProxy::start().await;
    let target = format!(
        "/v1/organization/costs?start_time={START}&limit=3&group_by[]=api_key_id&group_by[]=line_item"
    );
    let before = demo.direct(&target).await;
    let after = demo.proxy.get(&target.replace("api_key_id", "api_key_name")).await;
    let amounts = |text: &str| {
        let values: Vec<_> =
            text.split("\"value\":").skip(1).map(|v| v[..v.find(',').unwrap()].to_owned()).collect();
        values
    };
    assert_eq!(amounts(before.text()), amounts(after.text()));
    assert!(amounts(after.text()).iter().all(|v| v.split_once('.').unwrap().1.len() == 28));

    let page: Value = serde_json::from_slice(&after.body).unwrap();
    let pairs: BTreeSet<_> = rows(&page)
        .map(|row| (row["api_key_id"].as_str(), row.get("api_key_name").expect("no name").as_str()))
        .collect();
    assert_eq!(pairs.len(), 13);
    assert!(pairs.contains(&(Some("key_9fKd2LmQx7Rt"), Some("storefront-prod"))));
    assert!(pairs.contains(&(Some("key_Ta8gNc4VxHm6"), Some("nightly \"re-embed\" job"))));
    // A deleted key is in no list. Usage without a key has no name.
    assert!(pairs.contains(&(Some("key_Zs4iHu8TbPg1"), Some("unknown"))));
    assert!(pairs.contains(&(None, None)));
    // The numbers are generated, but do not change.
    assert_eq!(demo.direct(&target).await.body, before.body);
}

#[tokio::test]
async fn usage_of_each_kind_and_width_has_its_buckets_and_names() {
    let demo = DemoAndProxy::start().await;
    for (kind, keyed) in [
        ("completions", true),
        ("embeddings", true),
        ("moderations", true),
        ("images", true),
        ("audio_speeches", true),
        ("audio_transcriptions", true),
        ("vector_stores", false),
        ("code_interpreter_sessions", false),
        ("file_search_calls", true),
        ("web_search_calls", true),
    ] {
        for (width, seconds, most) in [("1d", DAY, 31), ("1h", 3_600, 168), ("1m", 60, 1_440)] {
            let group = if keyed { "&group_by=project_id,api_key_name" } else { "&group_by=project_id" };
            let end = START + seconds * 3;
            let target = format!(
                "/v1/organization/usage/{kind}?start_time={START}&end_time={end}&bucket_width={width}"
            );
            let page = demo.named(&format!("{target}{group}&limit={most}")).await;
            assert_eq!(page["object"], "page");
            let buckets = page["data"].as_array().unwrap();
            assert_eq!(
                (buckets.len(), &page["has_more"], &page["next_page"]),
                (3, &false.into(), &Value::Null)
            );
            for (nth, bucket) in buckets.iter().enumerate() {
                assert_eq!(bucket["start_time"], START + seconds * nth as u64);
                assert_eq!(bucket["end_time"], START + seconds * (nth as u64 + 1));
            }
            assert!(rows(&page).count() > 3);
            for row in rows(&page) {
                assert!(row["object"].as_str().unwrap().starts_with("organization.usage."));
                assert_eq!(row.get("api_key_name").is_some(), keyed, "{kind}: {row}");
                assert!(row["project_id"].is_string());
            }
            let reply = demo.proxy.get(&format!("{target}&limit={}", most + 1)).await;
            assert_eq!(reply.status, 400);
        }
        let group = format!("/v1/organization/usage/{kind}?start_time={START}&group_by=api_key_id");
        assert_eq!(demo.direct(&group).await.status, if keyed { 200 } else { 400 });
    }
}

#[tokio::test]
async fn cursor_in_each_form_of_group_by_leads_to_the_last_page() {
    let demo = DemoAndProxy::start().await;
    for style in [
        "group_by=api_key_name&group_by=model",
        "group_by[]=api_key_name&group_by[]=model",
        "group_by%5B%5D=api_key_name&group_by%5B%5D=model",
        "group_by=api_key_name,model",
        "group_by=api_key_name%2cmodel",
        "group_by%5B0%5D=api_key_name&group_by%5B1%5D=model",
    ] {
        let target = format!(
            "/v1/organization/usage/completions?start_time={START}&end_time={}&limit=4&{style}",
            START + 10 * DAY
        );
        let (mut days, mut next) = (Vec::new(), String::new());
        for pages_left in (0..3).rev() {
            let page = demo.named(&format!("{target}{next}")).await;
            days.extend(page["data"].as_array().unwrap().iter().map(|b| b["start_time"].as_u64().unwrap()));
            assert!(
                rows(&page).all(|row| row.get("api_key_name").is_some() && row["model"].is_string()),
                "{style}"
            );
            assert_eq!(page["has_more"], pages_left > 0);
            if pages_left > 0 {
                // Clients escape the cursor.
                let cursor = page["next_page"].as_str().unwrap();
                assert!(cursor.ends_with('='));
                next = format!("&page={}", cursor.replace('=', "%3D"));
            }
        }
        assert_eq!(days, (0..10).map(|n| START + n * DAY).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn sums_with_any_grouping_are_equal() {
    let demo = DemoAndProxy::start().await;
    let target = format!("/v1/organization/usage/completions?start_time={START}&end_time={}", START + DAY);
    let mut sums = BTreeSet::new();
    for group in ["", "&group_by=api_key_id", "&group_by=project_id,model", "&group_by=batch"] {
        let page = demo.named(&format!("{target}{group}")).await;
        sums.insert(rows(&page).map(|row| row["input_tokens"].as_u64().unwrap()).sum::<u64>());
    }
    assert_eq!(sums.len(), 1, "{sums:?}");
    let page = demo.named(&format!("{target}&group_by=api_key_id&api_key_ids[]=key_9fKd2LmQx7Rt")).await;
    assert_eq!(rows(&page).count(), 1);
}

#[tokio::test]
async fn filter_by_name_returns_the_rows_of_these_keys() {
    let demo = DemoAndProxy::start().await;
    let target = format!("/v1/organization/costs?start_time={START}&limit=2&group_by=api_key_name");
    for query in [
        "&api_key_names[]=storefront-prod&api_key_names[]=Ana%27s+laptop",
        "&api_key_names=storefront-prod,Ana's%20laptop",
        "&api_key_ids=key_9fKd2LmQx7Rt&api_key_names=Ana's+laptop",
    ] {
        let page = demo.named(&format!("{target}{query}")).await;
        let names: BTreeSet<_> = rows(&page).map(|row| row["api_key_name"].as_str()).collect();
        assert_eq!(names, BTreeSet::from([Some("Ana's laptop"), Some("storefront-prod")]), "{query}");
    }
    let target = "/v1/organizations/usage_report/messages?starting_at=2025-01-01T00:00:00Z&limit=1&group_by[]=api_key_name";
    let page = demo.named(&format!("{target}&api_key_names[]=old+crawler")).await;
    let names: Vec<_> = rows(&page).map(|row| row["api_key_name"].as_str()).collect();
    assert_eq!(names, [Some("old crawler")]);
}

#[tokio::test]
async fn invalid_request_receives_the_errors_of_the_api() {
    let demo = DemoAndProxy::start().await;
    for (target, status, param) in [
        ("/v1/organization/costs".to_owned(), 400, "start_time".into()),
        ("/v1/organization/costs?start_time=x".to_owned(), 400, "start_time".into()),
        (format!("/v1/organization/costs?start_time={START}&limit=0"), 400, "limit".into()),
        (format!("/v1/organization/costs?start_time={START}&limit=181"), 400, "limit".into()),
        (format!("/v1/organization/costs?start_time={START}&bucket_width=1h"), 400, "bucket_width".into()),
        (format!("/v1/organization/costs?start_time={START}&group_by=model"), 400, "group_by".into()),
        (format!("/v1/organization/costs?start_time={START}&page=x"), 400, "page".into()),
        ("/v1/organization/usage/nothing".to_owned(), 404, Value::Null),
        ("/v1/organization/projects/proj_x/api_keys".to_owned(), 404, Value::Null),
    ] {
        let reply = demo.proxy.get(&target).await;
        assert_eq!(reply.status, status, "{target}");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["error"].as_object().unwrap().len(), 4);
        assert_eq!(body["error"]["param"], param, "{target}");
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
    // The API itself does not support grouping by name.
    let target = format!("/v1/organization/costs?start_time={START}&group_by=api_key_name");
    assert_eq!(demo.direct(&target).await.status, 400);
    assert_eq!(demo.proxy.get(&target).await.status, 200);

    let reply = demo.proxy.get_with(&target, &[("authorization", "Bearer sk-bad")]).await;
    assert_eq!(reply.status, 401);
    assert!(reply.text().contains("invalid_api_key"));
    let reply = demo.proxy.get_with("/v1/organizations/api_keys", &[("x-api-key", "sk-bad")]).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn lists_of_all_projects_contain_the_names_of_the_costs() {
    let demo = DemoAndProxy::start().await;
    let ids = |list: &Value| -> Vec<String> {
        let items = list["data"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let projects = demo.named("/v1/organization/projects").await;
    assert_eq!(ids(&projects).len(), 3);
    let projects = ids(&demo.named("/v1/organization/projects?include_archived=true").await);
    assert_eq!(projects.len(), 4);

    let mut listed = Vec::new();
    for project in &projects {
        let target = format!("/v1/organization/projects/{project}/api_keys?owner_project_access=any&limit=1");
        let mut after = String::new();
        loop {
            let list = demo.named(&format!("{target}{after}")).await;
            assert_eq!(list["object"], "list");
            for item in list["data"].as_array().unwrap() {
                listed.push((
                    item["id"].as_str().unwrap().to_owned(),
                    item["name"].as_str().unwrap().to_owned(),
                ));
            }
            if list["has_more"] == false {
                break;
            }
            after = format!("&after={}", list["last_id"].as_str().unwrap());
        }
    }
    // Twelve keys without the deleted one.
    assert_eq!(listed.len(), 11);
    let costs =
        demo.named(&format!("/v1/organization/costs?start_time={START}&limit=1&group_by=api_key_name")).await;
    for (id, name) in &listed {
        let row = rows(&costs).find(|row| row["api_key_id"] == id.as_str()).expect(id);
        assert_eq!(row["api_key_name"], name.as_str());
    }
    // One key is listed only with `owner_project_access=any`.
    let few = demo.named("/v1/organization/projects/proj_Vd8kRzYpLcN4/api_keys").await;
    assert_eq!(ids(&few).len(), 3);
    assert_eq!(ids(&demo.named("/v1/organization/admin_api_keys").await).len(), 2);
}

#[tokio::test]
async fn anthropic_reports_through_the_proxy_have_names() {
    let demo = DemoAndProxy::start().await;
    let target = "/v1/organizations/usage_report/messages?starting_at=2024-02-28T00:00:00Z&ending_at=2024-03-02T00:00:00Z&group_by[]=api_key_name&limit=2";
    let page = demo.named(target).await;
    let buckets = page["data"].as_array().unwrap();
    assert_eq!(buckets[0]["starting_at"], "2024-02-28T00:00:00Z");
    assert_eq!(buckets[1]["ending_at"], "2024-03-01T00:00:00Z");
    let next = page["next_page"].as_str().unwrap().replace('=', "%3D");
    let last = demo.named(&format!("{target}&page={next}")).await;
    assert_eq!(last["data"][0]["ending_at"], "2024-03-02T00:00:00Z");
    assert_eq!(last["has_more"], false);
    let pairs: BTreeSet<_> =
        rows(&page).map(|row| (row["api_key_id"].as_str(), row["api_key_name"].as_str())).collect();
    assert_eq!(pairs.len(), 4);
    assert!(pairs.contains(&(Some("apikey_01Rj2N8SVvo6BePZj99NhmiT"), Some("assistant-prod"))));
    assert!(pairs.contains(&(None, None)));

    let keys = demo.named("/v1/organizations/api_keys?limit=2").await;
    let after = keys["last_id"].as_str().unwrap();
    let more = demo.named(&format!("/v1/organizations/api_keys?limit=2&after_id={after}")).await;
    assert_eq!((&keys["has_more"], &more["has_more"]), (&true.into(), &false.into()));
    assert_eq!(more["data"][0]["status"], "archived");
}

#[tokio::test]
async fn demo_output_has_both_responses_and_commands() {
    let demo = DemoAndProxy::start().await;
    let text = soon(demo.demo.show(demo.proxy.address, Some(demo.proxy.address))).await.unwrap();
    let (before, after) = text.split_once("after, through the proxy").unwrap();
    assert!(before.contains("key_9fKd2LmQx7Rt") && !before.contains("api_key_name"));
    assert!(after.contains(r#""api_key_id":"key_9fKd2LmQx7Rt","api_key_name":"storefront-prod""#));
    assert!(after.contains(&format!("curl 'http://{}/v1/organization/costs", demo.proxy.address)));
    // Costs of both providers have names of keys, and of projects or workspaces.
    let (openai, anthropic) = after.split_once("from Anthropic").unwrap();
    assert!(openai.contains(r#""project_id":"proj_Hq2mWbXoSaT1","project_name":"Storefront""#), "{openai}");
    assert!(anthropic.contains(r#""api_key_name":"assistant-prod""#), "{anthropic}");
    assert!(anthropic.contains(r#""workspace_name":"Support""#), "{anthropic}");
}

const ANALYTICS: &str = "?starting_at=2026-11-01T00:00:00Z&ending_at=2026-11-04T00:00:00Z";

#[tokio::test]
async fn analytics_pages_follow_each_other_and_have_names_of_keys_and_actors() {
    let demo = DemoAndProxy::start().await;
    for (kind, numbers) in [("usage", "usage"), ("cost", "cost")] {
        let by_name = "&time_bucket_width=1d&group_by[]=api_key_name&group_by[]=actor&limit=5";
        let target = format!("/v1/organizations/analytics/{kind}{ANALYTICS}{by_name}");
        let (mut rows, mut next) = (Vec::new(), String::new());
        loop {
            let page = demo.named(&format!("{target}{next}")).await;
            rows.extend(page["data"].as_array().unwrap().clone());
            let Some(cursor) = page["next_page"].as_str() else { break };
            next = format!("&page={}", cursor.replace('=', "%3D"));
        }
        // Three keys and the use without a key, for three days.
        assert_eq!(rows.len(), 12);
        for row in &rows {
            let group = row["group"].as_object().unwrap();
            assert!(row[numbers].is_object() && group.contains_key("api_key_name"), "{row}");
            let actor_name = group["actor"].get("api_key_name").unwrap_or(&Value::Null);
            assert_eq!(*actor_name, group["api_key_name"]);
        }
        assert_eq!(rows.last().unwrap()["ending_at"], "2026-11-04T00:00:00Z");
    }
}

#[tokio::test]
async fn analytics_filter_keeps_an_empty_id_beside_names() {
    let demo = DemoAndProxy::start().await;
    let target = format!("/v1/organizations/analytics/cost{ANALYTICS}&group_by[]=api_key_name");
    for (filter, expected) in [
        ("api_key_names[]=old+crawler", &[Some("old crawler")][..]),
        ("api_key_ids[]=&api_key_names[]=old+crawler", &[Some("old crawler"), None]),
        ("api_key_ids[]=", &[None]),
    ] {
        let page = demo.named(&format!("{target}&{filter}")).await;
        let names: Vec<_> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["group"]["api_key_name"].as_str())
            .collect();
        assert_eq!(names, expected, "{filter}");
    }
}

#[tokio::test]
async fn analytics_request_that_is_invalid_receives_the_errors_of_the_api() {
    let demo = DemoAndProxy::start().await;
    for query in [
        "?ending_at=2026-11-04T00:00:00Z",
        "?starting_at=2026-11-01T00:00:00Z&ending_at=2026-12-03T00:00:00Z",
        &format!("{ANALYTICS}&limit=0"),
        &format!("{ANALYTICS}&page=x"),
        &format!("{ANALYTICS}&group_by[]=line_item"),
        &format!("{ANALYTICS}&time_bucket_width=1w"),
        &format!("{ANALYTICS}&group_by=api_key_id,model,speed,product,agent_id,session_id"),
    ] {
        let reply = demo.proxy.get(&format!("/v1/organizations/analytics/usage{query}")).await;
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            (reply.status.as_u16(), &body["error"]["type"]),
            (400, &"invalid_request_error".into()),
            "{query}"
        );
    }
    let five = "group_by=api_key_id,model,speed,product,agent_id,cost_type,token_type";
    assert_eq!(demo.direct(&format!("/v1/organizations/analytics/cost{ANALYTICS}&{five}")).await.status, 200);
}
