//! Projects and keys of the demo organization, and the API's lists of them.
use http::StatusCode;
use serde_json::json;

use super::params::{QueryParams, invalid};
use super::response::{DAY, DemoResponse, error};

pub(super) struct Project {
    pub id: &'static str,
    name: &'static str,
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
    project("proj_Hq2mWbXoSaT1", "Storefront", false),
    project("proj_Vd8kRzYpLcN4", "Search", false),
    project("proj_Tj5nEuGiKfB7", "Research", false),
    project("proj_Ax3cMwDvPhJ9", "Old pilot", true),
];

pub(super) const KEYS: [OpenaiKey; 11] = [
    key("key_9fKd2LmQx7Rt", "storefront-prod", 0, "user-svc-shop", 40),
    key("key_Bn4vTz8WpYs1", "storefront-staging", 0, "user-svc-shop", 6),
    key("key_Jc6hXe3GuAo5", "Ana's laptop", 0, "user-ana", 2),
    key("key_Mw1qSf9IkDl7", "search-indexer", 1, "user-svc-search", 25),
    key("key_Pr5yUj2OzEb3", "search-ranking", 1, "user-svc-search", 30),
    OpenaiKey { orphaned: true, ..key("key_Ta8gNc4VxHm6", "nightly \"re-embed\" job", 1, "user-bo", 12) },
    key("key_Wd3kFr7LqZi2", "eval-harness", 2, "user-chidi", 18),
    key("key_Yh7pBs1MeKu9", "notebooks – Zürich", 2, "user-chidi", 5),
    key("key_Ev2jGt6CnXw4", "fine-tuning", 2, "user-dara", 9),
    key("key_Lo9aQy5RdVf8", "pilot-bot", 3, "user-bo", 1),
    OpenaiKey { deleted: true, ..key("key_Zs4iHu8TbPg1", "deleted last month", 0, "user-ana", 8) },
];

const ADMIN_KEYS: [(&str, Option<&str>); 2] =
    [("key_AdmN2bVxRq5w", Some("finops-dashboard")), ("key_AdmT7kYsLc3e", None)];

const fn project(id: &'static str, name: &'static str, archived: bool) -> Project {
    Project { id, name, archived }
}

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

pub(super) fn projects(params: &QueryParams) -> Result<DemoResponse, DemoResponse> {
    let with_archived = params.first("include_archived") == Some("true");
    let items = PROJECTS.iter().filter(|p| with_archived || !p.archived).map(|p| {
        json!({
            "id": p.id,
            "object": "organization.project",
            "name": p.name,
            "created_at": CREATED,
            "archived_at": p.archived.then_some(CREATED + 90 * DAY),
            "status": if p.archived { "archived" } else { "active" },
        })
    });
    list(items.collect(), params)
}

pub(super) fn project_keys(project: &str, params: &QueryParams) -> Result<DemoResponse, DemoResponse> {
    if !PROJECTS.iter().any(|p| p.id == project) {
        return Err(error(StatusCode::NOT_FOUND, "No such project.", None, "not_found"));
    }
    let any = params.first("owner_project_access") == Some("any");
    let items = KEYS.iter().filter(|k| k.project == project && !k.deleted && (any || !k.orphaned)).map(|k| {
        json!({
            "object": "organization.project.api_key",
            "redacted_value": format!("sk-...{}", &k.id[k.id.len() - 3..]),
            "name": k.name,
            "created_at": CREATED,
            "last_used_at": CREATED + 200 * DAY,
            "id": k.id,
            "owner": {
                "type": "user",
                "user": {
                    "object": "organization.project.user",
                    "id": k.user,
                    "name": k.user,
                    "email": format!("{}@example.com", k.user),
                    "role": "member",
                    "added_at": CREATED,
                }
            }
        })
    });
    list(items.collect(), params)
}

pub(super) fn admin_keys(params: &QueryParams) -> Result<DemoResponse, DemoResponse> {
    let items = ADMIN_KEYS.iter().map(|(id, name)| {
        json!({
            "object": "organization.admin_api_key",
            "id": id,
            "name": name,
            "redacted_value": "sk-admin-...xyz",
            "created_at": CREATED,
            "last_used_at": null,
            "owner": {
                "type": "user", "object": "organization.user", "id": "user-ana", "name": "Ana",
                "created_at": CREATED, "role": "owner"
            }
        })
    });
    list(items.collect(), params)
}

fn list(items: Vec<serde_json::Value>, params: &QueryParams) -> Result<DemoResponse, DemoResponse> {
    let limit = params.limit(20, 100)?;
    let id = |item: &serde_json::Value| item["id"].as_str().unwrap_or_default().to_owned();
    let from = match params.first("after") {
        None => 0,
        Some(after) => items
            .iter()
            .position(|item| item["id"] == after)
            .map(|at| at + 1)
            .ok_or_else(|| invalid("after", after, "the id of an item"))?,
    };
    let page = &items[from..items.len().min(from + limit)];
    let body = json!({
        "object": "list",
        "data": page,
        "first_id": page.first().map(id),
        "last_id": page.last().map(id),
        "has_more": from + page.len() < items.len(),
    });
    // The real API indents its lists.
    Ok(DemoResponse(StatusCode::OK, format!("{body:#}")))
}
