//! The requests that are refused, and the requests that the upstream receives.

use super::*;

/// A request body that must not be polled.
fn unpolled() -> (TestBody, Arc<AtomicUsize>) {
    let body = TestBody::whole(r#"{"model":"gpt-5","messages":[]}"#);
    let polls = body.polls.clone();
    (body, polls)
}

#[tokio::test]
async fn head_that_is_not_permitted_is_refused_before_the_body_is_polled() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let valid = format!("Bearer {}", gate.key.key());
    let json = "application/json";
    for (method, target, authorization, content_type, status, code) in [
        ("POST", CHAT, "", json, 401, "invalid_api_key"),
        ("POST", CHAT, "Bearer sk-px-wrong", json, 401, "invalid_api_key"),
        ("POST", CHAT, &format!("Bearer {}", gate.key.digest()), json, 401, "invalid_api_key"),
        ("POST", CHAT, &format!("Bearer {REAL_KEY}"), json, 401, "invalid_api_key"),
        ("POST", "/v1/files", &valid, json, 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", &valid, json, 404, "unknown_url"),
        ("POST", "/v1/chat%2Fcompletions", &valid, json, 404, "unknown_url"),
        ("POST", "/v1/x/../chat/completions", &valid, json, 404, "unknown_url"),
        ("OPTIONS", "/v1/files", &valid, json, 404, "unknown_url"),
        ("OPTIONS", CHAT, &valid, json, 405, "method_not_supported"),
        ("GET", CHAT, &valid, json, 405, "method_not_supported"),
        ("PUT", CHAT, &valid, json, 405, "method_not_supported"),
        ("POST", "/v1/chat/completions?model=o3", &valid, json, 400, "unsupported_parameter"),
        ("POST", CHAT, &valid, "multipart/form-data", 415, "unsupported_media_type"),
    ] {
        let (body, polls) = unpolled();
        let mut request = Request::builder().method(method).uri(target).header("content-type", content_type);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let response = gate.send(request.body(body).unwrap()).await;
        assert_refused(&response, status, code);
        assert_eq!(polls.load(Ordering::SeqCst), 0, "{method} {target}");
    }
    assert_eq!(gate.upstream.count(), 0);
}

#[tokio::test]
async fn upgrade_and_encoded_body_are_refused_before_the_body_is_polled() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    for (name, value, status) in
        [("upgrade", "websocket", 400), ("content-encoding", "gzip", 415), ("content-encoding", "br", 415)]
    {
        let (body, polls) = unpolled();
        let mut request = gate.post(CHAT, body);
        request.headers_mut().insert(name, value.parse().unwrap());
        let response = gate.send(request).await;
        assert_eq!(
            (response.status().as_u16(), polls.load(Ordering::SeqCst)),
            (status, 0),
            "{name}: {value}"
        );
    }
    assert_eq!(gate.upstream.count(), 0);
}

#[tokio::test]
async fn head_request_is_refused_without_a_body() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let response = gate.send(Request::head("/v1/models").body(full("")).unwrap()).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::UNAUTHORIZED, 0));
}

