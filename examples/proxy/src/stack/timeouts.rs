//! The timeout of a call and its deadline.
//!
//! The timeout limits three waits: for the response headers, for each frame of the response body, and for each frame of
//! the request body. Progress restarts it. The deadline limits the call as a whole.
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{BoxError, Service};

use crate::server::UploadExtension;
use crate::upstream::failure::Failure;
use crate::upstream::upload::{CallBounds, Upload, UploadProgress, UploadState};

/// Applies the timeout and the deadline to calls.
#[derive(Clone)]
pub struct Timeouts<S> {
    inner: S,
    timeout: Duration,
    deadline: Duration,
}

pin_project! {
    /// A response body whose frames each arrive within the timeout.
    pub struct TimeoutsBody<B> {
        #[pin]
        inner: B,
        timer: CallTimer,
        // True if the timer counts from the last frame.
        is_armed: bool,
    }
}

/// The timer of a call, which moves from its future to its response body.
struct CallTimer {
    sleep: Pin<Box<Sleep>>,
    bounds: CallBounds,
}

impl<S> Timeouts<S> {
    pub fn new(inner: S, timeout: Duration, deadline: Duration) -> Self {
        Self { inner, timeout, deadline }
    }
}

impl<S, B> Service<Request<Incoming>> for Timeouts<S>
where
    S: Service<Request<Upload>, Response = Response<B>, Error = Failure, Future: Send + 'static>,
    B: 'static,
{
    type Response = Response<TimeoutsBody<B>>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let bounds = CallBounds { timeout: self.timeout, deadline: Instant::now() + self.deadline };
        let guard = request.extensions_mut().remove::<UploadExtension>();
        let guard = guard.and_then(|guard| guard.lock().unwrap_or_else(PoisonError::into_inner).take());
        let request = request.map(|body| Upload::new(body, guard, bounds));
        let timer = CallTimer::new(bounds);
        let upload = request.body().progress();
        Box::pin(wait_for_headers(self.inner.call(request), timer, upload))
    }
}

async fn wait_for_headers<B>(
    response: impl Future<Output = Result<Response<B>, Failure>>,
    mut timer: CallTimer,
    upload: Option<Arc<UploadProgress>>,
) -> Result<Response<TimeoutsBody<B>>, Failure> {
    let mut response = pin!(response);
    let is_broken = || upload.as_ref().is_some_and(|upload| upload.last().0 == UploadState::Failed);
    loop {
        let failure = tokio::select! {
            biased;
            result = response.as_mut() => return match result {
                Ok(response) => Ok(response.map(|inner| TimeoutsBody { inner, timer, is_armed: false })),
                // For the upstream's client, broken request content is one more failed connection.
                Err(_) if is_broken() => Err(Failure::BrokenRequest),
                Err(failure) => Err(failure),
            },
            failure = poll_fn(|cx| timer.poll(cx)) => failure,
        };
        let Some(upload) = &upload else { return Err(failure) };
        let (state, last_frame) = upload.last();
        if timer.bounds.limit(last_frame) <= Instant::now() {
            return Err(match state {
                UploadState::WaitsForClient => Failure::RequestTimeout,
                UploadState::Failed => Failure::BrokenRequest,
                UploadState::WaitsForUpstream | UploadState::Done => failure,
            });
        }
        // The upload made progress: a slow one is not a silent upstream.
        timer.restart(last_frame);
    }
}

impl CallTimer {
    fn new(bounds: CallBounds) -> Self {
        Self { sleep: Box::pin(sleep_until(bounds.limit(Instant::now()))), bounds }
    }

    fn restart(&mut self, since: Instant) {
        self.sleep.as_mut().reset(self.bounds.limit(since));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        self.sleep.as_mut().poll(cx).map(|()| match Instant::now() < self.bounds.deadline {
            true => Failure::UpstreamTimeout(self.bounds.timeout),
            false => Failure::DeadlineExceeded,
        })
    }
}

impl<B> Body for TimeoutsBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        // A slow client does not poll this body. Frames that arrived meanwhile come before the timeout.
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.is_armed = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !*this.is_armed {
            *this.is_armed = true;
            this.timer.restart(Instant::now());
        }
        this.timer.poll(cx).map(|failure| Some(Err(failure.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
