//! One client's stream: it tells when bytes come, and refuses a head that is too large. hyper's own bound for it is one
//! for what is written at a time as well, and there less is slower.
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Activity;
use super::limits::HEAD_BYTES;

/// RFC 6585 §5.
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What HTTP/2 begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub struct Heard<I> {
    stream: I,
    who: Arc<Activity>,
    /// Has the system drop what was written and not taken, which it would keep for minutes.
    reset: fn(&I),
    /// What of the preface is still to come; nothing, where something else came.
    preface: &'static [u8],
}

// === impl Heard ===

impl<I> Heard<I> {
    pub fn new(stream: I, who: Arc<Activity>, reset: fn(&I)) -> Self {
        Self { stream, who, reset, preface: PREFACE }
    }

    fn hear(&mut self, came: &[u8]) {
        self.who.hear(came.len());
        if self.preface.is_empty() {
            return;
        }
        let (now, later) = self.preface.split_at(came.len().min(self.preface.len()));
        let is_it = came.starts_with(now);
        self.preface = if is_it { later } else { &[] };
        if is_it && later.is_empty() {
            self.who.hear_many();
        }
    }
}

impl<I> Drop for Heard<I> {
    fn drop(&mut self) {
        if self.who.is_cut() {
            (self.reset)(&self.stream);
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Heard<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.who.rests() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        if self.who.heard() > HEAD_BYTES {
            // Nothing else is being written. Whoever cannot be told now is not waited for.
            let _ = Pin::new(&mut self.stream).poll_write(cx, TOO_LARGE);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a head is too large")));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.hear(&buf.filled()[before..]);
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Heard<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
