//! The settings that the stack is built from. The command line makes them, or a test.
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::RootCertStore;
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::names::{Labels, Provider};
use tower_api_key_name::settings::{InsertNames, NamePosition, Prefer, Unmatched};

use super::by_provider::ByProvider;
use super::metrics::Metrics;

#[derive(Clone, Debug)]
pub struct ProxySettings {
    pub base: ByProvider<BaseUrl>,
    pub timeout: Duration,
    pub deadline: Duration,
    /// Bytes of one response that are buffered. `None`: the library's default.
    pub limit: Option<usize>,
    /// Bytes that all responses of both providers together may buffer. `None`: no such limit.
    pub total_limit: Option<usize>,
    pub labels: Labels,
    pub insert_names: InsertNames,
    pub name_position: NamePosition,
    pub prefer: Prefer,
    pub unmatched: Unmatched,
    pub roots: Roots,
    /// The counters that the stack increments.
    pub metrics: Metrics,
}

/// The settings of the connections to one provider.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    pub base: BaseUrl,
    pub timeout: Duration,
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

impl ProxySettings {
    pub fn upstream(&self, provider: Provider) -> UpstreamSettings {
        let base = self.base.get(provider).clone();
        UpstreamSettings { base, timeout: self.timeout, roots: self.roots.clone() }
    }
}
