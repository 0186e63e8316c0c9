//! The TLS configuration of connections to the upstream.

use std::io;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use tower_api_key_name::directory::BaseUrl;

use crate::settings::Roots;

/// Returns the TLS configuration for connections to `base`, which trusts the authorities of `roots`.
/// The protocols of ALPN are not set: the connector adds them. Fails if the crypto provider supports no TLS version.
pub fn config(base: &BaseUrl, roots: &Roots) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder_with_roots = match roots {
        Roots::Only(authorities) => builder.with_root_certificates(authorities.clone()),
        Roots::Platform if base.is_https() => with_platform_roots(builder),
        // Connections to an http:// base URL use no TLS, so the platform's authorities are not read from disk.
        Roots::Platform => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder_with_roots.with_no_client_auth())
}

/// Adds the platform's certificate authorities, or Mozilla's if the platform has none.
fn with_platform_roots(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    builder.clone().with_native_roots().unwrap_or_else(|error| {
        tracing::info!("the platform has no certificate authorities ({error}): Mozilla's are used");
        builder.with_webpki_roots()
    })
}
