//! The layer above and below each layer that a gateway is likely to have.

use std::sync::atomic::AtomicBool;

use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::channel::Channel;
use tower::buffer::BufferLayer;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::util::{BoxCloneService, BoxCloneSyncService, BoxService};
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_api_key_name::{ApiKeyName, ResponseBody, ResponseFuture};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::DecompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer};
use tower_http::timeout::{ResponseBodyTimeoutLayer, TimeoutLayer};
use tower_http::trace::TraceLayer;

use super::*;

// === At compile time ===

const fn is_clone_send_sync<T: Clone + Send + Sync + Debug>() {}
const fn is_send<T: Send>() {}

/// Law 6: the errors are those of the inner service and of its body, with any data type.
const fn adds_no_error<S, A, B>()
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
    ApiKeyName<S>: Service<
            Request<A>,
            Response = Response<ResponseBody<B>>,
            Error = S::Error,
            Future = ResponseFuture<S::Future, B>,
        >,
    ResponseBody<B>: Body<Data = Bytes, Error = B::Error>,
{
}

/// An error without any trait.
struct OpaqueError;
type OpaqueService = BoxService<Request<()>, Response<Frames<VecDeque<u8>, OpaqueError>>, OpaqueError>;

const _: () = {
    is_clone_send_sync::<ApiKeyNameLayer>();
    is_clone_send_sync::<ApiKeyName<()>>();
    is_send::<<ApiKeyName<Upstream> as Service<Request<()>>>::Future>();
    is_send::<ResponseBody<Full<Bytes>>>();
    is_send::<ResponseBody<Frames<VecDeque<u8>, OpaqueError>>>();
    // `axum::body::Body` is not `Sync`, so the layer must not require it.
    is_send::<ResponseBody<axum::body::Body>>();
    adds_no_error::<Upstream, (), _>();
    adds_no_error::<OpaqueService, (), _>();
};

const fn service_is_clone_send_sync<S>()
where
    ApiKeyName<S>: Clone + Send + Sync,
{
}
const _: () = service_is_clone_send_sync::<Upstream>();

// === Above and below ===

macro_rules! above_and_below {
    ($($name:ident: $layer:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn layer_above_it_amends() {
                assert_named(ServiceBuilder::new().layer($layer).layer(layer()).service(Upstream::costs())).await;
            }

            #[tokio::test]
            async fn layer_below_it_amends() {
                assert_named(ServiceBuilder::new().layer(layer()).layer($layer).service(Upstream::costs())).await;
            }
        }
    )*};
}

const X_TEST: HeaderName = HeaderName::from_static("x-test");
const YES: HeaderValue = HeaderValue::from_static("yes");

above_and_below! {
    trace: TraceLayer::new_for_http();
    timeout: TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, DEADLINE);
    body_timeout: ResponseBodyTimeoutLayer::new(DEADLINE);
    compression: CompressionLayer::new();
    decompression: DecompressionLayer::new();
    set_response_header: SetResponseHeaderLayer::overriding(X_TEST, YES);
    set_request_header: SetRequestHeaderLayer::overriding(X_TEST, YES);
    catch_panic: CatchPanicLayer::new();
    request_body_limit: RequestBodyLimitLayer::new(1024);
    buffer: BufferLayer::new(4);
    concurrency_limit: ConcurrencyLimitLayer::new(1);
    global_concurrency_limit: GlobalConcurrencyLimitLayer::new(1);
    load_shed: LoadShedLayer::new();
    tower_timeout: tower::timeout::TimeoutLayer::new(DEADLINE);
    boxed: BoxService::<Request<Full<Bytes>>, _, _>::layer();
    box_clone: BoxCloneService::<Request<Full<Bytes>>, _, _>::layer();
    box_clone_sync: BoxCloneSyncService::<Request<Full<Bytes>>, _, _>::layer();
}

#[tokio::test]
async fn layer_among_all_of_them_amends() {
    let service = ServiceBuilder::new()
        .boxed_clone()
        .buffer(4)
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(RequestBodyLimitLayer::new(1024))
        // tower-http's `Timeout` requires a body with `Default`, which its decompression body does not have.
        .layer(tower::timeout::TimeoutLayer::new(DEADLINE))
        .layer(CompressionLayer::new())
        .layer(layer())
        .layer(DecompressionLayer::new())
        .layer(SetResponseHeaderLayer::overriding(X_TEST, YES))
        .layer(TraceLayer::new_for_http())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, DEADLINE))
        .concurrency_limit(1)
        .buffer(4)
        .service(Upstream::costs());
    // A buffer or limit that is not released fails at a later call.
    for _ in 0..8 {
        assert_named(service.clone()).await;
    }
}

