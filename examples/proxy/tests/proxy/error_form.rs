//! The form of the proxy's own errors, which follows the path.
use http::Request;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::peer::{
    Proxy, Reply, client, full, gated, limits, read_head, scripted, settings, soon, write_then_wait,
};
use api_key_name_proxy::server::limits::Limits;

#[track_caller]
fn assert_anthropic_error(reply: &Reply, status: u16, kind: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let mut body: Value = serde_json::from_slice(&reply.body).unwrap();
    let message = body["error"]["message"].take();
    assert!(message.as_str().is_some_and(|message| !message.is_empty()));
    let expected = json!({ "type": "error", "error": { "type": kind, "message": null } });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn unreachable_upstream_is_an_anthropic_error_on_an_anthropic_path() {
    let proxy = Proxy::to("http://127.0.0.1:9").await;
    let reply = proxy.get("/v1/organizations/usage_report/messages").await;
    assert_anthropic_error(&reply, 502, "api_error");
}

#[tokio::test]
async fn unreachable_upstream_is_an_openai_error_on_an_openai_path() {
    let proxy = Proxy::to("http://127.0.0.1:9").await;
    let reply = proxy.get("/v1/organization/costs").await;
    reply.is_error(502, "upstream_transport_error");
}

#[tokio::test]
async fn path_out_of_scope_is_an_anthropic_error_below_organizations() {
    let proxy = Proxy::to("http://127.0.0.1:9").await;
    let reply = proxy.get("/v1/organizations/../models").await;
    assert_anthropic_error(&reply, 404, "not_found_error");
}

#[tokio::test]
async fn silent_upstream_is_a_timeout_error_on_an_anthropic_path() {
    let address = scripted(|mut stream| async move { write_then_wait(&mut stream, "").await }).await;
    let mut settings = settings(&format!("http://{address}"));
    settings.timeout = std::time::Duration::from_millis(200);
    let reply = Proxy::with(settings).await.get("/v1/organizations/api_keys").await;
    assert_anthropic_error(&reply, 504, "timeout_error");
}

#[tokio::test]
async fn overload_is_an_overloaded_error_on_an_anthropic_path() {
    let (upstream, mut requests, _gate) = gated().await;
    let limits = Limits { max_in_flight: 1, ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{upstream}")), limits).await;
    let url = proxy.url("/v1/organizations/api_keys");
    let request = Request::get(url).body(full("")).unwrap();
    let _call = tokio::spawn(client(false).request(request));
    soon(requests.recv()).await.unwrap();
    let reply = proxy.get("/v1/organizations/api_keys").await;
    assert_anthropic_error(&reply, 503, "overloaded_error");
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn request_id_of_a_broken_response_is_in_the_anthropic_error() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let response = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\ncontent-length: 9\r\n\r\n[";
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    let reply = Proxy::to(&format!("http://{address}")).await.get("/v1/organizations/api_keys").await;
    assert_eq!(reply.header("request-id"), Some("req_1"));
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["request_id"], "req_1");
}

/// An id in a path does not select the form.
#[tokio::test]
async fn refused_filter_has_the_form_of_the_provider_of_the_path() {
    let proxy = Proxy::to("http://127.0.0.1:9").await;
    for (path, is_openai) in [
        ("/v1/organization/organizations/costs", true),
        ("/v1/organizations/organization/cost_report", false),
    ] {
        let reply = proxy.get(&format!("{path}?api_key_names=")).await;
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status.as_u16(), body["error"]["code"].is_string()), (400, is_openai), "{body}");
    }
}
