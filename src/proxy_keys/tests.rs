//! Tests of the layer with a ledger, whose rows and counters they read, and an upstream that follows a script.

mod law;
mod refusals;
mod release;
mod settlement;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt};

use super::keys::Window;
use super::ledger::tests::Fixture;
use super::ledger::{Counter, Owner, UsageRow};
use super::{
    MeteredCall, MintedKey, ProxyKeyBody, ProxyKeyLayer, ProxyKeys, Upstream, UpstreamKey, Upstreams, mint,
};
use crate::names::Provider;

/// The time after which a test that hangs fails.
const DEADLINE: Duration = Duration::from_secs(60);

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// A body of 31 bytes, or 8 estimated tokens.
const CHAT_BODY: &str = r#"{"model":"gpt-5","messages":[]}"#;
const STREAM_BODY: &str = r#"{"model":"gpt-5","messages":[],"stream":true}"#;
/// A response with 12 input and 3 output tokens.
const CHAT_RESPONSE: &str = r#"{"model":"gpt-5-2025","usage":{"prompt_tokens":12,"completion_tokens":3}}"#;

const DELTA: &str = "data: {\"model\":\"gpt-5-2025\",\"choices\":[{}],\"usage\":null}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

type TestBody = Channel<Bytes, io::Error>;

/// The reaction of the upstream to one call.
enum Step {
    Respond(Response<TestBody>),
    Fail,
    /// Never responds.
    Hang,
    Panic,
}

/// The innermost service. Each call takes one step.
#[derive(Clone, Default)]
struct ScriptedUpstream {
    steps: Arc<Mutex<VecDeque<Step>>>,
    call_count: Arc<AtomicUsize>,
}

impl Service<Request<Full<Bytes>>> for ScriptedUpstream {
    type Response = Response<TestBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        self.call_count.fetch_add(1, Ordering::SeqCst);
        let step = self.steps.lock().unwrap().pop_front().expect("the script has a step for the call");
        Box::pin(async move {
            match step {
                Step::Respond(response) => Ok(response),
                Step::Fail => Err(io::Error::other("no connection")),
                Step::Hang => std::future::pending().await,
                Step::Panic => panic!("the inner service panics"),
            }
        })
    }
}

/// A layer over a scripted upstream, with two keys of one group.
struct World {
    fixture: Fixture,
    layer: ProxyKeyLayer,
    /// The keys `key_1` and `key_2`.
    keys: [MintedKey; 2],
    upstream: ScriptedUpstream,
    calls: Arc<Mutex<Vec<MeteredCall>>>,
}

impl World {
    /// Creates a world whose first key has these members in the keys file.
    fn new(members: Value) -> Self {
        Self::with(Fixture::memory(), members, json!({}))
    }

    /// Creates a world with a ledger, members of the first key, and limits of the group.
    fn with(fixture: Fixture, members: Value, group_limits: Value) -> Self {
        let keys = [mint().unwrap(), mint().unwrap()];
        let mut first = json!({"id": "key_1", "name": "One", "group": "g", "hashes": [keys[0].digest()]});
        first.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let file = json!({
            "data": [first, {"id": "key_2", "name": "Two", "group": "g", "hashes": [keys[1].digest()]}],
            "groups": {"g": {"limits": group_limits}},
            // A token is 1 or 10 microdollars.
            "prices": {"*": {"input": "1", "output": "10"}},
        });
        let proxy_keys = ProxyKeys::from_json(file.to_string().as_bytes()).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let log = calls.clone();
        let layer = ProxyKeyLayer::new(proxy_keys, fixture.ledger.clone(), upstreams())
            .on_usage(move |call| log.lock().unwrap().push(call.clone()));
        Self { fixture, layer, keys, upstream: ScriptedUpstream::default(), calls }
    }

    /// Adds a step to the script of the upstream.
    fn expect(&self, step: Step) {
        self.upstream.steps.lock().unwrap().push_back(step);
    }

