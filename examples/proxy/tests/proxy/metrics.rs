//! `/metrics`: the values, their labels, and the listener that has them.
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tower_api_key_name::proxy_keys::{Ledger, ProxyKeyLayer, ProxyKeys, Upstreams};

use crate::binary::{Running, names, program};
use crate::operator::{get, start};
use crate::peer::{self, COSTS, Upstream, exchange, gated, limits, read_head, scripted, soon};
use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::demo::Demo;
use api_key_name_proxy::metrics::spend::{SpendLabels, SpendSample};
use api_key_name_proxy::metrics::upstream::ApiLabels;
use api_key_name_proxy::metrics::{MetricSources, Metrics, MetricsExporter, ProxyKeyState};

/// Requests the metrics until a series has this value. A response is counted soon after its last byte.
pub(crate) async fn has_value(address: SocketAddr, series: &str, value: &str) {
    let rest = metric(address, &format!("{series} {value}\n")).await;
    assert_eq!(rest, "");
}

/// Requests the metrics until they contain a line with this beginning, and returns the rest of the line.
async fn metric(address: SocketAddr, series: &str) -> String {
    soon(async {
        loop {
            let reply = get(address, "/metrics").await;
            let line = reply.text().split_inclusive('\n').find_map(|line| line.strip_prefix(series));
            if let Some(rest) = line {
                return rest.trim().to_owned();
            }
        }
    })
    .await
}

