//! A request body that can be sent more than once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use crate::timeouts::{Progress, Upload};

/// Bytes of content that are kept until the response arrives. Larger content is sent again only if none of it was
/// read.
const MAX_BYTES: usize = 64 * 1024;

/// Frames that are kept, so that one-byte chunks do not cost many times their size.
const MAX_FRAMES: usize = 1024;

/// The content of a request for one attempt. Clones share the client's body and the kept frames.
#[derive(Clone)]
pub struct ReplayBody {
    /// `None` if the request has no content.
    content: Option<Arc<Mutex<SharedContent>>>,
    attempt: usize,
    /// Frames that this attempt has sent.
    sent: usize,
}

struct SharedContent {
    upload: Upload,
    kept: Vec<KeptFrame>,
    kept_bytes: usize,
    /// The latest attempt that was polled. Earlier attempts fail, since their frames would be missing from it.
    attempt: usize,
    state: ContentState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ContentState {
    /// All frames that were read are kept.
    Kept,
    /// Like `Kept`, and the client's body has ended.
    Complete,
    /// The content exceeded a limit, or the client's body failed.
    Lost,
}

#[derive(Clone)]
enum KeptFrame {
    Data(Bytes),
    Trailers(HeaderMap),
}

// === impl ReplayBody ===

impl ReplayBody {
    pub fn new(upload: Upload) -> Self {
        let content = upload.has_content().then(|| {
            let state = ContentState::Kept;
            Arc::new(Mutex::new(SharedContent { upload, kept: Vec::new(), kept_bytes: 0, attempt: 0, state }))
        });
        Self { content, attempt: 0, sent: 0 }
    }

    /// The same content from its beginning, for one more attempt.
    pub fn next_attempt(&self) -> Self {
        Self { content: self.content.clone(), attempt: self.attempt + 1, sent: 0 }
    }

    pub fn has_content(&self) -> bool {
        self.content.is_some()
    }

    /// True if no frame that was read is missing.
    pub fn is_replayable(&self) -> bool {
        self.content().is_none_or(|content| content.state != ContentState::Lost)
    }

    /// The progress of the upload, or `None` without content.
    pub fn progress(&self) -> Option<Arc<Progress>> {
        self.content()?.upload.progress()
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
        if self.attempt < content.attempt {
            return Poll::Ready(Some(Err("a later attempt sends this content".into())));
        }
        content.attempt = self.attempt;
        let frame = match content.kept.get(self.sent) {
            Some(kept) => Some(Ok(kept.clone().into())),
            None => ready!(content.poll_upload(cx)),
        };
        drop(content);
        self.sent += 1;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content().is_none_or(|content| content.kept.len() <= self.sent && content.upload.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(content) = self.content() else { return SizeHint::with_exact(0) };
        let kept = content.kept.iter().skip(self.sent).map(KeptFrame::len).sum::<usize>() as u64;
        let upload = content.upload.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(upload.lower().saturating_add(kept));
        if let Some(upper) = upload.upper().and_then(|upper| upper.checked_add(kept)) {
            hint.set_upper(upper);
        }
        hint
    }
}

// === impl SharedContent ===

impl SharedContent {
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.state == ContentState::Complete {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.upload).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.keep(frame),
            Some(Err(_)) => self.lose(),
            None if self.state == ContentState::Kept => self.state = ContentState::Complete,
            None => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if self.state == ContentState::Lost {
            return;
        }
        let kept = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => KeptFrame::Data(data.clone()),
            (None, Some(trailers)) => KeptFrame::Trailers(trailers.clone()),
            (None, None) => return self.lose(),
        };
        self.kept_bytes += kept.len();
        if self.kept_bytes > MAX_BYTES || self.kept.len() == MAX_FRAMES {
            return self.lose();
        }
        self.kept.push(kept);
    }

    fn lose(&mut self) {
        self.kept = Vec::new();
        self.state = ContentState::Lost;
    }
}

// === impl KeptFrame ===

impl KeptFrame {
    fn len(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) => 0,
        }
    }
}

impl From<KeptFrame> for Frame<Bytes> {
    fn from(kept: KeptFrame) -> Self {
        match kept {
            KeptFrame::Data(data) => Self::data(data),
            KeptFrame::Trailers(trailers) => Self::trailers(trailers),
        }
    }
}
