//! How the upstream is reached: TLS, and HTTP/2 where ALPN (RFC 7301) agrees on it.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::pool::Pool;
use super::stack::Settings;

/// Whose word is taken for an upstream's name.
#[derive(Clone, Debug)]
pub(crate) enum Roots {
    /// The platform's, or Mozilla's where the platform has none.
    Found,
    /// These and no others.
    #[allow(dead_code)] // tests bring their own authority
    Given(Arc<RootCertStore>),
}

pub(crate) fn client(settings: &Settings) -> io::Result<Pool> {
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
    Ok(Pool::new(&settings.base, connector))
}

fn tls(settings: &Settings) -> io::Result<ClientConfig> {
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
