//! Metrics for Prometheus: counters of requests, and the state of names, keys and the ledger at the time of a scrape.
//!
//! ```text
//! naming layer ─▶ responses ──┐
//! stack ─▶ upstream, calls ───┤
//! sync ─▶ listings ───────────┼─▶ exporter ─▶ GET /metrics
//! names, keys, ledger ─▶ state┤
//! spend_metrics ─▶ spend ─────┘
//! ```
//!
//! No label contains an id, and only `spend` (`--spend-metrics`) has the names of keys. The values of all other labels are
//! words of this program, and statuses.
pub mod calls;
pub mod exporter;
pub mod listings;
pub mod responses;
pub mod spend;
mod state;
pub mod upstream;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use tower_api_key_name::ApiKeyNameLayer;
use tower_api_key_name::names::Provider;

use calls::CallMetrics;
use listings::ListingMetrics;
use responses::ResponseMetrics;
use spend::SpendMetrics;
use upstream::UpstreamMetrics;

pub use exporter::MetricsExporter;
pub use state::{MetricSources, ProxyKeyState};

/// The counters of one proxy. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub responses: ResponseMetrics,
    pub upstream: UpstreamMetrics,
    pub proxy_key_calls: CallMetrics,
    pub listings: ListingMetrics,
    pub spend: SpendMetrics,
    /// The number of calls in flight at the main address.
    pub calls_in_flight: Arc<AtomicUsize>,
    /// The layer whose responses hold memory.
    pub naming_layer: Arc<OnceLock<ApiKeyNameLayer>>,
}

/// Returns the label value of a provider.
fn provider_label(provider: Option<Provider>) -> &'static str {
    provider.map_or("unknown", |provider| provider.as_str())
}
