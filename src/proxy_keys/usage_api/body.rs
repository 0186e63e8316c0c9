//! The response body.

use std::error::Error;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::page::UsagePage;

pin_project! {
    /// The response body of [`UsageService`](super::UsageService).
    ///
    /// It is the body `B` of the inner service, or a page of usage, which is read from the ledger bucket by bucket while the
    /// body is polled. `Error` is a boxed `B::Error`, or the error of a ledger that cannot be read. After that error the body has
    /// ended, and its JSON is incomplete.
    pub struct UsageBody<B> {
        #[pin]
        kind: UsageBodyKind<B>,
    }
}

pin_project! {
    #[project = UsageBodyKindProj]
    enum UsageBodyKind<B> {
        // The body of the inner service passes unchanged.
        Inner { #[pin] body: B },
        // A whole body: an error, or a page of one bucket.
        Whole { data: Bytes },
        // A page, until its end. The first chunk was read before the headers went out.
        Page { first_chunk: Option<Bytes>, page: Option<Box<UsagePage>> },
    }
}

impl<B> UsageBody<B> {
    /// The body of the inner service.
    pub(super) fn inner(body: B) -> Self {
        Self { kind: UsageBodyKind::Inner { body } }
    }

    /// A body that the layer made as a whole.
    pub(super) fn whole(data: Bytes) -> Self {
        Self { kind: UsageBodyKind::Whole { data } }
    }

    /// The body of a page behind its first chunk.
    pub(super) fn page(first_chunk: Bytes, page: Box<UsagePage>) -> Self {
        Self { kind: UsageBodyKind::Page { first_chunk: Some(first_chunk), page: Some(page) } }
    }
}

impl<B> Body for UsageBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.project().kind.project() {
            UsageBodyKindProj::Inner { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|result| result.map_err(Into::into)))
            }
            UsageBodyKindProj::Whole { data } if data.is_empty() => Poll::Ready(None),
            UsageBodyKindProj::Whole { data } => Poll::Ready(Some(Ok(Frame::data(mem::take(data))))),
            UsageBodyKindProj::Page { first_chunk, page } => {
                if let Some(chunk) = first_chunk.take() {
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                let Some(running_page) = page else { return Poll::Ready(None) };
                let chunk = ready!(running_page.poll_chunk(cx));
                if chunk.is_err() || running_page.has_ended() {
                    *page = None;
                }
                Poll::Ready(Some(chunk.map(Frame::data).map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            UsageBodyKind::Inner { body } => body.is_end_stream(),
            UsageBodyKind::Whole { data } => data.is_empty(),
            UsageBodyKind::Page { first_chunk, page } => first_chunk.is_none() && page.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            UsageBodyKind::Inner { body } => body.size_hint(),
            UsageBodyKind::Whole { data } => SizeHint::with_exact(data.len() as u64),
            UsageBodyKind::Page { .. } => SizeHint::default(),
        }
    }
}

/// Creates an empty body. Layers above that respond in place of the service need it, such as tower-http's `Timeout`.
impl<B> Default for UsageBody<B> {
    fn default() -> Self {
        Self::whole(Bytes::new())
    }
}

impl<B> fmt::Debug for UsageBody<B> {
    // Without the data, which may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageBody").finish_non_exhaustive()
    }
}
