//! Anthropic's costs: the request target and the rows.
use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CostApi, append_group_by};
use crate::spend::json_object::JsonObject;
use crate::spend::periods::{DayRange, day_of, next_day, start_of_day};
use crate::spend::query::{Dimension, SpendQuery};
use crate::spend::row::{CostRow, NamedId, RowError, RowMember, parse_amount};

/// Anthropic's API of costs. A workspace is a project.
pub static COST_API: CostApi = CostApi {
    display_name: "Anthropic",
    project_id_member: "workspace_id",
    organization_header: "anthropic-organization-id",
    beta: Some("analytics-usage-cost-2026-08-24"),
    max_request_days: Some(31),
    has_buckets: false,
    has_models_as_line_items: false,
    first_page_target,
};

/// The most rows of one page.
const MAX_ROWS: u32 = 1_000;

/// A row of a page. The stack has added the names.
#[derive(Debug, Deserialize)]
pub struct AnthropicRow<'a> {
    #[serde(borrow, default)]
    starting_at: RowMember<'a>,
    #[serde(borrow, default)]
    ending_at: RowMember<'a>,
    #[serde(borrow, default)]
    group: Option<JsonObject<AnthropicGroup<'a>>>,
    #[serde(borrow, default)]
    cost: Option<JsonObject<AnthropicCost<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
struct AnthropicGroup<'a> {
    #[serde(borrow, default)]
    api_key_id: RowMember<'a>,
    #[serde(borrow, default)]
    api_key_name: RowMember<'a>,
    #[serde(borrow, default)]
    workspace_id: RowMember<'a>,
    #[serde(borrow, default)]
    workspace_name: RowMember<'a>,
    #[serde(borrow, default)]
    model: RowMember<'a>,
    #[serde(borrow, default)]
    cost_type: RowMember<'a>,
    #[serde(borrow, default)]
    token_type: RowMember<'a>,
    #[serde(borrow, default)]
    organization_id: RowMember<'a>,
}

#[derive(Debug, Deserialize)]
struct AnthropicCost<'a> {
    /// Cents, after discounts.
    #[serde(borrow, default)]
    amount: Option<&'a RawValue>,
    #[serde(borrow, default)]
    currency: RowMember<'a>,
}

/// Returns the request target of the first page of a range of days.
fn first_page_target(query: &SpendQuery, days: DayRange) -> String {
    let starting_at = start_of_day(days.first);
    let ending_at = start_of_day(days.day_after());
    let mut target = format!(
        "/v1/organizations/analytics/cost?starting_at={starting_at}&ending_at={ending_at}&time_bucket_width=1d&limit={MAX_ROWS}"
    );
    // At most five dimensions are accepted. `cost_type` and `token_type` do not count.
    let members: [(&[Dimension], &str); 5] = [
        (&[Dimension::KeyName, Dimension::KeyId], "api_key_id"),
        (&[Dimension::ProjectName, Dimension::ProjectId], "workspace_id"),
        (&[Dimension::LineItem, Dimension::Model], "model"),
        (&[Dimension::LineItem], "cost_type"),
        (&[Dimension::LineItem], "token_type"),
    ];
    append_group_by(&mut target, query, &members);
    target
}

impl<'a> AnthropicRow<'a> {
    /// Returns the day of the row. An error means that it has no time, or more than one day.
    pub fn day(&self) -> Result<Date, RowError> {
        let start = parse_time(&self.starting_at)?.ok_or(RowError::NoTime)?;
        let day = day_of(start);
        match parse_time(&self.ending_at)? {
            Some(end) if end > start_of_day(next_day(day)) => Err(RowError::NotDaily),
            _ => Ok(day),
        }
    }

    /// Converts the row. Returns `None` if it has no amount.
    pub fn into_cost_row(self, organization: Option<&'a str>) -> Result<Option<CostRow<'a>>, RowError> {
        let Some(JsonObject(AnthropicCost { amount: Some(cents), currency })) = self.cost else {
            return Ok(None);
        };
        let JsonObject(group) = self.group.unwrap_or_default();
        let line_item = join_members([&group.model, &group.cost_type, &group.token_type]);
        Ok(Some(CostRow {
            provider: COST_API.display_name,
            organization: organization.map(Cow::Borrowed).or(group.organization_id.into_text()),
            key: NamedId::new(group.api_key_id, group.api_key_name),
            project: NamedId::new(group.workspace_id, group.workspace_name),
            user: NamedId::default(),
            line_item,
            model: group.model,
            currency: currency.into_currency()?,
            amount: parse_amount(cents)?.cents_to_units(),
        }))
    }
}

/// Parses the time of a member, or returns `None` if it is absent or null.
fn parse_time(member: &RowMember<'_>) -> Result<Option<Timestamp>, RowError> {
    let RowMember::Text(text) = member else { return Ok(None) };
    text.parse().map(Some).map_err(|_| RowError::NoTime)
}

/// Joins the texts of members. Without a text, returns null if a member is null, and absent if all are absent.
fn join_members<'a>(members: [&RowMember<'a>; 3]) -> RowMember<'a> {
    let mut texts = Vec::new();
    for member in members {
        if let RowMember::Text(text) = member {
            texts.push(text.as_ref());
        }
    }
    if !texts.is_empty() {
        return RowMember::Text(texts.join(", ").into());
    }
    if members.contains(&&RowMember::Null) { RowMember::Null } else { RowMember::Absent }
}
