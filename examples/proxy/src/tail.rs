//! Whether a coded body ends where its coding does. tower-http's decoder stops at the end of the first gzip member,
//! or of the brotli stream, and sees what follows only if it comes in another frame: what stood behind it in the
//! same one was left out, and the answer ended well. So the last byte of a coded body comes in a frame of its own,
//! and a decoder that has no use for it says so: a 502. That is also what becomes of a gzip file of several members
//! (RFC 1952 §2.2), which that decoder does not read on (tower-http#737).
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    pub struct TailBody<B> {
        #[pin]
        inner: B,
        held: Held,
    }
}

#[derive(Default)]
struct Held {
    /// To go out before anything else.
    ready: VecDeque<Frame<Bytes>>,
    /// The last byte that came.
    last: Option<Bytes>,
}

// === impl TailBody ===

impl<B> TailBody<B> {
    pub fn new(inner: B) -> Self {
        Self { inner, held: Held::default() }
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
        loop {
            if let Some(frame) = this.held.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match ready!(this.inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => this.held.take(frame),
                Some(Err(e)) => return Poll::Ready(Some(Err(e))),
                None => return Poll::Ready(this.held.last.take().map(|last| Ok(Frame::data(last)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.length() == 0 && self.held.ready.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.length();
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::default();
        hint.set_lower(inner.lower().saturating_add(held));
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint
    }
}

// === impl Held ===

impl Held {
    fn take(&mut self, frame: Frame<Bytes>) {
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

    fn length(&self) -> u64 {
        let ready = self.ready.iter().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        (ready + self.last.as_ref().map_or(0, Bytes::len)) as u64
    }
}
