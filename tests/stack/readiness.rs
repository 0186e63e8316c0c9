//! The readiness contract of tower's `Service`, over a mock that checks it, and the time at which the inner future is
//! dropped.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::AtomicBool;

use http_body_util::channel::Channel;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_api_key_name::ApiKeyName;
use tower_test::mock::{self, Handle, Mock, Spawn};

use super::*;

type FullResponse = Response<Full<Bytes>>;
type Layered = Spawn<ApiKeyName<Mock<Request<()>, FullResponse>>>;

/// The mock panics if an instance is called that was not ready.
fn mock_service() -> (Layered, Handle<Request<()>, FullResponse>) {
    mock::spawn_layer(layer())
}

fn request() -> Request<()> {
    Request::get(COSTS).body(()).unwrap()
}

#[derive(Debug, PartialEq)]
struct MockError(u32);

impl fmt::Display for MockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mock error {}", self.0)
    }
}

impl std::error::Error for MockError {}

#[track_caller]
fn assert_mock_error(error: BoxError, number: u32) {
    assert_eq!(error.downcast_ref(), Some(&MockError(number)), "boxed, wrapped or replaced: {error:?}");
}

#[test]
fn poll_ready_passes_backpressure_and_wakers() {
    let (mut service, mut handle) = mock_service();
    handle.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending());
    assert!(!service.is_woken());
    handle.allow(1);
    assert!(service.is_woken(), "another waker was stored");
    assert!(matches!(service.poll_ready::<Request<()>>(), Poll::Ready(Ok(()))));
}

#[tokio::test]
async fn call_uses_the_instance_that_was_ready() {
    for uri in [COSTS, "/v1/models"] {
        let (mut service, mut handle) = mock_service();
        handle.allow(1);
        assert!(service.poll_ready::<Request<()>>().is_ready());
        // The mock panics if the layer calls a clone of it.
        let response = service.call(Request::get(uri).body(()).unwrap());
        let (_, send) = handle.next_request().await.unwrap();
        send.send_response(page(PLAIN.into()));
        let body = response.await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, if uri == COSTS { NAMED } else { PLAIN });
        handle.allow(0);
        assert!(service.poll_ready::<Request<()>>().is_pending(), "the readiness was used");
    }
}

#[tokio::test]
async fn clone_of_a_ready_service_is_not_ready() {
    let (mut first, mut handle) = mock_service();
    handle.allow(1);
    assert!(first.poll_ready::<Request<()>>().is_ready());
    handle.allow(0);
    let mut second = first.clone();
    assert!(second.poll_ready::<Request<()>>().is_pending(), "the clone is ready");
    let _answer = first.call(request());
    assert!(handle.next_request().await.is_some(), "the first instance is not ready");
    assert!(!second.is_woken());
    handle.allow(1);
    assert!(second.is_woken());
    assert!(second.poll_ready::<Request<()>>().is_ready());
}

#[test]
fn poll_ready_error_is_the_inner_error() {
    let (mut service, mut handle) = mock_service();
    handle.send_error(MockError(1));
    match service.poll_ready::<Request<()>>() {
        Poll::Ready(Err(error)) => assert_mock_error(error, 1),
        other => panic!("{other:?}"),
    }
    assert!(service.poll_ready::<Request<()>>().is_ready());
}

#[tokio::test]
async fn call_error_is_the_inner_error() {
    for uri in [COSTS, "/v1/models"] {
        let (mut service, mut handle) = mock_service();
        assert!(service.poll_ready::<Request<()>>().is_ready());
        let response = service.call(Request::get(uri).body(()).unwrap());
        handle.next_request().await.unwrap().1.send_error(MockError(2));
        assert_mock_error(response.await.unwrap_err(), 2);
    }
}

#[tokio::test]
async fn mock_under_layers_that_clone_is_ready_for_each_call() {
    let (service, mut handle) = mock::pair::<Request<()>, FullResponse>();
    let stack = ServiceBuilder::new().boxed_clone().buffer(4).layer(layer()).service(service);
    let upstream = tokio::spawn(async move {
        for _ in 0..4 {
            handle.next_request().await.unwrap().1.send_response(page(PLAIN.into()));
        }
    });
    for _ in 0..4 {
        let body = stack.clone().oneshot(request()).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), NAMED);
    }
    upstream.await.unwrap();
}

// === The inner future ===

/// Records that it was dropped.
struct Permit(Arc<AtomicBool>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A future that keeps its permit until it is dropped.
struct PermitFuture<B> {
    response: Option<Response<B>>,
    _permit: Permit,
}

impl<B: Unpin> Future for PermitFuture<B> {
    type Output = Result<Response<B>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(self.response.take().unwrap()))
    }
}

#[tokio::test]
async fn inner_future_is_dropped_when_the_headers_arrive() {
    let is_dropped = Arc::new(AtomicBool::new(false));
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let mut inner = Some(PermitFuture { response: Some(page(body)), _permit: Permit(is_dropped.clone()) });
    let mut service =
        ServiceBuilder::new().layer(layer()).service(service_fn(move |_: Request<()>| inner.take().unwrap()));

    let (wakes, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);
    let mut response = pin!(service.call(request()));
    assert!(!is_dropped.load(Ordering::SeqCst));
    assert!(response.as_mut().poll(&mut context).is_pending(), "the body is buffered");
    assert!(is_dropped.load(Ordering::SeqCst), "the inner future is kept");

    sender.send_data(Bytes::from_static(PLAIN.as_bytes())).await.unwrap();
    assert_eq!(wakes.count(), 1, "a frame wakes the task");
    assert!(response.as_mut().poll(&mut context).is_pending());
    drop(sender);
    assert!(wakes.count() > 1, "the end wakes the task");
    let Poll::Ready(Ok(response)) = response.poll(&mut context) else { panic!("the body has ended") };
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), NAMED);
}

#[tokio::test]
async fn buffered_body_does_not_keep_a_permit() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let inner = service_fn(move |_: Request<()>| {
        let (frames, body) = Channel::<Bytes>::new(1);
        sender.send(frames).unwrap();
        ready(Ok::<_, Infallible>(page(body)))
    });
    let mut service = ServiceBuilder::new().layer(layer()).concurrency_limit(1).service(inner);
    let (_, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);

    let is_ready = |service: &mut dyn Service<Request<()>, Response = _, Error = Infallible, Future = _>,
                    context: &mut Context<'_>| service.poll_ready(context).is_ready();
    let mut second = service.clone();
    assert!(is_ready(&mut service, &mut context));
    assert!(!is_ready(&mut second, &mut context), "the only permit is taken");
    let mut response = pin!(service.call(request()));
    assert!(response.as_mut().poll(&mut context).is_pending(), "the body is buffered");
    assert!(is_ready(&mut second, &mut context), "the permit was not released");

    let mut frames = receiver.try_recv().unwrap();
    frames.send_data(Bytes::from_static(PLAIN.as_bytes())).await.unwrap();
    drop(frames);
    let body = response.await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), NAMED);
}
