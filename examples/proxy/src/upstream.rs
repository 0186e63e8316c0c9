//! The upstream: a call takes a connection that waits, or makes one.
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower::Service;

use super::errors::Failure;
use super::exchange::Answer;
use super::pool::Pool;
use super::settings::ProxySettings;
use super::timeouts::Upload;

#[derive(Clone)]
pub struct Upstream {
    pool: Arc<Pool>,
}

impl Service<Request<Upload>> for Upstream {
    type Response = Response<Answer>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        // The pool takes any number of calls.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Upload>) -> Self::Future {
        let pool = self.pool.clone();
        let Some(connection) = pool.take(request.body().has_content()) else {
            return Box::pin(ask_anew(pool, request));
        };
        let sent = connection.send(request, pool.clone());
        Box::pin(async move {
            let mut e = match sent.await {
                Ok(answer) => return Ok(answer),
                Err(e) => e,
            };
            // It was closed meanwhile, and nothing was sent (RFC 9112 §9.3.1).
            let request = e.take_message().ok_or_else(|| Failure::Transport(e.into_error()))?;
            // In a box of its own, for it is large, and seldom done.
            Box::pin(ask_anew(pool, request)).await
        })
    }
}

/// Asks on a connection that is made for it.
async fn ask_anew(pool: Arc<Pool>, request: Request<Upload>) -> Result<Response<Answer>, Failure> {
    let connection = pool.connect(request.body().has_content()).await?;
    let answer = connection.send(request, pool).await;
    answer.map_err(|e| Failure::Transport(e.into_error()))
}

/// Whose word is taken for an upstream's name.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The platform's, or Mozilla's where the platform has none.
    Found,
    /// These and no others.
    #[allow(dead_code)] // tests bring their own authority
    Given(Arc<RootCertStore>),
}

pub fn client(settings: &ProxySettings) -> io::Result<Upstream> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    // Shared among the addresses of a name: one that does not answer leaves time for the others.
    tcp.set_connect_timeout(Some(settings.timeout));

    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(settings)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    Ok(Upstream { pool: Pool::new(connector, &settings.base) })
}

pub fn tls(settings: &ProxySettings) -> io::Result<ClientConfig> {
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
