//! Connections to the upstream: TLS, HTTP/2 where ALPN (RFC 7301) agrees on it, a pool.
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower::Service;

use super::stack::Settings;
use super::timeouts::Upload;

/// Clients for all; each is made of a dozen shared parts, which are not cloned for each call.
#[derive(Clone)]
pub(crate) struct Upstream {
    clients: Arc<Clients>,
}

struct Clients {
    pooled: Client<HttpsConnector<HttpConnector>, Upload>,
    /// For bodies of unknown length. On a connection whose other side has spoken HTTP/1.0 hyper would send the
    /// head of such a request and no body, and nobody would be told.
    fresh: Client<HttpsConnector<HttpConnector>, Upload>,
}

impl Service<Request<Upload>> for Upstream {
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = legacy::ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        // The pool takes any number of calls.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Upload>) -> Self::Future {
        let body = request.body();
        let is_measured = body.is_end_stream() || body.size_hint().exact().is_some();
        let client = if is_measured { &self.clients.pooled } else { &self.clients.fresh };
        client.request(request)
    }
}

/// Whose word is taken for an upstream's name.
#[derive(Clone, Debug)]
pub(crate) enum Roots {
    /// The platform's, or Mozilla's where the platform has none.
    Found,
    /// These and no others.
    #[allow(dead_code)] // tests bring their own authority
    Given(Arc<RootCertStore>),
}

pub(crate) fn client(settings: &Settings) -> io::Result<Upstream> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    // Whoever asked has gone after that long; this ends an attempt that was made for them.
    tcp.set_connect_timeout(Some(settings.timeout));

    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(settings)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        // Shorter than what stands between here and the API keeps an idle connection (60 s and more):
        // one that the other side has closed already fails the call that is sent on it.
        .pool_idle_timeout(Duration::from_secs(30))
        // A dead HTTP/2 connection is found out by asking it.
        .http2_keep_alive_interval(Duration::from_secs(20));
    let pooled = builder.build(connector.clone());
    let fresh = builder.pool_max_idle_per_host(0).build(connector);
    Ok(Upstream { clients: Arc::new(Clients { pooled, fresh }) })
}

pub(crate) fn tls(settings: &Settings) -> io::Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = match &settings.roots {
        Roots::Given(roots) => config.with_root_certificates(roots.clone()),
        // Redirects are not followed, so no https:// comes of an http:// base: nothing is read.
        Roots::Found if !settings.base.is_https() => config.with_root_certificates(RootCertStore::empty()),
        Roots::Found => match config.clone().with_native_roots() {
            Ok(config) => config,
            Err(why) => {
                tracing::info!("no roots on this platform ({why}): Mozilla's are used");
                config.with_webpki_roots()
            }
        },
    };
    Ok(config.with_no_client_auth())
}
