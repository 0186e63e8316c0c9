//! The text of all metrics in the exposition format of Prometheus.
use std::sync::Arc;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::state::{MetricSources, StateMetrics};

/// The media type of the text.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The beginning of the names of all metrics.
const PREFIX: &str = "api_key_name";

/// Writes the metrics of one proxy. Clones write the same metrics.
#[derive(Clone)]
pub struct MetricsExporter {
    registry: Arc<Registry>,
    state: Arc<StateMetrics>,
    has_spend: bool,
}

impl MetricsExporter {
    /// Creates an exporter of these counters and of the state of `sources`. It has the spend by name only if `has_spend`.
    pub fn new(metrics: &Metrics, sources: MetricSources, has_spend: bool) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let has_proxy_keys = sources.proxy_keys.is_some();
        let state = StateMetrics::new(sources, metrics.clone());
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "Version of the proxy", Info::new(version));
        metrics.responses.register(&mut registry);
        metrics.upstream.register(&mut registry);
        metrics.listings.register(&mut registry);
        if has_proxy_keys {
            metrics.proxy_key_calls.register(&mut registry);
        }
        state.register(&mut registry);
        if has_spend {
            metrics.spend.register(&mut registry);
        }
        Self { registry: Arc::new(registry), state: Arc::new(state), has_spend }
    }

    /// True if the text contains the names of keys.
    pub fn has_spend(&self) -> bool {
        self.has_spend
    }

    /// Returns the current values of all metrics.
    pub fn text(&self) -> String {
        self.state.refresh();
        let mut text = String::new();
        // Writing to a `String` does not fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}
