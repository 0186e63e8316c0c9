//! Anthropic's API for the demo organization: its endpoints, and the legacy usage report.
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::analytics;
use super::dates::{parse_range, timestamp};
use super::params::{QueryParams, format_cursor, parse_cursor};
use super::response::{DAY, DemoResponse, scramble};
use super::workspaces::{self, KEYS};

/// Returns an error in Anthropic's form.
pub(super) fn error_response(status: StatusCode, kind: &str, message: &str) -> DemoResponse {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    DemoResponse(status, body.to_string())
}

/// Returns the response to a request whose path continues with `path` after `/v1/organizations/`.
pub(super) fn respond(method: &Method, path: &str, params: &QueryParams) -> DemoResponse {
    let result = match (method, path) {
        (&Method::GET, "usage_report/messages") => report_messages(params),
        (&Method::GET, "analytics/usage") => analytics::report(params, analytics::usage),
        (&Method::GET, "analytics/cost") => analytics::report(params, analytics::cost),
        (&Method::GET, "api_keys") => workspaces::list_keys(params),
        (&Method::GET, "workspaces") => workspaces::list_workspaces(params),
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
    let (start, end) = parse_range(params)?;
    let limit = params.page_size(7, 31).ok_or("limit: from 1 to 31")?;
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
        let starting_at = timestamp(time);
        let ending_at = timestamp(next_day);
        buckets.push(json!({"starting_at": starting_at, "ending_at": ending_at, "results": results}));
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
        "uncached_input_tokens": used % 1_000_000, "cache_read_input_tokens": used % 200_003,
        "cache_creation": {"ephemeral_1h_input_tokens": used % 1_009, "ephemeral_5m_input_tokens": used % 5_003},
        "output_tokens": used % 50_021, "server_tool_use": {"web_search_requests": used % 11},
        "api_key_id": key, "workspace_id": null, "model": model, "service_tier": null, "context_window": null,
    })
}
