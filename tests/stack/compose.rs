//! Above and below each layer that a gateway is likely to have; and what each does to the other.

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

const fn is_plain<T: Clone + Send + Sync + Debug>() {}
const fn is_send<T: Send>() {}

/// Law 6: the errors are the inner ones, of the service and of the body, whatever the data is.
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

/// An error that is nobody's: no `std::error::Error`, not even `Debug`.
struct Nobodys;
type Odd = BoxService<Request<()>, Response<Frames<VecDeque<u8>, Nobodys>>, Nobodys>;

const _: () = {
    is_plain::<ApiKeyNameLayer>();
    is_plain::<ApiKeyName<()>>();
    is_send::<<ApiKeyName<Upstream> as Service<Request<()>>>::Future>();
    is_send::<ResponseBody<Full<Bytes>>>();
    is_send::<ResponseBody<Frames<VecDeque<u8>, Nobodys>>>();
    // `axum::body::Body` is no `Sync`; nothing here may ask for that.
    is_send::<ResponseBody<axum::body::Body>>();
    adds_no_error::<Upstream, (), _>();
    adds_no_error::<Odd, (), _>();
};

const fn service_is_plain<S>()
where
    ApiKeyName<S>: Clone + Send + Sync,
{
}
const _: () = service_is_plain::<Upstream>();

// === Above and below ===

macro_rules! above_and_below {
    ($($name:ident: $layer:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn above() {
                assert_named(ServiceBuilder::new().layer($layer).layer(layer()).service(Upstream::costs())).await;
            }

            #[tokio::test]
            async fn below() {
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
async fn amid_all_of_them() {
    let service = ServiceBuilder::new()
        .boxed_clone()
        .buffer(4)
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(RequestBodyLimitLayer::new(1024))
        // tower-http's `Timeout` would ask for a body with a default, which its decompressed one has not.
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
    // Each in its turn, for a buffer or a limit that keeps a place shows at the second.
    for _ in 0..8 {
        assert_named(service.clone()).await;
    }
}

/// Once above and once below itself: law 3, over HTTP.
#[tokio::test]
async fn twice_is_once() {
    assert_named_or_unchanged(ServiceBuilder::new().layer(layer()).layer(layer()).service(Upstream::costs()))
        .await;
}

async fn assert_named_or_unchanged<S, B>(service: S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Error = Infallible>,
{
    let (head, body) = service.oneshot(get(COSTS)).await.unwrap().into_parts();
    // The upper one found nothing to do; it did not undo what the lower one had corrected.
    assert!(matches!(
        head.extensions.get().and_then(ResponseState::outcome),
        Some(Outcome::Unchanged { .. })
    ));
    assert_eq!(head.headers[header::CONTENT_LENGTH], *NAMED.len().to_string());
    assert!(!head.headers.contains_key(header::ETAG));
    assert_eq!(body.collect().await.unwrap().to_bytes(), NAMED);
}

// === What they do to each other ===

#[tokio::test]
async fn a_header_set_below_is_what_upstream_sees() {
    let upstream = Upstream::costs();
    // What the documentation tells those who have no decompressing layer (RFC 9110 §12.5.3).
    let identity =
        SetRequestHeaderLayer::overriding(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let service = ServiceBuilder::new().layer(layer()).layer(identity.clone()).service(upstream.clone());
    assert_named(service).await;
    assert_eq!(upstream.asked().headers[header::ACCEPT_ENCODING], "identity");

    let service = ServiceBuilder::new().layer(identity).layer(layer()).service(upstream.clone());
    assert_named(service).await;
    assert!(!upstream.asked().headers.contains_key(header::ACCEPT_ENCODING), "set above, it is the client's");
}

#[tokio::test]
async fn a_panic_is_caught_above_and_below() {
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

    let told = Arc::new(AtomicBool::new(false));
    let tell = told.clone();
    let layer = layer().on_outcome(move |_, _| tell.store(true, Ordering::SeqCst));
    let above = ServiceBuilder::new().layer(CatchPanicLayer::new()).layer(layer).service(service());
    let response = above.oneshot(get(COSTS)).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!told.load(Ordering::SeqCst), "there was no response to tell of");
}

/// The head of a page whose body stalls after its first frame.
fn stalling() -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Channel<Bytes>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Channel<Bytes>>, Infallible>>,
> {
    service_fn(|_| async {
        let (mut sender, body) = Channel::new(1);
        sender.send_data(Bytes::from_static(b"{\"data\":[")).await.unwrap();
        // Kept, so that the body stays open.
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(sender);
        });
        Ok(page(body))
    })
}

#[tokio::test(start_paused = true)]
async fn a_timeout_above_covers_the_body_that_is_held() {
    let told = Arc::new(Mutex::new(None));
    let tell = told.clone();
    let service = ServiceBuilder::new()
        .layer(tower::timeout::TimeoutLayer::new(DEADLINE))
        .layer(layer().on_outcome(move |outcome, _| *tell.lock().unwrap() = Some(*outcome)))
        .service(stalling());
    let error: BoxError = service.oneshot(get(COSTS)).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert!(matches!(*told.lock().unwrap(), Some(Outcome::Skipped { skip: Skip::Dropped, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_below_ends_the_body_that_is_held() {
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
async fn a_timeout_above_answers_in_the_services_place() {
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
async fn a_request_body_goes_through_limited() {
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
