//! The access log: one line for each request, when its response is complete or broken off. It has method, path, status,
//! outcome of the naming layer, and milliseconds, and never a header, a query or a body.
//!
//! A line costs more than half of the CPU time of a small response. Successful requests therefore have a line only with
//! `--access-log`, at INFO; failed ones have one at WARN. Both use the target `access`.
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};
use tower_api_key_name::outcome::{Outcome, RequestContext};
use tracing_subscriber::EnvFilter;

/// The target of access lines in `RUST_LOG`.
const TARGET: &str = "access";

/// Returns the filter of the log: `RUST_LOG`, or the default, with access lines if they are requested.
pub fn filter(access_log: bool) -> EnvFilter {
    let mut directives = std::env::var("RUST_LOG").unwrap_or_else(|_| format!("info,{TARGET}=warn"));
    if access_log {
        // A later directive for a target replaces an earlier one.
        directives = format!("{directives},{TARGET}=info");
    }
    EnvFilter::builder().parse_lossy(directives)
}

/// Stores the outcome for the request's line. It is the naming layer's `on_outcome` callback.
pub fn store_outcome(outcome: &Outcome, request: &RequestContext) {
    if let Some(OutcomeSlot(slot)) = request.extensions().get() {
        let _ = slot.set(*outcome);
    }
}

/// Returns the part of a request's URI that may be logged: the path without segments that look like a secret key.
///
/// The query is left out as a whole, because any parameter may contain a secret. A user may have pasted a key (`sk-…`)
/// into the path in place of its id.
pub fn masked_path(uri: &Uri) -> Cow<'_, str> {
    let path = uri.path();
    if !path.contains("/sk-") {
        return path.into();
    }
    let masked = path.split('/').map(|segment| if segment.starts_with("sk-") { "…" } else { segment });
    masked.collect::<Vec<_>>().join("/").into()
}

#[derive(Clone, Copy)]
pub struct LogLayer;

#[derive(Clone)]
pub struct Log<S> {
    inner: S,
}

pin_project! {
    pub struct LogFuture<F> {
        #[pin]
        inner: F,
        line: Option<Box<AccessLine>>,
    }
}

pin_project! {
    pub struct LogBody<B> {
        #[pin]
        inner: Option<B>,
        line: Option<Box<AccessLine>>,
    }

    impl<B> PinnedDrop for LogBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(line) = this.line.take() {
                // The naming layer reports the outcome of an unfinished body when the body is dropped.
                this.inner.set(None);
                line.write();
            }
        }
    }
}

/// The fields of a line. Boxed, because future and body are moved often.
struct AccessLine {
    /// The time of the request, if lines at INFO are enabled.
    start: Option<Instant>,
    method: Method,
    uri: Uri,
    status: StatusCode,
    outcome: OutcomeSlot,
    body_failed: bool,
}

/// A request extension in which the naming layer's outcome is stored.
#[derive(Clone, Default)]
struct OutcomeSlot(Arc<OnceLock<Outcome>>);

// === impl AccessLine ===

impl AccessLine {
    fn write(&self) {
        if self.status.is_server_error() || self.body_failed {
            tracing::warn!(target: TARGET, "{self}");
        } else if self.start.is_some() {
            tracing::info!(target: TARGET, "{self}");
        }
    }
}

/// ` GET /v1/organization/costs 200 amended named=12 unmatched=1 null=0 3 ms`
impl fmt::Display for AccessLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, masked_path(&self.uri), self.status.as_u16())?;
        if let Some(outcome) = self.outcome.0.get() {
            write_outcome(f, outcome)?;
        }
        if self.body_failed {
            f.write_str(" broke off")?;
        }
        match self.start {
            Some(start) => write!(f, " {} ms", start.elapsed().as_millis()),
            None => Ok(()),
        }
    }
}

fn write_outcome(f: &mut fmt::Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    match outcome {
        Outcome::Refused { refusal } => return write!(f, " refused {refusal:?}"),
        Outcome::Skipped { skip, .. } => write!(f, " skipped {skip:?}")?,
        other => write!(f, " {}", other.as_str())?,
    }
    let counts = outcome.counts();
    write!(f, " named={} unmatched={} null={}", counts.named, counts.unmatched, counts.not_a_string)
}

// === impl LogLayer, Log ===

impl<S> Layer<S> for LogLayer {
    type Service = Log<S>;

    fn layer(&self, inner: S) -> Log<S> {
        Log { inner }
    }
}

impl<S, A, B> Service<Request<A>> for Log<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<LogBody<B>>;
    type Error = Infallible;
    type Future = LogFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let line = tracing::enabled!(target: TARGET, tracing::Level::WARN).then(|| {
            let outcome = OutcomeSlot::default();
            request.extensions_mut().insert(outcome.clone());
            Box::new(AccessLine {
                start: tracing::enabled!(target: TARGET, tracing::Level::INFO).then(Instant::now),
                method: request.method().clone(),
                uri: request.uri().clone(),
                status: StatusCode::OK,
                outcome,
                body_failed: false,
            })
        });
        LogFuture { inner: self.inner.call(request), line }
    }
}

// === impl LogFuture ===

impl<F, B> Future for LogFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<LogBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.inner.poll(cx));
        let mut line = this.line.take();
        if let Some(line) = &mut line {
            line.status = response.status();
        }
        Poll::Ready(Ok(response.map(|inner| LogBody { inner: Some(inner), line })))
    }
}

// === impl LogBody ===

impl<B> Body for LogBody<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let frame = ready!(inner.poll_frame(cx));
        if let (Some(line), Some(Err(_))) = (this.line, &frame) {
            line.body_failed = true;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
