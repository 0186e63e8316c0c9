//! An HTTP/2 upstream that a test controls frame by frame (RFC 9113 §4.1).
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::peer::{Proxy, listen, settings};
use crate::tls::Authority;
use api_key_name_proxy::settings::Roots;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) struct WireFrame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// The upstream's side of one connection.
pub(crate) struct Frames {
    tls: TlsStream<TcpStream>,
}

/// Starts a proxy before an upstream that runs `script` for each connection, with its number from 0.
pub(crate) async fn proxy_to_frames<F>(script: impl Fn(usize, Frames) -> F + Send + 'static) -> Proxy
where
    F: Future<Output = ()> + Send + 'static,
{
    proxy_with_timeout(std::time::Duration::from_secs(60), script).await
}

pub(crate) async fn proxy_with_timeout<F>(
    timeout: std::time::Duration,
    script: impl Fn(usize, Frames) -> F + Send + 'static,
) -> Proxy
where
    F: Future<Output = ()> + Send + 'static,
{
    let authority = Authority::new();
    let acceptor = authority.acceptor(&["h2"]);
    let (listener, address) = listen().await;
    let mut settings = settings(&format!("https://localhost:{}", address.port()));
    settings.roots = Roots::Only(authority.roots());
    settings.timeout = timeout;
    let connections = Arc::<AtomicUsize>::default();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(tls) = acceptor.accept(stream).await {
                tokio::spawn(script(connections.fetch_add(1, Ordering::SeqCst), Frames { tls }));
            }
        }
    });
    Proxy::with(settings).await
}

impl Frames {
    /// Reads the preface and sends these settings (RFC 9113 §3.4, §6.5.1).
    pub(crate) async fn begin(&mut self, settings: &[(u16, u32)]) {
        self.tls.read_exact(&mut [0; 24]).await.unwrap();
        let settings =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        self.send(SETTINGS, 0, 0, &settings.collect::<Vec<u8>>()).await;
    }

    /// Reads the next HEADERS, DATA, RST_STREAM or acknowledged PING. Acknowledges SETTINGS and PING.
    pub(crate) async fn next(&mut self) -> Option<WireFrame> {
        loop {
            let mut head = [0; 9];
            self.tls.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut frame = WireFrame { kind: head[3], flags: head[4], stream, payload: vec![0; length] };
            self.tls.read_exact(&mut frame.payload).await.ok()?;
            match (frame.kind, frame.flags) {
                (SETTINGS, 0) => self.send(SETTINGS, ACK, 0, &[]).await,
                (PING, 0) => self.send(PING, ACK, 0, &frame.payload).await,
                (HEADERS | DATA | RST_STREAM | PING, _) => return Some(frame),
                _ => {}
            }
        }
    }

    /// Reads frames until a request is complete. Returns its stream and its content.
    pub(crate) async fn request(&mut self) -> Option<(u32, Vec<u8>)> {
        let mut content = Vec::new();
        loop {
            let frame = self.next().await?;
            if frame.kind == DATA {
                content.extend_from_slice(&frame.payload);
                let more = u32::try_from(frame.payload.len().max(1)).unwrap().to_be_bytes();
                self.send(8, 0, 0, &more).await;
                self.send(8, 0, frame.stream, &more).await;
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return Some((frame.stream, content));
            }
        }
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        // The client may be gone.
        let _ = self.tls.write_all(&[&head, payload].concat()).await;
    }

    /// Sends the headers of a 200 response (RFC 7541 appendix A: entry 8).
    pub(crate) async fn respond(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS, stream, &[0x88]).await;
    }

    pub(crate) async fn respond_with(&mut self, stream: u32, body: &str) {
        self.respond(stream).await;
        self.send(DATA, END_STREAM, stream, body.as_bytes()).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, reason: u32) {
        self.send(RST_STREAM, 0, stream, &reason.to_be_bytes()).await;
    }

    pub(crate) async fn go_away(&mut self, last_stream: u32, reason: u32) {
        self.send(GOAWAY, 0, 0, &[last_stream.to_be_bytes(), reason.to_be_bytes()].concat()).await;
    }
}
