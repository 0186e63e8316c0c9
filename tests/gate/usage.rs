//! The callback with the usage of each call.

use tower_api_key_name::proxy_keys::MeteredCall;

use super::*;

type Calls = Arc<Mutex<Vec<MeteredCall>>>;

/// Returns a gate over an upstream, and the calls that it reports.
fn gate(upstream: RecordedUpstream) -> (Gate, Calls) {
    let calls = Calls::default();
    let log = calls.clone();
    let gate =
        Gate::new(upstream).set(|layer| layer.on_usage(move |call| log.lock().unwrap().push(call.clone())));
    (gate, calls)
}

/// Waits for a call that a task or a later poll reports, and returns it. Fails after the deadline.
async fn wait_for_only(calls: &Calls) -> MeteredCall {
    let wait = async {
        while calls.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
    only(calls)
}

/// Polls a future, which must not become ready, until the condition is true.
async fn poll_until(future: impl Future + Unpin, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = future => panic!("the future is ready"),
        result = tokio::time::timeout(DEADLINE, wait) => result.unwrap(),
    }
}

/// Returns the only reported call.
fn only(calls: &Calls) -> MeteredCall {
    let calls = calls.lock().unwrap();
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls[0].clone()
}

const JSON: &str = r#"{"model":"gpt-5-2025-08-07","usage":{"prompt_tokens":12,"completion_tokens":3}}"#;
const STREAM: &[&str] = &[
    "data: {\"model\":\"gpt-5-2025-08-07\",\"choices\":[{}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,",
    "\"completion_tokens\":3}}\n\ndata: [DONE]\n\n",
];

#[tokio::test]
async fn call_is_reported_with_its_usage_at_the_end_of_its_body() {
    for upstream in [RecordedUpstream::json(200, JSON), RecordedUpstream::events(STREAM)] {
        let (gate, calls) = gate(upstream);
        let response = gate.start(gate.post(CHAT, chat())).await.unwrap();
        assert!(calls.lock().unwrap().is_empty());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
        let call = only(&calls);
        assert_eq!(call.key_id, "key_stmary");
        assert_eq!((call.provider, call.status), (Provider::OpenAi, Some(StatusCode::OK)));
        assert_eq!(call.model.as_deref(), Some("gpt-5-2025-08-07"));
        let usage = call.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(12), Some(3)));
        drop(body);
        only(&calls);
    }
}

#[tokio::test]
async fn call_is_reported_once_if_its_body_is_dropped() {
    for chunk_count in 0..=STREAM.len() {
        let (gate, calls) = gate(RecordedUpstream::events(STREAM));
        let response = gate.start(gate.post(CHAT, chat())).await.unwrap();
        let mut body = response.into_body();
        for _ in 0..chunk_count {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        assert!(wait_for_only(&calls).await.usage.is_some());
    }
}

#[tokio::test]
async fn call_is_reported_once_if_its_body_fails() {
    let (gate, calls) = gate(RecordedUpstream::new(|| json_response(200, TestBody::cut("{"))));
    let response = gate.start(gate.post(CHAT, chat())).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    let call = only(&calls);
    assert_eq!((call.status, call.usage), (Some(StatusCode::OK), None));
}

#[tokio::test]
async fn call_is_reported_once_if_the_inner_service_fails() {
    let (mut gate, calls) = gate(RecordedUpstream::json(200, "{}"));
    gate.upstream.respond = Arc::new(|| Err(io::Error::other("no connection")));
    assert!(gate.start(gate.post(CHAT, chat())).await.is_err());
    assert_eq!(only(&calls).status, None);
}

#[tokio::test]
async fn call_that_is_dropped_before_its_response_is_reported_once() {
    #[derive(Clone, Default)]
    struct NeverResponds {
        call_count: Arc<AtomicUsize>,
    }
    impl Service<Request<Full<Bytes>>> for NeverResponds {
        type Response = Response<TestBody>;
        type Error = io::Error;
        type Future = std::future::Pending<Result<Self::Response, io::Error>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
            self.call_count.fetch_add(1, Ordering::SeqCst);
            std::future::pending()
        }
    }
    let (gate, calls) = gate(RecordedUpstream::json(200, "{}"));
    let upstream = NeverResponds::default();
    let call_count = upstream.call_count.clone();
    let mut future = Box::pin(gate.layer.layer(upstream).oneshot(gate.post(CHAT, chat())));
    poll_until(&mut future, || call_count.load(Ordering::SeqCst) == 1).await;
    assert!(calls.lock().unwrap().is_empty());
    drop(future);
    assert_eq!(only(&calls).status, None);
}

#[tokio::test]
async fn call_with_an_error_is_reported_without_usage() {
    for status in [307, 400, 401, 403, 429, 500] {
        let (gate, calls) = gate(RecordedUpstream::json(status, JSON));
        gate.send(gate.post(CHAT, chat())).await;
        let call = only(&calls);
        assert_eq!((call.status.unwrap().as_u16(), call.usage), (status, None));
    }
}

#[tokio::test]
async fn call_whose_error_is_not_read_whole_is_reported_once() {
    let (gate, calls) = gate(RecordedUpstream::new(|| json_response(500, TestBody::stalled("{"))));
    let mut future = Box::pin(gate.start(gate.post(CHAT, chat())));
    poll_until(&mut future, || gate.upstream.count() == 1).await;
    drop(future);
    assert_eq!(only(&calls).status, Some(StatusCode::INTERNAL_SERVER_ERROR));
}

#[tokio::test]
async fn refused_request_is_not_reported() {
    let (gate, calls) = gate(RecordedUpstream::json(200, JSON));
    gate.send(gate.post("/v1/files", chat())).await;
    gate.send(gate.post(CHAT, full("{}"))).await;
    gate.send(gate.post(CHAT, TestBody::cut("{"))).await;
    assert!(calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn endpoint_that_is_not_metered_is_not_reported() {
    let (gate, calls) = gate(RecordedUpstream::json(200, r#"{"data":[],"usage":{"prompt_tokens":1}}"#));
    let mut request = gate.post("/v1/models", full(""));
    *request.method_mut() = http::Method::GET;
    assert_eq!(gate.send(request).await.status(), 200);
    let body = full(r#"{"model":"claude-sonnet-5","messages":[]}"#);
    assert_eq!(gate.send(gate.post("/v1/messages/count_tokens", body)).await.status(), 200);
    assert!(calls.lock().unwrap().is_empty());
}
