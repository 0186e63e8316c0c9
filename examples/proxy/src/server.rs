//! The listener: HTTP/1.1 and HTTP/2 on one port, and an end that lets go of nobody.
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tower::Service;

use super::calls::Counting;
use super::connection::Connection;
use super::heard::Heard;
use super::limits::{HEAD_BYTES, Limits};
use super::load::Load;

/// The wish to stop, once for all who serve. The second time it is a demand.
#[derive(Clone)]
pub struct Stop {
    wishes: watch::Receiver<u8>,
}

impl Stop {
    pub fn pair() -> (watch::Sender<u8>, Self) {
        let (ask, wishes) = watch::channel(0);
        (ask, Self { wishes })
    }

    /// SIGTERM and Ctrl-C, from now on.
    pub fn on_signals() -> io::Result<Self> {
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

/// As `TcpListener::bind`, whose queue has 128 places: too few for a thousand who come at once.
pub async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    // What Linux allows (somaxconn).
    const QUEUE: u32 = 4_096;
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen_at(address, QUEUE) {
            Ok(listener) => return Ok(listener),
            Err(e) => refused = e,
        }
    }
    Err(refused)
}

fn listen_at(address: SocketAddr, queue: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // On Windows it would let two listen at one address.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(queue)
}

/// Serves until asked to stop, then until the last answer is out, or for as long as there is grace. Gives the
/// number of calls that were cut.
pub async fn serve<S, B>(listener: TcpListener, service: S, limits: Limits, mut stop: Stop) -> usize
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    let load = Load::new(limits);
    let builder = Arc::new(protocols());
    let begin = |stream: TcpStream, place: OwnedSemaphorePermit| {
        // A small answer must not wait for the client's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let (builder, who) = (builder.clone(), load.enter());
        let io = TokioIo::new(Heard::new(stream, who.clone(), |stream| drop(stream.set_zero_linger())));
        let service = Counting::new(service.clone(), who.clone());
        tokio::spawn(async move {
            Connection::new(builder.serve_connection(io, service), who).await;
            drop(place);
        });
    };

    let mut wait = NO_WAIT;
    let mut told = None;
    // Who has come, and has no place yet.
    let mut at_the_door = loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    back_off(&e, &mut wait).await;
                    continue;
                }
            },
            () = stop.asked(1) => break None,
        };
        wait = NO_WAIT;
        let place = match load.place() {
            Some(place) => place,
            None => {
                tell_of_crowd(&mut told, limits.max_connections);
                tokio::select! {
                    Some(place) = load.place_of_another() => place,
                    () = stop.asked(1) => break Some(stream),
                }
            }
        };
        begin(stream, place);
    };

    // Whoever comes now is refused, not left waiting; whoever has come already is served where there is a place.
    if let Ok(queue) = listener.into_std() {
        while let Some(stream) = at_the_door.take().or_else(|| next_in_queue(&queue))
            && let Some(place) = load.place()
        {
            begin(stream, place);
        }
    }
    let (open, in_flight) = (load.open(), load.in_flight());
    if open > 0 {
        tracing::info!("stopping; {in_flight} calls are in flight on {open} connections");
    }
    let before = load.all_cut();
    let (left, why) = tokio::select! {
        // What is left of an upload is no more on its way.
        () = load.finish() => (0, "their clients did not take their answers"),
        () = tokio::time::sleep(limits.grace) => (load.in_flight(), "the time to finish is over (--grace)"),
        () = stop.asked(2) => (load.in_flight(), "asked a second time"),
    };
    let cut = left + load.all_cut() - before;
    if cut > 0 {
        tracing::warn!("stopped with {cut} calls in flight: {why}");
    }
    cut
}

fn next_in_queue(queue: &std::net::TcpListener) -> Option<TcpStream> {
    let (stream, _) = queue.accept().ok()?;
    stream.set_nonblocking(true).ok()?;
    TcpStream::from_std(stream).ok()
}

/// HTTP/1.1 and HTTP/2, with what they may hold. How long they may wait, and how large a head of HTTP/1.1 may be, is
/// the connection's to say: hyper's own timer for a head is made anew for each.
pub fn protocols() -> Builder<TokioExecutor> {
    // A stream's part of what a connection holds, either way. Calls have no content, or little.
    const STREAM: u32 = 64 * 1024;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A peer that is gone without a word is found out by asking.
        .keep_alive_interval(Duration::from_secs(20))
        .max_header_list_size(HEAD_BYTES as u32)
        // As many as RFC 9113 §6.5.2 asks for at least.
        .max_concurrent_streams(100)
        .initial_stream_window_size(STREAM)
        .initial_connection_window_size(4 * STREAM)
        .max_send_buf_size(STREAM as usize);
    builder
}

/// Once a minute at most: there is one for each who comes.
fn tell_of_crowd(told: &mut Option<Instant>, connections: usize) {
    let now = Instant::now();
    if told.is_none_or(|told| now - told > Duration::from_secs(60)) {
        *told = Some(now);
        tracing::warn!(
            "{connections} connections (--max-connections): the longest without a call makes room"
        );
    }
}

const NO_WAIT: Duration = Duration::ZERO;

/// A connection that died in the queue concerns nobody else. Out of descriptors or memory: trying again at
/// once would burn the processor and free nothing.
pub async fn back_off(e: &io::Error, wait: &mut Duration) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(e.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    *wait = (*wait * 2).clamp(Duration::from_millis(5), Duration::from_secs(1));
    tracing::warn!("cannot accept a connection: {e}; next try in {wait:?}");
    tokio::time::sleep(*wait).await;
}
