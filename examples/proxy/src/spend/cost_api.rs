//! The differences between the providers' APIs of costs, and the ledger of proxy keys.
use tower_api_key_name::names::Provider;

use super::periods::DayRange;
use super::query::{Dimension, SpendQuery};

pub mod anthropic;
pub mod ledger;
pub mod openai;

/// The properties of a provider's API of costs.
#[derive(Debug)]
pub struct CostApi {
    /// The name in sentences and in FOCUS files.
    pub display_name: &'static str,
    /// The member with the id of a project.
    pub project_id_member: &'static str,
    /// The response header with the organization of the credential.
    pub organization_header: &'static str,
    /// The value of the request header `anthropic-beta`.
    pub beta: Option<&'static str>,
    /// The most days of one request. `None` if there is no limit.
    pub max_request_days: Option<u32>,
    /// True if the rows are in buckets of one day, in the order of time. False if each row has a day of its own.
    pub has_buckets: bool,
    /// True if the line item of a row is its model.
    pub has_models_as_line_items: bool,
    /// Returns the request target of the first page of a range of days.
    pub first_page_target: fn(&SpendQuery, DayRange) -> String,
}

impl CostApi {
    /// Returns the API of a provider.
    pub fn of(provider: Provider) -> &'static Self {
        match provider {
            Provider::Anthropic => &anthropic::COST_API,
            _ => &openai::COST_API,
        }
    }
}

/// Adds a parameter for each member whose dimensions occur in the query.
fn append_group_by(target: &mut String, query: &SpendQuery, members: &[(&[Dimension], &str)]) {
    for (dimensions, member) in members {
        if query.groups_by_any(dimensions) {
            target.push_str("&group_by%5B%5D=");
            target.push_str(member);
        }
    }
}
