//! Anthropic's API for the demo organization: keys and usage reports.
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::params::{QueryParams, format_cursor, parse_cursor};
use super::reports::scramble;
use super::response::{DAY, DemoResponse, now};

pub(super) struct AnthropicKey {
    pub id: &'static str,
    pub name: &'static str,
    status: &'static str,
}

pub(super) const KEYS: [AnthropicKey; 3] = [
    AnthropicKey { id: "apikey_01Rj2N8SVvo6BePZj99NhmiT", name: "assistant-prod", status: "active" },
    AnthropicKey { id: "apikey_01Kd7WqYbLmXc4TfGh3ZsUeP", name: "assistant-dev", status: "active" },
    AnthropicKey { id: "apikey_01Vb5HnCxQaJy9RtDk2MwEoL", name: "old crawler", status: "archived" },
];

/// Returns an error in Anthropic's form.
pub(super) fn error_response(status: StatusCode, kind: &str, message: &str) -> DemoResponse {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    DemoResponse(status, body.to_string())
}

/// Returns the response to a request whose path continues with `path` after `/v1/organizations/`.
pub(super) fn respond(method: &Method, path: &str, params: &QueryParams) -> DemoResponse {
    let result = match (method, path) {
        (&Method::GET, "usage_report/messages") => report_messages(params),
        (&Method::GET, "api_keys") => list_keys(params),
        _ => return error_response(StatusCode::NOT_FOUND, "not_found_error", "Not found"),
    };
    match result {
        Ok(body) => DemoResponse(StatusCode::OK, body.to_string()),
        Err(message) => error_response(StatusCode::BAD_REQUEST, "invalid_request_error", message),
    }
}

/// Returns a page of the usage report, with one bucket per day. An error is the message of a 400.
fn report_messages(params: &QueryParams) -> Result<Value, &'static str> {
    const GROUPS: [&str; 3] = ["api_key_id", "workspace_id", "model"];
    let starting_at = params.first("starting_at").ok_or("starting_at: Field required")?;
    let start = parse_midnight(starting_at).ok_or("starting_at: not an RFC 3339 time")?;
    let end = match params.first("ending_at") {
        Some(ending_at) => parse_midnight(ending_at).ok_or("ending_at: not an RFC 3339 time")?,
        None => now(),
    };
    let limit = match params.first("limit").map(str::parse::<usize>) {
        None => 7,
        Some(Ok(limit @ 1..=31)) => limit,
        Some(_) => return Err("limit: from 1 to 31"),
    };
    let groups = params.list("group_by");
    if groups.iter().any(|group| !GROUPS.contains(group)) {
        return Err("group_by: Input should be 'api_key_id', 'workspace_id' or 'model'");
    }
    let key_ids = params.list("api_key_ids");
    let mut time = match params.first("page") {
        None => start,
        Some(cursor) => parse_cursor(cursor).ok_or("page: invalid")?,
    };
    let mut buckets = Vec::new();
    while buckets.len() < limit && time < end {
        let results = rows(time, &groups, &key_ids);
        let next_day = time + DAY;
        buckets.push(json!({
            "starting_at": timestamp(time), "ending_at": timestamp(next_day), "results": results
        }));
        time = next_day;
    }
    let next_page = if time < end { Some(format_cursor(time)) } else { None };
    Ok(json!({"data": buckets, "has_more": next_page.is_some(), "next_page": next_page}))
}

/// Returns the rows of one day: one per key if they are grouped by key, and one without a key.
///
/// The row without a key contains the use of the Workbench, or of all keys. Rows by key are filtered by `key_ids`.
fn rows(time: u64, groups: &[&str], key_ids: &[&str]) -> Vec<Value> {
    let is_by_key = groups.contains(&"api_key_id");
    let mut keys: Vec<Option<&str>> = Vec::new();
    if is_by_key {
        keys.extend(KEYS.iter().map(|key| Some(key.id)));
    }
    keys.push(None);

    let mut rows = Vec::new();
    for (index, key) in keys.into_iter().enumerate() {
        let is_selected = !is_by_key || key_ids.is_empty() || key.is_some_and(|id| key_ids.contains(&id));
        if is_selected {
            rows.push(row(key, scramble(time ^ index as u64), groups));
        }
    }
    rows
}

/// Returns a row whose numbers are derived from `used`.
fn row(key: Option<&str>, used: u64, groups: &[&str]) -> Value {
    let model = if groups.contains(&"model") { Some("claude-sonnet-4-5-20250929") } else { None };
    json!({
        "uncached_input_tokens": used % 1_000_000,
        "cache_creation": {
            "ephemeral_1h_input_tokens": used % 1_009, "ephemeral_5m_input_tokens": used % 5_003
        },
        "cache_read_input_tokens": used % 200_003,
        "output_tokens": used % 50_021,
        "server_tool_use": {"web_search_requests": used % 11},
        "api_key_id": key,
        "workspace_id": null,
        "model": model,
        "service_tier": null,
        "context_window": null,
    })
}

/// Returns a page of the list of keys. An error is the message of a 400.
fn list_keys(params: &QueryParams) -> Result<Value, &'static str> {
    let limit = match params.first("limit").map(str::parse::<usize>) {
        None => 20,
        Some(Ok(limit @ 1..=1000)) => limit,
        Some(_) => return Err("limit: from 1 to 1000"),
    };
    let start = match params.first("after_id") {
        None => 0,
        Some(id) => 1 + KEYS.iter().position(|key| key.id == id).ok_or("after_id: not found")?,
    };
    let end = KEYS.len().min(start + limit);
    let page = &KEYS[start..end];
    Ok(json!({
        "data": page.iter().map(key_item).collect::<Vec<_>>(),
        "first_id": page.first().map(|key| key.id),
        "last_id": page.last().map(|key| key.id),
        "has_more": end < KEYS.len(),
    }))
}

fn key_item(key: &AnthropicKey) -> Value {
    json!({
        "id": key.id, "type": "api_key", "name": key.name, "workspace_id": null, "status": key.status,
        "created_at": "2025-01-01T00:00:00Z",
        "created_by": {"id": "user_01WCz1FkmYMm4gnmykNKUu3Q", "type": "user"},
        "partial_key_hint": "sk-ant-api03-R2D...igAA",
    })
}

/// Returns the start of an RFC 3339 time's day in Unix seconds. The offset from UTC is ignored.
fn parse_midnight(text: &str) -> Option<u64> {
    let mut numbers = text.get(..10)?.split('-').map(|number| number.parse::<u64>().ok());
    let year = numbers.next()??;
    let month = numbers.next()??;
    let day = numbers.next()??;
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days_of_years: u64 = (1970..year).map(days_in_year).sum();
    let days_of_months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    Some((days_of_years + days_of_months + day - 1) * DAY)
}

/// Returns the RFC 3339 time of the start of a day.
pub(super) fn timestamp(time: u64) -> String {
    let mut days = time / DAY;
    let mut year = 1970;
    while days >= days_in_year(year) {
        days -= days_in_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_in_month(year, month) {
        days -= days_in_month(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}T00:00:00Z", days + 1)
}

fn days_in_year(year: u64) -> u64 {
    (1..=12).map(|month| days_in_month(year, month)).sum()
}

/// Returns the length of a month in the Gregorian calendar.
fn days_in_month(year: u64, month: u64) -> u64 {
    let leap_interval = if year.is_multiple_of(100) { 400 } else { 4 };
    let is_leap_year = year.is_multiple_of(leap_interval);
    match month {
        2 if is_leap_year => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
