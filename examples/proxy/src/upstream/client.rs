//! The upstream clients, which are hyper-util's: one for each protocol, and one for each upload.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{oneshot, watch};

use super::connector::{Connector, Origin, Protocol};
use super::failure::Failure;
use super::replay::ReplayBody;
use crate::settings::UpstreamSettings;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The upstream clients. Each request is sent once.
///
/// Requests without an upload share connections. An upload has its own connection: an upstream that does not read content
/// blocks the connection, and an upload is cut with its connection.
pub struct UpstreamClients {
    origin: Arc<Origin>,
    http1: Client<Connector, ReplayBody>,
    http2: Client<Connector, ReplayBody>,
}

/// The body of an upstream's response, which passes its error through a hook. The hook of an upload's response owns a
/// guard, which is dropped with the body.
pub type UpstreamBody = MapErr<Incoming, ErrorHook>;

type ErrorHook = Box<dyn FnMut(hyper::Error) -> hyper::Error + Send>;

pub type UpstreamResult = Result<Response<UpstreamBody>, Failure>;

/// Runs the tasks of one connection until the guard of the connection is dropped.
#[derive(Clone)]
struct UploadExecutor {
    guard_dropped: watch::Receiver<()>,
}

impl UpstreamClients {
    /// Creates clients without connections. An error means that the TLS configuration cannot be made.
    pub fn new(settings: &UpstreamSettings) -> io::Result<Self> {
        let origin = Arc::new(Origin::new(settings)?);
        let build =
            |protocol| client_builder(TokioExecutor::new(), protocol).build(origin.connector(protocol));
        let http1 = build(Protocol::Http1);
        let http2 = build(Protocol::Http2);
        Ok(Self { origin, http1, http2 })
    }

    /// Sends a request once, in the upstream's protocol. Returns the response headers with the unread body.
    /// Fails if no connection can be opened, or if the connection fails before the response headers.
    pub async fn send(&self, mut request: Request<ReplayBody>) -> UpstreamResult {
        let protocol = self.origin.protocol().await.map_err(|error| Failure::Unreachable(error.into()))?;
        let shared_client = match protocol {
            Protocol::Http1 => {
                add_http1_headers(&mut request);
                &self.http1
            }
            Protocol::Http2 => &self.http2,
        };
        if request.body().is_upload() {
            // In a box, so that the future of a request without content stays small.
            return Box::pin(self.send_upload(request, protocol)).await;
        }
        let response = shared_client.request(request).await.map_err(to_failure)?;
        // No guard is needed. The response has the same body type as that of an upload.
        let unchanged: ErrorHook = Box::new(|error| error);
        Ok(response.map(|body| body.map_err(unchanged)))
    }

    /// Sends a request with content over its own connection. Fails like [`send`](Self::send).
    /// The connection ends when the response and the content are complete, when the response body is dropped and the
    /// content stalls, or when the request fails.
    async fn send_upload(&self, request: Request<ReplayBody>, protocol: Protocol) -> UpstreamResult {
        // Dropping `connection_guard` ends all tasks of the connection.
        let (connection_guard, guard_dropped) = watch::channel(());
        let content_stalled = request.body().stalled();
        let upload_client = client_builder(UploadExecutor { guard_dropped }, protocol)
            .pool_max_idle_per_host(0)
            .build(self.origin.connector(protocol));
        let response = upload_client.request(request).await.map_err(to_failure)?;
        // Dropping `response_guard` completes `response_ended`.
        let (response_guard, response_ended) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stalled_after_response = async {
                let _ = response_ended.await;
                content_stalled.await;
            };
            tokio::select! {
                // All tasks of the connection have ended.
                () = connection_guard.closed() => {}
                () = stalled_after_response => {}
            }
            drop(connection_guard);
        });
        let hook_with_guard: ErrorHook = Box::new(move |error| {
            // The hook owns the guard, and the response body owns the hook.
            let _ = &response_guard;
            error
        });
        Ok(response.map(|body| body.map_err(hook_with_guard)))
    }
}

/// Returns the settings of a client for one protocol. Its connections run as tasks of the executor.
fn client_builder<E>(executor: E, protocol: Protocol) -> legacy::Builder
where
    E: Executor<Task> + Clone + Send + Sync + 'static,
{
    let mut builder = Client::builder(executor);
    builder
        // hyper-util would copy the target and format the header for each request.
        .set_host(false)
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        // hyper-util closes idle connections at this interval, so after twice this time at most. Gateways close them
        // after 60 s or more.
        .pool_idle_timeout(Duration::from_secs(15))
        // Bytes read at once, and the limit of the response headers. Larger reads leave the processor's caches before
        // they are scanned.
        .http1_max_buf_size(128 * 1024)
        .http2_only(protocol == Protocol::Http2)
        // A stream has 2 MiB of it, so 31 clients that do not read their responses block no other.
        .http2_initial_connection_window_size(64 << 20)
        .http2_max_header_list_size(64 * 1024)
        // A PING finds a dead connection.
        .http2_keep_alive_interval(Duration::from_secs(20));
    builder
}

/// Adds Host and the hop-by-hop headers of an HTTP/1.1 request. HTTP/2 forbids the latter (RFC 9113 §8.2.2).
fn add_http1_headers(request: &mut Request<ReplayBody>) {
    let is_chunked = request.body().size_hint().exact().is_none();
    let authority = request.uri().authority().map_or("", Authority::as_str);
    let host = HeaderValue::from_str(authority).expect("an authority has valid characters");
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    // RFC 9110 §10.1.4: `Connection` names the hop-by-hop header `TE`.
    headers.insert(CONNECTION, HeaderValue::from_static("te"));
    if is_chunked {
        // Without this header hyper omits the content of a GET.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn to_failure(error: legacy::Error) -> Failure {
    if error.is_connect() { Failure::Unreachable(error.into()) } else { Failure::Transport(error.into()) }
}

impl Executor<Task> for UploadExecutor {
    /// Runs a task until it ends or the guard is dropped, which `changed` reports because no value is ever sent.
    fn execute(&self, task: Task) {
        let mut guard_dropped = self.guard_dropped.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                _ = guard_dropped.changed() => {}
            }
        });
    }
}
