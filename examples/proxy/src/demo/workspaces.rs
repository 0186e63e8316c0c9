//! Workspaces and keys of the demo organization at Anthropic, and the API's lists of them.
use serde_json::{Value, json};

use super::params::QueryParams;

pub(super) struct AnthropicKey {
    pub id: &'static str,
    pub name: &'static str,
    status: &'static str,
    /// `None` for the default workspace.
    pub workspace: Option<&'static str>,
}

/// The id and name of each workspace. The last one is archived.
pub(super) const WORKSPACES: [(&str, &str); 2] =
    [("wrkspc_01Hn4TgQkWzVb7YcXpRs2MeD", "Support"), ("wrkspc_01Pq8LdFjNuGa3ZxCvKt6BwS", "Crawling")];

pub(super) const KEYS: [AnthropicKey; 3] = [
    key("apikey_01Rj2N8SVvo6BePZj99NhmiT", "assistant-prod", "active", Some(WORKSPACES[0].0)),
    key("apikey_01Kd7WqYbLmXc4TfGh3ZsUeP", "assistant-dev", "active", None),
    key("apikey_01Vb5HnCxQaJy9RtDk2MwEoL", "old crawler", "archived", Some(WORKSPACES[1].0)),
];

const fn key(
    id: &'static str,
    name: &'static str,
    status: &'static str,
    workspace: Option<&'static str>,
) -> AnthropicKey {
    AnthropicKey { id, name, status, workspace }
}

/// Returns a page of the list of workspaces. Archived ones are listed if the query includes them.
pub(super) fn list_workspaces(params: &QueryParams) -> Result<Value, &'static str> {
    let with_archived = params.first("include_archived") == Some("true");
    let listed = if with_archived { &WORKSPACES[..] } else { &WORKSPACES[..1] };
    let item = |(id, name): &(&str, &str)| json!({"id": id, "type": "workspace", "name": name});
    page_of(listed.iter().map(item).collect(), params)
}

/// Returns a page of the list of keys. An error is the message of a 400.
pub(super) fn list_keys(params: &QueryParams) -> Result<Value, &'static str> {
    page_of(KEYS.iter().map(key_item).collect(), params)
}

/// Returns the page that begins after the item with the id `after_id`. An error is the message of a 400.
fn page_of(items: Vec<Value>, params: &QueryParams) -> Result<Value, &'static str> {
    let limit = params.page_size(20, 1_000).ok_or("limit: from 1 to 1000")?;
    let start = match params.first("after_id") {
        None => 0,
        Some(id) => 1 + items.iter().position(|item| item["id"] == id).ok_or("after_id: not found")?,
    };
    let end = items.len().min(start + limit);
    let page = &items[start..end];
    Ok(json!({
        "data": page, "has_more": end < items.len(),
        "first_id": page.first().map(|item| &item["id"]), "last_id": page.last().map(|item| &item["id"]),
    }))
}

/// Returns a key as the list of keys contains it.
fn key_item(key: &AnthropicKey) -> Value {
    json!({
        "id": key.id, "type": "api_key", "name": key.name, "workspace_id": key.workspace, "status": key.status,
        "created_at": "2025-01-01T00:00:00Z",
        "created_by": {"id": "user_01WCz1FkmYMm4gnmykNKUu3Q", "type": "user"},
        "partial_key_hint": "sk-ant-api03-R2D...igAA",
    })
}
