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
    content: ReplayContent,
    size: SizeHint,
    attempt_number: usize,
    /// The number of frames that this attempt has returned.
    returned_count: usize,
}

#[derive(Clone)]
enum ReplayContent {
    Empty,
    /// Content in memory, in one frame.
    Whole(Bytes),
    /// Content that the client is sending.
    Upload(Arc<Mutex<SharedContent>>),
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
        let mut content = ReplayContent::Empty;
        if !upload.is_end_stream() {
            let shared =
                SharedContent { upload, read_count: 0, kept_frames: Some(Vec::new()), latest_attempt: 0 };
            content = ReplayContent::Upload(Arc::new(Mutex::new(shared)));
        }
        Self { content, size, attempt_number: 0, returned_count: 0 }
    }

    /// Returns content that is in memory.
    pub fn whole(bytes: Bytes) -> Self {
        let size = SizeHint::with_exact(bytes.len() as u64);
        let content = if bytes.is_empty() { ReplayContent::Empty } else { ReplayContent::Whole(bytes) };
        Self { content, size, attempt_number: 0, returned_count: 0 }
    }

    /// Returns the same content from its beginning, for one more attempt.
    pub fn next_attempt(&self) -> Self {
        Self { attempt_number: self.attempt_number + 1, returned_count: 0, ..self.clone() }
    }

    /// True if the client is sending the content.
    pub fn is_upload(&self) -> bool {
        matches!(self.content, ReplayContent::Upload(_))
    }

    /// True if all frames that were read are kept.
    pub fn is_replayable(&self) -> bool {
        self.upload().is_none_or(|content| content.kept_frames.is_some())
    }

    /// Returns a future that completes when the upload has stalled, or at once for a request without content.
    pub fn stalled(&self) -> impl Future<Output = ()> + Send + use<> {
        let progress = self.upload().and_then(|content| content.upload.progress());
        async move {
            if let Some(progress) = progress {
                progress.overdue().await;
            }
        }
    }

    fn upload(&self) -> Option<MutexGuard<'_, SharedContent>> {
        let ReplayContent::Upload(shared) = &self.content else { return None };
        Some(shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the content in memory at the first call, and then `None`.
    fn take_whole(&mut self) -> Option<Bytes> {
        let ReplayContent::Whole(bytes) = &self.content else { return None };
        if self.returned_count > 0 {
            return None;
        }
        self.returned_count = 1;
        Some(bytes.clone())
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
        if !self.is_upload() {
            return Poll::Ready(self.take_whole().map(|bytes| Ok(Frame::data(bytes))));
        }
        let Some(mut content) = self.upload() else { return Poll::Ready(None) };
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
        match self.content {
            ReplayContent::Empty => true,
            ReplayContent::Whole(_) => self.returned_count > 0,
            ReplayContent::Upload(_) => false,
        }
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
