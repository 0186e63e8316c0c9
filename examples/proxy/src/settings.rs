//! The settings that the stack is built from. The command line makes them, or a test.
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::RootCertStore;
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::settings::Unmatched;

#[derive(Clone, Debug)]
pub struct ProxySettings {
    pub base: BaseUrl,
    pub timeout: Duration,
    pub deadline: Duration,
    /// Bytes of one response that are buffered. `None`: the library's default.
    pub limit: Option<usize>,
    /// Bytes that all responses together may buffer. `None`: no such limit.
    pub total_limit: Option<usize>,
    pub unmatched: Unmatched,
    pub roots: Roots,
}

/// The certificate authorities that are trusted to identify the upstream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Roots {
    /// The authorities of the platform, or Mozilla's if the platform has none.
    Platform,
    /// These authorities only.
    Only(Arc<RootCertStore>),
}
