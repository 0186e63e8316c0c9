//! The listener: HTTP/1.1 and HTTP/2 on one port, and an end that lets go of nobody.
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use pin_project_lite::pin_project;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service;
use tower::util::Oneshot;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// To send a head; hyper counts the wait for the next one on the same connection too.
    pub(crate) head: Duration,
    /// To finish what is in flight.
    pub(crate) drain: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            // As hyper's own.
            head: Duration::from_secs(30),
            // As long as Kubernetes waits between SIGTERM and SIGKILL.
            drain: Duration::from_secs(30),
        }
    }
}

/// The wish to stop, once for all who serve. The second time it is a demand.
#[derive(Clone)]
pub(crate) struct Stop {
    wishes: watch::Receiver<u8>,
}

impl Stop {
    pub(crate) fn pair() -> (watch::Sender<u8>, Self) {
        let (ask, wishes) = watch::channel(0);
        (ask, Self { wishes })
    }

    /// SIGTERM and Ctrl-C, from now on.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let (ask, stop) = Self::pair();
        let mut signals = Signals::new()?;
        tokio::spawn(async move {
            while signals.next().await {
                ask.send_modify(|wishes| *wishes = wishes.saturating_add(1));
            }
        });
        Ok(stop)
    }

    async fn asked(&mut self, times: u8) {
        // Nobody is left who could ask.
        if self.wishes.wait_for(|n| *n >= times).await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> bool {
        tokio::select! {
            it = self.terminate.recv() => it.is_some(),
            it = self.interrupt.recv() => it.is_some(),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> bool {
        tokio::signal::ctrl_c().await.is_ok()
    }
}

/// Serves until asked to stop, then until the last answer is out.
pub(crate) async fn serve<S, B>(listener: TcpListener, service: S, times: Times, mut stop: Stop)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Without a timer hyper's header timeout is a wish.
        .timer(TokioTimer::new())
        .header_read_timeout(times.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A peer that is gone without a word is found out by asking.
        .keep_alive_interval(Duration::from_secs(20));
    let builder = Arc::new(builder);
    let open = GracefulShutdown::new();
    let mut wait = NO_WAIT;

    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    back_off(&e, &mut wait).await;
                    continue;
                }
            },
            () = stop.asked(1) => break,
        };
        wait = NO_WAIT;
        // A small answer must not wait for the client's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let (builder, watcher, service) = (builder.clone(), open.watcher(), service.clone());
        tokio::spawn(async move {
            let begun = Arc::new(AtomicBool::new(false));
            let service = Begun { inner: Mutex::new(service), begun: begun.clone() };
            let connection = builder.serve_connection(TokioIo::<TcpStream>::new(stream), service);
            let mut connection = pin!(watcher.watch(connection));
            // The builder waits for the first bytes, to know the protocol, without any timeout.
            let ended = match tokio::time::timeout(times.head, &mut connection).await {
                Ok(ended) => ended,
                Err(_) if begun.load(Ordering::Relaxed) => connection.await,
                Err(_) => return,
            };
            if let Err(e) = ended {
                tracing::debug!("a connection ended: {e}");
            }
        });
    }

    // Whoever comes now is refused, not left waiting.
    drop(listener);
    if open.count() > 0 {
        tracing::info!("stopping; {} connections finish what is in flight", open.count());
    }
    tokio::select! {
        () = open.shutdown() => {}
        () = tokio::time::sleep(times.drain) => {
            tracing::warn!("stopped with calls in flight after {} s", times.drain.as_secs());
        }
        () = stop.asked(2) => tracing::warn!("stopped at once"),
    }
}

const NO_WAIT: Duration = Duration::ZERO;

/// A connection that died in the queue concerns nobody else. Out of descriptors or memory: trying again at
/// once would burn the processor and free nothing.
pub(crate) async fn back_off(e: &io::Error, wait: &mut Duration) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(e.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    *wait = (*wait * 2).clamp(Duration::from_millis(5), Duration::from_secs(1));
    tracing::warn!("cannot accept a connection: {e}; next try in {wait:?}");
    tokio::time::sleep(*wait).await;
}

/// Tells that a first head has come, and otherwise is `inner`. A connection has one of its own, and calls it
/// through a shared reference: nobody waits for the lock.
struct Begun<S> {
    inner: Mutex<S>,
    begun: Arc<AtomicBool>,
}

pin_project! {
    #[project = CallProj]
    enum Call<S: Service<Request<Incoming>>> {
        // It was ready, as this proxy's stack always is, and there is nothing to clone.
        Made { #[pin] answer: S::Future },
        Waits { #[pin] answer: Oneshot<S, Request<Incoming>> },
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for Begun<S>
where
    S: Service<Request<Incoming>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Call<S>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Call::Made { answer: inner.call(request) },
            // Asked again, by someone who can be woken.
            _ => Call::Waits { answer: Oneshot::new(inner.clone(), request) },
        }
    }
}

impl<S: Service<Request<Incoming>>> Future for Call<S> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CallProj::Made { answer } => answer.poll(cx),
            CallProj::Waits { answer } => answer.poll(cx),
        }
    }
}