#[tokio::test]
async fn metrics_count_outcomes_ids_and_upstream_responses() {
    let upstream = Upstream::rows().await;
    let names = names();
    let (running, operator) = start(&upstream.base(), &names, &[]);
    for _ in 0..2 {
        assert_eq!(get(running.address, COSTS).await.status, 200);
    }
    for (series, value) in [
        (r#"api_key_name_responses_total{provider="openai",outcome="amended",reason=""}"#, "2"),
        (r#"api_key_name_ids_total{provider="openai",result="named"}"#, "2"),
        (r#"api_key_name_ids_total{provider="openai",result="unmatched"}"#, "2"),
        (r#"api_key_name_ids_total{provider="openai",result="null"}"#, "2"),
        (r#"api_key_name_upstream_responses_total{provider="openai",api="organization",status="200"}"#, "2"),
        (r#"api_key_name_upstream_response_seconds_count{provider="openai",api="organization"}"#, "2"),
        (r#"api_key_name_map_entries{map="openai"}"#, "1"),
        (r#"api_key_name_map_generation{map="anthropic"}"#, "1"),
        (r#"api_key_name_map_reload_failed{map="openai"}"#, "0"),
    ] {
        has_value(operator, series, value).await;
    }
}

#[tokio::test]
async fn refused_request_is_counted_with_its_reason() {
    let names = names();
    let (running, operator) = start("http://127.0.0.1:1", &names, &[]);
    let refused = get(running.address, "/v1/organization/costs?api_key_names=nobody").await;
    assert_eq!(refused.status, 400);
    let series =
        r#"api_key_name_responses_total{provider="openai",outcome="refused",reason="unknown_api_key_name"}"#;
    has_value(operator, series, "1").await;
}

#[tokio::test]
async fn upstream_that_cannot_be_reached_is_counted_as_a_failure() {
    let names = names();
    let (running, operator) = start("http://127.0.0.1:1", &names, &[]);
    assert_eq!(get(running.address, COSTS).await.status, 502);
    let series =
        r#"api_key_name_upstream_failures_total{provider="openai",api="organization",reason="unreachable"}"#;
    has_value(operator, series, "1").await;
}

#[tokio::test]
async fn metrics_have_neither_ids_nor_names() {
    let upstream = Upstream::rows().await;
    let names = names();
    let (running, operator) = start(&upstream.base(), &names, &[]);
    get(running.address, COSTS).await;
    let text = get(operator, "/metrics").await;
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(text.header("cache-control"), Some("no-store"));
    assert!(text.text().contains("api_key_name_responses_total{"));
    for secret in ["key_a", "key_b", "Alpha"] {
        assert!(!text.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn main_listener_has_the_metrics_only_without_an_operator_listener() {
    let names = names();
    let (running, _operator) = start("http://127.0.0.1:1", &names, &[]);
    get(running.address, "/metrics").await.is_error(404, "not_found");
    let mut alone = program();
    alone.args(["--port", "0", "--openai-base-url", "http://127.0.0.1:1", "--names"]).arg(names.path());
    let alone = Running::start(&mut alone);
    assert_eq!(get(alone.address, "/metrics").await.status, 200);
    let posted =
        exchange(alone.address, "POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
}

#[tokio::test]
async fn file_that_becomes_invalid_is_a_failed_reload() {
    let names = names();
    let (_running, operator) = start("http://127.0.0.1:1", &names, &[]);
    has_value(operator, r#"api_key_name_map_reload_failed{map="openai"}"#, "0").await;
    fs::write(names.path(), "{").unwrap();
    has_value(operator, r#"api_key_name_map_reload_failed{map="openai"}"#, "1").await;
}

#[tokio::test]
async fn call_in_flight_is_counted_until_its_end() {
    let (address, mut requests, gate) = gated().await;
    let names = names();
    let (running, operator) = start(&format!("http://{address}"), &names, &[]);
    let main = running.address;
    let call = tokio::spawn(async move { get(main, COSTS).await });
    soon(requests.recv()).await.unwrap();
    has_value(operator, "api_key_name_calls_in_flight", "1").await;
    gate.notify_one();
    soon(call).await.unwrap();
    has_value(operator, "api_key_name_calls_in_flight", "0").await;
}

#[tokio::test]
async fn buffered_bytes_of_a_response_are_held() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[\"0123456";
        stream.write_all(head.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let names = names();
    let (running, operator) = start(&format!("http://{address}"), &names, &[]);
    has_value(operator, r#"api_key_name_bytes_held{kind="responses"}"#, "0").await;
    let main = running.address;
    tokio::spawn(async move { get(main, COSTS).await });
    has_value(operator, r#"api_key_name_bytes_held{kind="responses"}"#, "9").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_listing_is_counted_with_its_time() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["--port", "0", "--openai-base-url", &demo.base.to_string()]);
    command.env("OPENAI_ADMIN_KEY", "secret1").arg("--sync").arg(folder.path().join("learned.json"));
    let running = Running::start(&mut command);
    let series = r#"api_key_name_listings_total{provider="openai",result="complete"}"#;
    has_value(running.address, series, "1").await;
    let time =
        metric(running.address, r#"api_key_name_last_listing_timestamp_seconds{provider="openai"}"#).await;
    assert!(time.parse::<f64>().unwrap() > 1e9, "{time}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spend_metrics_have_the_names_of_keys_and_projects() {
    let demo = Demo::start(limits()).await.unwrap();
    let names = names();
    let mut command = program();
    command.args(["--port", "0", "--openai-base-url", &demo.base.to_string(), "--spend-metrics", "--names"]);
    command.arg(names.path()).env("OPENAI_ADMIN_KEY", "secret1");
    let running = Running::start(&mut command);
    let complete = metric(running.address, "api_key_name_spend_complete ").await;
    assert!(["0", "1"].contains(&complete.as_str()), "{complete}");
    let text = get(running.address, "/metrics").await;
    let month = text.text().lines().find(|line| line.starts_with(r#"api_key_name_spend{period="month""#));
    let line = month.expect("a sum of the month");
    assert!(line.contains("project_name=") && line.contains(r#"currency="USD""#), "{line}");
    assert!(!text.text().contains("secret1") && !text.text().contains("key_9fKd2LmQx7Rt"));

    // A website whose name was directed to this address.
    let rebound = "GET /metrics HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let response = exchange(running.address, rebound).await;
    assert!(response.starts_with("HTTP/1.1 421 ") && !response.contains("api_key_name_spend"), "{response}");
}

#[tokio::test]
async fn spend_metrics_without_an_admin_key_are_bad_use() {
    let names = names();
    let output =
        crate::binary::run(&["--port", "0", "--names", names.path().to_str().unwrap(), "--spend-metrics"])
            .await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("--spend-metrics") && error.contains("OPENAI_ADMIN_KEY"), "{error}");
}

/// The names of all metrics that the proxy can export.
fn exported_names() -> BTreeSet<String> {
    let metrics = Metrics::default();
    let sum = SpendLabels {
        period: "today",
        api_key_name: "a".to_owned(),
        project_name: "p".to_owned(),
        currency: "USD".to_owned(),
    };
    let sample =
        SpendSample { series: vec![(sum, 1.5)], is_complete: true, read_at: Some(SystemTime::now()) };
    metrics.spend.replace(sample);
    // A family is exported from its first sample on.
    let api = ApiLabels { provider: "openai", api: "calls" };
    metrics.upstream.record_response(api, StatusCode::OK, Duration::ZERO);
    metrics.upstream.record_failure(api, "timeout");
    metrics.proxy_key_calls.record("openai", StatusCode::OK);
    metrics.listings.begin("openai");
    metrics.listings.record_listing("openai", true);
    let keys = ProxyKeys::from_json(br#"{"object":"list","data":[]}"#).unwrap();
    let ledger = Ledger::memory();
    let layer = ProxyKeyLayer::new(keys.clone(), ledger.clone(), Upstreams::default());
    let sources = MetricSources {
        names: ByProvider::both(peer::names()),
        proxy_keys: Some(ProxyKeyState { keys, ledger, layer }),
    };
    let text = MetricsExporter::new(&metrics, sources, true).text();
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some(declared) = line.strip_prefix("# TYPE ") else { continue };
        let (name, kind) = declared.split_once(' ').unwrap();
        names.insert(name.to_owned());
        if kind == "histogram" {
            names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
    }
    names
}

/// Adds the texts of all members with this name.
fn collect_texts<'a>(json: &'a Value, member: &str, texts: &mut Vec<&'a str>) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if name == member => texts.push(text),
                    _ => collect_texts(value, member, texts),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, member, texts)),
        _ => {}
    }
}

#[test]
fn dashboard_queries_use_each_metric_and_no_other() {
    let dashboard: Value = serde_json::from_str(include_str!("../../deploy/grafana.json")).unwrap();
    let mut queries = Vec::new();
    collect_texts(&dashboard, "expr", &mut queries);
    collect_texts(&dashboard, "query", &mut queries);
    let exported = exported_names();
    let mut used = BTreeSet::new();
    for query in &queries {
        for word in query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            // The label `api_key_name` has no more words.
            if word.starts_with("api_key_name_") {
                assert!(exported.contains(word), "{word} of {query} is not exported");
                used.insert(word.trim_end_matches("_bucket"));
            }
        }
    }
    let is_unused = |name: &&String| !used.contains(name.as_str()) && !name.contains("_response_seconds_");
    let unused: Vec<_> = exported.iter().filter(is_unused).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
