//! Connections to the upstream (TCP, TLS), and the protocol that ALPN negotiates (RFC 7301).

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::{BoxError, Service, ServiceExt};

use super::tls;
use crate::settings::ProxySettings;

/// A TCP or TLS connection to the upstream.
pub type UpstreamStream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The protocol of a connection to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// The upstream's address and the protocol of its latest connection.
///
/// A client that does not expect HTTP/2 opens a connection for each waiting call, so the protocol is learned before
/// the first request is sent.
pub struct Origin {
    connector: HttpsConnector<HttpConnector>,
    uri: Uri,
    timeout: Duration,
    learned: Mutex<OriginState>,
    /// Locked while the first connection is opened.
    learning: tokio::sync::Mutex<()>,
}

struct OriginState {
    protocol: Option<Protocol>,
    /// The connection that was opened to learn the protocol. The first request uses it.
    unused: Option<UpstreamStream>,
}

/// Opens connections that have one protocol.
#[derive(Clone)]
pub struct Connector {
    origin: Arc<Origin>,
    protocol: Protocol,
}

/// The reason for which there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The upstream's name is not resolved, or TCP or TLS fails.
    Failed(BoxError),
    /// ALPN negotiated another protocol than before. The next attempt uses it.
    ProtocolChanged,
}

// === impl Origin ===

impl Origin {
    /// Makes no connection yet.
    ///
    /// # Errors
    ///
    /// If the TLS configuration cannot be made.
    pub fn new(settings: &ProxySettings) -> io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        // Divided among the addresses of a name: an address that does not respond leaves time for the others.
        tcp.set_connect_timeout(Some(settings.timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(settings)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let uri = settings.base.join(&PathAndQuery::from_static("/")).unwrap_or_default();
        // Without TLS there is no ALPN.
        let protocol = (!settings.base.is_https()).then_some(Protocol::Http1);
        let learned = Mutex::new(OriginState { protocol, unused: None });
        // A call ends after `timeout`. This limit ends attempts whose call is gone.
        let timeout = 2 * settings.timeout;
        Ok(Self { connector, uri, timeout, learned, learning: Default::default() })
    }

    /// Returns the protocol of the latest connection. The first call opens one.
    ///
    /// # Errors
    ///
    /// If no connection can be opened.
    pub async fn protocol(&self) -> Result<Protocol, ConnectError> {
        if let Some(protocol) = self.learned().protocol {
            return Ok(protocol);
        }
        let _guard = self.learning.lock().await;
        if let Some(protocol) = self.learned().protocol {
            return Ok(protocol);
        }
        let stream = self.connect().await?;
        let protocol = negotiated(&stream);
        *self.learned() = OriginState { protocol: Some(protocol), unused: Some(stream) };
        Ok(protocol)
    }

    async fn connect(&self) -> Result<UpstreamStream, ConnectError> {
        let connecting = self.connector.clone().oneshot(self.uri.clone());
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(connected) => connected.map_err(ConnectError::Failed),
            Err(elapsed) => Err(ConnectError::Failed(elapsed.into())),
        }
    }

    fn learned(&self) -> MutexGuard<'_, OriginState> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn negotiated(stream: &UpstreamStream) -> Protocol {
    if stream.connected().is_negotiated_h2() { Protocol::Http2 } else { Protocol::Http1 }
}

// === impl Connector ===

impl Connector {
    pub fn new(origin: Arc<Origin>, protocol: Protocol) -> Self {
        Self { origin, protocol }
    }
}

impl Service<Uri> for Connector {
    type Response = UpstreamStream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<UpstreamStream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { origin, protocol } = self.clone();
        Box::pin(async move {
            let unused = origin.learned().unused.take();
            let stream = match unused {
                Some(stream) => stream,
                None => origin.connect().await?,
            };
            let negotiated = negotiated(&stream);
            if negotiated == protocol {
                return Ok(stream);
            }
            origin.learned().protocol = Some(negotiated);
            Err(ConnectError::ProtocolChanged)
        })
    }
}

// === impl ConnectError ===

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed(_) => "no connection",
            Self::ProtocolChanged => "the upstream changed between HTTP/1.1 and HTTP/2",
        })
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(e) => Some(&**e),
            Self::ProtocolChanged => None,
        }
    }
}
