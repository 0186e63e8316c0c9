//! The listening socket, and the back-off after errors of `accept`.
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The length of the queue of connections that are not yet accepted. Linux allows no more (somaxconn).
/// `TcpListener::bind` has 128, too few for a thousand clients that connect at once.
const BACKLOG: u32 = 4_096;

/// Listens on the first address of a host that can be bound. Fails with the last address's error, or if there is none.
pub async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(e) => error = e,
        }
    }
    Err(error)
}

/// Listens on one address. Fails if the address cannot be bound.
fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // On Windows it would allow two listeners at one address.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Stops listening, and returns the connections that are still queued.
pub(super) fn close(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let mut streams = Vec::new();
    // The listener is non-blocking: `accept` fails when the queue is empty.
    while let Ok((stream, _)) = listener.accept() {
        let Ok(()) = stream.set_nonblocking(true) else { continue };
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        streams.push(stream);
    }
    streams
}

/// The delay before the next `accept` after an error.
#[derive(Default)]
pub struct AcceptBackOff {
    delay: Duration,
}

impl AcceptBackOff {
    /// Waits after an error, if another `accept` would fail as well.
    /// Without file descriptors or memory, an immediate retry would use the processor and free nothing.
    pub async fn wait(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        // These errors concern one queued connection only.
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
            return;
        }
        self.delay = (self.delay * 2).clamp(Duration::from_millis(5), Duration::from_secs(1));
        tracing::warn!("cannot accept a connection: {error}; next attempt in {:?}", self.delay);
        tokio::time::sleep(self.delay).await;
    }
}
