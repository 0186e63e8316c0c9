//! `ResponseBody`: the bytes of an answer, passed as they come or amended.

mod work;

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use self::work::Work;
use crate::naming::report::Report;

pin_project! {
    /// The body of a response of [`ApiKeyName`](crate::ApiKeyName): `B`'s own, amended or not, or that of an answer
    /// which the layer gave [itself](crate::outcome::Refusal).
    ///
    /// `Data` is [`Bytes`] and `Error` is `B::Error`: the layer adds no error.
    pub struct ResponseBody<B: Body> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B: Body> {
        // Frames pass as they come. A response in scope has a report, which tells when it is dropped.
        // Its length is hidden where it would be taken for that of amended bytes.
        Pass { #[pin] body: B, report: Option<Box<Report>>, hidden: bool },
        // The body was polled before it came here, and may not be one that can be moved since.
        Amend { amended: Pin<Box<Amended<B>>> },
        // The layer's own answer.
        Own { own: Box<Own> },
    }
}

// === impl ResponseBody ===

impl<B: Body> ResponseBody<B> {
    /// The body of an answer out of scope.
    pub(crate) fn pass(body: B) -> Self {
        Self { kind: Kind::Pass { body, report: None, hidden: false } }
    }

    /// The body of an answer that is not looked into.
    pub(crate) fn skipped(body: B, report: Box<Report>) -> Self {
        Self { kind: Kind::Pass { body, report: Some(report), hidden: false } }
    }

    /// The body of an answer to `HEAD`, where one to `GET` would be amended. Servers that find no
    /// Content-Length write one from the hint, which is of the bytes before (RFC 9110 §8.6).
    pub(crate) fn unmeasured(body: B, report: Box<Report>) -> Self {
        Self { kind: Kind::Pass { body, report: Some(report), hidden: true } }
    }

    /// The body of an answer that was, and perhaps still is.
    pub(crate) fn amended(amended: Pin<Box<Amended<B>>>) -> Self {
        Self { kind: Kind::Amend { amended } }
    }

    /// The body of an answer that the layer gives itself.
    pub(crate) fn own(data: Bytes, report: Box<Report>) -> Self {
        Self { kind: Kind::Own { own: Box::new(Own { data, report }) } }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Pass { body, report, .. } => {
                let frame = ready!(body.poll_frame(cx));
                if let (None, Some(report)) = (&frame, report) {
                    report.tell();
                }
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes))))
            }
            KindProj::Amend { amended } => amended.as_mut().poll_frame(cx),
            KindProj::Own { own } => {
                let data = mem::take(&mut own.data);
                if data.is_empty() {
                    own.report.tell();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Pass { body, .. } => body.is_end_stream(),
            Kind::Amend { amended } => amended.work.is_end_stream(),
            Kind::Own { own } => own.data.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Pass { hidden: true, .. } => SizeHint::default(),
            Kind::Pass { body, .. } => body.size_hint(),
            Kind::Amend { amended } => amended.size_hint(),
            Kind::Own { own } => SizeHint::with_exact(own.data.len() as u64),
        }
    }
}

/// Layers above that answer in the service's place, as tower-http's `Timeout` does, ask for an empty body.
impl<B: Body + Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::pass(B::default())
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    // A body is never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

/// What is left to send of the layer's own answer.
struct Own {
    data: Bytes,
    report: Box<Report>,
}

/// Without a copy where the data is `Bytes` already.
fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

pin_project! {
    /// A body, and the work on it.
    pub(crate) struct Amended<B: Body> {
        #[pin]
        below: B,
        work: Work<B::Error>,
    }
}

// === impl Amended ===

impl<B: Body> Amended<B> {
    pub(crate) fn new(below: B, report: Box<Report>) -> Self {
        Self { below, work: Work::new(report) }
    }

    /// Holds the body until it is all there, or longer than the limit, or hopeless.
    pub(crate) fn poll_decided(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while !this.work.is_decided() {
            let frame = ready!(this.below.as_mut().poll_frame(cx));
            this.work.hold(frame);
        }
        Poll::Ready(())
    }

    /// Makes the head say what is known of the body, and corrects it where the bytes change.
    pub(crate) fn decide(self: Pin<&mut Self>, head: &mut response::Parts) {
        self.project().work.decide(head);
    }

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        loop {
            if let Poll::Ready(frame) = this.work.write() {
                return Poll::Ready(frame);
            }
            let frame = ready!(this.below.as_mut().poll_frame(cx));
            this.work.stream(frame);
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.work.size_hint(|| self.below.size_hint())
    }
}
