//! The outcomes of the naming layer.
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tower_api_key_name::names::Provider;
use tower_api_key_name::outcome::{Outcome, RequestContext};

use super::provider_label;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabels {
    provider: &'static str,
    outcome: &'static str,
    /// The reason why a response was skipped or a request refused. Empty for other outcomes.
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct IdLabels {
    provider: &'static str,
    result: &'static str,
}

/// The counters of outcomes and of ids.
#[derive(Clone, Debug, Default)]
pub struct ResponseMetrics {
    outcomes: Family<OutcomeLabels, Counter>,
    ids: Family<IdLabels, Counter>,
}

impl ResponseMetrics {
    /// Counts one outcome, and the ids of its response.
    pub fn record(&self, outcome: &Outcome, request: &RequestContext) {
        let provider = provider_label(Provider::of_path(request.uri().path()));
        let reason = match outcome {
            Outcome::Skipped { skip, .. } => skip.as_str(),
            Outcome::Refused { refusal } => refusal.code(),
            _ => "",
        };
        let labels = OutcomeLabels { provider, outcome: outcome.as_str(), reason };
        self.outcomes.get_or_create(&labels).inc();
        let counts = outcome.counts();
        for (result, count) in
            [("named", counts.named), ("unmatched", counts.unmatched), ("null", counts.not_a_string)]
        {
            if count > 0 {
                self.ids.get_or_create(&IdLabels { provider, result }).inc_by(count);
            }
        }
    }

    /// Registers the counters. Those of both providers begin with 0, so a rate includes the first response.
    pub(super) fn register(&self, registry: &mut Registry) {
        for provider in [Provider::OpenAi.as_str(), Provider::Anthropic.as_str()] {
            for outcome in ["amended", "unchanged"] {
                drop(self.outcomes.get_or_create(&OutcomeLabels { provider, outcome, reason: "" }));
            }
            for result in ["named", "unmatched", "null"] {
                drop(self.ids.get_or_create(&IdLabels { provider, result }));
            }
        }
        registry.register(
            "responses",
            "Responses in scope by the outcome of the naming layer, and by the reason of a skip or a refusal",
            self.outcomes.clone(),
        );
        registry.register(
            "ids",
            "Ids in responses, by the result of the look-up of their name",
            self.ids.clone(),
        );
    }
}
