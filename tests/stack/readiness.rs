//! The readiness contract of tower's `Service`, above an inner service that insists on it; and when the
//! inner future is let go.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::AtomicBool;

use http_body_util::channel::Channel;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_api_key_name::ApiKeyName;
use tower_test::mock::{self, Handle, Mock, Spawn};

use super::*;

type Answer = Response<Full<Bytes>>;
type Layered = Spawn<ApiKeyName<Mock<Request<()>, Answer>>>;

/// The mock panics where it is called without having said on the very same instance that it is ready.
fn strict() -> (Layered, Handle<Request<()>, Answer>) {
    mock::spawn_layer(layer())
}

fn ask() -> Request<()> {
    Request::get(COSTS).body(()).unwrap()
}

#[derive(Debug, PartialEq)]
struct Mine(u32);

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mine, {}", self.0)
    }
}

impl std::error::Error for Mine {}

#[track_caller]
fn assert_mine(error: BoxError, number: u32) {
    assert_eq!(error.downcast_ref(), Some(&Mine(number)), "not boxed, wrapped or replaced: {error:?}");
}

#[test]
fn backpressure_passes_and_its_wakers_too() {
    let (mut service, mut handle) = strict();
    handle.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending());
    assert!(!service.is_woken());
    handle.allow(1);
    assert!(service.is_woken(), "the waker is the caller's");
    assert!(matches!(service.poll_ready::<Request<()>>(), Poll::Ready(Ok(()))));
}

#[tokio::test]
async fn what_is_called_is_the_instance_that_was_ready() {
    for uri in [COSTS, "/v1/models"] {
        let (mut service, mut handle) = strict();
        handle.allow(1);
        assert!(service.poll_ready::<Request<()>>().is_ready());
        // Had the layer called a clone of what is below it, the mock would panic.
        let answer = service.call(Request::get(uri).body(()).unwrap());
        let (_, send) = handle.next_request().await.unwrap();
        send.send_response(page(PLAIN.into()));
        let body = answer.await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, if uri == COSTS { NAMED } else { PLAIN });
        handle.allow(0);
        assert!(service.poll_ready::<Request<()>>().is_pending(), "used up by the call");
    }
}

#[tokio::test]
async fn a_clone_takes_no_readiness_with_it() {
    let (mut first, mut handle) = strict();
    handle.allow(1);
    assert!(first.poll_ready::<Request<()>>().is_ready());
    handle.allow(0);
    let mut second = first.clone();
    assert!(second.poll_ready::<Request<()>>().is_pending(), "ready is one instance, not its clone");
    let _answer = first.call(ask());
    assert!(handle.next_request().await.is_some(), "and it stays ready");
    assert!(!second.is_woken());
    handle.allow(1);
    assert!(second.is_woken());
    assert!(second.poll_ready::<Request<()>>().is_ready());
}

#[test]
fn an_error_of_poll_ready_is_the_inner_one() {
    let (mut service, mut handle) = strict();
    handle.send_error(Mine(1));
    match service.poll_ready::<Request<()>>() {
        Poll::Ready(Err(error)) => assert_mine(error, 1),
        other => panic!("{other:?}"),
    }
    assert!(service.poll_ready::<Request<()>>().is_ready());
}

#[tokio::test]
async fn an_error_of_call_is_the_inner_one() {
    for uri in [COSTS, "/v1/models"] {
        let (mut service, mut handle) = strict();
        assert!(service.poll_ready::<Request<()>>().is_ready());
        let answer = service.call(Request::get(uri).body(()).unwrap());
        handle.next_request().await.unwrap().1.send_error(Mine(2));
        assert_mine(answer.await.unwrap_err(), 2);
    }
}

#[tokio::test]
async fn a_strict_service_under_layers_that_clone() {
    let (service, mut handle) = mock::pair::<Request<()>, Answer>();
    let stack = ServiceBuilder::new().boxed_clone().buffer(4).layer(layer()).service(service);
    let upstream = tokio::spawn(async move {
        for _ in 0..4 {
            handle.next_request().await.unwrap().1.send_response(page(PLAIN.into()));
        }
    });
    for _ in 0..4 {
        let body = stack.clone().oneshot(ask()).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), NAMED);
    }
    upstream.await.unwrap();
}

// === The inner future ===

/// Says when it is dropped, as a permit does.
struct Permit(Arc<AtomicBool>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Keeps its permit for as long as it lives, not only until it is ready.
struct Permitted<B> {
    response: Option<Response<B>>,
    _permit: Permit,
}

impl<B: Unpin> Future for Permitted<B> {
    type Output = Result<Response<B>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(self.response.take().unwrap()))
    }
}

#[tokio::test]
async fn the_inner_future_is_gone_once_its_head_is_there() {
    let gone = Arc::new(AtomicBool::new(false));
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let mut inner = Some(Permitted { response: Some(page(body)), _permit: Permit(gone.clone()) });
    let mut service =
        ServiceBuilder::new().layer(layer()).service(service_fn(move |_: Request<()>| inner.take().unwrap()));

    let (wakes, waker) = Wakes::new();
    let mut context = Context::from_waker(&waker);
    let mut answer = pin!(service.call(ask()));
    assert!(!gone.load(Ordering::SeqCst));
    assert!(answer.as_mut().poll(&mut context).is_pending(), "the body is held");
    assert!(gone.load(Ordering::SeqCst), "but not the future that brought it");

    sender.send_data(Bytes::from_static(PLAIN.as_bytes())).await.unwrap();
    assert_eq!(wakes.count(), 1, "a frame wakes who waits for the head");
    assert!(answer.as_mut().poll(&mut context).is_pending());
    drop(sender);
    assert!(wakes.count() > 1, "and so does the end");
    let Poll::Ready(Ok(response)) = answer.poll(&mut context) else { panic!("all is there") };
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), NAMED);
}

#[tokio::test]
async fn a_held_body_keeps_no_permit() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let inner = service_fn(move |_: Request<()>| {
        let (frames, body) = Channel::<Bytes>::new(1);
        sender.send(frames).unwrap();
        ready(Ok::<_, Infallible>(page(body)))
    });
    let mut service = ServiceBuilder::new().layer(layer()).concurrency_limit(1).service(inner);
    let (_, waker) = Wakes::new();
    let mut context = Context::from_waker(&waker);

    let is_ready = |service: &mut dyn Service<Request<()>, Response = _, Error = Infallible, Future = _>,
                    context: &mut Context<'_>| service.poll_ready(context).is_ready();
    let mut second = service.clone();
    assert!(is_ready(&mut service, &mut context));
    assert!(!is_ready(&mut second, &mut context), "the only permit is taken");
    let mut answer = pin!(service.call(ask()));
    assert!(answer.as_mut().poll(&mut context).is_pending(), "the body is held");
    assert!(is_ready(&mut second, &mut context), "the permit is back");

    let mut frames = receiver.try_recv().unwrap();
    frames.send_data(Bytes::from_static(PLAIN.as_bytes())).await.unwrap();
    drop(frames);
    let body = answer.await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), NAMED);
}
