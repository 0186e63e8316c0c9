//! Calls in flight: each counts until the last byte of its response is written and the last byte of its content read.
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower::{Service, ServiceExt};

use super::activity::Activity;
use super::admission::Admission;
use crate::hop_by_hop;

/// The delay of a body's error. hyper discards what it has not written when a body fails.
const FLUSH_TIME: Duration = Duration::from_millis(10);

/// A call in flight: its response is not completely written, or its content is not completely read.
struct CallGuard {
    admission: Arc<Admission>,
    activity: Arc<Activity>,
    id: u64,
}

/// A response that is not completely written.
struct ResponseGuard(Arc<CallGuard>);

/// Request content that is not completely read.
pub struct UploadGuard(Arc<CallGuard>);

/// A request extension. The reader of the content takes the guard out, because extensions are cloned.
pub type UploadExtension = Arc<Mutex<Option<UploadGuard>>>;

/// A response extension: while its work is going on, neither the deadline nor the rate at which the client reads limits the
/// response. They apply from the end of the work.
#[derive(Clone)]
pub struct NoTimeLimit {
    end: Arc<OnceLock<Instant>>,
}

/// The work of a response without a time limit. Dropping it ends the work.
pub struct UnlimitedWork {
    end: Arc<OnceLock<Instant>>,
}

impl NoTimeLimit {
    /// Creates the extension of a response, and its work.
    pub fn new() -> (Self, UnlimitedWork) {
        let end = Arc::new(OnceLock::new());
        (Self { end: end.clone() }, UnlimitedWork { end })
    }

    /// Returns the end of the work, which is unset until then.
    pub(super) fn end(&self) -> Arc<OnceLock<Instant>> {
        self.end.clone()
    }
}

impl Drop for UnlimitedWork {
    fn drop(&mut self) {
        // Set only here.
        let _ = self.end.set(Instant::now());
    }
}

/// Bytes of a response, which keep it in flight until they are written.
struct GuardedChunk {
    bytes: Bytes,
    _guard: Arc<ResponseGuard>,
}

pin_project! {
    pub(super) struct InFlightBody<B: Body> {
        #[pin]
        inner: B,
        guard: Arc<ResponseGuard>,
        // True in HTTP/1.0, where the end of the connection is that of the response (RFC 9112 §6.3).
        ends_with_connection: bool,
        error: Option<(B::Error, Pin<Box<Sleep>>)>,
    }
}

/// Calls the stack. The call is in flight until its guards are dropped.
pub(super) async fn call<S, B: Body>(
    stack: S,
    mut request: Request<Incoming>,
    activity: Arc<Activity>,
    admission: Arc<Admission>,
) -> Result<Response<InFlightBody<B>>, S::Error>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    let has_content = !request.body().is_end_stream();
    let id = activity.state().begin_call(request.version() == Version::HTTP_2, has_content);
    if let Some(overload) = admission.begin_call() {
        request.extensions_mut().insert(overload);
    }
    let call_guard = Arc::new(CallGuard { admission, activity, id });
    if has_content {
        let upload_guard = UploadGuard(call_guard.clone());
        request.extensions_mut().insert::<UploadExtension>(Arc::new(Mutex::new(Some(upload_guard))));
    }
    let guard = Arc::new(ResponseGuard(call_guard));
    let ends_with_connection = request.version() < Version::HTTP_11;
    let response = stack.oneshot(request).await?;
    if let Some(no_time_limit) = response.extensions().get::<NoTimeLimit>() {
        guard.0.activity.state().set_unlimited_until(id, no_time_limit.end());
    }
    guard.0.activity.state().on_chunk(id, 0);
    Ok(response.map(|inner| InFlightBody { inner, guard, ends_with_connection, error: None }))
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.admission.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.0.activity.state().end_call(self.0.id);
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        self.0.activity.state().end_upload();
    }
}

impl AsRef<[u8]> for GuardedChunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<B: Body<Data = Bytes>> Body for InFlightBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    /// Returns the next frame of the inner body, or the error of the inner body after [`FLUSH_TIME`].
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.as_mut().project();
        let CallGuard { activity, id, .. } = &*this.guard.0;
        if let Some((_, delay)) = this.error {
            ready!(delay.as_mut().poll(cx));
            // The client must not take a part of the response for all of it.
            activity.state().is_reset |= *this.ends_with_connection;
            return Poll::Ready(this.error.take().map(|(error, _)| Err(error)));
        }
        match this.inner.poll_frame(cx) {
            Poll::Pending => {
                activity.state().on_drained(*id);
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                let guarded_frame = hop_by_hop::strip_frame(frame).map_data(|bytes| {
                    activity.state().on_chunk(*id, bytes.len());
                    Bytes::from_owner(GuardedChunk { bytes, _guard: this.guard.clone() })
                });
                Poll::Ready(Some(Ok(guarded_frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                *this.error = Some((error, Box::pin(sleep(FLUSH_TIME))));
                // The second call polls the delay.
                self.poll_frame(cx)
            }
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
