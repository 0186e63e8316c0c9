//! One timeout, three uses: to connect and get a head, each silence in an answer's body, and each silence
//! in a request's body. Whoever makes progress may take until the call's deadline, which no wait outlasts.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{BoxError, Layer, Service};

use super::calls::{UploadGuard, Uploading};
use super::errors::Failure;
use super::hop_by_hop;

#[derive(Clone)]
pub struct TimeoutsLayer {
    timeout: Duration,
    deadline: Duration,
}

#[derive(Clone)]
pub struct Timeouts<S> {
    inner: S,
    timeout: Duration,
    deadline: Duration,
}

pin_project! {
    /// Until the head is there.
    pub struct HeadFuture<F> {
        #[pin]
        answer: F,
        // Until it goes on with the body.
        clock: Option<Pin<Box<Clock>>>,
        progress: Option<Arc<Progress>>,
    }
}

/// A request's body that tells how far it is. One without content, which is nearly every one here, costs nothing.
pub struct Upload {
    inner: Incoming,
    progress: Option<Arc<Progress>>,
    _uploading: Option<Uploading>,
}

pin_project! {
    /// An answer's body.
    pub struct Silence<B> {
        #[pin]
        inner: B,
        clock: Option<Pin<Box<Clock>>>,
        // Whether the clock counts since the last frame, or still since an earlier one.
        armed: bool,
    }
}

pin_project! {
    /// A call's one timer. It is in a box, for it goes from the head's future to the body, and both are moved often.
    struct Clock {
        #[pin]
        sleep: Sleep,
        bounds: Bounds,
    }
}

/// How long a call waits at a time, and when it ends at the latest.
#[derive(Clone, Copy)]
struct Bounds {
    timeout: Duration,
    end: Instant,
}

/// How far a request's body is, told to whoever waits: for the answer's head, or, behind that, for the body's end.
pub struct Progress {
    start: Instant,
    bounds: Bounds,
    /// Milliseconds from `start` to the last frame, or to the body's end.
    last: AtomicU64,
    turn: AtomicU8,
}

// Whose turn it is.
const UPSTREAMS: u8 = 0;
const CLIENTS: u8 = 1;
const BROKE: u8 = 2;
const NOBODYS: u8 = 3;

// === impl TimeoutsLayer, Timeouts ===

impl TimeoutsLayer {
    pub fn new(timeout: Duration, deadline: Duration) -> Self {
        Self { timeout, deadline }
    }
}

impl<S> Layer<S> for TimeoutsLayer {
    type Service = Timeouts<S>;

    fn layer(&self, inner: S) -> Timeouts<S> {
        Timeouts { inner, timeout: self.timeout, deadline: self.deadline }
    }
}

impl<S, B> Service<Request<Incoming>> for Timeouts<S>
where
    S: Service<Request<Upload>, Response = Response<B>, Error = Failure>,
{
    type Response = Response<Silence<B>>;
    type Error = Failure;
    type Future = HeadFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let now = Instant::now();
        let bounds = Bounds { timeout: self.timeout, end: now + self.deadline };
        let progress = (!request.body().is_end_stream()).then(|| Arc::new(Progress::new(now, bounds)));
        let uploading = request.extensions_mut().remove().and_then(|guard: UploadGuard| guard.take());
        let request =
            request.map(|inner| Upload { inner, progress: progress.clone(), _uploading: uploading });
        let clock = Some(Box::pin(Clock::new(now, bounds)));
        HeadFuture { answer: self.inner.call(request), clock, progress }
    }
}

// === impl Bounds ===

impl Bounds {
    /// When a wait is over that began then.
    fn until(&self, since: Instant) -> Instant {
        self.end.min(since + self.timeout)
    }
}

// === impl Clock ===

impl Clock {
    fn new(now: Instant, bounds: Bounds) -> Self {
        Self { sleep: sleep_until(bounds.until(now)), bounds }
    }