    fn upstream_call_count(&self) -> usize {
        self.upstream.call_count.load(Ordering::SeqCst)
    }

    /// Creates a request with one of the keys.
    fn request(&self, key: usize, path: &str, body: &str) -> Request<Full<Bytes>> {
        let request = Request::post(path).header("content-type", "application/json");
        let credential = format!("Bearer {}", self.keys[key].key());
        request.header("authorization", credential).body(Full::from(body.to_owned())).unwrap()
    }

    /// Sends a request of the first key. Its body is not read yet.
    async fn start(&self, path: &str, body: &str) -> Result<Response<ProxyKeyBody<TestBody>>, io::Error> {
        self.layer.layer(self.upstream.clone()).oneshot(self.request(0, path, body)).await
    }

    /// Sends a request and returns the response with its whole body.
    async fn send_with(&self, key: usize, path: &str, body: &str) -> Response<Bytes> {
        let request = self.request(key, path, body);
        let response = self.layer.layer(self.upstream.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    async fn send(&self, path: &str, body: &str) -> Response<Bytes> {
        self.send_with(0, path, body).await
    }

    /// Waits for the only row. Checks that the call is reported once, and that nothing is reserved.
    async fn row(&self) -> UsageRow {
        let rows = self.fixture.wait_for_rows(1).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let counter = self.counter("key_1").await;
        assert_eq!(counter.reserved, Counter::default().reserved);
        let calls = self.calls.lock().unwrap();
        assert_eq!(calls.len(), 1, "{calls:?}");
        let call = &calls[0];
        let charge = (call.tokens, call.picodollars, call.is_estimated);
        assert_eq!(charge, (rows[0].charge.tokens, rows[0].charge.picodollars, rows[0].is_estimated));
        rows[0].clone()
    }

    /// Returns the counter of a key in the window `ever`.
    async fn counter(&self, key_id: &str) -> Counter {
        self.fixture.counter(&Owner::Key(key_id.into()), Window::Ever).await
    }
}

fn upstreams() -> Upstreams {
    let upstream = |provider| {
        let key = UpstreamKey::new("sk-real-0123456789".to_owned()).unwrap();
        Upstream::new(provider, "https://upstream.example".parse().unwrap(), key).unwrap()
    };
    Upstreams::default().with(upstream(Provider::OpenAi)).with(upstream(Provider::Anthropic))
}

/// Returns a response whose body the test sends.
fn open_response(status: u16, content_type: &str) -> (Sender<Bytes, io::Error>, Step) {
    let (sender, body) = Channel::new(64);
    let response = Response::builder().status(status).header("content-type", content_type);
    (sender, Step::Respond(response.body(body).unwrap()))
}

/// Returns a whole response of these chunks.
fn response(status: u16, content_type: &str, chunks: &[&str]) -> Step {
    let (mut sender, step) = open_response(status, content_type);
    for chunk in chunks {
        send(&mut sender, chunk);
    }
    step
}

fn json_response(status: u16, body: &str) -> Step {
    response(status, "application/json", &[body])
}

fn events(chunks: &[&str]) -> Step {
    response(200, "text/event-stream", chunks)
}

/// Sends a chunk of a body.
fn send(sender: &mut Sender<Bytes, io::Error>, chunk: &str) {
    sender.try_send(Frame::data(Bytes::from(chunk.to_owned()))).expect("the body has room for a chunk");
}

/// Returns the next chunk of a body.
async fn next_chunk(body: &mut ProxyKeyBody<TestBody>) -> String {
    let frame = tokio::time::timeout(DEADLINE, body.frame()).await.expect("a chunk arrives");
    let data = frame.expect("the body has a chunk").unwrap().into_data().unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

/// True if the body has no chunk and no end yet.
fn is_pending(body: &mut ProxyKeyBody<TestBody>) -> bool {
    let mut frame = body.frame();
    Pin::new(&mut frame).poll(&mut Context::from_waker(Waker::noop())).is_pending()
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
