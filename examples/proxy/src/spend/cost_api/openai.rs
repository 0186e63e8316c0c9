//! OpenAI's costs: the request target and the rows.
use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CostApi, append_group_by};
use crate::spend::json_object::JsonObject;
use crate::spend::periods::{DayRange, start_of_day};
use crate::spend::query::{Dimension, SpendQuery};
use crate::spend::row::{CostRow, NamedId, RowError, RowMember, parse_amount};

/// OpenAI's API of costs.
pub static COST_API: CostApi = CostApi {
    display_name: "OpenAI",
    project_id_member: "project_id",
    organization_header: "openai-organization",
    beta: None,
    max_request_days: None,
    has_buckets: true,
    has_models_as_line_items: false,
    first_page_target,
};

/// The most buckets of one page.
const MAX_BUCKETS: u32 = 180;

/// A row of a bucket. The stack has added the names.
#[derive(Debug, Deserialize)]
pub struct OpenAiRow<'a> {
    #[serde(borrow, default)]
    amount: Option<JsonObject<OpenAiAmount<'a>>>,
    #[serde(borrow, default)]
    api_key_id: RowMember<'a>,
    #[serde(borrow, default)]
    api_key_name: RowMember<'a>,
    #[serde(borrow, default)]
    project_id: RowMember<'a>,
    #[serde(borrow, default)]
    project_name: RowMember<'a>,
    #[serde(borrow, default)]
    user_id: RowMember<'a>,
    #[serde(borrow, default)]
    user_name: RowMember<'a>,
    #[serde(borrow, default)]
    line_item: RowMember<'a>,
    #[serde(borrow, default)]
    organization_id: RowMember<'a>,
}

#[derive(Debug, Deserialize)]
struct OpenAiAmount<'a> {
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    currency: RowMember<'a>,
}

/// Returns the request target of the first page of a range of days.
fn first_page_target(query: &SpendQuery, days: DayRange) -> String {
    // A page by key can have hundreds of MB for each bucket.
    let limit = if query.is_by_key() { 1 } else { MAX_BUCKETS };
    let start_time = start_of_day(days.first).as_second();
    let end_time = start_of_day(days.day_after()).as_second();
    let mut target = format!(
        "/v1/organization/costs?start_time={start_time}&end_time={end_time}&bucket_width=1d&limit={limit}"
    );
    let members: [(&[Dimension], &str); 4] = [
        (&[Dimension::KeyName, Dimension::KeyId], "api_key_id"),
        (&[Dimension::ProjectName, Dimension::ProjectId], "project_id"),
        (&[Dimension::UserName], "user_id"),
        (&[Dimension::LineItem], "line_item"),
    ];
    append_group_by(&mut target, query, &members);
    target
}

impl<'a> OpenAiRow<'a> {
    /// Converts a row of an API with OpenAI's form. Returns `None` if the row has no amount.
    pub fn into_cost_row(
        self,
        api: &'static CostApi,
        organization: Option<&'a str>,
    ) -> Result<Option<CostRow<'a>>, RowError> {
        let Some(JsonObject(OpenAiAmount { value: Some(value), currency })) = self.amount else {
            return Ok(None);
        };
        let model = if api.has_models_as_line_items { self.line_item.clone() } else { RowMember::Absent };
        Ok(Some(CostRow {
            provider: api.display_name,
            organization: organization.map(Cow::Borrowed).or(self.organization_id.into_text()),
            key: NamedId::new(self.api_key_id, self.api_key_name),
            project: NamedId::new(self.project_id, self.project_name),
            user: NamedId::new(self.user_id, self.user_name),
            line_item: self.line_item,
            model,
            currency: currency.into_currency()?,
            amount: parse_amount(value)?,
        }))
    }
}
