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
    attempt: usize,
    /// Frames that this attempt has sent.
    sent: usize,
}

struct SharedContent {
    upload: Upload,
    /// Frames read from `upload`.
    read: usize,
    /// The frames that were read, or `None` if they exceeded a limit, had trailers or ended with an error.
    kept: Option<Vec<Bytes>>,
    /// The latest attempt. A cancelled one may still be polled and must not take its frames.
    attempt: usize,
}

impl ReplayBody {
    pub fn new(upload: Upload) -> Self {
        let size = upload.size_hint();
        let content = (!upload.is_end_stream()).then(|| {
            let kept = Some(Vec::new());
            Arc::new(Mutex::new(SharedContent { upload, read: 0, kept, attempt: 0 }))
        });
        Self { content, size, attempt: 0, sent: 0 }
    }

    /// The same content from its beginning, for one more attempt.
    pub fn next_attempt(&self) -> Self {
        Self { attempt: self.attempt + 1, sent: 0, ..self.clone() }
    }

    pub fn has_content(&self) -> bool {
        self.content.is_some()
    }

    /// True if all frames that were read are kept.
    pub fn is_replayable(&self) -> bool {
        self.content().is_none_or(|content| content.kept.is_some())
    }

    /// Waits until the client or the upstream has stopped the upload for too long.
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

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(mut content) = self.content() else { return Poll::Ready(None) };
        content.attempt = content.attempt.max(self.attempt);
        let kept = content.kept.as_ref().and_then(|kept| kept.get(self.sent));
        let frame = if content.attempt > self.attempt || (kept.is_none() && self.sent < content.read) {
            Some(Err("the content is not available to this attempt".into()))
        } else if let Some(kept) = kept {
            Some(Ok(Frame::data(kept.clone())))
        } else {
            ready!(content.poll_upload(cx))
        };
        drop(content);
        self.sent += 1;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.sent == 0 { self.size } else { SizeHint::default() }
    }
}

impl SharedContent {
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.upload).poll_frame(cx));
        if let Some(frame) = &frame {
            self.read += 1;
            self.keep(frame.as_ref().ok().and_then(Frame::data_ref));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn keep(&mut self, data: Option<&Bytes>) {
        self.kept = self.kept.take().zip(data).and_then(|(mut kept, data)| {
            kept.push(data.clone());
            let bytes = kept.iter().map(Bytes::len).sum::<usize>();
            (bytes <= MAX_BYTES && kept.len() <= MAX_FRAMES).then_some(kept)
        });
    }
}
