//! Calls through the main listener, and the paths of the operator listener.
use http::Request;
use serde_json::{Value, json};

use super::world::{
    CHAT, Files, MESSAGE, REAL_KEY, TestKey, assert_refused, chat, chat_body, chat_events, get, providers,
    send,
};
use crate::peer::{COSTS, NAMED, Reply, client, full, soon};

#[tokio::test]
async fn call_with_a_proxy_key_reaches_the_upstream_with_the_real_key_only() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    let reply = chat(service.address, &key.text).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, CHAT));
    let sent = upstream.last();
    assert_eq!(sent.headers["authorization"], format!("Bearer {REAL_KEY}"));
    assert_eq!(sent.uri.path(), "/v1/chat/completions");
    let headers: String = sent.headers.values().map(|value| value.to_str().unwrap()).collect();
    assert!(!headers.contains(&key.text) && !String::from_utf8_lossy(&sent.body).contains(&key.text));
}

#[tokio::test]
async fn streamed_call_requests_the_usage_and_hides_its_event() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    let reply = send(service.address, "/v1/chat/completions", &key.text, &chat_body(true)).await;
    let body: Value = serde_json::from_slice(&upstream.last().body).unwrap();
    assert_eq!(body["stream_options"]["include_usage"], true);
    let events_with_null = chat_events(true);
    let (content, _) = events_with_null.split_once(r#""choices":[],"#).unwrap();
    let (content, _) = content.rsplit_once("data: ").unwrap();
    assert_eq!(reply.text(), format!("{content}data: [DONE]\n\n"));
}

#[tokio::test]
async fn message_with_a_proxy_key_has_the_real_key_of_anthropic() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    let body =
        json!({"model": "claude-opus-4-1", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    let request = Request::post(format!("http://{}/v1/messages", service.address))
        .header("x-api-key", &key.text)
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json")
        .body(full(body.to_string()))
        .unwrap();
    let reply = Reply::read(soon(client(false).request(request)).await.unwrap()).await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.text()), (200, MESSAGE));
    assert_eq!(upstream.last().headers["x-api-key"], REAL_KEY);
}

#[tokio::test]
async fn call_with_another_credential_is_refused() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    let other_key = TestKey::new("key_b", &json!({}));
    for credential in [REAL_KEY, &other_key.text, "sk-admin", &key.text[..48]] {
        let reply = chat(service.address, credential).await;
        assert_refused(&reply, 401, "invalid_api_key");
    }
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn organization_path_is_served_at_the_operator_address_only() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    std::fs::write(files.path("names.json"), r#"{"key_a":"Alpha"}"#).unwrap();
    let names = files.path("names.json");
    let more = ["--operator-listen", "127.0.0.1:0", "--names", names.to_str().unwrap()];
    let mut service = files.start(&upstream.base(), &more);
    assert_refused(&get(service.address, COSTS, "sk-admin").await, 401, "invalid_api_key");
    assert_refused(&get(service.address, "/v1/organization/users", &key.text).await, 404, "unknown_url");
    assert!(upstream.asked().is_empty());

    let operator = service.read_operator_address();
    let reply = get(operator, COSTS, "sk-admin").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, NAMED));
    assert_eq!(upstream.last().headers["authorization"], "Bearer sk-admin");
}

#[tokio::test]
async fn proxy_key_at_the_operator_address_serves_no_call() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let mut service = files.start(&upstream.base(), &["--operator-listen", "127.0.0.1:0"]);
    let operator = service.read_operator_address();
    assert_eq!(chat(operator, &key.text).await.status, 404);
    assert_refused(&get(operator, COSTS, &key.text).await, 401, "invalid_api_key");
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn health_at_the_main_address_has_no_details() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let mut service = files.start(&upstream.base(), &["--operator-listen", "127.0.0.1:0"]);
    assert_eq!(get(service.address, "/health", "").await.text(), r#"{"status":"ok"}"#);
    assert_eq!(get(service.address, "/spend", "").await.status, 401);
    let operator = service.read_operator_address();
    let health: Value = serde_json::from_slice(&get(operator, "/health", "").await.body).unwrap();
    assert_eq!(health["proxy_keys"], json!({"entries": 1, "generation": 1, "last_error": null}));
}

#[tokio::test]
async fn body_over_the_limit_is_refused() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &["--max-request-body", "50"]);
    assert_refused(&chat(service.address, &key.text).await, 413, "request_too_large");
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn calls_share_a_connection_to_the_upstream() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    for _ in 0..5 {
        assert_eq!(chat(service.address, &key.text).await.status, 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn unreachable_upstream_is_an_error_in_the_form_of_the_provider() {
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start("http://127.0.0.1:1", &[]);
    assert_refused(&chat(service.address, &key.text).await, 502, "upstream_transport_error");
    let body =
        json!({"model": "claude-opus-4-1", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    let reply = send(service.address, "/v1/messages", &key.text, &body).await;
    let error: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status.as_u16(), error["error"]["type"].as_str()), (502, Some("api_error")));
    assert_eq!(error["type"], "error");
}
