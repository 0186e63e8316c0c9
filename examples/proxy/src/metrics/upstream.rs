//! The requests to the upstreams.
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The upper bounds of the latency in seconds. A call of a model can take minutes.
const BOUNDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// The API that a request is for.
#[derive(Clone, Copy, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct ApiLabels {
    pub provider: &'static str,
    /// `organization`, or `calls` for calls with proxy keys.
    pub api: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct StatusLabels {
    provider: &'static str,
    api: &'static str,
    status: u32,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct FailureLabels {
    provider: &'static str,
    api: &'static str,
    reason: &'static str,
}

/// The latency, the statuses and the failures of upstreams.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    seconds: Family<ApiLabels, Histogram, fn() -> Histogram>,
    responses: Family<StatusLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
}

impl Default for UpstreamMetrics {
    fn default() -> Self {
        let seconds = Family::new_with_constructor((|| Histogram::new(BOUNDS)) as fn() -> Histogram);
        Self { seconds, responses: Family::default(), failures: Family::default() }
    }
}

impl UpstreamMetrics {
    /// Counts a response, with the time until its headers.
    pub fn record_response(&self, labels: ApiLabels, status: StatusCode, elapsed: Duration) {
        let ApiLabels { provider, api } = labels;
        self.seconds.get_or_create(&labels).observe(elapsed.as_secs_f64());
        let status = u32::from(status.as_u16());
        self.responses.get_or_create(&StatusLabels { provider, api, status }).inc();
    }

    /// Counts a request without a response.
    pub fn record_failure(&self, labels: ApiLabels, reason: &'static str) {
        let ApiLabels { provider, api } = labels;
        self.failures.get_or_create(&FailureLabels { provider, api, reason }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "upstream_response_seconds",
            "Time until the response headers of the upstream, retries included",
            self.seconds.clone(),
        );
        registry.register(
            "upstream_responses",
            "Responses of the upstream by status",
            self.responses.clone(),
        );
        registry.register(
            "upstream_failures",
            "Requests without a response of the upstream by reason",
            self.failures.clone(),
        );
    }
}
