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
    inner: Incoming,
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
        let at = if state == UploadState::WaitsForClient { last.1 } else { Instant::now() };
        *last = (state, at);
    }

    /// Completes when the upload has made no progress for the timeout, or reaches the call's deadline.
    ///
    /// Content that was read completely may take the timeout once more until it is written to the upstream.
    pub async fn overdue(&self) {
        let start = Instant::now();
        loop {
            let (state, at) = self.last();
            let is_done = state == UploadState::Done;
            let limit = if is_done { at.max(start) + self.bounds.timeout } else { self.bounds.limit(at) };
            sleep_until(limit).await;
            let (state, now_at) = self.last();
            if now_at == at && (state == UploadState::Done) == is_done {
                return;
            }
        }
    }
}

impl Upload {
    pub fn new(inner: Incoming, guard: Option<UploadGuard>, bounds: CallBounds) -> Self {
        let progress = (!inner.is_end_stream()).then(|| {
            let last = Mutex::new((UploadState::WaitsForUpstream, Instant::now()));
            Arc::new(UploadProgress { bounds, last })
        });
        Self { inner, progress, guard }
    }

    /// Returns the progress, or `None` for a request without content.
    pub fn progress(&self) -> Option<Arc<UploadProgress>> {
        self.progress.clone()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress
            && !matches!(progress.last().0, UploadState::Failed | UploadState::Done)
        {
            progress.set(UploadState::Done);
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
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        let state = match &frame {
            Poll::Pending => UploadState::WaitsForClient,
            Poll::Ready(Some(Err(_))) => UploadState::Failed,
            Poll::Ready(Some(Ok(_))) if !self.inner.is_end_stream() => UploadState::WaitsForUpstream,
            Poll::Ready(_) => UploadState::Done,
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
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
