//! Projects and keys of the demo organization, and the API's lists of them.
use http::StatusCode;
use serde_json::{Value, json};

use super::params::{QueryParams, invalid_parameter};
use super::response::{DAY, DemoResponse, DemoResult, error_response};

pub(super) struct Project {
    pub id: &'static str,
    pub name: &'static str,
    archived: bool,
}

pub(super) struct OpenaiKey {
    pub id: &'static str,
    pub name: &'static str,
    pub project: &'static str,
    pub user: &'static str,
    /// Missing from the lists and the names, but present in earlier usage.
    pub deleted: bool,
    /// Listed only with `owner_project_access=any`, since its owner left the project.
    orphaned: bool,
    /// The share of the organization's usage.
    pub weight: u64,
}

pub(super) const PROJECTS: [Project; 4] = [
    Project { id: "proj_Hq2mWbXoSaT1", name: "Storefront", archived: false },
    Project { id: "proj_Vd8kRzYpLcN4", name: "Search", archived: false },
    Project { id: "proj_Tj5nEuGiKfB7", name: "Research", archived: false },
    Project { id: "proj_Ax3cMwDvPhJ9", name: "Old pilot", archived: true },
];

/// The keys. Two of them have one name, because the first one was rotated.
pub(super) const KEYS: [OpenaiKey; 12] = [
    key("key_9fKd2LmQx7Rt", "storefront-prod", 0, "user-svc-shop", 40),
    key("key_Bn4vTz8WpYs1", "storefront-staging", 0, "user-svc-shop", 6),
    key("key_Jc6hXe3GuAo5", "Ana's laptop", 0, "user-ana", 2),
    key("key_Mw1qSf9IkDl7", "search-indexer", 1, "user-svc-search", 25),
    key("key_Rk7oCt5XqBn9", "search-indexer", 1, "user-svc-search", 11),
    key("key_Pr5yUj2OzEb3", "search-ranking", 1, "user-svc-search", 30),
    OpenaiKey { orphaned: true, ..key("key_Ta8gNc4VxHm6", "nightly \"re-embed\" job", 1, "user-bo", 12) },
    key("key_Wd3kFr7LqZi2", "eval-harness", 2, "user-chidi", 18),
    key("key_Yh7pBs1MeKu9", "notebooks – Zürich", 2, "user-chidi", 5),
    key("key_Ev2jGt6CnXw4", "fine-tuning", 2, "user-dara", 9),
    key("key_Lo9aQy5RdVf8", "pilot-bot", 3, "user-bo", 1),
    OpenaiKey { deleted: true, ..key("key_Zs4iHu8TbPg1", "deleted last month", 0, "user-ana", 8) },
];

/// The id and name of each user.
const USERS: [(&str, &str); 6] = [
    ("user-svc-shop", "Shop service"),
    ("user-svc-search", "Search service"),
    ("user-ana", "Ana"),
    ("user-bo", "Bo"),
    ("user-chidi", "Chidi"),
    ("user-dara", "Dara"),
];

const ADMIN_KEYS: [(&str, Option<&str>); 2] =
    [("key_AdmN2bVxRq5w", Some("finops-dashboard")), ("key_AdmT7kYsLc3e", None)];

/// Creates a key of the project at this index of [`PROJECTS`].
const fn key(
    id: &'static str,
    name: &'static str,
    project: usize,
    user: &'static str,
    weight: u64,
) -> OpenaiKey {
    OpenaiKey { id, name, project: PROJECTS[project].id, user, deleted: false, orphaned: false, weight }
}

// 2025-01-01T00:00:00Z
const CREATED: u64 = 1_735_689_600;

/// Returns a page of the list of projects. Archived ones are listed if the query includes them.
pub(super) fn list_projects(params: &QueryParams) -> DemoResult {
    let with_archived = params.first("include_archived") == Some("true");
    let mut items = Vec::new();
    for project in PROJECTS.iter().filter(|project| with_archived || !project.archived) {
        let archived_at = if project.archived { Some(CREATED + 90 * DAY) } else { None };
        items.push(json!({
            "id": project.id, "object": "organization.project", "name": project.name, "created_at": CREATED,
            "archived_at": archived_at, "status": if project.archived { "archived" } else { "active" },
        }));
    }
    page_of(&items, params)
}

/// Returns a page of the keys of one project, or a 404 if there is no such project.
pub(super) fn list_project_keys(project: &str, params: &QueryParams) -> DemoResult {
    if !PROJECTS.iter().any(|known| known.id == project) {
        return Err(error_response(StatusCode::NOT_FOUND, "No such project.", None, "not_found"));
    }
    let with_orphaned = params.first("owner_project_access") == Some("any");
    let mut items = Vec::new();
    for key in KEYS.iter().filter(|key| key.project == project && !key.deleted) {
        if with_orphaned || !key.orphaned {
            items.push(project_key_item(key));
        }
    }
    page_of(&items, params)
}

/// Returns a key as the list of a project's keys contains it.
fn project_key_item(key: &OpenaiKey) -> Value {
    json!({
        "object": "organization.project.api_key", "id": key.id, "name": key.name,
        "redacted_value": format!("sk-...{}", &key.id[key.id.len() - 3..]),
        "created_at": CREATED, "last_used_at": CREATED + 200 * DAY,
        "owner": {"type": "user", "user": {
            "object": "organization.project.user", "id": key.user, "name": key.user,
            "email": format!("{}@example.com", key.user), "role": "member", "added_at": CREATED,
        }}
    })
}

/// Returns a page of the list of admin keys.
pub(super) fn list_admin_keys(params: &QueryParams) -> DemoResult {
    let items = ADMIN_KEYS.map(|(id, name)| {
        json!({
            "object": "organization.admin_api_key", "id": id, "name": name,
            "redacted_value": "sk-admin-...xyz", "created_at": CREATED, "last_used_at": null,
            "owner": {"type": "user", "object": "organization.user", "id": "user-ana", "name": "Ana",
                "created_at": CREATED, "role": "owner"},
        })
    });
    page_of(&items, params)
}

/// Returns a page of the list of users.
pub(super) fn list_users(params: &QueryParams) -> DemoResult {
    let items = USERS.map(|(id, name)| {
        json!({
            "object": "organization.user", "id": id, "name": name, "email": format!("{id}@example.com"),
            "role": "reader", "added_at": CREATED,
        })
    });
    page_of(&items, params)
}

/// Returns the page after the item with the id `after`, or the first page. An error is the response to an invalid query.
fn page_of(items: &[Value], params: &QueryParams) -> DemoResult {
    let limit = params.limit(20, 100)?;
    let start = match params.first("after") {
        None => 0,
        Some(id) => {
            let index = items.iter().position(|item| item["id"] == id);
            1 + index.ok_or_else(|| invalid_parameter("after", id, "the id of an item"))?
        }
    };
    let end = items.len().min(start + limit);
    let page = &items[start..end];
    let body = json!({
        "object": "list", "data": page, "has_more": end < items.len(),
        "first_id": page.first().map(|item| &item["id"]), "last_id": page.last().map(|item| &item["id"]),
    });
    // The real API indents its lists.
    Ok(DemoResponse(StatusCode::OK, format!("{body:#}")))
}
