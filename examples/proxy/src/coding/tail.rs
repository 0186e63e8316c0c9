//! Detects bytes after the end of a content coding.
//!
//! tower-http's decoder stops at the end of the first gzip member or of the brotli stream. It reports an error for
//! bytes that follow in another frame (tower-http#712), and discards those in the same frame, so that a response could
//! lose rows without an error. This body sends the last byte in its own frame, which such a decoder rejects. A gzip
//! file of several members (RFC 1952 §2.2) is therefore an error too (tower-http#737).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A body whose last byte is in its own frame, if it has a content coding.
    pub struct TailBody<B> {
        #[pin]
        inner: B,
        is_coded: bool,
        // The last byte that was received.
        last: Option<Bytes>,
        // The frame that follows the previous last byte.
        next: Option<Frame<Bytes>>,
    }
}

impl<B> TailBody<B> {
    pub fn new(inner: B, is_coded: bool) -> Self {
        Self { inner, is_coded, last: None, next: None }
    }
}

impl<B: Body<Data = Bytes>> Body for TailBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if !*this.is_coded {
            return this.inner.poll_frame(cx);
        }
        loop {
            if let Some(frame) = this.next.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
            let previous = match ready!(this.inner.as_mut().poll_frame(cx)).transpose()?.map(Frame::into_data)
            {
                Some(Ok(data)) if data.is_empty() => continue,
                Some(Ok(mut data)) => {
                    let last = data.split_off(data.len() - 1);
                    *this.next = Some(Frame::data(data));
                    this.last.replace(last)
                }
                Some(Err(trailers)) => {
                    *this.next = Some(trailers);
                    this.last.take()
                }
                None => return Poll::Ready(this.last.take().map(|last| Ok(Frame::data(last)))),
            };
            if let Some(previous) = previous {
                return Poll::Ready(Some(Ok(Frame::data(previous))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && self.last.is_none() && self.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // The decoder ignores the size of a coded body.
        if self.is_coded { SizeHint::default() } else { self.inner.size_hint() }
    }
}
