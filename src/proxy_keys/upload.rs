//! The body of a request, which is read whole before it is checked.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::gate::{Refusal, RefusalKind};
use super::key_share::KeyShare;
use super::keys::ProxyKey;
use super::settings::ProxyKeySettings;
use crate::budget::Reservation;

/// The memory for the first bytes of a body.
const MIN_CAPACITY: usize = 8 * 1024;

/// The number of frames after which the clock is read, although each next frame is ready.
const FRAMES_PER_CLOCK_CHECK: u32 = 64;

pin_project! {
    /// A request body that is being read.
    pub(super) struct RequestUpload<A> {
        #[pin]
        body: A,
        #[pin]
        deadline: Sleep,
        timeout: Duration,
        frame_count: u32,
        buffer: UploadBuffer,
    }
}

impl<A: Body> RequestUpload<A> {
    /// Starts to read a body of a request with this key. It is polled for the first time by [`poll_body`](Self::poll_body).
    pub(super) fn new(body: A, settings: &ProxyKeySettings, key: Arc<ProxyKey>) -> Self {
        let timeout = settings.upload_timeout;
        let buffer = UploadBuffer {
            bytes: Vec::new(),
            max_len: settings.max_request_body,
            reservation: Reservation::new(Some(Arc::clone(&settings.budget))),
            share: Some(KeyShare::new(Arc::clone(&settings.key_shares), key)),
        };
        Self { body, deadline: tokio::time::sleep(timeout), timeout, frame_count: 0, buffer }
    }

    /// Reads the body up to its end. Returns a refusal if it is too long, too slow or cut, or if the budget is full.
    pub(super) fn poll_body(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<UploadedBody, Refusal>> {
        let mut upload = self.project();
        loop {
            match upload.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not sent on.
                    if let Ok(data) = frame.into_data()
                        && let Err(refusal) = upload.buffer.add(data)
                    {
                        return Poll::Ready(Err(refusal));
                    }
                    *upload.frame_count += 1;
                    let reads_clock = upload.frame_count.is_multiple_of(FRAMES_PER_CLOCK_CHECK);
                    if reads_clock && Instant::now() >= upload.deadline.deadline() {
                        return Poll::Ready(Err(slow_body(*upload.timeout)));
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(cut_body())),
                Poll::Ready(None) => return Poll::Ready(Ok(upload.buffer.take())),
                Poll::Pending if upload.deadline.as_mut().poll(cx).is_ready() => {
                    return Poll::Ready(Err(slow_body(*upload.timeout)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The bytes of a body so far.
struct UploadBuffer {
    bytes: Vec<u8>,
    max_len: usize,
    /// The capacity of `bytes`.
    reservation: Reservation,
    /// `None` after the end of the body.
    share: Option<KeyShare>,
}

impl UploadBuffer {
    /// Adds the next bytes. Returns a refusal if the body becomes too long, or if the budget is full.
    fn add(&mut self, mut data: impl Buf) -> Result<(), Refusal> {
        let len = self.bytes.len().saturating_add(data.remaining());
        if len > self.max_len {
            return Err(long_body(self.max_len));
        }
        if len > self.bytes.capacity() {
            self.grow(len)?;
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            let chunk_len = chunk.len();
            self.bytes.extend_from_slice(chunk);
            data.advance(chunk_len);
        }
        Ok(())
    }

    /// Increases the memory for a body of at least `len` bytes. It is doubled, so that the cost of copies is linear.
    /// Returns a refusal if the budget is full.
    fn grow(&mut self, len: usize) -> Result<(), Refusal> {
        let doubled = self.bytes.capacity().saturating_mul(2).max(MIN_CAPACITY);
        let capacity = doubled.min(self.max_len).max(len);
        if let Some(share) = &mut self.share
            && !share.try_set(capacity as u64, self.max_len as u64)
        {
            let message = "The key has too many request bodies in flight.";
            return Err(Refusal::new(RefusalKind::Overloaded, message).retry_after(1));
        }
        self.reservation.grow(capacity as u64);
        if self.reservation.allowed() < capacity as u64 {
            let message = "The service has too many request bodies in flight.";
            return Err(Refusal::new(RefusalKind::Overloaded, message).retry_after(1));
        }
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    /// Removes the whole body.
    fn take(&mut self) -> UploadedBody {
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        UploadedBody { bytes, reservation: std::mem::take(&mut self.reservation), share: self.share.take() }
    }
}

/// A whole body with its memory in the budget.
pub(super) struct UploadedBody {
    pub(super) bytes: Bytes,
    reservation: Reservation,
    share: Option<KeyShare>,
}

impl UploadedBody {
    /// Replaces the bytes by an edited copy.
    pub(super) fn replace(&mut self, bytes: Bytes) {
        let len = bytes.len() as u64;
        self.reservation.set(len);
        if let Some(share) = &mut self.share {
            // An edit adds less than 100 bytes, so it is not refused.
            share.try_set(len, u64::MAX);
        }
        self.bytes = bytes;
    }

    /// Returns the bytes. Their memory is returned to the budget when their last clone is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        let UploadedBody { bytes, reservation, share } = self;
        Bytes::from_owner(ReservedBytes { bytes, _reservation: reservation, _share: share })
    }
}

/// The owner of a body's bytes.
struct ReservedBytes {
    bytes: Bytes,
    /// Dropped with the bytes. Never read.
    _reservation: Reservation,
    /// Dropped with the bytes. Never read.
    _share: Option<KeyShare>,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The refusal of a body that is longer than the limit.
pub(super) fn long_body(max_len: usize) -> Refusal {
    let message = format!("The request body is longer than {max_len} bytes.");
    Refusal::new(RefusalKind::BodyTooLarge, message)
}

/// The refusal of a body that does not arrive in time.
fn slow_body(timeout: Duration) -> Refusal {
    let message = format!("The request body did not arrive within {} seconds.", timeout.as_secs_f64());
    Refusal::new(RefusalKind::UploadTimeout, message)
}

/// The refusal of a body whose connection failed.
fn cut_body() -> Refusal {
    Refusal::new(RefusalKind::InvalidRequest, "The request body was cut before its end.")
}
