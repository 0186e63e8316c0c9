//! Anthropic's analytics API for the demo organization: flat rows of usage or costs.
use serde_json::{Map, Value, json};

use super::dates::{parse_range, timestamp};
use super::params::{QueryParams, format_cursor, parse_cursor};
use super::response::{DAY, scramble};
use super::workspaces::{AnthropicKey, KEYS};

/// The members of a row's group. A member is null unless the query groups by it.
const DIMENSIONS: &str = "product model context_window inference_geo speed slack_channel_id claude_tag_category \
    claude_tag_user_id rbac_group_id organization_id workspace_id api_key_id actor actor_type service_tier agent_id \
    session_id environment_id deployment_id user_profile_id cost_type token_type";

/// The longest range of a report.
const MAX_RANGE: u64 = 31 * DAY;

/// The numbers of a row: their member and its value, from a pseudorandom number.
type Numbers = fn(u64) -> (&'static str, Value);

/// Returns the tokens and requests of a row.
pub(super) fn usage(used: u64) -> (&'static str, Value) {
    let value = json!({
        "uncached_input_tokens": used % 1_000_000, "cache_read_input_tokens": used % 200_003,
        "cache_creation": {"ephemeral_1h_input_tokens": used % 1_009, "ephemeral_5m_input_tokens": used % 5_003},
        "output_tokens": used % 50_021, "requests": used % 3_001, "server_tool_use": {"web_search_requests": used % 11},
    });
    ("usage", value)
}

/// Returns amounts in cents, with decimals, as strings.
pub(super) fn cost(used: u64) -> (&'static str, Value) {
    let cents = |micro_cents: u64| format!("{}.{:06}", micro_cents / 1_000_000, micro_cents % 1_000_000);
    let amount = cents(used % 3_000_000_000);
    let list_amount = cents(used % 3_000_000_000 * 10 / 9);
    let requests = used % 3_001;
    ("cost", json!({"amount": amount, "list_amount": list_amount, "currency": "USD", "requests": requests}))
}

/// Returns a page of a report, with rows for each bucket of time. An error is the message of a 400.
pub(super) fn report(params: &QueryParams, numbers: Numbers) -> Result<Value, &'static str> {
    let (start, mut end) = parse_range(params)?;
    if end > start + MAX_RANGE {
        if params.first("ending_at").is_some() {
            return Err("ending_at: at most 31 days after starting_at");
        }
        end = start + MAX_RANGE;
    }
    let width = match params.first("time_bucket_width") {
        // By default there is one bucket.
        None => DAY.max(end.saturating_sub(start)),
        Some("1d") => DAY,
        Some(_) => return Err("time_bucket_width: Input should be '1d'"),
    };
    let groups = params.list("group_by");
    let is_unknown = |group: &&str| DIMENSIONS.split(' ').all(|dimension| dimension != *group);
    if groups.iter().any(is_unknown) {
        return Err("group_by: Input should be a dimension");
    }
    let is_counted = |group: &&&str| !matches!(**group, "cost_type" | "token_type");
    let dimension_count = groups.iter().filter(is_counted).count();
    if dimension_count > 5 {
        return Err("group_by: at most 5 dimensions");
    }
    let limit = params.page_size(20, 1_000).ok_or("limit: from 1 to 1000")?;
    let first_row = match params.first("page") {
        None => 0,
        Some(cursor) => parse_cursor(cursor).ok_or("page: invalid")? as usize,
    };

    let key_ids = params.all("api_key_ids");
    let mut rows = Vec::new();
    for time in (start..end).step_by(width as usize) {
        let starting_at = timestamp(time);
        let ending_at = timestamp(time + width);
        for (group, used) in sum_groups(time, &groups, &key_ids) {
            let (member, value) = numbers(used);
            let row =
                json!({"starting_at": starting_at, "ending_at": ending_at, "group": group, member: value});
            rows.push(row);
        }
    }
    let last_row = rows.len().min(first_row + limit);
    let page = rows.get(first_row..last_row).ok_or("page: invalid")?;
    let next_page = if last_row < rows.len() { Some(format_cursor(last_row as u64)) } else { None };
    Ok(json!({"data": page, "has_more": next_page.is_some(), "next_page": next_page}))
}

/// Returns the groups of one bucket with their use. An empty entry of `key_ids` selects the use without a key.
fn sum_groups(time: u64, groups: &[&str], key_ids: &[&str]) -> Vec<(Map<String, Value>, u64)> {
    let mut sums: Vec<(Map<String, Value>, u64)> = Vec::new();
    let keys = KEYS.iter().map(Some).chain([None]);
    for (index, key) in keys.enumerate() {
        let id = key.map_or("", |key| key.id);
        if !key_ids.is_empty() && !key_ids.contains(&id) {
            continue;
        }
        let mut group = Map::new();
        for name in DIMENSIONS.split(' ') {
            let value = if groups.contains(&name) { dimension(key, name) } else { Value::Null };
            group.insert(name.to_owned(), value);
        }
        let used = scramble(time ^ index as u64) >> 24;
        match sums.iter_mut().find(|(known, _)| *known == group) {
            Some((_, sum)) => *sum += used,
            None => sums.push((group, used)),
        }
    }
    sums
}

/// Returns the value of a dimension for the use of a key, or for the use without a key.
fn dimension(key: Option<&AnthropicKey>, name: &str) -> Value {
    let user = json!({
        "type": "user_actor", "user_id": "user_01WCz1FkmYMm4gnmykNKUu3Q", "email_address": "ana@example.com",
        "name": "Ana", "deleted": false,
    });
    match (name, key) {
        ("model", _) => "claude-opus-5-5".into(),
        ("api_key_id", Some(key)) => key.id.into(),
        ("workspace_id", Some(key)) => key.workspace.into(),
        ("actor", Some(key)) => json!({"type": "api_actor", "api_key_id": key.id}),
        ("actor", None) => user,
        ("actor_type", Some(_)) => "api_actor".into(),
        ("actor_type", None) => "user_actor".into(),
        _ => Value::Null,
    }
}
