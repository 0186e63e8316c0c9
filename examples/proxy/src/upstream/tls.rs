//! The TLS configuration of connections to the upstream.

use std::io;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_api_key_name::directory::BaseUrl;

use crate::settings::Roots;

/// Returns the configuration without ALPN, which the connector adds. An error means an unsupported TLS version.
pub fn config(base: &BaseUrl, roots: &Roots) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder_with_roots = match roots {
        Roots::Only(roots) => builder.with_root_certificates(roots.clone()),
        // An http:// base URL needs no authorities, because redirects are not followed. Nothing is read from disk.
        Roots::Platform if !base.is_https() => builder.with_root_certificates(RootCertStore::empty()),
        Roots::Platform => match builder.clone().with_native_roots() {
            Ok(with_native_roots) => with_native_roots,
            Err(error) => {
                tracing::info!("the platform has no certificate authorities ({error}): Mozilla's are used");
                builder.with_webpki_roots()
            }
        },
    };
    Ok(builder_with_roots.with_no_client_auth())
}
