//! The timeout of a call and its deadline.
//!
//! The timeout limits three waits: for the response headers, for each frame of the response body, and for each frame of
//! the request body. Progress restarts it. The deadline limits the call as a whole.
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{BoxError, service_fn};

use crate::http_service::HttpService;
use crate::server::UploadExtension;
use crate::server::limits::NO_DEADLINE;
use crate::upstream::failure::Failure;
use crate::upstream::upload::{CallBounds, Upload, UploadProgress, UploadState};

pin_project! {
    /// A response body whose frames each arrive within the timeout.
    pub struct TimeoutsBody<B> {
        #[pin]
        inner: B,
        timer: CallTimer,
        // True if the timer was restarted after the last frame.
        is_waiting: bool,
    }
}

/// The timer of a call, which moves from its future to its response body.
struct CallTimer {
    sleep: Pin<Box<Sleep>>,
    bounds: CallBounds,
    /// The flag that sets the timeout, for the message of its failure.
    flag: &'static str,
}

/// Returns a service that starts the timer of each call, and records the progress of its request body.
pub fn with_timeouts<B: 'static>(
    mut inner: impl HttpService<Upload, B, Failure>,
    timeout: Duration,
    deadline: Duration,
) -> impl HttpService<Option<Incoming>, TimeoutsBody<B>, Failure> {
    service_fn(move |mut request: Request<Option<Incoming>>| {
        let bounds = CallBounds { timeout, deadline: Instant::now() + deadline };
        let extension = request.extensions_mut().remove::<UploadExtension>();
        let guard = extension.and_then(|guard| guard.lock().unwrap_or_else(PoisonError::into_inner).take());
        let request_with_upload = request.map(|body| Upload::new(body, guard, bounds));
        let upload = request_with_upload.body().progress();
        let response = inner.call(request_with_upload);
        wait_for_headers(response, CallTimer::start(bounds, "--timeout"), upload)
    })
}

/// Returns a service that limits the wait for the response headers, and for each frame of the response body. The request
/// body is in memory, and the call as a whole has no deadline.
pub fn with_response_timeout<B: 'static>(
    mut inner: impl HttpService<Full<Bytes>, B, Failure>,
    timeout: Duration,
) -> impl HttpService<Full<Bytes>, TimeoutsBody<B>, Failure> {
    service_fn(move |request: Request<Full<Bytes>>| {
        let bounds = CallBounds { timeout, deadline: Instant::now() + NO_DEADLINE };
        wait_for_headers(inner.call(request), CallTimer::start(bounds, "--response-timeout"), None)
    })
}

/// Waits for the response headers. Fails at the deadline, or after the timeout without headers or upload progress.
async fn wait_for_headers<B>(
    response: impl Future<Output = Result<Response<B>, Failure>>,
    mut timer: CallTimer,
    upload: Option<Arc<UploadProgress>>,
) -> Result<Response<TimeoutsBody<B>>, Failure> {
    let mut response_future = pin!(response);
    let result = loop {
        let timer_failure = tokio::select! {
            biased;
            result = response_future.as_mut() => break result,
            timer_failure = poll_fn(|cx| timer.poll(cx)) => timer_failure,
        };
        let Some(upload) = &upload else { return Err(timer_failure) };
        let (state, frame_time) = upload.last();
        if timer.bounds.limit(frame_time) > Instant::now() {
            // The upload made progress: a slow upload is not a silent upstream.
            timer.restart(frame_time);
            continue;
        }
        return Err(match state {
            UploadState::WaitsForClient => Failure::RequestTimeout,
            UploadState::Failed => Failure::BrokenRequest,
            UploadState::WaitsForUpstream | UploadState::Done => timer_failure,
        });
    };
    match result {
        Ok(response) => Ok(response.map(|inner| TimeoutsBody { inner, timer, is_waiting: false })),
        // hyper's client reports a broken request body as a failed connection.
        Err(_) if upload.is_some_and(|upload| upload.last().0 == UploadState::Failed) => {
            Err(Failure::BrokenRequest)
        }
        Err(failure) => Err(failure),
    }
}

impl CallTimer {
    /// Starts the wait for the response headers.
    fn start(bounds: CallBounds, flag: &'static str) -> Self {
        Self { sleep: Box::pin(sleep_until(bounds.limit(Instant::now()))), bounds, flag }
    }

    fn restart(&mut self, since: Instant) {
        self.sleep.as_mut().reset(self.bounds.limit(since));
    }

    /// Returns the failure of a wait whose limit has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        ready!(self.sleep.as_mut().poll(cx));
        if Instant::now() < self.bounds.deadline {
            return Poll::Ready(Failure::UpstreamTimeout(self.bounds.timeout, self.flag));
        }
        Poll::Ready(Failure::DeadlineExceeded)
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for TimeoutsBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    /// Returns the next frame, or the timer's failure. The timer restarts with the first poll that finds no frame.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        // Frames come before the timer, because a slow client may poll this body only after the limit.
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.is_waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !*this.is_waiting {
            *this.is_waiting = true;
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