#[tokio::test]
async fn body_that_is_not_permitted_is_refused() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    for (body, status, code) in [
        ("", 400, "invalid_request"),
        ("[]", 400, "invalid_request"),
        (r#"{"messages":[]}"#, 400, "unsupported_parameter"),
        (r#"{"model":"o3","messages":[]}"#, 404, "model_not_found"),
        (r#"{"model":"gpt-5","mod\u0065l":"o3","messages":[]}"#, 400, "unsupported_parameter"),
        (r#"{"model":"gpt-5","messages":[],"unknown":1}"#, 400, "unsupported_parameter"),
    ] {
        let response = gate.send(gate.post(CHAT, full(body))).await;
        assert_refused(&response, status, code);
    }
    assert_eq!(gate.upstream.count(), 0);
}

#[tokio::test]
async fn expired_key_is_refused() {
    let gate =
        Gate::with_key(RecordedUpstream::json(200, "{}"), json!({"expires_at": "2020-01-01T00:00:00Z"}));
    assert_refused(&gate.send(gate.post(CHAT, chat())).await, 401, "invalid_api_key");
}

#[tokio::test]
async fn provider_without_an_upstream_is_refused() {
    let mut gate = Gate::new(RecordedUpstream::json(200, "{}"));
    gate.layer = ProxyKeyLayer::new(gate.keys.clone(), Ledger::memory(), Upstreams::default());
    assert_refused(&gate.send(gate.post(CHAT, chat())).await, 502, "upstream_failed");
    assert_eq!(gate.upstream.count(), 0);
}

#[tokio::test]
async fn upstream_receives_the_permitted_parts_of_a_request() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let mut request = gate.post("https://client.example/v1/chat/completions?beta=true", chat());
    for (name, value) in [
        ("host", "client.example"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("cookie", "session=1"),
        ("openai-organization", "org-other"),
        ("openai-project", "proj-other"),
        ("x-forwarded-for", "10.0.0.1"),
        ("api-key", "other"),
        ("expect", "100-continue"),
        ("content-length", "31"),
        ("connection", "keep-alive"),
        ("te", "trailers"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request.extensions_mut().insert("an extension");
    assert_eq!(gate.send(request).await.status(), 200);

    let (parts, body) = gate.upstream.take_request();
    assert_eq!(parts.method, "POST");
    assert_eq!(parts.uri, "https://openai.example/prefix/v1/chat/completions?beta=true");
    assert!(parts.extensions.get::<&str>().is_none());
    assert_eq!(body, r#"{"model":"gpt-5","messages":[]}"#);
    let authorization = &parts.headers["authorization"];
    assert_eq!(authorization, &format!("Bearer {REAL_KEY}"));
    assert!(authorization.is_sensitive());
    let mut names: Vec<_> = parts.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "authorization", "content-length", "content-type"]);
    assert_eq!(parts.headers["content-length"], "31");
}

#[tokio::test]
async fn upstream_of_anthropic_receives_its_credential_and_version() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let request = Request::post(MESSAGES)
        .header("content-type", "application/json")
        .header("x-api-key", gate.key.key())
        .header("anthropic-version", "2023-06-01")
        .body(full(r#"{"model":"claude-sonnet-5","max_tokens":1,"messages":[]}"#))
        .unwrap();
    assert_eq!(gate.send(request).await.status(), 200);
    let (parts, _) = gate.upstream.take_request();
    assert_eq!(parts.uri, "https://anthropic.example/v1/messages");
    assert_eq!(parts.headers["x-api-key"], REAL_ANTHROPIC_KEY);
    assert_eq!(parts.headers["anthropic-version"], "2023-06-01");
    assert!(!parts.headers.contains_key("authorization"));
}

#[tokio::test]
async fn request_without_a_body_is_sent_without_one() {
    let gate = Gate::new(RecordedUpstream::json(200, r#"{"data":[]}"#));
    let (body, polls) = unpolled();
    let mut request = gate.post("/v1/models", body);
    *request.method_mut() = http::Method::GET;
    assert_eq!(gate.send(request).await.status(), 200);
    let (parts, body) = gate.upstream.take_request();
    assert_eq!((parts.method, body.len(), polls.load(Ordering::SeqCst)), (http::Method::GET, 0, 0));
    assert!(!parts.headers.contains_key("content-length"));
}

#[tokio::test]
async fn refusal_has_the_form_of_the_provider() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let request = Request::post(MESSAGES).body(full("")).unwrap();
    let response = gate.send(request).await;
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("authentication_error")));
}

#[tokio::test]
async fn key_that_is_revoked_in_the_file_is_refused_at_the_next_request() {
    let mut gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let file =
        |hashes: &[String]| json!({"data": [{"id": "key_a", "name": "A", "hashes": hashes}]}).to_string();
    std::fs::write(&path, file(&[gate.key.digest()])).unwrap();
    gate.keys = ProxyKeys::watch(&path).unwrap();
    gate.layer = ProxyKeyLayer::new(gate.keys.clone(), Ledger::memory(), upstreams());
    let service = gate.layer.layer(gate.upstream.clone());
    let send = || service.clone().oneshot(gate.post(CHAT, chat()));
    assert_eq!(send().await.unwrap().status(), 200);

    std::fs::write(&path, file(&[])).unwrap();
    let deadline = std::time::Instant::now() + DEADLINE;
    while gate.keys.status().generation == 1 {
        assert!(std::time::Instant::now() < deadline, "the file is not reloaded");
        tokio::task::yield_now().await;
    }
    assert_eq!(send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn upstream_of_the_group_has_precedence() {
    let mut gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "sk-real-of-the-group").unwrap();
    let file = json!({
        "data": [{"id": "key_a", "name": "A", "group": "a", "hashes": [gate.key.digest()]}],
        "groups": {"a": {"upstreams": {"openai": "own"}}},
        "upstreams": {"own": {"provider": "openai", "base_url": "https://own.example", "key_file": path}},
    });
    gate.keys = ProxyKeys::from_json(file.to_string().as_bytes()).unwrap();
    gate.layer = ProxyKeyLayer::new(gate.keys.clone(), Ledger::memory(), upstreams());
    assert_eq!(gate.send(gate.post(CHAT, chat())).await.status(), 200);
    let (parts, _) = gate.upstream.take_request();
    assert_eq!(parts.uri, "https://own.example/v1/chat/completions");
    assert_eq!(parts.headers["authorization"], "Bearer sk-real-of-the-group");
}

/// A service that is ready only after its readiness was polled.
#[derive(Default)]
struct OnceReady {
    is_ready: bool,
}

impl Clone for OnceReady {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Full<Bytes>>> for OnceReady {
    type Response = Response<TestBody>;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "the service is not ready");
        std::future::ready(Ok(json_response(200, TestBody::whole("{}"))))
    }
}

#[tokio::test]
async fn ready_service_is_called_and_its_clone_is_left() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let mut service = gate.layer.layer(OnceReady::default());
    for _ in 0..2 {
        let ready = ServiceExt::<Request<Full<Bytes>>>::ready(&mut service).await.unwrap();
        let response = ready.call(gate.post(CHAT, chat())).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}
