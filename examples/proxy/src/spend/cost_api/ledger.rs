//! The costs in the ledger of proxy keys, which are served in the form of OpenAI's costs.
use super::{CostApi, append_group_by};
use crate::spend::periods::{DayRange, start_of_day};
use crate::spend::query::{Dimension, SpendQuery};

/// The costs in the ledger. Its projects are the groups of the keys file.
pub static COST_API: CostApi = CostApi {
    display_name: "Ledger",
    project_id_member: "project_id",
    organization_header: "openai-organization",
    beta: None,
    max_request_days: None,
    has_buckets: true,
    has_models_as_line_items: true,
    first_page_target,
};

/// The most buckets of one page. The ledger produces a page bucket by bucket.
const MAX_BUCKETS: u32 = 180;

/// Returns the request target of the first page of a range of days.
fn first_page_target(query: &SpendQuery, days: DayRange) -> String {
    let start_time = start_of_day(days.first).as_second();
    let end_time = start_of_day(days.day_after()).as_second();
    let mut target =
        format!("/v1/organization/costs?start_time={start_time}&end_time={end_time}&limit={MAX_BUCKETS}");
    let members: [(&[Dimension], &str); 3] = [
        (&[Dimension::KeyName, Dimension::KeyId], "api_key_id"),
        (&[Dimension::ProjectName, Dimension::ProjectId], "project_id"),
        (&[Dimension::LineItem, Dimension::Model], "line_item"),
    ];
    append_group_by(&mut target, query, &members);
    target
}
