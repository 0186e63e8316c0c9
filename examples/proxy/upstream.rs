//! Connections to the upstream: TLS, HTTP/2 where ALPN (RFC 7301) agrees on it, a pool.
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
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

/// One client for all; it is made of a dozen shared parts, which are not cloned for each call.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Arc<Client<HttpsConnector<HttpConnector>, Upload>>,
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
        self.client.request(request)
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
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        // Shorter than what stands between here and the API keeps an idle connection (60 s and more):
        // one that the other side has closed already fails the call that is sent on it.
        .pool_idle_timeout(Duration::from_secs(30))
        // A dead HTTP/2 connection is found out by asking it.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .build(connector);
    Ok(Upstream { client: Arc::new(client) })
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
