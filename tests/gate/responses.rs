//! The responses of the upstream, and the responses that the client receives.

use super::*;

/// Sends a request of Chat Completions to an upstream with this response.
async fn respond(status: u16, headers: &'static [(&str, &str)], body: &'static str) -> Response<Bytes> {
    let upstream = RecordedUpstream::new(move || {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(TestBody::whole(body)).unwrap()
    });
    let gate = Gate::new(upstream);
    gate.send(gate.post(CHAT, chat())).await
}

/// The headers of OpenAI in a recorded response, and some of others.
const HEADERS: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("content-length", "12"),
    ("date", "Wed, 13 Aug 2025 10:00:00 GMT"),
    ("cache-control", "no-store"),
    ("x-request-id", "req_1"),
    ("request-id", "req_2"),
    ("openai-processing-ms", "17"),
    ("openai-version", "2020-10-01"),
    ("x-should-retry", "true"),
    ("retry-after", "7"),
    ("retry-after-ms", "700"),
    ("openai-organization", "org-secret"),
    ("openai-project", "proj_secret"),
    ("anthropic-organization-id", "org-secret"),
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-tokens", "199992"),
    ("set-cookie", "__cf_bm=secret"),
    ("alt-svc", "h3=\":443\""),
    ("server", "cloudflare"),
    ("location", "/secret"),
    ("connection", "close"),
    ("trailer", "x"),
];

#[tokio::test]
async fn response_has_only_permitted_headers() {
    for status in [200, 404] {
        let response = respond(status, HEADERS, r#"{"a": 1.00 }"#).await;
        assert_eq!((response.status().as_u16(), &response.body()[..]), (status, &br#"{"a": 1.00 }"#[..]));
        let mut names: Vec<_> = response.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let expected = [
            "cache-control",
            "content-length",
            "content-type",
            "date",
            "openai-processing-ms",
            "openai-version",
            "request-id",
            "retry-after",
            "retry-after-ms",
            "x-request-id",
            "x-should-retry",
        ];
        assert_eq!(names, expected, "{status}");
    }
}

#[tokio::test]
async fn response_that_cannot_be_metered_is_replaced() {
    for headers in [
        &[("content-type", "application/json"), ("content-encoding", "gzip")][..],
        &[("content-type", "text/html")],
        &[],
    ] {
        let response = respond(200, headers, "secret").await;
        assert_refused(&response, 502, "upstream_failed");
        assert!(!String::from_utf8_lossy(response.body()).contains("secret"));
    }
}

#[tokio::test]
async fn redirect_is_replaced_and_not_followed() {
    let response = respond(307, &[("location", "https://other.example/secret")], "secret").await;
    assert_refused(&response, 502, "upstream_failed");
    assert!(!response.headers().contains_key("location"));
}

#[tokio::test]
async fn error_that_concerns_the_real_key_is_replaced() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json"), ("retry-after", "20")];
    for (status, expected, code) in [
        (401, 502, "upstream_failed"),
        (402, 402, "upstream_unpaid"),
        (403, 403, "upstream_forbidden"),
        (429, 429, "rate_limit_exceeded"),
    ] {
        let response =
            respond(status, JSON, r#"{"error":{"message":"Organization org-secret: limit 500"}}"#).await;
        assert_refused(&response, expected, code);
        assert!(!String::from_utf8_lossy(response.body()).contains("secret"));
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(retry_after, if status == 429 { Some("20") } else { None });
    }
}

#[tokio::test]
async fn other_error_passes_unchanged() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
    let body = r#"{"error": {"message":"Invalid value: 'x'.", "type":"invalid_request_error"} }"#;
    for status in [400, 404, 422, 500, 503, 529] {
        let response = respond(status, JSON, body).await;
        assert_eq!((response.status().as_u16(), &response.body()[..]), (status, body.as_bytes()));
        assert_eq!(response.headers()["content-length"], body.len().to_string());
    }
}

#[tokio::test]
async fn error_about_the_account_of_the_real_key_is_replaced() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json"), ("x-request-id", "req_1")];
    for body in [
        r#"{"error":{"message":"The model is not available to org-secret."}}"#,
        r#"{"error":{"message":"Your CREDIT BALANCE is too low. secret"}}"#,
        r#"{"error":{"message":"The key sk-real-openai\u002d0123456789ABCD secret"}}"#,
    ] {
        let response = respond(400, JSON, body).await;
        assert_refused(&response, 400, "upstream_failed");
        assert_eq!(response.headers()["x-request-id"], "req_1");
        assert!(!String::from_utf8_lossy(response.body()).contains("secret"));
    }
}

#[tokio::test]
async fn text_of_an_error_in_a_success_is_hidden() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json"), ("content-length", "72")];
    let body = r#"{"status":"failed","error":{"code":"x","message":"org-secret is over 5"}}"#;
    let response = respond(200, JSON, body).await;
    let expected = r#"{"status":"failed","error":{"code":"x","message":"The provider reporte"}}"#;
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, expected.as_bytes()));
    assert_eq!(response.headers()["content-length"], "72");
}

