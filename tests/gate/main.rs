//! `ProxyKeyLayer`, with a recorded upstream and between sockets.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, request};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt};
use tower_api_key_name::names::Provider;
use tower_api_key_name::proxy_keys::{
    Ledger, MintedKey, ProxyKeyBody, ProxyKeyLayer, ProxyKeys, Upstream, UpstreamKey, Upstreams, mint,
};

mod bytes_law;
mod memory;
mod requests;
mod responses;
mod secrecy;
mod sockets;
mod uploads;
mod usage;

/// The real key of OpenAI.
const REAL_KEY: &str = "sk-real-openai-0123456789ABCDEFGHIJklmnopqrstuvwxyz";
/// The real key of Anthropic.
const REAL_ANTHROPIC_KEY: &str = "sk-real-anthropic-0123456789ABCDEFGHIJklmnopqrstuvwxyz";
/// The time after which a test that hangs fails. Nothing else waits for the clock.
const DEADLINE: Duration = Duration::from_secs(60);

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// A layer over a recorded upstream, and the proxy key of a request.
struct Gate {
    key: MintedKey,
    keys: ProxyKeys,
    upstream: RecordedUpstream,
    layer: ProxyKeyLayer,
}

impl Gate {
    /// Creates a gate with one key, which may call `gpt-5*`, `claude*` and `text-embedding-3-small`.
    fn new(upstream: RecordedUpstream) -> Self {
        Self::with_key(upstream, json!({}))
    }

    /// Creates a gate with one key that has further members in the keys file.
    fn with_key(upstream: RecordedUpstream, members: Value) -> Self {
        Self::with_keys(upstream, members, &[])
    }

    /// Creates a gate with one key that has further members, and with other keys.
    fn with_keys(upstream: RecordedUpstream, members: Value, others: &[Value]) -> Self {
        let key = mint().unwrap();
        let keys = keys_with(&key, members, others);
        let layer = ProxyKeyLayer::new(keys.clone(), Ledger::memory(), upstreams());
        Self { key, keys, upstream, layer }
    }

    /// Changes the settings of the layer.
    fn set(mut self, set: impl FnOnce(ProxyKeyLayer) -> ProxyKeyLayer) -> Self {
        self.layer = set(self.layer);
        self
    }

    /// Creates a POST request with the proxy key.
    fn post<A>(&self, target: &str, body: A) -> Request<A> {
        let request = Request::post(target).header("content-type", "application/json");
        request.header("authorization", format!("Bearer {}", self.key.key())).body(body).unwrap()
    }

    /// Sends a request and returns the response with its whole body.
    async fn send<A>(&self, request: Request<A>) -> Response<Bytes>
    where
        A: Body + 'static,
    {
        let response = self.start(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    /// Sends a request and returns the response whose body is not read yet.
    async fn start<A: Body + 'static>(
        &self,
        request: Request<A>,
    ) -> Result<Response<ProxyKeyBody<TestBody>>, io::Error> {
        self.layer.layer(self.upstream.clone()).oneshot(request).await
    }
}

/// Returns the keys file with one key that has these members, and with other keys.
fn keys_with(key: &MintedKey, members: Value, others: &[Value]) -> ProxyKeys {
    let mut item = json!({
        "id": "key_stmary", "name": "St Mary's", "hashes": [key.digest()],
        "models": ["gpt-5*", "claude*", "text-embedding-3-small"],
    });
    item.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let data: Vec<&Value> = [&item].into_iter().chain(others).collect();
    let file =
        json!({"object": "list", "data": data, "groups": {"limited": {"limits": {"requests": {"day": 5}}}}});
    ProxyKeys::from_json(file.to_string().as_bytes()).unwrap()
}

fn upstreams() -> Upstreams {
    let upstream = |provider, base: &str, key: &str| {
        Upstream::new(provider, base.parse().unwrap(), UpstreamKey::new(key.to_owned()).unwrap()).unwrap()
    };
    Upstreams::default()
        .with(upstream(Provider::OpenAi, "https://openai.example/prefix", REAL_KEY))
        .with(upstream(Provider::Anthropic, "https://anthropic.example", REAL_ANTHROPIC_KEY))
}

/// The innermost service. It stores its requests.
#[derive(Clone)]
struct RecordedUpstream {
    respond: Arc<Respond>,
    requests: Arc<Mutex<Vec<(request::Parts, Bytes)>>>,
}

type Respond = dyn Fn() -> Result<Response<TestBody>, io::Error> + Send + Sync;

impl RecordedUpstream {
    fn new(respond: impl Fn() -> Response<TestBody> + Send + Sync + 'static) -> Self {
        Self { respond: Arc::new(move || Ok(respond())), requests: Arc::default() }
    }

    /// An upstream with this JSON response.
    fn json(status: u16, body: &'static str) -> Self {
        Self::new(move || json_response(status, TestBody::whole(body)))
    }

    /// An upstream with a stream of these chunks.
    fn events(chunks: &'static [&'static str]) -> Self {
        Self::new(|| {
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(TestBody::chunks(chunks.iter().map(|chunk| Bytes::from_static(chunk.as_bytes()))))
                .unwrap()
        })
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Removes and returns the only request.
    fn take_request(&self) -> (request::Parts, Bytes) {
        let mut requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }
}

fn json_response(status: u16, body: TestBody) -> Response<TestBody> {
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

impl Service<Request<Full<Bytes>>> for RecordedUpstream {
    type Response = Response<TestBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            upstream.requests.lock().unwrap().push((parts, bytes));
            (upstream.respond)()
        })
    }
}

/// A body of these frames, without a size hint. It counts its polls.
#[derive(Default)]
struct TestBody {
    frames: VecDeque<Result<Frame<Bytes>, io::Error>>,
    polls: Arc<AtomicUsize>,
    /// True if the body is pending after its frames, and never ends.
    stalls: bool,
}

impl TestBody {
    fn whole(text: &'static str) -> Self {
        Self::chunks([Bytes::from_static(text.as_bytes())])
    }

    fn chunks(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(chunk))).collect();
        Self { frames, ..Self::default() }
    }

    /// A body that fails after these chunks.
    fn cut(text: &'static str) -> Self {
        let mut body = Self::whole(text);
        body.frames.push_back(Err(io::Error::other("cut")));
        body
    }

    /// A body that stalls after this text.
    fn stalled(text: &'static str) -> Self {
        Self { stalls: true, ..Self::whole(text) }
    }
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        match self.frames.pop_front() {
            None if self.stalls => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }
}

fn full(text: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(text.into())
}

/// A permitted body of Chat Completions.
fn chat() -> Full<Bytes> {
    full(r#"{"model":"gpt-5","messages":[]}"#)
}

/// Returns the code of an error of OpenAI.
fn error_code(response: &Response<Bytes>) -> String {
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    body["error"]["code"].as_str().unwrap().to_owned()
}

/// Checks the status and the code of a refusal in OpenAI's form.
fn assert_refused(response: &Response<Bytes>, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{response:?}");
    assert_eq!(error_code(response), code, "{response:?}");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["content-length"], response.body().len().to_string());
}
