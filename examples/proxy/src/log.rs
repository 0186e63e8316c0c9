//! One line a request, once its answer is out or broken off: method, path without query, status, what
//! became of the ids, milliseconds. No header, no query and no body is ever written.
//!
//! A line costs more than half of what a small answer does, so a request that went well has one only where it was
//! asked for (`--access-log`): its level is INFO, of a target of its own. What went wrong is told at WARN.
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
use tower_api_key_name::outcome::{Counts, Outcome, RequestContext};
use tracing_subscriber::EnvFilter;

/// What `RUST_LOG` calls the lines.
const TARGET: &str = "access";

/// What is written at all.
pub fn filter(access_log: bool) -> EnvFilter {
    let mut levels = std::env::var("RUST_LOG").unwrap_or_else(|_| format!("info,{TARGET}=warn"));
    if access_log {
        // Of two words about a target the later counts.
        levels = format!("{levels},{TARGET}=info");
    }
    EnvFilter::builder().parse_lossy(levels)
}

/// A request extension that receives the final outcome from the naming layer.
#[derive(Clone, Debug, Default)]
struct OutcomeSlot(Arc<OnceLock<Outcome>>);

/// Stores the outcome in the request's slot, if it has one. For the naming layer's `on_outcome`.
pub fn store_outcome(outcome: &Outcome, request: &RequestContext) {
    if let Some(OutcomeSlot(slot)) = request.extensions().get() {
        let _ = slot.set(*outcome);
    }
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
        answer: F,
        line: Option<Box<Line>>,
    }
}

pin_project! {
    pub struct LogBody<B> {
        #[pin]
        inner: Option<B>,
        line: Option<Box<Line>>,
    }

    impl<B> PinnedDrop for LogBody<B> {
        fn drop(this: Pin<&mut Self>) {
            // The naming layer reports the outcome at the latest when its body is dropped.
            let mut this = this.project();
            if let Some(line) = this.line.take() {
                this.inner.set(None);
                line.write();
            }
        }
    }
}

/// What the line will say; it is only kept where somebody may read it. In a box, for the answer that it goes along
/// with is moved often.
struct Line {
    /// For a request that went well has a line too.
    start: Option<Instant>,
    method: Method,
    uri: Uri,
    status: StatusCode,
    outcome: OutcomeSlot,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    Whole,
    BrokeOff,
    /// The client went, or it was an answer without content.
    Dropped,
}

// === impl Line ===

impl Line {
    fn write(&self) {
        if self.status.is_server_error() || matches!(self.end, End::BrokeOff) {
            tracing::warn!(target: TARGET, "{self}");
        } else if self.start.is_some() {
            tracing::info!(target: TARGET, "{self}");
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, status) = (shown(self.uri.path()), self.status.as_u16());
        write!(f, "{} {path} {status}{}", self.method, Told(self.outcome.0.get()))?;
        if matches!(self.end, End::BrokeOff) {
            f.write_str(" broke off")?;
        }
        self.start.map_or(Ok(()), |start| write!(f, " {} ms", start.elapsed().as_millis()))
    }
}

/// A path, without what looks like a key in the place of its id.
fn shown(path: &str) -> Cow<'_, str> {
    if !path.contains("/sk-") {
        return path.into();
    }
    let segments = path.split('/').map(|segment| if segment.starts_with("sk-") { "…" } else { segment });
    segments.collect::<Vec<_>>().join("/").into()
}

/// ` amended named=12 unmatched=1 null=0`
struct Told<'a>(Option<&'a Outcome>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = |f: &mut fmt::Formatter<'_>, c: &Counts| {
            write!(f, " named={} unmatched={} null={}", c.named, c.unmatched, c.not_a_string)
        };
        match self.0 {
            None => Ok(()),
            Some(Outcome::Amended { counts: c }) => f.write_str(" amended").and_then(|()| counts(f, c)),
            Some(Outcome::Unchanged { counts: c }) => f.write_str(" unchanged").and_then(|()| counts(f, c)),
            Some(Outcome::Skipped { skip, counts: c }) => {
                write!(f, " skipped {skip:?}").and_then(|()| counts(f, c))
            }
            Some(Outcome::Refused { refusal }) => write!(f, " refused {refusal:?}"),
            Some(other) => write!(f, " {other:?}"),
        }
    }
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
            Box::new(Line {
                start: tracing::enabled!(target: TARGET, tracing::Level::INFO).then(Instant::now),
                method: request.method().clone(),
                uri: request.uri().clone(),
                status: StatusCode::OK,
                outcome,
                end: End::Dropped,
            })
        });
        LogFuture { answer: self.inner.call(request), line }
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
        let Ok(response) = ready!(this.answer.poll(cx));
        let line = this.line.take().map(|mut line| {
            line.status = response.status();
            line
        });
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
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(None);
        };
        let Some(line) = this.line else {
            return inner.poll_frame(cx);
        };
        let frame = ready!(inner.poll_frame(cx));
        match &frame {
            None => line.end = End::Whole,
            Some(Err(_)) => line.end = End::BrokeOff,
            Some(Ok(_)) => {}
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
