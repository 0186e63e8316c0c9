//! Paths and methods that are forwarded, and those that are not.
use http::{Method, Request};

use crate::peer::{COSTS, NAMED, Proxy, Upstream, exchange, full};

const OUTSIDE: &[&str] = &[
    "/",
    "/v1",
    "/v1/",
    "/v1/models",
    "/v1/chat/completions",
    "/v1/organization",
    "/v1/organizations",
    "/v1/organizationx/costs",
    "/V1/organization/costs",
    "/v1//organization/costs",
    "//v1/organization/costs",
    "/x/v1/organization/costs",
    "/v1/organizatio%6e/costs",
    "/v1/organization%2fcosts",
    "/healthz",
    "/health/",
    "*",
    // plain dot segments
    "/v1/organization/.",
    "/v1/organization/..",
    "/v1/organization/../models",
    "/v1/organization/../../v1/models",
    "/v1/organization/./costs",
    "/v1/organization/usage/../costs",
    "/v1/organization/usage/..",
    "/v1/organization/../organization/costs",
    "/./v1/organization/costs",
    // dot segments with escapes, also escaped more than once
    "/v1/organization/%2e%2e/models",
    "/v1/organization/%2E%2E/models",
    "/v1/organization/%2E",
    "/v1/organization/.%2e/models",
    "/v1/organization/%2e./models",
    "/v1/organization/..%2fmodels",
    "/v1/organization/..%2Fmodels",
    "/v1/organization/x%2f..%2f..%2fmodels",
    "/v1/organization/x%2f%2e%2e",
    "/v1/organization/%252e%252e/models",
    "/v1/organization/%25252e%25252e/models",
    "/v1/organization/..%252fmodels",
    "/v1/organization/%252525252e/models",
    // backslashes, which some servers read as slashes
    "/v1/organization/..\\models",
    "/v1/organization/x\\y",
    "/v1/organization/..%5cmodels",
    "/v1/organization/%5C",
    "/v1/organization/%255c..",
    // path parameters, which some servers cut off
    "/v1/organization/..;/models",
    "/v1/organization/..;x=1/models",
    "/v1/organization/.;a/costs",
    "/v1/organization/%2e%2e;x/models",
    "/v1/organization/..%3bx/models",
    "/v1/organization/;/costs",
    // empty segments, which some servers join
    "/v1/organization//costs",
    "/v1/organization/costs//",
    "/v1/organization/x%2f%2fy",
    "/v1/organization/x%2f/y",
    // broken escapes, invalid UTF-8, control characters
    "/v1/organization/%",
    "/v1/organization/%2",
    "/v1/organization/%zz",
    "/v1/organization/%c0%ae%c0%ae/models",
    "/v1/organization/%ff",
    "/v1/organization/%00",
    "/v1/organization/..%00/models",
    "/v1/organization/%0d%0a",
];

#[tokio::test]
async fn path_out_of_scope_is_a_404_and_does_not_reach_the_upstream() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for target in OUTSIDE {
        for method in ["GET", "POST", "OPTIONS"] {
            let request = format!(
                "{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let response = exchange(proxy.address, &request).await;
            assert!(response.starts_with("HTTP/1.1 404 "), "{method} {target}: {response}");
            let (_, body) = response.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["error"]["type"], "proxy_error");
            assert_eq!(body["error"]["code"], "not_found");
            assert_eq!(body["error"]["param"], serde_json::Value::Null);
        }
    }
    assert_eq!(upstream.connections(), 0);
    // The same proxy reaches the upstream with a path in scope.
    proxy.get(COSTS).await;
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn absolute_target_in_scope_goes_to_the_configured_upstream() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let response = exchange(
        proxy.address,
        "GET http://elsewhere.example/v1/organization/costs?x=1 HTTP/1.1\r\nhost: elsewhere.example\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert_eq!(upstream.last().uri, "/v1/organization/costs?x=1");
    let response = exchange(
        proxy.address,
        "GET http://elsewhere.example/v1/models HTTP/1.1\r\nhost: elsewhere.example\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn path_in_scope_reaches_the_upstream_byte_for_byte() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for target in [
        "/v1/organization/",
        "/v1/organization/costs",
        "/v1/organization/costs/",
        "/v1/organization/usage/completions?start_time=1&page=page_AAA%3D&x=..%2f../",
        "/v1/organization/costs?group_by[]=api_key_id&group_by%5B%5D=line_item&a=%2c+b",
        "/v1/organization/users/a%2Fb",
        "/v1/organization/users/caf%C3%A9",
        "/v1/organization/users/a%20b.c",
        "/v1/organization/...",
        "/v1/organization/.well-known",
        "/v1/organization/x..y/a.",
        "/v1/organization/projects/p;v=1/api_keys",
        "/v1/organization/50%25",
        "/v1/organizations/usage_report/messages?starting_at=2025-01-01T00:00:00Z",
    ] {
        let reply = proxy.get(target).await;
        assert_eq!(reply.status, 200, "{target}");
        assert_eq!(upstream.last().uri.to_string(), target);
    }
}

