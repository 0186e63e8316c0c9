//! The rest of a response whose client has disconnected.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Body;
use tokio::runtime::Handle;

use crate::proxy_keys::call::UpstreamCall;

/// Reads and meters the rest of a body in a task, and then ends its call.
///
/// The provider charges for a response whose client has gone, and the usage is at its end. Without a runtime, the call is
/// dropped, and thus settled at once.
pub(super) fn start_drain<B: Body + Send + 'static>(body: Pin<Box<B>>, call: Box<UpstreamCall>) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(drain(body, call));
    }
}

/// Drains a body up to its end, for the longest time that the settings permit.
async fn drain<B: Body + Send + 'static>(mut body: Pin<Box<B>>, mut call: Box<UpstreamCall>) {
    let timeout = call.settings.drain_timeout;
    let read_rest = async {
        while let Some(chunk) = poll_fn(|cx| poll_chunk(body.as_mut(), cx)).await {
            call.meter_chunk(&chunk);
            if call.has_metered_end() {
                break;
            }
            // A body that is always ready must not stop the clock.
            tokio::task::consume_budget().await;
        }
    };
    // After the timeout, the usage so far or an estimate is charged.
    let _ = tokio::time::timeout(timeout, read_rest).await;
    let _ = call.end();
}

/// Polls the next chunk. Returns `None` if the body has ended or failed.
fn poll_chunk<B: Body>(mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
    loop {
        let Some(Ok(frame)) = ready!(body.as_mut().poll_frame(cx)) else { return Poll::Ready(None) };
        if let Ok(mut data) = frame.into_data() {
            return Poll::Ready(Some(data.copy_to_bytes(data.remaining())));
        }
    }
}
