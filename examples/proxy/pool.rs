//! Connections to the one upstream, kept between calls. hyper-util's client keeps those to any number of
//! hosts, finds the one by its name, and waits in a task of its own for each connection to come back: a
//! third of what a small answer costs here.
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::{BoxError, Service};

use super::base::Base;
use super::timeouts::Upload;

type Connector = HttpsConnector<HttpConnector>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// One of these to two may pass while nobody wants a connection. Two are shorter than what stands
/// between here and the API keeps an idle one (60 s and more): one that the other side has closed already
/// fails the call that is sent on it.
const ROUND: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Error {
    Connect(BoxError),
    /// The connection broke, or what came is not HTTP.
    Exchange(hyper::Error),
}

#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    base: Base,
    host: Option<HeaderValue>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The last one back is the first to go out again; the others grow old.
    idle: Vec<http1::SendRequest<Upload>>,
    /// How many of those were there a round ago, and have not been asked for since.
    old: usize,
    /// Takes any number of calls at a time; and how many rounds ago it was asked for last.
    h2: Option<(http2::SendRequest<Upload>, u8)>,
    /// Whether somebody looks after each round.
    watched: bool,
}

enum Sender {
    H1(http1::SendRequest<Upload>),
    H2(http2::SendRequest<Upload>),
}

/// An answer's body. At its end the connection goes back.
pub(crate) struct Answer {
    inner: Incoming,
    back: Option<(http1::SendRequest<Upload>, Arc<Shared>)>,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(base: &Base, connector: Connector) -> Self {
        let shared = Shared { connector, base: base.clone(), host: base.host_line(), kept: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }
}

impl Service<Request<Upload>> for Pool {
    type Response = Response<Answer>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // It takes any number of calls.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Upload>) -> Self::Future {
        Box::pin(send(self.shared.clone(), request))
    }
}

async fn send(shared: Arc<Shared>, mut request: Request<Upload>) -> Result<Response<Answer>, Error> {
    loop {
        let (sender, reused) = match shared.take() {
            Some(sender) => (sender, true),
            None => (shared.connect().await?, false),
        };
        let mut failed = match sender {
            Sender::H1(mut sender) => match sender.try_send_request(shared.in_http1(request)).await {
                Ok(response) => return Ok(response.map(|inner| Answer::new(inner, Some((sender, shared))))),
                Err(e) => e,
            },
            Sender::H2(mut sender) => match sender.try_send_request(shared.in_http2(request)).await {
                Ok(response) => return Ok(response.map(|inner| Answer::new(inner, None))),
                Err(e) => e,
            },
        };
        match failed.take_message() {
            // It was closed while nobody looked, and not a byte is out: that is no failed call.
            Some(unsent) if reused => request = unsent,
            _ => return Err(Error::Exchange(failed.into_error())),
        }
    }
}

// === impl Shared ===

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Sender> {
        self.kept().take()
    }

    async fn connect(self: &Arc<Self>) -> Result<Sender, Error> {
        let target = self.base.at(PathAndQuery::from_static("/")).unwrap_or_default();
        let stream: Stream = self.connector.clone().call(target).await.map_err(Error::Connect)?;
        if stream.connected().is_negotiated_h2() {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                // A dead connection is found out by asking it.
                .keep_alive_interval(Duration::from_secs(20))
                .handshake(stream)
                .await
                .map_err(Error::Exchange)?;
            tokio::spawn(connection);
            self.keep(|kept| kept.h2 = Some((sender.clone(), 0)));
            return Ok(Sender::H2(sender));
        }
        let (sender, connection) = http1::handshake(stream).await.map_err(Error::Exchange)?;
        tokio::spawn(connection);
        Ok(Sender::H1(sender))
    }

    fn keep(self: &Arc<Self>, keep: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept();
        keep(&mut kept);
        if !mem::replace(&mut kept.watched, true) {
            tokio::spawn(let_old_ones_go(Arc::downgrade(self)));
        }
    }

    /// HTTP/1.1 asks for a path (RFC 9112 §3.2.1), and says of whom in `Host`.
    fn in_http1(&self, mut request: Request<Upload>) -> Request<Upload> {
        // It comes with a path, unless it was to go out in HTTP/2 before.
        if let (Some(_), Some(target)) = (request.uri().authority(), request.uri().path_and_query()) {
            *request.uri_mut() = Uri::from(target.clone());
        }
        if let Some(host) = &self.host {
            request.headers_mut().insert(HOST, host.clone());
        }
        request
    }

    /// HTTP/2 asks for all of it (RFC 9113 §8.3.1).
    fn in_http2(&self, mut request: Request<Upload>) -> Request<Upload> {
        if let Some(target) = request.uri().path_and_query() {
            *request.uri_mut() = self.base.at(target.clone()).unwrap_or_default();
        }
        request.headers_mut().remove(HOST);
        request
    }
}

/// Ends with the pool, or when it keeps nothing.
async fn let_old_ones_go(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(ROUND).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut kept = shared.kept();
        kept.grow_old();
        if kept.idle.is_empty() && kept.h2.is_none() {
            kept.watched = false;
            return;
        }
    }
}

// === impl Kept ===

impl Kept {
    fn take(&mut self) -> Option<Sender> {
        if let Some((sender, rounds)) = &mut self.h2
            && !sender.is_closed()
        {
            *rounds = 0;
            return Some(Sender::H2(sender.clone()));
        }
        // The end of an answer may be known here a moment before its connection knows.
        let ready = self.idle.iter().rposition(http1::SendRequest::is_ready);
        if ready.is_none() {
            self.idle.retain(|sender| !sender.is_closed());
        }
        let sender = ready.map(|at| self.idle.remove(at));
        self.old = self.old.min(self.idle.len());
        sender.map(Sender::H1)
    }

    fn grow_old(&mut self) {
        self.h2 = self.h2.take().filter(|(sender, rounds)| !sender.is_closed() && *rounds == 0);
        if let Some((_, rounds)) = &mut self.h2 {
            *rounds += 1;
        }
        self.idle.drain(..self.old);
        self.idle.retain(|sender| !sender.is_closed());
        self.old = self.idle.len();
    }
}

// === impl Answer ===

impl Answer {
    fn new(inner: Incoming, back: Option<(http1::SendRequest<Upload>, Arc<Shared>)>) -> Self {
        let mut this = Self { inner, back };
        if this.inner.is_end_stream() {
            this.go_back();
        }
        this
    }

    /// At the end. One that is left before does not: what is still to come of it stands in the way.
    fn go_back(&mut self) {
        if let Some((sender, shared)) = self.back.take().filter(|(sender, _)| !sender.is_closed()) {
            shared.keep(|kept| kept.idle.push(sender));
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
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        match &frame {
            Poll::Ready(None) => self.go_back(),
            Poll::Ready(Some(Ok(_))) if self.inner.is_end_stream() => self.go_back(),
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl Error ===

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect(_) => "no connection",
            Self::Exchange(_) => "the exchange failed",
        })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Connect(e) => Some(&**e),
            Self::Exchange(e) => Some(e),
        }
    }
}
