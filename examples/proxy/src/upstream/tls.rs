//! The TLS configuration of connections to the upstream.

use std::io;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_api_key_name::directory::BaseUrl;

use crate::settings::Roots;

/// Returns the configuration without ALPN, which the connector adds.
///
/// # Errors
///
/// If the TLS versions are not supported by the cryptography provider.
pub fn config(base: &BaseUrl, roots: &Roots) -> io::Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = match roots {
        Roots::Only(roots) => config.with_root_certificates(roots.clone()),
        // Redirects are not followed, so an http:// base URL never leads to https://. Nothing is read from disk.
        Roots::Platform if !base.is_https() => config.with_root_certificates(RootCertStore::empty()),
        Roots::Platform => match config.clone().with_native_roots() {
            Ok(config) => config,
            Err(e) => {
                tracing::info!("the platform has no certificate authorities ({e}): Mozilla's are used");
                config.with_webpki_roots()
            }
        },
    };
    Ok(config.with_no_client_auth())
}
