//! Both providers behind one proxy: each has its own base URL, names, lists and error form.
use std::fs;

use serde_json::Value;
use tower_api_key_name::names::MapReader;
use tower_api_key_name::{KeyNames, SharedKeyNames};

use crate::binary::{Running, names, program};
use crate::peer::{COSTS, Proxy, Upstream, exchange, json, limits, settings, soon};
use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::settings::ProxySettings;

const MESSAGES: &str = "/v1/organizations/usage_report/messages";

fn two_upstreams(openai: &Upstream, anthropic: &Upstream) -> ProxySettings {
    let base = ByProvider { openai: openai.base(), anthropic: anthropic.base() };
    ProxySettings {
        base: ByProvider::try_new(|provider| base.get(provider).parse()).unwrap(),
        ..settings(&openai.base())
    }
}

async fn upstream_of(key_id: &'static str) -> Upstream {
    Upstream::answering(move |_| json(format!(r#"{{"data":[{{"api_key_id":"{key_id}"}}]}}"#))).await
}

fn shared<const N: usize>(pairs: [(&str, &str); N]) -> SharedKeyNames {
    KeyNames::new(pairs).unwrap().into()
}

#[tokio::test]
async fn path_selects_the_upstream_of_its_provider() {
    let (openai, anthropic) = (Upstream::rows().await, Upstream::rows().await);
    let proxy = Proxy::with(two_upstreams(&openai, &anthropic)).await;
    for target in [COSTS, "/v1/organization/organizations/x", "/v1/organization/"] {
        assert_eq!(proxy.get(target).await.status, 200);
        assert_eq!(openai.last().uri, target);
    }
    assert_eq!((openai.asked().len(), anthropic.asked().len()), (3, 0));
    for target in [MESSAGES, "/v1/organizations/organization/x", "/v1/organizations/?x=/v1/organization/"] {
        assert_eq!(proxy.get(target).await.status, 200);
        assert_eq!(anthropic.last().uri, target);
    }
    assert_eq!((openai.asked().len(), anthropic.asked().len()), (3, 3));
}

#[tokio::test]
async fn unreachable_provider_leaves_the_other_one_in_service() {
    let openai = Upstream::rows().await;
    let mut settings = settings(&openai.base());
    settings.base.anthropic = "http://127.0.0.1:9".parse().unwrap();
    let proxy = Proxy::with(settings).await;
    let reply = proxy.get(MESSAGES).await;
    let error: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        (reply.status.as_u16(), &error["type"], &error["request_id"]),
        (502, &"error".into(), &Value::Null)
    );
    assert_eq!(proxy.get(COSTS).await.status, 200);
}

#[tokio::test]
async fn request_uses_only_the_map_of_its_provider() {
    let upstream = upstream_of("key_a").await;
    let names = ByProvider { openai: shared([("key_a", "Alpha")]), anthropic: shared([("key_a", "Beta")]) };
    let proxy = Proxy::naming_each(names, settings(&upstream.base()), limits()).await;
    assert!(proxy.get(COSTS).await.text().contains(r#""api_key_name":"Alpha""#));
    assert!(proxy.get(MESSAGES).await.text().contains(r#""api_key_name":"Beta""#));
}

/// One name in both providers: a filter has the ids of the path's provider only.
#[tokio::test]
async fn filter_by_a_name_of_both_providers_has_the_ids_of_its_provider() {
    let upstream = Upstream::rows().await;
    let openai = shared([("key_a", "checkout"), ("key_b", "checkout")]);
    let anthropic = shared([("apikey_a", "checkout")]);
    let proxy =
        Proxy::naming_each(ByProvider { openai, anthropic }, settings(&upstream.base()), limits()).await;
    for (path, ids) in
        [(COSTS, "api_key_ids[]=key_a&api_key_ids[]=key_b"), (MESSAGES, "api_key_ids[]=apikey_a")]
    {
        assert_eq!(proxy.get(&format!("{path}?api_key_names[]=checkout")).await.status, 200);
        assert_eq!(upstream.last().uri.to_string(), format!("{path}?{ids}"));
    }
}

#[tokio::test]
async fn file_with_sections_by_provider_gives_each_provider_its_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.json");
    let map =
        r#"{"openai": {"api_key_id": {"key_a": "Alpha"}}, "anthropic": {"api_key_id": {"key_a": "Beta"}}}"#;
    fs::write(&file, map).unwrap();
    let upstream = upstream_of("key_a").await;
    let read = |provider| MapReader::default().provider(provider).watch_all([&file]);
    let names = ByProvider::try_new(read).unwrap();
    let proxy = Proxy::naming_each(names, settings(&upstream.base()), limits()).await;
    assert!(proxy.get(COSTS).await.text().contains("Alpha"));
    assert!(proxy.get(MESSAGES).await.text().contains("Beta"));

    fs::write(&file, map.replace("Beta", "Gamma")).unwrap();
    soon(async { while !proxy.get(MESSAGES).await.text().contains("Gamma") {} }).await;
    assert!(proxy.get(COSTS).await.text().contains("Alpha"));
}

#[tokio::test]
async fn health_of_two_maps_has_the_state_of_each() {
    let names = ByProvider {
        openai: shared([("key_a", "A"), ("key_b", "B")]),
        anthropic: shared([("apikey_a", "A")]),
    };
    names.anthropic.replace(KeyNames::default());
    let proxy = Proxy::naming_each(names, settings("http://127.0.0.1:9"), limits()).await;
    let health: Value = serde_json::from_slice(&proxy.get("/health").await.body).unwrap();
    let members = |map: &Value| (map["entries"].as_u64().unwrap(), map["generation"].as_u64().unwrap());
    assert_eq!((members(&health["openai"]), members(&health["anthropic"])), ((2, 1), (0, 2)));
    // The larger number of names, and the generation that both have.
    assert_eq!(members(&health), (2, 1));
}

#[cfg(unix)]
#[tokio::test]
async fn program_with_two_base_urls_serves_both_providers_from_one_file() {
    let (openai, anthropic) = (Upstream::rows().await, Upstream::rows().await);
    let names = names();
    let mut command = program();
    command.args(["--port", "0", "--openai-base-url", &openai.base(), "--names"]).arg(names.path());
    command.env("ANTHROPIC_BASE_URL", format!("{}/v1/", anthropic.base()));
    let running = Running::start(&mut command);
    for path in [COSTS, MESSAGES] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let response = exchange(running.address, &request).await;
        assert!(response.contains(r#""api_key_name":"Alpha""#), "{response}");
    }
    assert_eq!((openai.asked().len(), anthropic.asked().len()), (1, 1));
    running.signal("-TERM");
    let (_, log) = running.ended().await;
    assert!(log.contains("openai: 1 names from ") && log.contains("anthropic: 1 names from "), "{log}");
}
