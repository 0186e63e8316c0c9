//! Detects bytes after the end of a content coding.
//!
//! tower-http's decoder stops at the end of the first gzip member or of the brotli stream. It reports an error for
//! bytes that follow in another frame, and discards those in the same frame (tower-http#737, #712), so that a response
//! could lose rows without an error. This body sends the last byte in its own frame, which such a decoder rejects. A
//! gzip file of several members (RFC 1952 §2.2) is therefore an error too.

use std::collections::VecDeque;
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
        tail: Option<Tail>,
    }
}

#[derive(Default)]
struct Tail {
    /// Frames that were split off.
    ready: VecDeque<Frame<Bytes>>,
    /// The last byte that was received.
    last: Option<Bytes>,
}

// === impl TailBody ===

impl<B> TailBody<B> {
    pub fn new(inner: B, is_coded: bool) -> Self {
        Self { inner, tail: is_coded.then(Tail::default) }
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
        let Some(tail) = this.tail else { return this.inner.poll_frame(cx) };
        loop {
            if let Some(frame) = tail.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match ready!(this.inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => tail.split(frame),
                Some(Err(e)) => return Poll::Ready(Some(Err(e))),
                None => return Poll::Ready(tail.last.take().map(|last| Ok(Frame::data(last)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && self.tail.as_ref().is_none_or(Tail::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        // The decoder ignores the size of a coded body.
        if self.tail.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

// === impl Tail ===

impl Tail {
    fn split(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(mut data) if !data.is_empty() => {
                let last = data.split_off(data.len() - 1);
                let before = self.last.replace(last);
                self.ready.extend(before.into_iter().chain(Some(data)).map(Frame::data));
            }
            Ok(_) => {}
            Err(trailers) => {
                self.ready.extend(self.last.take().map(Frame::data));
                self.ready.push_back(trailers);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.last.is_none()
    }
}
