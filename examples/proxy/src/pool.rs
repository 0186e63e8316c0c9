//! The connections to the upstream that wait for a call, and how one is made: TLS, HTTP/2 where ALPN (RFC 7301) agrees
//! on it.
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::rt::TokioTimer;
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::base::Base;
use super::errors::Failure;
use super::exchange::{Connection, Http1, Shared};

/// How often those that wait are looked through.
const TURN: Duration = Duration::from_secs(10);

/// At which turn it goes, after half a minute at most. That is shorter than what stands between here and the API keeps an
/// idle connection (60 s and more): one that the other side has closed already may fail the call that is sent on it.
const TURNS: u8 = 3;

/// How much is read at once. A page that comes in larger pieces has left the nearer caches when it is looked at.
const READ: usize = 128 * 1024;

/// A dead HTTP/2 connection is found out by asking it.
const ASK: Duration = Duration::from_secs(20);

pub struct Pool {
    connector: HttpsConnector<HttpConnector>,
    base: Base,
    host: HeaderValue,
    waiting: Mutex<Waiting>,
}

/// Each with the number of turns that it waited.
#[derive(Default)]
struct Waiting {
    /// The one that was used last comes last, and is taken first.
    http1: Vec<(u8, Http1)>,
    /// It waits for more calls than it has.
    http2: Option<(u8, Shared)>,
}

/// What hyper has done beside a connection of HTTP/2: that drives its socket, and goes on when the connection's own future
/// is dropped.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

// === impl Pool ===

impl Pool {
    /// Within a runtime, in which it looks through those that wait for as long as anybody can use them.
    pub fn new(connector: HttpsConnector<HttpConnector>, base: &Base) -> Arc<Self> {
        let (base, host) = (base.clone(), base.host_line());
        let pool = Arc::new(Self { connector, base, host, waiting: Mutex::default() });
        let weak = Arc::downgrade(&pool);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TURN).await;
                let Some(pool) = weak.upgrade() else { return };
                pool.turn();
            }
        });
        pool
    }

    /// What Host says.
    pub fn host(&self) -> HeaderValue {
        self.host.clone()
    }

    /// Puts the upstream's scheme and authority before a path.
    pub fn complete(&self, target: &mut Uri) {
        if let Some(path) = target.path_and_query() {
            *target = self.base.with_path(path.clone());
        }
    }

    /// A connection that waits, if there is one for such a call. If it was closed meanwhile, it says so and gives the
    /// request back.
    pub fn take(&self, has_content: bool) -> Option<Connection> {
        let mut waiting = self.waiting();
        if let Some((turns, shared)) = &mut waiting.http2
            && !has_content
            && !shared.is_closed()
            && shared.has_room()
        {
            *turns = 0;
            return Some(Connection::Http2(shared.clone()));
        }
        waiting.http1.pop().map(|(_, connection)| Connection::Http1(connection))
    }

    /// Takes one back whose call is over, for the next.
    pub fn put(&self, mut connection: Http1) {
        if connection.is_idle() {
            self.waiting().http1.push((0, connection));
        }
    }

    /// Makes a connection for such a call.
    pub async fn connect(&self, has_content: bool) -> Result<Connection, Failure> {
        let upstream = self.base.with_path(PathAndQuery::from_static("/"));
        let stream = self.connector.clone().oneshot(upstream).await.map_err(Failure::Unreachable)?;
        if !stream.connected().is_negotiated_h2() {
            let mut builder = http1::Builder::new();
            let (sender, connection) = builder
                .max_buf_size(READ)
                .handshake(stream)
                .await
                .map_err(|e| Failure::Transport(e.into()))?;
            return Ok(Connection::Http1(Http1::new(sender, connection)));
        }
        let tasks = Tasks::default();
        let mut builder = http2::Builder::new(tasks.clone());
        builder.timer(TokioTimer::new()).keep_alive_interval(ASK);
        let (mut sender, connection) =
            builder.handshake(stream).await.map_err(|e| Failure::Transport(e.into()))?;
        // How it ends is told to its calls.
        let driver = tasks.ended(async { drop(connection.await) });
        if has_content {
            return Ok(Connection::Own(sender, Box::pin(driver)));
        }
        tokio::spawn(driver);
        sender.ready().await.map_err(|e| Failure::Transport(e.into()))?;
        // Another may have been made meanwhile: it has the calls that it has.
        let shared = Shared::new(sender);
        self.waiting().http2 = Some((0, shared.clone()));
        Ok(Connection::Http2(shared))
    }

    /// Lets go of those that waited too long, or have come to their end.
    fn turn(&self) {
        let mut waiting = self.waiting();
        let Waiting { http1, http2 } = &mut *waiting;
        http1.retain_mut(|(turns, connection)| {
            *turns += 1;
            *turns < TURNS && connection.is_idle()
        });
        if let Some((turns, shared)) = http2 {
            *turns += 1;
            if *turns >= TURNS || shared.is_closed() {
                *http2 = None;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Tasks ===

impl Tasks {
    /// Waits for the connection, and for all of them; dropped before, it ends them.
    async fn ended(self, connection: impl Future<Output = ()>) {
        struct Ends(Tasks);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.all().abort_all();
            }
        }
        let tasks = Ends(self);
        connection.await;
        while poll_fn(|cx| tasks.0.all().poll_join_next(cx)).await.is_some() {}
    }

    fn all(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        self.all().spawn(async { drop(task.await) });
    }
}
