//! The HTTP server: HTTP/1.1 and HTTP/2 on one port, with limits and a graceful shutdown.
//!
//! ```text
//! listener ─▶ admission ─▶ connection (timeouts) ─▶ in_flight ─▶ stack
//!               │                │                      │
//!               └──────────▶ activity ◀─────┴────────────┘
//! ```
mod activity;
mod admission;
mod connection;
mod in_flight;
pub mod limits;
mod listener;
mod shutdown;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service};

use activity::Activity;
use admission::Admission;
use connection::ClientStream;
use limits::{HEADER_LIMIT, Limits};

pub use admission::Overload;
pub use in_flight::{NoTimeLimit, UnlimitedWork, UploadExtension, UploadGuard};
pub use listener::{AcceptBackOff, listen};
pub use shutdown::ShutdownSignal;

/// Serves connections with one service, under common limits.
pub struct Server<S> {
    service: S,
    admission: Arc<Admission>,
    protocols: Arc<Builder<TokioExecutor>>,
    last_warning: Option<Instant>,
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    pub fn new(service: S, limits: Limits) -> Self {
        Self::with_counter(service, limits, Arc::default())
    }

    /// Creates a server that counts its calls in flight in `in_flight`.
    pub fn with_counter(service: S, limits: Limits, in_flight: Arc<AtomicUsize>) -> Self {
        let admission = Arc::new(Admission::new(limits, in_flight));
        Self { service, admission, protocols: Arc::new(protocols()), last_warning: None }
    }

    /// Serves the connections of a listener until a shutdown. Returns the number of cut calls.
    pub async fn serve(mut self, listener: TcpListener, mut shutdown: ShutdownSignal) -> usize {
        self.accept_until_shutdown(listener, &mut shutdown).await;
        self.shut_down(&mut shutdown).await
    }

    /// Serves each accepted connection in a task, until a shutdown signal.
    /// Then stops listening, so that the system refuses later clients. Serves those that have connected, if there is room.
    async fn accept_until_shutdown(&mut self, listener: TcpListener, shutdown: &mut ShutdownSignal) {
        let mut unserved = Vec::new();
        unserved.extend(self.accept_connections(&listener, shutdown).await);
        unserved.extend(listener::close(listener));
        for stream in unserved {
            if let Ok(permit) = self.admission.permits.clone().try_acquire_owned() {
                self.spawn(stream, permit);
            }
        }
    }

    /// Serves each accepted connection in a task, until a shutdown signal. Returns the connection that then waits for room.
    async fn accept_connections(
        &mut self,
        listener: &TcpListener,
        shutdown: &mut ShutdownSignal,
    ) -> Option<TcpStream> {
        let mut back_off = AcceptBackOff::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.received(1) => return None,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    back_off.wait(&error).await;
                    continue;
                }
            };
            back_off = AcceptBackOff::default();
            tokio::select! {
                Some(permit) = self.admit() => self.spawn(stream, permit),
                () = shutdown.received(1) => return Some(stream),
            }
        }
    }

    /// Waits until the server has room for one more connection. Logs at most one warning a minute while it is full.
    async fn admit(&mut self) -> Option<OwnedSemaphorePermit> {
        let is_full = self.admission.permits.available_permits() == 0;
        let is_warning_due = self.last_warning.is_none_or(|last| last.elapsed() > Duration::from_secs(60));
        if is_full && is_warning_due {
            self.last_warning = Some(Instant::now());
            let limit = self.admission.limits.max_connections;
            tracing::warn!(
                "{limit} connections (--max-connections): the longest-idle one is closed for a new one"
            );
        }
        self.admission.admit().await
    }

    /// Serves an admitted connection in a task.
    fn spawn(&self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        // A small response must not wait for the client's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        tokio::spawn(self.drive(stream, |stream| drop(stream.set_zero_linger()), permit));
    }

    /// Serves a connection of any transport to its end. Waits first for room.
    /// `reset` is called before a stream is dropped that has an incomplete response.
    pub async fn serve_connection<I>(&self, stream: I, reset: fn(&I))
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(permit) = self.admission.admit().await {
            self.drive(stream, reset, permit).await;
        }
    }

    /// Returns a future that serves an admitted connection to its end. The future borrows nothing, so it can be spawned.
    fn drive<I>(
        &self,
        stream: I,
        reset: fn(&I),
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + use<I, S, B>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new());
        let admission = self.admission.clone();
        let protocols = self.protocols.clone();
        admission.add(&activity);
        let io = TokioIo::new(ClientStream { inner: stream, activity: activity.clone(), reset });
        let stack = self.service.clone();
        let call_activity = activity.clone();
        let call_admission = admission.clone();
        let service = service_fn(move |request| {
            in_flight::call(stack.clone(), request, call_activity.clone(), call_admission.clone())
        });
        async move {
            connection::drive(protocols.serve_connection(io, service), &activity, &admission).await;
            drop(permit);
        }
    }

    /// Waits until all connections have ended, the grace period is over or a second signal arrives.
    /// Returns the number of calls that did not finish, or whose connections were closed during the wait.
    pub async fn shut_down(&self, shutdown: &mut ShutdownSignal) -> usize {
        let admission = &self.admission;
        let call_count = || admission.in_flight.load(Ordering::Relaxed);
        let open_count = admission.limits.max_connections - admission.permits.available_permits();
        if open_count > 0 {
            tracing::info!("stopping; {} calls are in flight on {open_count} connections", call_count());
        }
        let cut_count_before = admission.cut.load(Ordering::Relaxed);
        admission.shutdown.send_replace(true);
        // All permits are available when the last connection has ended.
        let all_permits = admission.limits.max_connections.try_into().unwrap_or(u32::MAX);
        let (unfinished_count, reason) = tokio::select! {
            _ = admission.permits.acquire_many(all_permits) => (0, "their clients did not read the responses"),
            () = sleep(admission.limits.grace) => (call_count(), "the time to finish is over (--grace)"),
            () = shutdown.received(2) => (call_count(), "a second signal was received"),
        };
        let cut_count = unfinished_count + admission.cut.load(Ordering::Relaxed) - cut_count_before;
        if cut_count > 0 {
            tracing::warn!("stopped with {cut_count} calls in flight: {reason}");
        }
        cut_count
    }
}

/// Returns the settings of HTTP/1.1 and HTTP/2, without hyper's timer for headers: it would also close idle connections.
fn protocols() -> Builder<TokioExecutor> {
    // Bytes per stream that a connection buffers in either direction. Calls have little content.
    const STREAM_WINDOW: u32 = 64 * 1024;
    let mut builder = Builder::new(TokioExecutor::new());
    // hyper responds 431 (RFC 6585 §5) to headers that are incomplete at this size.
    builder.http1().header_read_timeout(None).max_buf_size(HEADER_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A ping detects a peer that is gone without closing the connection.
        .keep_alive_interval(Duration::from_secs(20))
        .max_header_list_size(HEADER_LIMIT as u32)
        // The minimum that RFC 9113 §6.5.2 recommends.
        .max_concurrent_streams(100)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(4 * STREAM_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize);
    builder
}
