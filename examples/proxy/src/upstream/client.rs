//! hyper-util's clients: one for each protocol, and one for each upload.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, TRANSFER_ENCODING};
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
use crate::settings::ProxySettings;

/// Time after which an idle connection is not used again. hyper-util closes idle connections at this interval, so
/// after twice this time at most. Gateways close them after 60 s or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Interval of the PINGs that find a dead HTTP/2 connection.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Flow-control window of a connection. A stream has 2 MiB of it, so 31 clients that do not read their responses block
/// no other.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Bytes read at once from an HTTP/1.1 connection, and the limit of its response headers. Larger reads leave the
/// processor's caches before they are scanned.
const READ_BUFFER: usize = 128 * 1024;

/// Size limit of the headers of an HTTP/2 response.
const HEADER_LIST: u32 = 64 * 1024;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clients for the upstream. Each request is sent once.
///
/// Requests without content share connections. A request with content has its own connection: an upstream that does
/// not read content blocks the connection, and an upload is cut with its connection.
pub struct Clients {
    origin: Arc<Origin>,
    http1: Client<Connector, ReplayBody>,
    http2: Client<Connector, ReplayBody>,
}

/// The body of an upstream's response. The hook of an upload's response owns a sender, which is dropped with the body.
pub type UpstreamBody = MapErr<Incoming, Box<dyn FnMut(hyper::Error) -> hyper::Error + Send>>;

/// Runs the tasks of a connection until the sender is dropped.
#[derive(Clone)]
struct UploadExecutor(watch::Receiver<()>);

impl Clients {
    /// Creates clients without connections. An error means that the TLS configuration cannot be made.
    pub fn new(settings: &ProxySettings) -> io::Result<Self> {
        let origin = Arc::new(Origin::new(settings)?);
        let client = |protocol| builder(TokioExecutor::new(), protocol).build(origin.connector(protocol));
        let (http1, http2) = (client(Protocol::Http1), client(Protocol::Http2));
        Ok(Self { origin, http1, http2 })
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// If there is no connection, or it fails before the response headers.
    pub async fn send(
        self: Arc<Self>,
        mut request: Request<ReplayBody>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let protocol = self.origin.protocol().await.map_err(|e| Failure::Unreachable(e.into()))?;
        if protocol == Protocol::Http1 {
            add_http1_headers(&mut request);
        }
        if request.body().has_content() {
            return Box::pin(self.upload(request, protocol)).await;
        }
        let client = match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        };
        let response = client.request(request).await.map_err(failure)?;
        Ok(response.map(|body| body.map_err(Box::new(|e| e) as _)))
    }

    async fn upload(
        &self,
        request: Request<ReplayBody>,
        protocol: Protocol,
    ) -> Result<Response<UpstreamBody>, Failure> {
        // Dropping `connection` ends all tasks of the connection.
        let (connection, tasks) = watch::channel(());
        let stalled = request.body().stalled();
        let client: Client<Connector, ReplayBody> = builder(UploadExecutor(tasks), protocol)
            .pool_max_idle_per_host(0)
            .build(self.origin.connector(protocol));
        let response = client.request(request).await.map_err(failure)?;
        // After an early response the rest of the content is sent, unless it stalls.
        let (reader, response_ended) = oneshot::channel::<()>();
        tokio::spawn(async move {
            tokio::select! {
                () = connection.closed() => {}
                () = async { _ = response_ended.await; stalled.await } => {}
            }
        });
        let hook = move |error| {
            let _ = &reader;
            error
        };
        Ok(response.map(|body| body.map_err(Box::new(hook) as _)))
    }
}

fn builder<E>(executor: E, protocol: Protocol) -> legacy::Builder
where
    E: Executor<Task> + Clone + Send + Sync + 'static,
{
    let mut builder = Client::builder(executor);
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_buf_size(READ_BUFFER)
        .http2_only(protocol == Protocol::Http2)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEADER_LIST)
        .http2_keep_alive_interval(PING_INTERVAL);
    builder
}

/// Adds headers that HTTP/2 forbids (RFC 9113 §8.2.2).
fn add_http1_headers(request: &mut Request<ReplayBody>) {
    let is_chunked = request.body().size_hint().exact().is_none();
    let headers = request.headers_mut();
    // RFC 9110 §10.1.4: `TE` is a hop-by-hop header.
    headers.insert(CONNECTION, HeaderValue::from_static("te"));
    if is_chunked {
        // Without this header hyper omits the content of a GET.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn failure(error: legacy::Error) -> Failure {
    if error.is_connect() { Failure::Unreachable(error.into()) } else { Failure::Transport(error.into()) }
}

impl Executor<Task> for UploadExecutor {
    fn execute(&self, task: Task) {
        let mut connection = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                _ = connection.changed() => {}
            }
        });
    }
}
