//! One call on one connection to the upstream.
//!
//! In HTTP/1.1 a connection has one call at a time, and whoever waits for the answer drives it. No task stands between
//! socket and call: nobody has to be woken for bytes that came, and they are taken up while they are near. In HTTP/2
//! calls share a connection, which has a task of its own; but not those with content, which may keep what they have of
//! it for as long as the upstream reads nothing, and whose end is that of the connection.
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::forward::without_hops;
use super::pool::Pool;
use super::timeouts::{Upload, UploadProgress};

pub type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection, or a share in one.
pub enum Connection {
    Http1(Http1),
    Http2(Shared),
    /// All of one of HTTP/2, for one call.
    Own(http2::SendRequest<Upload>, Driver),
}

/// Drives a connection to its end.
pub type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection of HTTP/2 that is driven elsewhere.
#[derive(Clone)]
pub struct Shared {
    sender: http2::SendRequest<Upload>,
    /// As many as there are calls on it, and one.
    share: Arc<()>,
}

/// It does nothing unless it is driven.
pub struct Http1 {
    sender: http1::SendRequest<Upload>,
    /// In a box, for it goes from the pool to the call, to the answer, and back. `None`: it has come to its end.
    connection: Option<Box<http1::Connection<Stream, Upload>>>,
    /// Its other side has spoken HTTP/1.0.
    is_old: bool,
}

/// A connection with a call on it, and where it goes when that is over.
type Driven = (Http1, Arc<Pool>);

/// What comes of a request that is sent.
type Answered<B> = Result<Response<B>, TrySendError<Request<Upload>>>;

pin_project! {
    /// A call until the head of its answer is there.
    #[project = SentProj]
    pub enum Sent<F, G> {
        Http1 { #[pin] head: F, driven: Option<Driven>, upload: Option<Arc<UploadProgress>> },
        Http2 { #[pin] head: G, kept: Kept },
    }
}

/// An answer's body. At its end the connection goes back to the pool; dropped before, it ends.
pub struct Answer {
    inner: Incoming,
    /// What has to be driven for it.
    driven: Option<Driven>,
    _kept: Kept,
}

/// What is held for as long as somebody waits for an answer.
#[derive(Default)]
pub struct Kept {
    /// Of the connection, where that is shared.
    _share: Option<Arc<()>>,
    /// Where it is driven elsewhere for this call alone: dropped, it says that nobody waits for the rest.
    _waits: Option<oneshot::Sender<Infallible>>,
}

/// Polls what only [`Http1::drive`] can move on, with a waker that does nothing: the one that counts is there. Without
/// tokio's budget, whose end would need a wake-up.
pub fn silently<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(tokio::task::unconstrained(poll_fn(poll))).poll(&mut Context::from_waker(Waker::noop()))
}

// === impl Connection ===

impl Connection {
    /// Sends a request, whose target is a path, or what another connection gave back. What was not sent, the error has.
    /// At once, for each `async` on its way would keep a copy.
    pub fn send(
        self,
        mut request: Request<Upload>,
        pool: Arc<Pool>,
    ) -> Sent<impl Future<Output = Answered<Incoming>>, impl Future<Output = Answered<Incoming>>> {
        let upload = request.body().progress();
        let is_endless = request.body().has_content() && request.body().size_hint().exact().is_none();
        let (mut sender, kept) = match self {
            Self::Http1(mut connection) => {
                if request.uri().scheme().is_some()
                    && let Some(path) = request.uri().path_and_query()
                {
                    *request.uri_mut() = path.clone().into();
                }
                let headers = request.headers_mut();
                headers.insert(HOST, pool.host());
                // RFC 9110 §10.1.4.
                headers.insert(CONNECTION, HeaderValue::from_static("te"));
                if is_endless {
                    // Without it hyper leaves out the content of a GET.
                    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                }
                let head = connection.sender.try_send_request(request);
                return Sent::Http1 { head, driven: Some((connection, pool)), upload };
            }
            Self::Http2(Shared { sender, share }) => {
                (sender, Kept { _share: Some(share), ..Kept::default() })
            }
            Self::Own(sender, driver) => (sender, Kept::until(driver, upload)),
        };
        // RFC 9113 §8.2.2, §8.3.1: no Connection, no Transfer-Encoding, and `:authority` in place of Host.
        let headers = request.headers_mut();
        for name in [CONNECTION, TRANSFER_ENCODING, HOST] {
            headers.remove(name);
        }
        pool.complete(request.uri_mut());
        Sent::Http2 { head: sender.try_send_request(request), kept }
    }
}

// === impl Sent ===

impl<F, G> Future for Sent<F, G>
where
    F: Future<Output = Answered<Incoming>>,
    G: Future<Output = Answered<Incoming>>,
{
    type Output = Answered<Answer>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            SentProj::Http1 { mut head, driven, upload } => {
                if let Some((connection, _)) = driven {
                    let _ = connection.drive(cx);
                }
                let answer = ready!(silently(|cx| head.as_mut().poll(cx)))?;
                if let Some((connection, _)) = driven {
                    connection.is_old = answer.version() < Version::HTTP_11;
                }
                Ok(answer.map(|inner| Answer::new(inner, driven.take(), upload.take())))
            }
            SentProj::Http2 { head, kept } => {
                let answer = ready!(head.poll(cx))?;
                Ok(answer.map(|inner| Answer { inner, driven: None, _kept: mem::take(kept) }))
            }
        })
    }
}

