//! `AmendedBody`: polls the upstream body of a response to amend.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::transfer::{BodyEnd, Transfer, TransferState};
use crate::naming::report::Report;

pin_project! {
    /// An upstream body that is amended.
    pub(crate) struct AmendedBody<B: Body> {
        #[pin]
        upstream: B,
        transfer: Transfer<B::Error>,
    }
}

impl<B: Body> AmendedBody<B> {
    pub(crate) fn new(upstream: B, report: Box<Report>) -> Self {
        Self { upstream, transfer: Transfer::new(report) }
    }

    /// Buffers the body and scans it until the headers can go out.
    pub(crate) fn poll_decided(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while !this.transfer.is_decided() {
            let frame = ready!(this.upstream.as_mut().poll_frame(cx));
            this.transfer.receive(frame);
            this.transfer.scan_to_limit();
        }
        Poll::Ready(())
    }

    /// Corrects the headers, and adds the state of the response to its extensions.
    pub(crate) fn decide(self: Pin<&mut Self>, parts: &mut response::Parts) {
        let state = self.project().transfer.decide(&mut parts.headers);
        parts.extensions.insert(state);
    }

    /// Returns the next settled chunk, and polls the upstream body for more. After all data come trailers or an error.
    pub(super) fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let transfer = this.transfer;
        loop {
            if let Some(chunk) = transfer.next_chunk() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            match &mut transfer.state {
                TransferState::Streaming(received_end) => match received_end.take() {
                    Some(end) => transfer.finish_streaming(end),
                    None => transfer.receive(ready!(this.upstream.as_mut().poll_frame(cx))),
                },
                TransferState::Passing => {
                    let frame = ready!(this.upstream.as_mut().poll_frame(cx));
                    return Poll::Ready(transfer.pass(frame));
                }
                _ => return Poll::Ready(transfer.take_end()),
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self.transfer.state {
            TransferState::Draining { end: BodyEnd::Complete(None), .. } => self.transfer.buffered_len() == 0,
            TransferState::Done => true,
            _ => false,
        }
    }

    /// The length of the rest of the output, which is unknown as long as edits may follow.
    pub(super) fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::default();
        match self.transfer.state {
            TransferState::Draining { content_length: Some(length), .. } => hint.set_exact(length),
            TransferState::Done => hint.set_exact(0),
            TransferState::Passing => {
                let buffered = self.transfer.buffered_len();
                let upstream_hint = self.upstream.size_hint();
                hint.set_lower(upstream_hint.lower().saturating_add(buffered));
                if let Some(upper) = upstream_hint.upper().and_then(|rest| rest.checked_add(buffered)) {
                    hint.set_upper(upper);
                }
            }
            _ => {}
        }
        hint
    }
}