/// Law 3.
#[tokio::test]
async fn layer_applied_twice_equals_once() {
    let service = ServiceBuilder::new().layer(layer()).layer(layer()).service(Upstream::costs());
    let (head, body) = service.oneshot(get(COSTS)).await.unwrap().into_parts();
    // The upper layer keeps the headers that the lower one corrected.
    assert!(matches!(
        head.extensions.get().and_then(ResponseState::outcome),
        Some(Outcome::Unchanged { .. })
    ));
    assert_eq!(head.headers[header::CONTENT_LENGTH], *NAMED.len().to_string());
    assert!(!head.headers.contains_key(header::ETAG));
    assert_eq!(body.collect().await.unwrap().to_bytes(), NAMED);
}

// === Interactions ===

#[tokio::test]
async fn accept_encoding_set_below_the_layer_reaches_the_upstream() {
    let upstream = Upstream::costs();
    // The documented setting for a stack without a decompressing layer (RFC 9110 §12.5.3).
    let identity =
        SetRequestHeaderLayer::overriding(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let service = ServiceBuilder::new().layer(layer()).layer(identity.clone()).service(upstream.clone());
    assert_named(service).await;
    assert_eq!(upstream.take_request().headers[header::ACCEPT_ENCODING], "identity");

    let service = ServiceBuilder::new().layer(identity).layer(layer()).service(upstream.clone());
    assert_named(service).await;
    assert!(
        !upstream.take_request().headers.contains_key(header::ACCEPT_ENCODING),
        "a header set above the layer is removed like the client's"
    );
}

#[tokio::test]
async fn panic_is_caught_above_and_below_the_layer() {
    fn service() -> impl Service<
        Request<Full<Bytes>>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future = impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send,
    > {
        service_fn(|_| async { panic!("on purpose") })
    }
    let below = ServiceBuilder::new().layer(layer()).layer(CatchPanicLayer::new()).service(service());
    let response = below.oneshot(get(COSTS)).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(matches!(
        response.extensions().get().and_then(ResponseState::outcome),
        Some(Outcome::Skipped { skip: Skip::MediaType, .. })
    ));

    let is_reported = Arc::new(AtomicBool::new(false));
    let writer = is_reported.clone();
    let layer = layer().on_outcome(move |_, _| writer.store(true, Ordering::SeqCst));
    let above = ServiceBuilder::new().layer(CatchPanicLayer::new()).layer(layer).service(service());
    let response = above.oneshot(get(COSTS)).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!is_reported.load(Ordering::SeqCst), "there was no response");
}

/// Creates a service with a page whose body stalls after its first frame.
fn stalling() -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Channel<Bytes>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Channel<Bytes>>, Infallible>>,
> {
    service_fn(|_| async {
        let (mut sender, body) = Channel::new(1);
        sender.send_data(Bytes::from_static(b"{\"data\":[")).await.unwrap();
        // The sender keeps the body open.
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(sender);
        });
        Ok(page(body))
    })
}

#[tokio::test(start_paused = true)]
async fn timeout_above_the_layer_includes_the_buffered_body() {
    let reported = Arc::new(Mutex::new(None));
    let writer = reported.clone();
    let service = ServiceBuilder::new()
        .layer(tower::timeout::TimeoutLayer::new(DEADLINE))
        .layer(layer().on_outcome(move |outcome, _| *writer.lock().unwrap() = Some(*outcome)))
        .service(stalling());
    let error: BoxError = service.oneshot(get(COSTS)).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert!(matches!(*reported.lock().unwrap(), Some(Outcome::Skipped { skip: Skip::Dropped, .. })));
}

#[tokio::test(start_paused = true)]
async fn timeout_below_the_layer_ends_the_buffered_body() {
    let service = ServiceBuilder::new()
        .layer(layer())
        .layer(ResponseBodyTimeoutLayer::new(DEADLINE))
        .service(stalling());
    let response = service.oneshot(get(COSTS)).await.unwrap();
    assert!(matches!(
        response.extensions().get().and_then(ResponseState::outcome),
        Some(Outcome::Skipped { skip: Skip::BodyFailed, .. })
    ));
    let mut body = std::pin::pin!(response.into_body());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{\"data\":[");
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(error.is::<tower_http::timeout::TimeoutError>());
}

#[tokio::test(start_paused = true)]
async fn timeout_above_the_layer_creates_a_default_body() {
    let silent = service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, DEADLINE);
    let service = ServiceBuilder::new().layer(timeout).layer(layer()).service(silent);
    let response = service.oneshot(get(COSTS)).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn request_body_limit_above_the_layer_applies() {
    let echo = |limit: usize| {
        ServiceBuilder::new().layer(RequestBodyLimitLayer::new(limit)).layer(layer()).service(service_fn(
            |request: Request<tower_http::body::Limited<Full<Bytes>>>| async {
                let body = request.into_body().collect().await?.to_bytes();
                Ok::<_, BoxError>(Response::new(Full::new(body)))
            },
        ))
    };
    let post = || Request::post("/v1/organization/projects").body(Full::from("{\"name\":\"p\"}")).unwrap();
    let response = echo(12).oneshot(post()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\"name\":\"p\"}");
    assert!(echo(11).oneshot(post()).await.is_err());
}
