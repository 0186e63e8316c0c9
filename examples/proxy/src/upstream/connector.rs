//! Connections to the upstream (TCP, TLS), and the protocol that ALPN negotiates (RFC 7301).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use super::tls;
use crate::settings::UpstreamSettings;

/// Opens connections that have one protocol.
pub type Connector = BoxCloneSyncService<Uri, UpstreamStream, BoxError>;

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
    state: Mutex<OriginState>,
}

struct OriginState {
    protocol: Option<Protocol>,
    /// The connection that was opened to learn the protocol. The first request uses it.
    unused: Option<UpstreamStream>,
}

impl Origin {
    /// Creates the connector and opens no connection. An error means that the TLS configuration cannot be made.
    pub fn new(settings: &UpstreamSettings) -> io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        // hyper divides this time among the addresses of a name, so that one silent address leaves time for the others.
        tcp.set_connect_timeout(Some(settings.timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(&settings.base, &settings.roots)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let uri = settings.base.join(&PathAndQuery::from_static("/")).unwrap_or_default();
        // Without TLS there is no ALPN, so the protocol is HTTP/1.1.
        let protocol = if settings.base.is_https() { None } else { Some(Protocol::Http1) };
        let state = Mutex::new(OriginState { protocol, unused: None });
        // A call ends after the timeout, but hyper's pool may continue the attempt. Twice the timeout limits that.
        Ok(Self { connector, uri, timeout: 2 * settings.timeout, state })
    }

    /// Returns the protocol of the latest connection. The first call opens a connection, and the others wait for that.
    /// An error means that no connection can be opened.
    pub async fn protocol(&self) -> io::Result<Protocol> {
        let mut state = self.state.lock().await;
        if let Some(protocol) = state.protocol {
            return Ok(protocol);
        }
        // In a box, so that the future of a request over an open connection stays small.
        let stream = Box::pin(self.connect()).await?;
        let protocol = negotiated_protocol(&stream);
        *state = OriginState { protocol: Some(protocol), unused: Some(stream) };
        Ok(protocol)
    }

    /// Returns a connector for one protocol. If ALPN negotiates the other one, the connector fails, and the next call
    /// uses the other protocol.
    pub fn connector(self: &Arc<Self>, protocol: Protocol) -> Connector {
        let origin = self.clone();
        BoxCloneSyncService::new(service_fn(move |_| origin.clone().connect_with(protocol)))
    }

    /// Returns the unused connection or opens one. If it has another protocol, returns an error and stores the protocol.
    async fn connect_with(self: Arc<Self>, expected: Protocol) -> Result<UpstreamStream, BoxError> {
        let unused = self.state.lock().await.unused.take();
        let stream = match unused {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let negotiated = negotiated_protocol(&stream);
        if negotiated == expected {
            return Ok(stream);
        }
        self.state.lock().await.protocol = Some(negotiated);
        Err("the upstream changed between HTTP/1.1 and HTTP/2".into())
    }

    /// Opens a connection. An error means that it failed or exceeded the timeout.
    async fn connect(&self) -> io::Result<UpstreamStream> {
        let connecting = self.connector.clone().oneshot(self.uri.clone());
        tokio::time::timeout(self.timeout, connecting).await?.map_err(io::Error::other)
    }
}

fn negotiated_protocol(stream: &UpstreamStream) -> Protocol {
    if stream.connected().is_negotiated_h2() { Protocol::Http2 } else { Protocol::Http1 }
}
