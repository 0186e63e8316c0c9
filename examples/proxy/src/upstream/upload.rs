//! A request body that records its progress, so that a slow client is not mistaken for a silent upstream.
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use crate::hop_by_hop;
use crate::server::UploadGuard;

/// The content of a request, on its way to the upstream.
pub struct Upload {
    /// `None` for a request that the proxy itself makes.
    inner: Option<Incoming>,
    /// `None` for a request without content.
    progress: Option<Arc<UploadProgress>>,
    guard: Option<UploadGuard>,
}

/// The progress of a request body, for the tasks that wait for it.
pub struct UploadProgress {
    bounds: CallBounds,
    /// The present state, and the time of the last frame.
    last: Mutex<(UploadState, Instant)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UploadState {
    WaitsForUpstream,
    WaitsForClient,
    Failed,
    /// All content was read, or the upstream needs no more of it.
    Done,
}

/// The limits on the waits of a call.
#[derive(Clone, Copy)]
pub struct CallBounds {
    pub timeout: Duration,
    pub deadline: Instant,
}

impl CallBounds {
    /// Returns the end of a wait that began at `since`.
    pub fn limit(&self, since: Instant) -> Instant {
        self.deadline.min(since + self.timeout)
    }
}

impl UploadProgress {
    pub fn last(&self) -> (UploadState, Instant) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: UploadState) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Waiting for the client is not progress.
        let frame_time = if state == UploadState::WaitsForClient { last.1 } else { Instant::now() };
        *last = (state, frame_time);
    }

    /// Completes when the upload has made no progress for the timeout, or reaches the call's deadline.
    ///
    /// Content that was read completely may take the timeout once more until it is written to the upstream.
    pub async fn overdue(&self) {
        let start = Instant::now();
        loop {
            let (state, frame_time) = self.last();
            let was_done = state == UploadState::Done;
            let limit = if was_done {
                frame_time.max(start) + self.bounds.timeout
            } else {
                self.bounds.limit(frame_time)
            };
            sleep_until(limit).await;
            let (new_state, new_frame_time) = self.last();
            let is_done = new_state == UploadState::Done;
            let has_progressed = new_frame_time != frame_time || is_done != was_done;
            if !has_progressed {
                return;
            }
        }
    }
}

impl Upload {
    /// Wraps the content of a request. The guard is dropped with the last frame.
    pub fn new(inner: Option<Incoming>, guard: Option<UploadGuard>, bounds: CallBounds) -> Self {
        if inner.as_ref().is_none_or(Body::is_end_stream) {
            return Self { inner, progress: None, guard };
        }
        let last = Mutex::new((UploadState::WaitsForUpstream, Instant::now()));
        Self { inner, progress: Some(Arc::new(UploadProgress { bounds, last })), guard }
    }

    /// Returns the progress, or `None` for a request without content.
    pub fn progress(&self) -> Option<Arc<UploadProgress>> {
        self.progress.clone()
    }
}

impl Drop for Upload {
    /// Ends the waits for an upload that the upstream client no longer reads.
    fn drop(&mut self) {
        let Some(progress) = &self.progress else { return };
        let (state, _) = progress.last();
        if !matches!(state, UploadState::Failed | UploadState::Done) {
            progress.set(UploadState::Done);
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    /// Passes a frame on without hop-by-hop trailers, and records the progress.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = Pin::new(&mut *inner).poll_frame(cx);
        let state = match &frame {
            Poll::Pending => UploadState::WaitsForClient,
            Poll::Ready(Some(Err(_))) => UploadState::Failed,
            Poll::Ready(None) => UploadState::Done,
            Poll::Ready(Some(Ok(_))) if inner.is_end_stream() => UploadState::Done,
            Poll::Ready(Some(Ok(_))) => UploadState::WaitsForUpstream,
        };
        if let Some(progress) = &self.progress {
            progress.set(state);
        }
        if matches!(state, UploadState::Failed | UploadState::Done) {
            self.guard = None;
        }
        frame.map_ok(hop_by_hop::strip_frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