// === impl Http1 ===

impl Http1 {
    pub fn new(sender: http1::SendRequest<Upload>, connection: http1::Connection<Stream, Upload>) -> Self {
        Self { sender, connection: Some(Box::new(connection)), is_old: false }
    }

    /// Reads and writes what can be, until it has come to its end. How it ended is told to the call: by the answer, or by
    /// its body.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
        let _ = ready!(Pin::new(&mut **connection).poll(cx));
        self.connection = None;
        Poll::Ready(())
    }

    /// Whether it is between two calls, open as far as one can see, and good for any: where HTTP/1.0 was spoken hyper would
    /// send the head of an upload of unknown length and no body (RFC 9112 §6.1), and nobody would be told.
    pub fn is_idle(&mut self) -> bool {
        silently(|cx| self.drive(cx)).is_pending() && self.sender.is_ready() && !self.is_old
    }

    /// Drives it until its call is over.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.drive(cx).is_ready() { Poll::Ready(()) } else { self.sender.poll_ready(cx).map(drop) }
    }
}

// === impl Kept ===

impl Kept {
    /// Drives a connection with an upload on it. That goes on even if nobody takes of the answer, and behind it for as
    /// long as it moves.
    fn until(driver: Driver, upload: Option<Arc<UploadProgress>>) -> Self {
        let (here, answer) = oneshot::channel();
        let overdue = async move {
            let _ = answer.await;
            if let Some(upload) = upload {
                upload.overdue().await;
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                // First, for it may be at its end already.
                biased;
                () = driver => {}
                () = overdue => {}
            }
        });
        Self { _waits: Some(here), ..Self::default() }
    }
}

// === impl Shared ===

impl Shared {
    /// As many streams as RFC 9113 §6.5.2 asks for at least.
    const MOST: usize = 100;

    pub fn new(sender: http2::SendRequest<Upload>) -> Self {
        Self { sender, share: Arc::default() }
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether the upstream has a stream for one more call: past what it allows, one would wait unseen.
    pub fn has_room(&self) -> bool {
        Arc::strong_count(&self.share) <= Self::MOST
    }
}

// === impl Answer ===

impl Answer {
    fn new(inner: Incoming, mut driven: Option<Driven>, upload: Option<Arc<UploadProgress>>) -> Self {
        let mut kept = Kept::default();
        if upload.is_some()
            && let Some((mut connection, pool)) = driven.take()
        {
            let driver = async move {
                poll_fn(|cx| connection.poll_idle(cx)).await;
                pool.put(connection);
            };
            kept = Kept::until(Box::pin(driver), upload);
        }
        let mut this = Self { inner, driven, _kept: kept };
        if this.inner.is_end_stream() {
            this.rest();
        }
        this
    }

    /// Gives the connection back, when no more comes of it.
    fn rest(&mut self) {
        if let Some((connection, pool)) = self.driven.take() {
            pool.put(connection);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { inner, driven, .. } = &mut *self;
        let mut inner = Pin::new(inner);
        let Some((connection, _)) = driven else { return inner.poll_frame(cx).map(without_hops) };
        let mut frame = silently(|cx| inner.as_mut().poll_frame(cx));
        if frame.is_pending() {
            let _ = connection.drive(cx);
            frame = silently(|cx| inner.as_mut().poll_frame(cx));
        }
        let is_last = match &frame {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers() || self.inner.is_end_stream(),
            // Where its length is not known.
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if is_last {
            self.rest();
        }
        frame.map(without_hops)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
