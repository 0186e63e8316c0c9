//! The metrics and the readiness of the service with proxy keys.
use std::net::SocketAddr;

use http::StatusCode;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::world::{Files, TestKey, chat, providers};
use crate::binary::Running;
use crate::metrics::has_value;
use crate::operator::get;
use crate::peer::Upstream;
use crate::probes::wait_for_status;

/// Starts the service with an operator listener, and returns its address.
fn start(files: &Files, upstream: &Upstream) -> (Running, SocketAddr) {
    let mut running = files.start(&upstream.base(), &["--operator-listen", "127.0.0.1:0"]);
    let line = running.read_line();
    let address = line.trim_end().strip_prefix("operator listening on http://").expect(&line);
    (running, address.parse().unwrap())
}

#[tokio::test]
async fn calls_and_refusals_with_proxy_keys_are_counted() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let (service, operator) = start(&files, &upstream);
    assert_eq!(chat(service.address, &key.text).await.status, 200);
    assert_eq!(chat(service.address, "sk-px-unknown").await.status, 401);
    for (series, value) in [
        (r#"api_key_name_proxy_key_responses_total{provider="openai",status="200"}"#, "1"),
        (r#"api_key_name_proxy_key_responses_total{provider="openai",status="401"}"#, "1"),
        (r#"api_key_name_upstream_responses_total{provider="openai",api="calls",status="200"}"#, "1"),
        (r#"api_key_name_map_entries{map="proxy_keys"}"#, "1"),
        (r#"api_key_name_bytes_held{kind="request_bodies"}"#, "0"),
        // The admission and the settlement.
        ("api_key_name_ledger_commits_total", "2"),
        ("api_key_name_ledger_commit_failures_total", "0"),
        ("api_key_name_ledger_writable", "1"),
        ("api_key_name_ledger_calls_in_flight", "0"),
    ] {
        has_value(operator, series, value).await;
    }
    assert!(!get(operator, "/metrics").await.text().contains("key_a"));
}

#[tokio::test]
async fn customers_with_proxy_keys_see_no_metrics() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    for more in [&[][..], &["--operator-listen", "127.0.0.1:0"]] {
        let service = files.start(&upstream.base(), more);
        let reply = get(service.address, "/metrics").await;
        assert!(reply.status.is_client_error() && !reply.text().contains("ledger"), "{reply:?}");
        assert_eq!(get(service.address, "/ready").await.text(), r#"{"status":"ready"}"#);
        service.signal("-TERM");
        service.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_whose_ledger_cannot_be_written_is_not_ready_until_it_can() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let (service, operator) = start(&files, &upstream);
    let other_writer = rusqlite::Connection::open(files.path("ledger.sqlite")).unwrap();
    other_writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(chat(service.address, &key.text).await.status, 503);
    let not_ready = get(operator, "/ready").await;
    assert_eq!((not_ready.status.as_u16(), not_ready.text().contains("ledger_not_writable")), (503, true));
    assert_eq!(get(service.address, "/ready").await.text(), r#"{"status":"not_ready"}"#);
    has_value(operator, "api_key_name_ledger_writable", "0").await;
    other_writer.execute_batch("ROLLBACK").unwrap();
    // No call is made: the ledger tries a write itself.
    wait_for_status(operator, StatusCode::OK).await;
}

#[tokio::test]
async fn request_body_that_arrives_is_held_memory() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let (service, operator) = start(&files, &upstream);
    let mut client = TcpStream::connect(service.address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        key.text
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let series = r#"api_key_name_bytes_held{kind="request_bodies"}"#;
    // The memory of the first bytes of a body.
    has_value(operator, series, "8192").await;
    drop(client);
    has_value(operator, series, "0").await;
}
