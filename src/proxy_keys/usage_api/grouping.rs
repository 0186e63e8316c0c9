//! The dimensions of a response, and their values in each result.

use std::sync::Arc;

use super::endpoint::UsageEndpoint;
use super::parameters::{UsageParameters, refuse_value};
use crate::proxy_keys::gate::Refusal;
use crate::proxy_keys::ledger::SumKey;

/// The dimensions by which results are grouped. Users, tiers, sources and sizes are unknown, so they separate no results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grouping {
    by_project: bool,
    by_key: bool,
    /// True for the dimension `model`, or `line_item` of costs.
    by_model: bool,
    by_batch: bool,
}

/// The values of the dimensions in one result. The results of a bucket are in the order of these values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ResultDimensions {
    /// `None` also for calls without a group.
    pub(super) project_id: Option<Arc<str>>,
    pub(super) key_id: Option<Arc<str>>,
    pub(super) model: Option<Arc<str>>,
    /// No call belongs to a batch.
    pub(super) batch: Option<bool>,
}

impl Grouping {
    /// Parses `group_by`. Returns a refusal if the endpoint does not have a dimension.
    pub(super) fn parse(endpoint: UsageEndpoint, parameters: &UsageParameters<'_>) -> Result<Self, Refusal> {
        let mut grouping = Self::default();
        for dimension in parameters.dimensions() {
            if !endpoint.dimensions().contains(&&*dimension) {
                let known = endpoint.dimensions().join(", ");
                return Err(refuse_value("group_by", &format!("must be one of {known}")));
            }
            match &*dimension {
                "project_id" => grouping.by_project = true,
                "api_key_id" => grouping.by_key = true,
                "model" | "line_item" => grouping.by_model = true,
                "batch" => grouping.by_batch = true,
                _ => {}
            }
        }
        Ok(grouping)
    }

    /// Returns the values of the dimensions in the result that contains these calls.
    pub(super) fn dimensions_of(self, sum_key: &SumKey) -> ResultDimensions {
        let has_project = self.by_project && !sum_key.group_id.is_empty();
        ResultDimensions {
            project_id: if has_project { Some(sum_key.group_id.clone()) } else { None },
            key_id: if self.by_key { Some(sum_key.key_id.clone()) } else { None },
            model: if self.by_model { Some(sum_key.model.clone()) } else { None },
            batch: if self.by_batch { Some(false) } else { None },
        }
    }
}
