//! The check of a whole request body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::proxy_keys::estimate::CallEstimate;
use crate::proxy_keys::gate::{PermittedHead, Refusal, RefusalKind};
use crate::proxy_keys::keys::Prices;
use crate::proxy_keys::upload::UploadedBody;

/// The longest body that is checked in the task of its request. A check reads about 1 GB in a second, so this takes less than
/// a millisecond.
const MAX_INLINE_BODY: usize = 256 * 1024;

/// A body that the gate permits, with the content that the admission needs.
pub(in super::super) struct PermittedBody {
    /// The body for the upstream.
    pub(super) bytes: Bytes,
    /// True if the response is a stream of events.
    pub(super) streams: bool,
    pub(super) hides_usage_event: bool,
    pub(super) model: String,
    pub(super) estimate: CallEstimate,
    /// The declared number of outputs, or 1.
    pub(super) output_count: u64,
}

/// A check that has ended, or that a thread for blocking tasks executes.
pub(in super::super) enum BodyCheck {
    /// `None` after the result was returned.
    Ended(Option<Result<PermittedBody, Refusal>>),
    Running(JoinHandle<Result<PermittedBody, Refusal>>),
}

impl BodyCheck {
    /// Checks a short body, or starts the check of a long one. The memory of the body stays reserved up to the end of the
    /// check, also if this value is dropped.
    pub(super) fn start(head: &PermittedHead, prices: &Arc<Prices>, body: UploadedBody) -> Self {
        if body.bytes.len() <= MAX_INLINE_BODY {
            return Self::Ended(Some(check_body(head, prices, body)));
        }
        let head = head.clone();
        let prices = prices.clone();
        Self::Running(spawn_blocking(move || check_body(&head, &prices, body)))
    }

    /// Polls the result: a refusal if the body is not permitted.
    pub(in super::super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<PermittedBody, Refusal>> {
        let handle = match self {
            Self::Ended(result) => return Poll::Ready(result.take().expect("polled after completion")),
            Self::Running(handle) => handle,
        };
        match ready!(Pin::new(handle).poll(cx)) {
            Ok(result) => Poll::Ready(result),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shut down.
            Err(_) => {
                let message = "The service ends.";
                Poll::Ready(Err(Refusal::new(RefusalKind::Overloaded, message).retry_after(1)))
            }
        }
    }
}

/// Checks, estimates and edits a body. Returns a refusal if it is not permitted.
fn check_body(
    head: &PermittedHead,
    prices: &Prices,
    mut uploaded: UploadedBody,
) -> Result<PermittedBody, Refusal> {
    let checked = head.check_body(&uploaded.bytes)?;
    let estimate = CallEstimate::new(&uploaded.bytes, &checked, &head.key, prices);
    if let Some(edit) = &checked.edit {
        let edited = edit.apply(&uploaded.bytes);
        uploaded.replace(edited);
    }
    Ok(PermittedBody {
        bytes: uploaded.into_bytes(),
        streams: checked.streams,
        hides_usage_event: checked.hides_usage_event,
        model: checked.model,
        estimate,
        output_count: checked.output.output_count(),
    })
}
