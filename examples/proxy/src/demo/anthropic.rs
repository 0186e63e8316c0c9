//! Anthropic's API for the demo organization: keys and usage reports.
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::params::{MAX_TIME, QueryParams};
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

pub(super) fn error(status: StatusCode, kind: &str, message: &str) -> DemoResponse {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    DemoResponse(status, body.to_string())
}

pub(super) fn respond(method: &Method, path: &str, params: &QueryParams) -> DemoResponse {
    let result = match (method, path) {
        (&Method::GET, "usage_report/messages") => messages(params),
        (&Method::GET, "api_keys") => keys(params),
        _ => return error(StatusCode::NOT_FOUND, "not_found_error", "Not found"),
    };
    match result {
        Ok(body) => DemoResponse(StatusCode::OK, body.to_string()),
        Err(message) => error(StatusCode::BAD_REQUEST, "invalid_request_error", message),
    }
}

fn messages(params: &QueryParams) -> Result<Value, &'static str> {
    let start = params.first("starting_at").ok_or("starting_at: Field required")?;
    let start = midnight(start).ok_or("starting_at: not an RFC 3339 time")?;
    let end = match params.first("ending_at") {
        Some(end) => midnight(end).ok_or("ending_at: not an RFC 3339 time")?,
        None => now(),
    };
    let limit = match params.first("limit").map(str::parse::<u64>) {
        None => 7,
        Some(Ok(limit @ 1..=31)) => limit,
        Some(_) => return Err("limit: from 1 to 31"),
    };
    const GROUPS: [&str; 3] = ["api_key_id", "workspace_id", "model"];
    let groups = params.list("group_by");
    if groups.iter().any(|group| !GROUPS.contains(group)) {
        return Err("group_by: Input should be 'api_key_id', 'workspace_id' or 'model'");
    }
    let first = match params.first("page") {
        None => start,
        Some(page) => page
            .strip_prefix("page_")
            .and_then(|hex| u64::from_str_radix(hex.strip_suffix('=')?, 16).ok())
            .filter(|time| *time < MAX_TIME)
            .ok_or("page: invalid")?,
    };
    let buckets: Vec<Value> = (0..limit)
        .map(|nth| first + nth * DAY)
        .take_while(|time| *time < end)
        .map(|time| {
            json!({
                "starting_at": timestamp(time),
                "ending_at": timestamp(time + DAY),
                "results": rows(time, &groups, &params.list("api_key_ids")),
            })
        })
        .collect();
    let next = first + limit * DAY;
    let more = next < end;
    Ok(json!({
        "data": buckets,
        "has_more": more,
        "next_page": more.then(|| format!("page_{next:x}=")),
    }))
}

fn rows(time: u64, groups: &[&str], ids: &[&str]) -> Vec<Value> {
    let grouped = groups.contains(&"api_key_id");
    // The last row is for the Workbench, which uses no key.
    let keys: Vec<Option<&str>> = match grouped {
        true => KEYS.iter().map(|k| Some(k.id)).chain([None]).collect(),
        false => vec![None],
    };
    keys.iter()
        .enumerate()
        .filter(|(_, key)| !grouped || ids.is_empty() || key.is_some_and(|key| ids.contains(&key)))
        .map(|(nth, key)| {
            let used = scramble(time ^ nth as u64);
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
                "model": groups.contains(&"model").then_some("claude-sonnet-4-5-20250929"),
                "service_tier": null,
                "context_window": null,
            })
        })
        .collect()
}

fn keys(params: &QueryParams) -> Result<Value, &'static str> {
    let limit = match params.first("limit").map(str::parse::<usize>) {
        None => 20,
        Some(Ok(limit @ 1..=1000)) => limit,
        Some(_) => return Err("limit: from 1 to 1000"),
    };
    let from = match params.first("after_id") {
        None => 0,
        Some(after) => 1 + KEYS.iter().position(|k| k.id == after).ok_or("after_id: not found")?,
    };
    let page = &KEYS[from..KEYS.len().min(from + limit)];
    let data: Vec<Value> = page
        .iter()
        .map(|k| {
            json!({
                "id": k.id, "type": "api_key", "name": k.name, "workspace_id": null, "status": k.status,
                "created_at": "2025-01-01T00:00:00Z",
                "created_by": {"id": "user_01WCz1FkmYMm4gnmykNKUu3Q", "type": "user"},
                "partial_key_hint": "sk-ant-api03-R2D...igAA",
            })
        })
        .collect();
    Ok(json!({
        "data": data,
        "first_id": page.first().map(|k| k.id),
        "last_id": page.last().map(|k| k.id),
        "has_more": from + page.len() < KEYS.len(),
    }))
}

/// Returns the start of an RFC 3339 time's day in Unix seconds. The offset from UTC is ignored.
fn midnight(text: &str) -> Option<u64> {
    let mut date = text.get(..10)?.split('-').map(|n| n.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The year begins in March, so that a leap day is its last day.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
    days.checked_sub(719_468).map(|days| days * DAY)
}

pub(super) fn timestamp(time: u64) -> String {
    let days = time / DAY + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    let m = (of_year * 5 + 2) / 153;
    let day = of_year - (m * 153 + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T00:00:00Z")
}