#[tokio::test]
async fn group_by_name_reaches_the_upstream_as_id() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = proxy.get("/v1/organization/costs?group_by[]=api_key_name&x=1").await;
    assert_eq!(upstream.last().uri, "/v1/organization/costs?group_by[]=api_key_id&x=1");
    assert_eq!(reply.text(), NAMED);
    assert_eq!(reply.header("content-length"), Some(NAMED.len().to_string().as_str()));
}

#[tokio::test]
async fn forwarded_methods_keep_their_bodies() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"] {
        let body = if matches!(method, "GET" | "HEAD") { "" } else { "{\"name\":\"new\"}" };
        let request = Request::builder()
            .method(method)
            .uri(proxy.url("/v1/organization/projects"))
            .body(full(body))
            .unwrap();
        let reply = proxy.send(request).await;
        assert_eq!(reply.status, 200, "{method}");
        let received = upstream.last();
        assert_eq!((received.method.as_str(), &received.body[..]), (method, body.as_bytes()));
        assert_eq!(reply.body.is_empty(), method == "HEAD");
    }
}

#[tokio::test]
async fn other_methods_receive_a_405_with_the_allowed_ones() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for method in ["TRACE", "PROPFIND", "get", "PURGE"] {
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(proxy.url(COSTS))
            .body(full(""))
            .unwrap();
        let reply = proxy.send(request).await;
        reply.is_error(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD"));
    }
    let response = exchange(
        proxy.address,
        "CONNECT api.openai.com:443 HTTP/1.1\r\nhost: api.openai.com:443\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn options_with_max_forwards_of_zero_is_not_forwarded() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let options =
        |hops: &str| Request::options(proxy.url(COSTS)).header("max-forwards", hops).body(full("")).unwrap();
    let reply = proxy.send(options("0")).await;
    assert_eq!(reply.status, 204);
    assert!(reply.header("allow").unwrap().contains("OPTIONS"));
    assert_eq!(upstream.connections(), 0);
    proxy.send(options("5")).await;
    assert_eq!(upstream.last().headers["max-forwards"], "4");
}

#[tokio::test]
async fn health_reports_the_state_of_the_names() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = proxy.get("/health?x=1").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let map = serde_json::json!({"entries": 1, "generation": 1, "last_error": null});
    let mut expected = map.clone();
    for (member, value) in [("status", "ok".into()), ("openai", map.clone()), ("anthropic", map)] {
        expected[member] = value;
    }
    assert_eq!(body, expected);
    assert!(reply.text().starts_with(r#"{"status":"ok","#));
    let head = proxy.send(Request::head(proxy.url("/health")).body(full("")).unwrap()).await;
    assert_eq!(head.header("content-length"), Some(reply.body.len().to_string().as_str()));
    assert!(head.body.is_empty());
    let post = proxy.send(Request::post(proxy.url("/health")).body(full("")).unwrap()).await;
    post.is_error(405, "method_not_allowed");
    assert_eq!(post.header("allow"), Some("GET, HEAD"));
    assert_eq!(upstream.connections(), 0);
}
