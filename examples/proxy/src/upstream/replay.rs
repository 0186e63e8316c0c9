//! A request body that can be sent more than once.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use super::upload::Upload;

/// Bytes of content that are kept until the response arrives. Larger content is sent again only if none of it was
/// read.
const MAX_BYTES: usize = 64 * 1024;

/// Frames that are kept, so that one-byte chunks do not cost many times their size.
const MAX_FRAMES: usize = 1024;

/// The content of a request for one attempt. Attempts share the client's body and the kept frames.
#[derive(Clone)]
pub struct ReplayBody {
    /// `None` if the request has no content.
    content: Option<Arc<Mutex<SharedContent>>>,
    size: SizeHint,
    attempt_number: usize,
    /// The number of frames that this attempt has returned.
    returned_count: usize,
}

struct SharedContent {
    upload: Upload,
    /// The number of frames read from `upload`.
    read_count: usize,
    /// All frames that were read, or `None` if they exceeded a limit, had trailers or ended with an error.
    kept_frames: Option<Vec<Bytes>>,
    /// The number of the latest attempt. hyper may still poll an earlier one, which must not take its frames.
    latest_attempt: usize,
}

impl ReplayBody {
    /// Returns the content for the first attempt.
    pub fn new(upload: Upload) -> Self {
        let size = upload.size_hint();
        let mut content = None;
        if !upload.is_end_stream() {
            let shared =
                SharedContent { upload, read_count: 0, kept_frames: Some(Vec::new()), latest_attempt: 0 };
            content = Some(Arc::new(Mutex::new(shared)));
        }
        Self { content, size, attempt_number: 0, returned_count: 0 }
    }

    /// Returns the same content from its beginning, for one more attempt.
    pub fn next_attempt(&self) -> Self {
        Self { attempt_number: self.attempt_number + 1, returned_count: 0, ..self.clone() }
    }

    pub fn has_content(&self) -> bool {
        self.content.is_some()
    }

    /// True if all frames that were read are kept.
    pub fn is_replayable(&self) -> bool {
        self.content().is_none_or(|content| content.kept_frames.is_some())
    }

    /// Returns a future that completes when the upload has stalled, or at once for a request without content.
    pub fn stalled(&self) -> impl Future<Output = ()> + Send + use<> {
        let progress = self.content().and_then(|content| content.upload.progress());
        async move {
            if let Some(progress) = progress {
                progress.overdue().await;
            }
        }
    }

    fn content(&self) -> Option<MutexGuard<'_, SharedContent>> {
        self.content.as_ref().map(|content| content.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = BoxError;

    /// Returns a kept frame, or reads the next one from the client. An error means that a later attempt has begun, or that
    /// the frame was read and not kept.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(mut content) = self.content() else { return Poll::Ready(None) };
        content.latest_attempt = content.latest_attempt.max(self.attempt_number);
        let is_outdated = content.latest_attempt > self.attempt_number;
        let kept = content.kept_frames.as_ref().and_then(|frames| frames.get(self.returned_count));
        let is_lost = kept.is_none() && self.returned_count < content.read_count;
        let frame = if is_outdated || is_lost {
            Some(Err("the content is not available to this attempt".into()))
        } else if let Some(data) = kept {
            Some(Ok(Frame::data(data.clone())))
        } else {
            ready!(content.poll_upload(cx))
        };
        drop(content);
        self.returned_count += 1;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.returned_count == 0 { self.size } else { SizeHint::default() }
    }
}

impl SharedContent {
    /// Reads a frame from the client, and keeps its data for later attempts.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.upload).poll_frame(cx));
        if let Some(result) = &frame {
            self.read_count += 1;
            self.keep(result.as_ref().ok().and_then(Frame::data_ref));
        }
        Poll::Ready(frame.map(|result| result.map_err(BoxError::from)))
    }

    /// Keeps the data of a frame. Discards all kept frames if the frame has no data, or if a limit is exceeded.
    fn keep(&mut self, data: Option<&Bytes>) {
        let Some(mut kept_frames) = self.kept_frames.take() else { return };
        let Some(data) = data else { return };
        kept_frames.push(data.clone());
        let byte_count: usize = kept_frames.iter().map(Bytes::len).sum();
        if byte_count <= MAX_BYTES && kept_frames.len() <= MAX_FRAMES {
            self.kept_frames = Some(kept_frames);
        }
    }
}
