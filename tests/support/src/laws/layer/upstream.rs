//! An inner service with one scripted response.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use bytes::buf::{Buf, Chain};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

/// A service that returns this response to its only request.
pub(super) struct ScriptedService(pub(super) Option<Response<Script>>);

impl Service<Request<()>> for ScriptedService {
    type Response = Response<Script>;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Response<Script>, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let Some(response) = self.0.take() else { panic!("called twice") };
        ready(Ok(response))
    }
}

/// The error of a scripted body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Failed;

/// A frame of a scripted body, or its error.
pub(super) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Error,
}

/// A body of these steps, of which the last comes first. Some polls are pending.
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) has_hints: bool,
    /// A bit for each of eight polls, repeated. At least one poll of eight is ready.
    pub(super) pending_polls: u8,
    pub(super) polls: u32,
}

impl Body for Script {
    /// A buffer in two parts.
    type Data = Chain<Bytes, Bytes>;
    type Error = Failed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Failed>>> {
        self.polls += 1;
        if self.pending_polls & 0x7F & 1 << (self.polls % 8) != 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.steps.pop().map(|step| match step {
            Step::Data(mut data) => {
                let half = data.split_to(data.len() / 2);
                Ok(Frame::data(half.chain(data)))
            }
            Step::Trailers(trailers) => Ok(Frame::trailers(trailers)),
            Step::Error => Err(Failed),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.has_hints && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let length = |step: &Step| match step {
            Step::Data(data) => data.len() as u64,
            Step::Trailers(_) | Step::Error => 0,
        };
        if self.has_hints {
            SizeHint::with_exact(self.steps.iter().map(length).sum())
        } else {
            SizeHint::default()
        }
    }
}
