//! Pages of Anthropic's analytics API through the proxy.
use http::Response;
use serde_json::Value;
use tower_api_key_name::KeyNames;
use tower_api_key_name::names::Labels;

use crate::peer::{Proxy, Upstream, full, limits, settings};
use api_key_name_proxy::settings::ProxySettings;

const COST: &str = include_str!("pages/anthropic_analytics_cost_by_key.json");
const USAGE: &str = include_str!("pages/anthropic_analytics_usage_by_actor.json");

/// The page through the proxy, with the name of each member `…_id` that has one.
async fn through_the_proxy(page: &'static str, labels: Labels, limit: Option<usize>) -> String {
    let upstream = Upstream::answering(move |_| {
        let response = Response::builder().header("content-type", "application/json");
        response.body(full(page)).unwrap()
    })
    .await;
    let keys = [("apikey_01Rj2N8SVvo6BePZj99NhmiT", "prod"), ("apikey_01Wq7X2ZTbn4LcVpM8sKdYhE", "dev")];
    let names = KeyNames::new(keys).unwrap();
    let names =
        names.with_section("service_account_id", [("svac_01Hk3R9TWxq7CfQak00OiVw4", "robot")]).unwrap();
    let names = names.with_section("user_id", [("user_01WCz1FkmYMm4gnmykNKUu3Q", "Ana")]).unwrap();
    let settings = ProxySettings { labels, limit, ..settings(&upstream.base()) };
    let proxy = Proxy::naming(names.into(), settings, limits()).await;
    let reply = proxy.get("/v1/organizations/analytics/cost?beta=true&group_by[]=api_key_name").await;
    assert_eq!(upstream.last().uri.query(), Some("beta=true&group_by[]=api_key_id"));
    reply.text().to_owned()
}

#[tokio::test]
async fn cost_page_has_the_names_of_its_keys_and_no_other_change() {
    for limit in [None, Some(0)] {
        let named = through_the_proxy(COST, Labels::default(), limit).await;
        let expected = COST
            .replace(
                "\"apikey_01Rj2N8SVvo6BePZj99NhmiT\"",
                "\"apikey_01Rj2N8SVvo6BePZj99NhmiT\",\"api_key_name\":\"prod\"",
            )
            .replace(
                "\"apikey_01GoneGoneGoneGoneGoneGon\"",
                "\"apikey_01GoneGoneGoneGoneGoneGon\",\"api_key_name\":\"unknown\"",
            )
            .replace("\"api_key_id\":null", "\"api_key_id\":null,\"api_key_name\":null");
        assert_eq!(named, expected, "{limit:?}");
    }
}

#[tokio::test]
async fn usage_page_has_the_names_of_keys_in_groups_and_actors_and_no_other_change() {
    for limit in [None, Some(0)] {
        let named = through_the_proxy(USAGE, Labels::default(), limit).await;
        let page: Value = serde_json::from_str(&named).unwrap();
        let groups: Vec<_> = page["data"].as_array().unwrap().iter().map(|row| &row["group"]).collect();
        let names: Vec<_> = groups.iter().map(|group| group.get("api_key_name").expect("no name")).collect();
        assert_eq!(names, [&Value::from("dev"), &"prod".into(), &Value::Null, &Value::Null]);
        assert_eq!(groups[0]["actor"]["api_key_name"], "dev");
        assert!(groups[1..].iter().all(|group| group["actor"].get("api_key_name").is_none()));
        let mut kept = named;
        for indent in ["        ", "          "] {
            for name in ["\"dev\"", "\"prod\"", "null"] {
                kept = kept.replace(&format!(",\n{indent}\"api_key_name\": {name}"), "");
            }
        }
        // Not printed, because the page is long.
        assert!(kept == USAGE, "{limit:?}");
    }
}

#[tokio::test]
async fn actors_have_the_names_of_the_labels_that_are_on() {
    let labels = Labels::default().with("service_account_id", "service_account_name").unwrap();
    let named = through_the_proxy(USAGE, labels, None).await;
    assert!(named.contains(r#""service_account_name": "robot""#), "{named}");
    assert!(!named.contains("user_name"), "the label of users is off");
}
