//! A call, counted from its head until its last byte is out and its content has come: the count goes along with the
//! bytes of both, and is given back where they are dropped, written or not.
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::Service;
use tower::util::Oneshot;

use super::connection::Activity;

/// How long the error of an answer that breaks off is put off. hyper writes what came before while the body is pending,
/// and drops it at an error; in HTTP/2 another task writes.
const MOMENT: Duration = Duration::from_millis(10);

/// The stack, for one connection, which has one of its own and calls it through a shared reference: nobody
/// waits for the lock.
pub struct Counting<S> {
    inner: Mutex<S>,
    who: Arc<Activity>,
}

struct Call {
    who: Arc<Activity>,
    number: usize,
    /// Where no length is known, the answer's end is the connection's (RFC 9112 §6.3).
    ends_with_connection: bool,
}

/// A request extension with the guard of its upload. The naming layer keeps clones of the extensions until the response
/// has ended, so the guard is taken out by the layer that reads the content.
#[derive(Clone)]
pub struct UploadGuard(Arc<Mutex<Option<Uploading>>>);

impl UploadGuard {
    pub fn take(&self) -> Option<Uploading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Marks the call's upload as unfinished until it is dropped.
pub struct Uploading {
    who: Arc<Activity>,
    number: usize,
}

pin_project! {
    pub struct CallFuture<S: Service<Request<Incoming>>> {
        #[pin]
        state: State<S>,
        call: Arc<Call>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S: Service<Request<Incoming>>> {
        // It was ready, as this proxy's stack always is, and there is nothing to clone.
        Made { #[pin] answer: S::Future },
        // In a box, for it has room for the request, which the other has not.
        Waits { answer: Pin<Box<Oneshot<S, Request<Incoming>>>> },
    }
}

pin_project! {
    pub struct Counted<B: Body> {
        #[pin]
        inner: B,
        call: Arc<Call>,
        // The error that it ends with, and when that is told.
        failed: Option<(B::Error, Pin<Box<Sleep>>)>,
    }
}

/// Bytes of an answer.
pub struct Chunk {
    bytes: Bytes,
    _call: Arc<Call>,
}

// === impl Counting ===

impl<S> Counting<S> {
    pub fn new(inner: S, who: Arc<Activity>) -> Self {
        Self { inner: Mutex::new(inner), who }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Counting<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
    B: Body,
{
    type Response = Response<Counted<B>>;
    type Error = S::Error;
    type Future = CallFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let uploads = !request.body().is_end_stream();
        let (number, overload) = self.who.begin(uploads);
        let ends_with_connection = request.version() < Version::HTTP_11;
        let call = Arc::new(Call { who: self.who.clone(), number, ends_with_connection });
        if let Some(overload) = overload {
            request.extensions_mut().insert(overload);
        }
        if uploads {
            let uploading = Uploading { who: self.who.clone(), number };
            request.extensions_mut().insert(UploadGuard(Arc::new(Mutex::new(Some(uploading)))));
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match inner.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => State::Made { answer: inner.call(request) },
            // Asked again, by someone who can be woken.
            _ => State::Waits { answer: Box::pin(Oneshot::new(inner.clone(), request)) },
        };
        CallFuture { state, call }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.who.end(self.number);
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.who.end_upload(self.number);
    }
}

// === impl CallFuture ===

impl<S, B> Future for CallFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    B: Body,
{
    type Output = Result<Response<Counted<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(match this.state.project() {
            StateProj::Made { answer } => answer.poll(cx),
            StateProj::Waits { answer } => answer.as_mut().poll(cx),
        })?;
        this.call.who.give(this.call.number, 0);
        Poll::Ready(Ok(response.map(|inner| Counted { inner, call: this.call.clone(), failed: None })))
    }
}

// === impl Counted ===

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Chunk;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, B::Error>>> {
        let this = self.project();
        let call = this.call;
        if this.failed.is_none() {
            match this.inner.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    return Poll::Ready(Some(Ok(frame.map_data(|bytes| {
                        call.who.give(call.number, bytes.len());
                        Chunk { bytes, _call: call.clone() }
                    }))));
                }
                Poll::Ready(Some(Err(e))) => *this.failed = Some((e, Box::pin(sleep(MOMENT)))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    call.who.wait_for_more(call.number);
                    return Poll::Pending;
                }
            }
        }
        if let Some((_, moment)) = this.failed {
            ready!(moment.as_mut().poll(cx));
            if call.ends_with_connection {
                call.who.break_off();
            }
        }
        Poll::Ready(this.failed.take().map(|(e, _)| Err(e)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl Chunk ===

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, n: usize) {
        self.bytes.advance(n);
    }

    fn copy_to_bytes(&mut self, n: usize) -> Bytes {
        self.bytes.copy_to_bytes(n)
    }
}
