//! The layer in stacks with layers of tower and tower-http, under axum's routers, and between hyper's sockets.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Request, Response, header, request};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt};
use tower_api_key_name::outcome::{Outcome, ResponseState, Skip};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames};

mod bodies;
mod compose;
mod encoding;
mod readiness;
mod routers;
mod snapshot;
mod sockets;

const COSTS: &str = "/v1/organization/costs?start_time=1730419200&group_by=api_key_name";
/// A static, because a test compares its address.
static PLAIN: &str = r#"{"object":"page","data":[{"object":"bucket","results":[{"amount":{"value":0.003627500000000000000000000000,"currency":"usd"},"api_key_id":"key_a"},{"amount":{"value":1e-7,"currency":"usd"},"api_key_id":"key_x"},{"amount":{"value":12.50,"currency":"usd"},"api_key_id":null}]}],"has_more":false}"#;
const NAMED: &str = r#"{"object":"page","data":[{"object":"bucket","results":[{"amount":{"value":0.003627500000000000000000000000,"currency":"usd"},"api_key_id":"key_a","api_key_name":"checkout"},{"amount":{"value":1e-7,"currency":"usd"},"api_key_id":"key_x","api_key_name":"unknown"},{"amount":{"value":12.50,"currency":"usd"},"api_key_id":null,"api_key_name":null}]}],"has_more":false}"#;

/// The time after which a test that hangs fails. Nothing else waits for the clock.
const DEADLINE: Duration = Duration::from_secs(60);

fn layer() -> ApiKeyNameLayer {
    ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new([("key_a", "checkout")]).unwrap()))
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

/// Creates a page of costs with the headers that the API sends.
fn page<B>(body: B) -> Response<B> {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, PLAIN.len())
        .header(header::ETAG, "\"plain\"")
        .header("x-request-id", "req_1")
        .body(body)
        .unwrap()
}

/// The innermost service. It stores its requests without their bodies.
#[derive(Clone)]
struct Upstream {
    respond: Arc<dyn Fn() -> Response<Full<Bytes>> + Send + Sync>,
    requests: Arc<Mutex<Vec<request::Parts>>>,
}

impl Upstream {
    fn new(respond: impl Fn() -> Response<Full<Bytes>> + Send + Sync + 'static) -> Self {
        Self { respond: Arc::new(respond), requests: Arc::default() }
    }

    fn costs() -> Self {
        Self::new(|| page(PLAIN.into()))
    }

    /// Removes and returns the only request.
    fn take_request(&self) -> request::Parts {
        let mut requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }
}

impl<A> Service<Request<A>> for Upstream {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        self.requests.lock().unwrap().push(request.into_parts().0);
        ready(Ok((self.respond)()))
    }
}

/// A body of these frames, without a size hint.
struct Frames<D, E>(VecDeque<Result<Frame<D>, E>>);

impl<D, E> Frames<D, E> {
    fn new(frames: impl IntoIterator<Item = Result<Frame<D>, E>>) -> Self {
        Self(frames.into_iter().collect())
    }
}

impl<E> Frames<Bytes, E> {
    /// Creates a body in frames of a few bytes.
    fn of(text: &'static str) -> Self {
        Self::new(text.as_bytes().chunks(37).map(|chunk| Ok(Frame::data(Bytes::from_static(chunk)))))
    }
}

impl<D: Buf + Unpin, E: Unpin> Body for Frames<D, E> {
    type Data = D;
    type Error = E;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<D>, E>>> {
        Poll::Ready(self.0.pop_front())
    }
}

/// Checks that a request for costs returns the amended page with correct headers.
async fn assert_named<S, B>(service: S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Debug,
    B: Body,
    B::Error: Debug,
{
    let response = service.oneshot(get(COSTS)).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(body, NAMED);
    assert_eq!(head.headers[header::CONTENT_LENGTH], *NAMED.len().to_string());
    assert!(!head.headers.contains_key(header::ETAG));
    assert_eq!(head.headers["x-request-id"], "req_1");
    assert!(matches!(head.extensions.get().and_then(ResponseState::outcome), Some(Outcome::Amended { .. })));
}

/// A waker that counts its calls.
#[derive(Default)]
struct WakeCounter(AtomicUsize);

impl WakeCounter {
    fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (wakes.clone(), wakes.into())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