#[tokio::test]
async fn text_of_an_error_behind_the_terminal_event_is_hidden() {
    let stream: &[&str] = &[
        "data: {\"type\":\"response.completed\"}\n\n",
        "data: {\"error\":{\"message\":\"org-secret\"}}\n\n",
    ];
    let gate = Gate::new(RecordedUpstream::events(stream));
    let body = full(r#"{"model":"gpt-5","input":"x","stream":true}"#);
    let response = gate.send(gate.post("/v1/responses", body)).await;
    let expected = format!("{}data: {{\"error\":{{\"message\":\"The provid\"}}}}\n\n", stream[0]);
    assert_eq!(response.body(), &expected);
}

#[tokio::test]
async fn error_that_is_too_long_or_compressed_or_cut_is_replaced() {
    let bodies: [fn() -> TestBody; 2] =
        [|| TestBody::cut("{\"secret"), || TestBody::chunks(vec![Bytes::from_static(&[b'x'; 16 * 1024]); 5])];
    for body in bodies {
        let gate = Gate::new(RecordedUpstream::new(move || {
            let mut response = json_response(500, body());
            response.headers_mut().insert("retry-after", "3".parse().unwrap());
            response.headers_mut().insert("x-request-id", "req_1".parse().unwrap());
            response
        }));
        let response = gate.send(gate.post(CHAT, chat())).await;
        assert_refused(&response, 500, "upstream_failed");
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(response.headers()["x-request-id"], "req_1");
        // The SDKs repeat a 500, as they would that of the upstream.
        assert!(!response.headers().contains_key("x-should-retry"));
    }
    const GZIP: &[(&str, &str)] = &[("content-type", "application/json"), ("content-encoding", "gzip")];
    assert_refused(&respond(400, GZIP, "secret").await, 400, "upstream_failed");
}

#[tokio::test]
async fn error_of_exactly_64_kib_passes() {
    let gate = Gate::new(RecordedUpstream::new(|| {
        json_response(400, TestBody::chunks(vec![Bytes::from_static(&[b'x'; 16 * 1024]); 4]))
    }));
    let response = gate.send(gate.post(CHAT, chat())).await;
    assert_eq!((response.status().as_u16(), response.body().len()), (400, 64 * 1024));
}

#[tokio::test]
async fn error_of_the_inner_service_passes() {
    let mut upstream = RecordedUpstream::json(200, "{}");
    upstream.respond = Arc::new(|| Err(io::Error::other("no connection")));
    let gate = Gate::new(upstream);
    let error = gate.start(gate.post(CHAT, chat())).await.unwrap_err();
    assert_eq!(error.to_string(), "no connection");
}

#[tokio::test]
async fn error_of_the_inner_body_passes_after_the_bytes_before_it() {
    for (target, text) in [
        (CHAT, "{\"model\":\"gpt-5\",\"messages\":[]}"),
        (CHAT, "{\"model\":\"gpt-5\",\"messages\":[],\"stream\":true}"),
    ] {
        let gate = Gate::new(RecordedUpstream::new(|| {
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(TestBody::cut("data: 1\n\ndata: 2")).unwrap()
        }));
        let response = gate.start(gate.post(target, full(text))).await.unwrap();
        let mut body = response.into_body();
        let mut received = Vec::new();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => received.extend_from_slice(&frame.into_data().unwrap()),
                Err(error) => break error,
            }
        };
        assert_eq!((&received[..], error.to_string()), (&b"data: 1\n\ndata: 2"[..], "cut".to_owned()));
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn trailers_of_a_response_do_not_pass() {
    let gate = Gate::new(RecordedUpstream::new(|| {
        let mut body = TestBody::whole("{}");
        body.frames.push_back(Ok(Frame::trailers(HeaderMap::from_iter([(
            http::header::SET_COOKIE,
            "secret".parse().unwrap(),
        )]))));
        json_response(200, body)
    }));
    let response = gate.start(gate.post(CHAT, chat())).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert!(collected.trailers().is_none());
    assert_eq!(collected.to_bytes(), "{}");
}

/// A GET request for the models.
async fn models(upstream: RecordedUpstream) -> Response<Bytes> {
    let gate = Gate::new(upstream);
    let mut request = gate.post("/v1/models", full(""));
    *request.method_mut() = http::Method::GET;
    gate.send(request).await
}

#[tokio::test]
async fn list_of_models_contains_only_those_of_the_key() {
    let upstream = RecordedUpstream::json(
        200,
        r#"{"object":"list","data":[{"id":"o3","owned_by":"org-secret"},{"id":"gpt-5-mini", "x":1.0}]}"#,
    );
    let response = models(upstream).await;
    assert_eq!(response.body(), r#"{"object":"list","data":[{"id":"gpt-5-mini", "x":1.0}]}"#);
    assert_eq!(response.headers()["content-length"], response.body().len().to_string());
}

#[tokio::test]
async fn list_of_models_that_is_invalid_or_too_long_is_replaced() {
    assert_refused(&models(RecordedUpstream::json(200, "[]")).await, 502, "upstream_failed");
    let upstream = RecordedUpstream::new(|| {
        let long = vec![Bytes::from_static(&[b' '; 16 * 1024]); 256];
        let body =
            [Bytes::from_static(b" ")].into_iter().chain(long).chain([Bytes::from_static(b"{\"data\":[]}")]);
        json_response(200, TestBody::chunks(body))
    });
    assert_refused(&models(upstream).await, 502, "upstream_failed");
}
