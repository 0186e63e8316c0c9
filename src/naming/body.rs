//! `ResponseBody`: passes the frames of the upstream body, with names inserted if the response is in scope.
//!
//! The body of a response to amend is polled by `amended`. It passes each frame to the `transfer`, which contains the
//! amender, and sends the chunks that it returns.

mod amended;
mod transfer;

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pub(crate) use self::amended::AmendedBody;
use crate::naming::report::Report;

pin_project! {
    /// The response body of [`ApiKeyName`](crate::ApiKeyName).
    ///
    /// It is the body `B` of the inner service, amended or unchanged, or that of a [refusal](crate::outcome::Refusal).
    /// `Data` is [`Bytes`] and `Error` is `B::Error`: the layer adds no error.
    pub struct ResponseBody<B: Body> {
        #[pin]
        kind: BodyKind<B>,
    }
}

pin_project! {
    #[project = BodyKindProj]
    enum BodyKind<B: Body> {
        // The upstream body passes unchanged. A response in scope has a report.
        Pass { #[pin] body: B, report: Option<Box<Report>>, hides_length: bool },
        // In a box, because the body was polled before the headers went out and must not move since.
        Amend { body: Pin<Box<AmendedBody<B>>> },
        // A response that the layer made itself.
        Own { data: Bytes, report: Box<Report> },
    }
}

impl<B: Body> ResponseBody<B> {
    /// The unchanged body of a response. It has a `report` if it is in scope.
    pub(crate) fn pass(body: B, report: Option<Box<Report>>) -> Self {
        Self { kind: BodyKind::Pass { body, report, hides_length: false } }
    }

    /// The body of a response to `HEAD` whose `GET` would be amended.
    ///
    /// It has no length hint. A server that finds no Content-Length writes one from the hint, and this one would be the
    /// length before the edits (RFC 9110 §8.6).
    pub(crate) fn unmeasured(body: B, report: Box<Report>) -> Self {
        Self { kind: BodyKind::Pass { body, report: Some(report), hides_length: true } }
    }

    /// The body of a response that was amended, or is amended while it is streamed.
    pub(crate) fn amended(body: Pin<Box<AmendedBody<B>>>) -> Self {
        Self { kind: BodyKind::Amend { body } }
    }

    /// The body of a response that the layer made itself.
    pub(crate) fn own(data: Bytes, report: Box<Report>) -> Self {
        Self { kind: BodyKind::Own { data, report } }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    /// Polls the next frame. The end of the body sends the report.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            BodyKindProj::Pass { body, report, .. } => {
                let frame = ready!(body.poll_frame(cx));
                let has_ended = frame.is_none();
                if has_ended && let Some(report) = report {
                    report.send();
                }
                Poll::Ready(frame.map(|result| result.map(|frame| frame.map_data(into_bytes))))
            }
            BodyKindProj::Amend { body } => body.as_mut().poll_frame(cx),
            BodyKindProj::Own { data, report } => {
                if data.is_empty() {
                    report.send();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(Frame::data(mem::take(data)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            BodyKind::Pass { body, .. } => body.is_end_stream(),
            BodyKind::Amend { body } => body.is_end_stream(),
            BodyKind::Own { data, .. } => data.is_empty(),
        }
    }

    /// The length of the rest of the body. It is unknown if the length before the edits would be wrong.
    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            BodyKind::Pass { hides_length: true, .. } => SizeHint::default(),
            BodyKind::Pass { body, .. } => body.size_hint(),
            BodyKind::Amend { body } => body.size_hint(),
            BodyKind::Own { data, .. } => SizeHint::with_exact(data.len() as u64),
        }
    }
}

/// Converts the data to `Bytes`, without a copy if it is `Bytes` already.
fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

/// Creates an empty body. Layers above that respond in place of the service need it, such as tower-http's `Timeout`.
impl<B: Body + Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::pass(B::default(), None)
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    // Without the data, which may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
