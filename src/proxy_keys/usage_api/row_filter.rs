//! The calls that a response contains.

use std::collections::BTreeSet;

use super::endpoint::UsageEndpoint;
use super::parameters::{UsageParameters, refuse_value};
use crate::proxy_keys::gate::Refusal;
use crate::proxy_keys::ledger::SumKey;
use crate::proxy_keys::visibility::VisibleUsage;

/// The conditions that the calls of a response fulfil.
pub(super) struct RowFilter {
    endpoint: UsageEndpoint,
    visible: VisibleUsage,
    /// The groups of the keys file. An empty text selects the calls without a group.
    project_ids: Option<BTreeSet<String>>,
    key_ids: Option<BTreeSet<String>>,
    models: Option<BTreeSet<String>>,
    /// True if a filter excludes all calls: none has a user, and none belongs to a batch.
    excludes_all: bool,
}

impl RowFilter {
    /// Parses the filters of a query. Returns a refusal if `batch` has another value than `true` or `false`.
    pub(super) fn parse(
        endpoint: UsageEndpoint,
        parameters: &UsageParameters<'_>,
        visible: VisibleUsage,
    ) -> Result<Self, Refusal> {
        let requires_batch = match parameters.text("batch")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(refuse_value("batch", "must be true or false")),
        };
        let models = match endpoint {
            // OpenAI's line items contain commas, so its clients send each one whole.
            UsageEndpoint::Costs => parameters.list_of_unsplit_values("line_items"),
            _ => parameters.list("models"),
        };
        Ok(Self {
            endpoint,
            visible,
            project_ids: parameters.list("project_ids"),
            key_ids: parameters.list("api_key_ids"),
            models,
            excludes_all: requires_batch || parameters.list("user_ids").is_some(),
        })
    }

    /// True if the response contains the calls with this description.
    pub(super) fn includes(&self, sum_key: &SumKey) -> bool {
        !self.excludes_all
            && self.endpoint.includes_call(&sum_key.endpoint)
            && self.visible.includes(&sum_key.key_id, &sum_key.group_id)
            && is_selected(&self.project_ids, &sum_key.group_id)
            && is_selected(&self.key_ids, &sum_key.key_id)
            && is_selected(&self.models, &sum_key.model)
    }
}

/// True if a filter is absent or contains the value.
fn is_selected(filter: &Option<BTreeSet<String>>, value: &str) -> bool {
    match filter {
        Some(values) => values.contains(value),
        None => true,
    }
}
