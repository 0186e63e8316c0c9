//! The responses to clients with proxy keys.
use http::{Request, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabels {
    provider: &'static str,
    status: u32,
}

/// The statuses that clients with proxy keys receive, refusals included.
#[derive(Clone, Debug, Default)]
pub struct CallMetrics {
    responses: Family<CallLabels, Counter>,
}

impl CallMetrics {
    pub fn record(&self, provider: &'static str, status: StatusCode) {
        let status = u32::from(status.as_u16());
        self.responses.get_or_create(&CallLabels { provider, status }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "proxy_key_responses",
            "Responses at the main address with proxy keys by status, refusals included",
            self.responses.clone(),
        );
    }
}

/// Returns the provider of an API request: that of its path, or that of its headers for a path of both.
pub fn provider_of_request<A>(request: &Request<A>) -> &'static str {
    let path = request.uri().path();
    let is_path_of_anthropic = path.starts_with("/v1/messages") || path.starts_with("/v1/organizations/");
    let has_version = request.headers().contains_key("anthropic-version");
    if is_path_of_anthropic || (path == "/v1/models" && has_version) { "anthropic" } else { "openai" }
}
