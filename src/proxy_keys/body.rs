//! The response body of the service.

mod drain;
mod metered;

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

pub(super) use self::metered::MeteredBody;

/// The response body of [`ProxyKeyService`](super::ProxyKeyService).
///
/// It is the body `B` of the inner service, metered while it passes, or a whole body: an error, a list of models, or a refusal.
/// `Data` is [`Bytes`] and `Error` is `B::Error`: the layer adds no error.
///
/// If it is dropped before its end, a task of the current Tokio runtime reads the rest, for at most
/// [`drain_timeout`](super::ProxyKeyLayer::drain_timeout).
pub struct ProxyKeyBody<B: Body> {
    kind: ProxyKeyBodyKind<B>,
}

enum ProxyKeyBodyKind<B: Body> {
    Metered(MeteredBody<B>),
    /// A whole body.
    Whole(Bytes),
}

impl<B: Body> ProxyKeyBody<B> {
    /// The body of the inner service, which is metered while it passes.
    pub(super) fn metered(body: MeteredBody<B>) -> Self {
        Self { kind: ProxyKeyBodyKind::Metered(body) }
    }

    /// A body that the layer made, or read whole.
    pub(super) fn whole(data: Bytes) -> Self {
        Self { kind: ProxyKeyBodyKind::Whole(data) }
    }
}

impl<B: Body> Body for ProxyKeyBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.get_mut().kind {
            ProxyKeyBodyKind::Metered(body) => body.poll_frame(cx),
            ProxyKeyBodyKind::Whole(data) if data.is_empty() => Poll::Ready(None),
            ProxyKeyBodyKind::Whole(data) => Poll::Ready(Some(Ok(Frame::data(mem::take(data))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            ProxyKeyBodyKind::Metered(body) => body.is_end_stream(),
            ProxyKeyBodyKind::Whole(data) => data.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            ProxyKeyBodyKind::Metered(body) => body.size_hint(),
            ProxyKeyBodyKind::Whole(data) => SizeHint::with_exact(data.len() as u64),
        }
    }
}

/// Creates an empty body. Layers above that respond in place of the service need it, such as tower-http's `Timeout`.
impl<B: Body> Default for ProxyKeyBody<B> {
    fn default() -> Self {
        Self::whole(Bytes::new())
    }
}

impl<B: Body> fmt::Debug for ProxyKeyBody<B> {
    // Without the data, which may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyKeyBody").finish_non_exhaustive()
    }
}
