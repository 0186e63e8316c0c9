//! Response bodies through the proxy: the edits and, byte for byte, the rest.
use http::Response;

use crate::peer::{COSTS, Proxy, Upstream, full};

const JSON: &str = "application/json";

/// Media type, body from the upstream, body for the client. The names are those of `peer::names`.
const CASES: &[(&str, &[u8], &[u8])] = &[
    // Ids
    (JSON, br#"{"api_key_id":"key_a","n":1}"#, br#"{"api_key_id":"key_a","api_key_name":"Alpha","n":1}"#),
    (JSON, br#"{"api_key_id":"key_b"}"#, br#"{"api_key_id":"key_b","api_key_name":"unknown"}"#),
    (JSON, br#"{"api_key_id":null}"#, br#"{"api_key_id":null,"api_key_name":null}"#),
    (
        JSON,
        br#"{"api_key_id":{"api_key_id":"key_a"}}"#,
        br#"{"api_key_id":{"api_key_id":"key_a","api_key_name":"Alpha"},"api_key_name":null}"#,
    ),
    (
        JSON,
        br#"[{"api_key_name":"native","api_key_id":"key_b"},{"api_key_name":"native","api_key_id":"key_a"}]"#,
        br#"[{"api_key_name":"native","api_key_id":"key_b"},{"api_key_name":"Alpha","api_key_id":"key_a"}]"#,
    ),
    (JSON, br#"{"api_key_id":"key_a","api_key_id":"key_b"}"#, br#"{"api_key_id":"key_a","api_key_id":"key_b"}"#),
    // Bytes beside the edits
    (
        JSON,
        br#"{"api_key_id":"key_a","value":0.003627500000000000000000000000000000,"e":1E2,"n":1e400}"#,
        br#"{"api_key_id":"key_a","api_key_name":"Alpha","value":0.003627500000000000000000000000000000,"e":1E2,"n":1e400}"#,
    ),
    (
        JSON,
        b"{\n  \"api_key_id\" : \"key_a\",\n  \"model\": \"caf\\u00e9 \\/\"\n}\n",
        b"{\n  \"api_key_id\" : \"key_a\",\n  \"api_key_name\" : \"Alpha\",\n  \"model\": \"caf\\u00e9 \\/\"\n}\n",
    ),
    (JSON, b"{ \"users\" : [ ] }", b"{ \"users\" : [ ] }"),
    // Bodies that are not JSON
    ("text/csv", b"api_key_id,cost\r\n\"api_key_id\": \"key_a\"\r\n", b"api_key_id,cost\r\n\"api_key_id\": \"key_a\"\r\n"),
    (JSON, br#"{"api_key_id":"key_a"},]"#, br#"{"api_key_id":"key_a"},]"#),
    (JSON, br#"{"api_key_id":"key_a","n":NaN}"#, br#"{"api_key_id":"key_a","n":NaN}"#),
    (JSON, b"{\"api_key_id\":\"key_a\",\"n\":\"\xff\"}", b"{\"api_key_id\":\"key_a\",\"n\":\"\xff\"}"),
    (JSON, b"", b""),
    // Other JSON media types
    (
        "Application/vnd.openai+JSON; charset=utf-8",
        br#"{"api_key_id":"key_a"}"#,
        br#"{"api_key_id":"key_a","api_key_name":"Alpha"}"#,
    ),
];

#[tokio::test]
async fn response_bodies_through_the_proxy_have_names_and_the_same_other_bytes() {
    let upstream = Upstream::answering(|request| {
        let number: usize = request.uri.query().unwrap().parse().unwrap();
        let (media_type, body, _) = CASES[number];
        Response::builder().header("content-type", media_type).body(full(body)).unwrap()
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    for (number, (media_type, body, expected)) in CASES.iter().enumerate() {
        let reply = proxy.get(&format!("{COSTS}?{number}")).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body, *expected, "{}", body.escape_ascii());
        assert_eq!(reply.header("content-type"), Some(*media_type));
        assert_eq!(reply.header("content-length"), Some(expected.len().to_string().as_str()));
    }
}

#[tokio::test]
async fn body_nested_beyond_the_limit_is_unchanged() {
    let nested =
        |depth: usize| format!(r#"{}{{"api_key_id":"key_a"}}{}"#, "[".repeat(depth), "]".repeat(depth));
    let upstream = Upstream::answering(move |request| {
        let depth = request.uri.query().unwrap().parse().unwrap();
        crate::peer::json(nested(depth))
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = proxy.get(&format!("{COSTS}?100")).await;
    assert!(reply.text().contains(r#""api_key_name":"Alpha""#));
    let reply = proxy.get(&format!("{COSTS}?20000")).await;
    assert_eq!(reply.text(), nested(20_000));
}

#[tokio::test]
async fn error_of_the_api_keeps_its_status_headers_and_bytes() {
    const ERROR: &str = r#"{"error": {"message": "no", "type": "requests", "param": null, "code": "limit"}}"#;
    let upstream = Upstream::answering(|_| {
        Response::builder()
            .status(429)
            .header("content-type", JSON)
            .header("retry-after", "7")
            .header("x-request-id", "req_1")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(full(ERROR))
            .unwrap()
    })
    .await;
    let reply = Proxy::to(&upstream.base()).await.get(COSTS).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (429, ERROR));
    assert_eq!((reply.header("retry-after"), reply.header("x-request-id")), (Some("7"), Some("req_1")));
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}