    fn reset(self: Pin<&mut Self>, until: Instant) {
        self.project().sleep.reset(until);
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }

    fn silent_or_late(&self, now: Instant) -> Failure {
        match now < self.bounds.end {
            true => Failure::Silent,
            false => Failure::Late,
        }
    }
}

// === impl HeadFuture ===

impl<F, B> Future for HeadFuture<F>
where
    F: Future<Output = Result<Response<B>, Failure>>,
{
    type Output = Result<Response<Silence<B>>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.answer.poll(cx) {
            return Poll::Ready(match answer {
                Ok(response) => {
                    Ok(response.map(|inner| Silence { inner, clock: this.clock.take(), armed: false }))
                }
                // To hyper it is one more failed connection; whose fault it was is known here.
                Err(_) if this.progress.as_ref().is_some_and(|p| p.turn() == BROKE) => {
                    Err(Failure::ClientBroke)
                }
                Err(failure) => Err(failure),
            });
        }
        let Some(clock) = this.clock else {
            return Poll::Pending;
        };
        loop {
            ready!(clock.as_mut().poll(cx));
            let now = Instant::now();
            // An upload that went on meanwhile starts the wait anew: a slow one is not the upstream's silence.
            let Some(progress) = this.progress else {
                return Poll::Ready(Err(clock.silent_or_late(now)));
            };
            let until = clock.bounds.until(progress.last());
            if until <= now {
                return Poll::Ready(Err(match progress.turn() {
                    CLIENTS => Failure::ClientSilent,
                    BROKE => Failure::ClientBroke,
                    _ => clock.silent_or_late(now),
                }));
            }
            clock.as_mut().reset(until);
        }
    }
}

// === impl Progress ===

impl Progress {
    fn new(start: Instant, bounds: Bounds) -> Self {
        Self { start, bounds, last: AtomicU64::new(0), turn: AtomicU8::new(UPSTREAMS) }
    }

    /// Ready when a body has been silent for too long, on whichever side, or takes longer than a call may. One that has
    /// all come has as long to go out.
    pub async fn overdue(&self) {
        let asked = Instant::now();
        loop {
            let has_come = self.turn() == NOBODYS;
            let last = self.last();
            let until =
                if has_come { last.max(asked) + self.bounds.timeout } else { self.bounds.until(last) };
            sleep_until(until).await;
            if (self.turn() == NOBODYS, self.last()) == (has_come, last) {
                return;
            }
        }
    }

    fn tell(&self, turn: u8) {
        if turn != CLIENTS {
            let now = self.start.elapsed().as_millis();
            self.last.store(now.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.turn.store(turn, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    fn turn(&self) -> u8 {
        self.turn.load(Ordering::Relaxed)
    }
}

// === impl Upload ===

impl Upload {
    pub fn has_content(&self) -> bool {
        self.progress.is_some()
    }

    /// None where there is no content.
    pub fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress
            && progress.turn() != BROKE
        {
            progress.turn.store(NOBODYS, Ordering::Relaxed);
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Some(progress) = &self.progress {
            progress.tell(match &polled {
                Poll::Pending => CLIENTS,
                Poll::Ready(Some(Err(_))) => BROKE,
                Poll::Ready(_) => UPSTREAMS,
            });
        }
        polled.map_ok(hop_by_hop::strip_frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl Silence ===

impl<B> Body for Silence<B>
where
    B: Body<Data = Bytes, Error = hyper::Error>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        // First the body: a client that reads slowly leaves this unpolled, and what came meanwhile counts.
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.armed = false;
            return Poll::Ready(frame.map(|f| f.map_err(BoxError::from)));
        }
        let Some(clock) = this.clock else {
            return Poll::Pending;
        };
        if !*this.armed {
            *this.armed = true;
            let until = clock.bounds.until(Instant::now());
            clock.as_mut().reset(until);
        }
        clock.as_mut().poll(cx).map(|()| Some(Err(BoxError::from(clock.silent_or_late(Instant::now())))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
