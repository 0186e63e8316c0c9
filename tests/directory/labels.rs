//! The names of other ids than keys, and the file that both providers share.

use std::collections::HashSet;
use std::fs;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use serde_json::{Value, json};
use test_support::organization::{InjectedFailure, OAUTH_TOKEN, Organization, SECRET, item, key, user};
use tower::service_fn;
use tower_api_key_name::directory::{AdminKey, Directory, FollowerEvent, Listing};
use tower_api_key_name::names::Labels;

use crate::{assert_names, directory, missing};

/// The labels for these kinds of ids, such as `user`.
fn labels(kinds: &[&str]) -> Labels {
    kinds.iter().fold(Labels::default(), |labels, kind| {
        labels.with(&format!("{kind}_id"), &format!("{kind}_name")).unwrap()
    })
}

fn all_labels() -> Labels {
    labels(&["project", "user", "workspace", "service_account"])
}

/// An organization with items in all lists.
fn organization() -> Organization {
    let organization = Organization::new(3, 30);
    {
        let mut state = organization.state();
        state.users = vec![user("user_a", "Ana", "a@x.com"), user("user_b", Value::Null, "b@x.com")];
        state.workspaces = vec![item("wrkspc_a", "research")];
        for number in 0..45 {
            state.service_accounts.push(item(&format!("svac_{number:02}"), format!("robot {number}")));
        }
        state.projects[0].service_accounts = vec![item("svc_acct_a", "indexer")];
        state.projects[2].service_accounts = vec![item("svc_acct_b", "exporter")];
    }
    organization
}

fn anthropic(organization: &Organization, key: &str) -> Directory {
    let organization = organization.clone();
    let service = service_fn(move |request: Request<Empty<Bytes>>| {
        let organization = organization.clone();
        async move { organization.respond(request.into_parts().0).await }
    });
    Directory::anthropic(service, AdminKey::new(key.into()).unwrap())
}

/// The names in a section, with their ids. `None` if there is no such section.
fn section(listing: &Listing, id_member: &str) -> Option<Vec<(String, String)>> {
    let section = listing.names.section(id_member)?;
    Some(section.iter().map(|(id, name)| (id.to_owned(), name.to_owned())).collect())
}

fn pairs<const N: usize>(names: [(&str, &str); N]) -> Option<Vec<(String, String)>> {
    Some(names.map(|(id, name)| (id.to_owned(), name.to_owned())).into())
}

#[tokio::test(start_paused = true)]
async fn openai_labels_are_filled_from_their_lists() {
    let organization = organization();
    let listing = directory(&organization).labels(all_labels()).list().await;
    assert_eq!(missing(&listing), [""; 0]);
    assert_names(&listing.names, &organization);
    let projects =
        pairs([("proj_0000", "A project"), ("proj_0001", "A project"), ("proj_0002", "A project")]);
    assert_eq!(section(&listing, "project_id"), projects);
    assert_eq!(section(&listing, "user_id"), pairs([("user_a", "Ana"), ("user_b", "b@x.com")]));
    let accounts = pairs([("svc_acct_a", "indexer"), ("svc_acct_b", "exporter")]);
    assert_eq!(section(&listing, "service_account_id"), accounts);
    assert_eq!(section(&listing, "workspace_id"), None, "OpenAI has no list of workspaces");
    assert_eq!(organization.requests(), organization.pages() + 1 + 3);
}

#[tokio::test(start_paused = true)]
async fn project_label_causes_no_further_request() {
    let organization = organization();
    let listing = directory(&organization).labels(labels(&["project"])).list().await;
    assert_eq!(section(&listing, "project_id").unwrap().len(), 3);
    assert_eq!(organization.requests(), organization.pages());
}

#[tokio::test(start_paused = true)]
async fn key_with_the_name_of_a_project_stays_in_its_section() {
    let organization = organization();
    organization.state().projects[0].keys.push(key("key_same", "A project"));
    let listing = directory(&organization).labels(all_labels()).list().await;
    assert!(listing.names.ids("A project").eq(["key_same"]));
    assert_eq!(listing.names.section("project_id").unwrap().ids("A project").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn project_without_a_name_is_not_left_out_of_the_keys() {
    let organization = organization();
    let page = r#"{"data":[{"id":"proj_0000","name":null},{"id":"proj_0001","name":"storefront"}]}"#;
    let path = "/v1/organization/projects";
    organization.state().always.insert(path.into(), InjectedFailure::Text(page));
    let listing = directory(&organization).labels(all_labels()).list().await;
    assert_eq!(section(&listing, "project_id"), pairs([("proj_0001", "storefront")]));
    assert_eq!((listing.projects, section(&listing, "service_account_id").unwrap().len()), (2, 1));
    let left_out = directory(&organization).list().await.left_out;
    assert_eq!(listing.left_out, left_out);
}

#[tokio::test(start_paused = true)]
async fn anthropic_labels_are_filled_from_their_lists() {
    let organization = organization();
    let listing = anthropic(&organization, OAUTH_TOKEN).labels(all_labels()).list().await;
    assert_eq!(missing(&listing), [""; 0]);
    assert_eq!(section(&listing, "workspace_id"), pairs([("wrkspc_a", "research")]));
    assert_eq!(section(&listing, "user_id"), pairs([("user_a", "Ana"), ("user_b", "b@x.com")]));
    let accounts = section(&listing, "service_account_id").unwrap();
    assert_eq!((accounts.len(), &*accounts[44].1), (45, "robot 44"));
    let targets = organization.targets();
    let pages = targets.iter().filter(|target| target.contains("/service_accounts"));
    assert!(
        pages.filter_map(|target| target.split_once("&page=")).map(|(_, page)| page).eq(["1%3D", "2%3D"])
    );
}

#[tokio::test(start_paused = true)]
async fn service_accounts_of_anthropic_require_an_oauth_token() {
    let listing = anthropic(&organization(), SECRET).labels(all_labels()).list().await;
    let expected = "the list of service accounts: the API does not accept the admin key (401); it requires an OAuth \
                    token with the scope org:admin; an Admin API key may not read this list";
    assert_eq!(missing(&listing), [expected]);
    assert!(listing.is_complete() && section(&listing, "user_id").unwrap().len() == 2);
}

#[tokio::test(start_paused = true)]
async fn rejected_list_of_another_label_is_missing_alone() {
    let openai = directory as fn(&Organization) -> Directory;
    let with_token = |organization: &Organization| anthropic(organization, OAUTH_TOKEN);
    for (create, path, list) in [
        (openai, "organization/users", "the list of users"),
        (openai, "organization/projects/proj_0002/service_accounts", "the service accounts of proj_0002"),
        (with_token, "organizations/workspaces", "the list of workspaces"),
        (with_token, "organizations/users", "the list of users"),
        (with_token, "organizations/service_accounts", "the list of service accounts"),
    ] {
        for status in [401, 403, 404] {
            let organization = organization();
            organization.state().always.insert(format!("/v1/{path}"), InjectedFailure::Status(status));
            let listing = create(&organization).labels(all_labels()).list().await;
            let lines = missing(&listing);
            assert!(lines.len() == 1 && lines[0].starts_with(list), "{path} {status}: {lines:?}");
            assert!(
                lines[0].contains(&format!("({status})")) && lines[0].contains("; it requires an "),
                "{lines:?}"
            );
            assert!(listing.is_complete() && listing.missing[0].is_permanent());
            assert_eq!(listing.keys(), if path.contains("organizations") { 30 } else { 32 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn service_accounts_rejected_for_each_project_are_missing_once() {
    let organization = organization();
    for project in 0..3 {
        let path = format!("/v1/organization/projects/proj_{project:04}/service_accounts");
        organization.state().always.insert(path, InjectedFailure::Status(403));
    }
    let listing = directory(&organization).labels(all_labels()).list().await;
    let lines = missing(&listing);
    assert!(lines.len() == 1 && lines[0].starts_with("the service accounts of proj_0000: "), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn summary_contains_the_counts_of_each_label() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(&organization()).labels(labels(&["project", "user"]));
    let synced = directory.sync(folder.path().join("names.json")).await.unwrap().to_string();
    assert!(synced.ends_with("; project_id: 3 names; user_id: 2 names"), "{synced}");
}

#[tokio::test(start_paused = true)]
async fn restart_with_a_forbidden_list_keeps_the_cached_names() {
    let organization = organization();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.json");
    let directory = directory(&organization).labels(all_labels());
    directory.sync(&file).await.unwrap();
    let before = fs::read_to_string(&file).unwrap();
    organization.state().always.insert("/v1/organization/users".into(), InjectedFailure::Status(403));
    let (names, follower) = directory.watch([] as [&str; 0], &file).unwrap();
    assert_eq!(names.snapshot().section("user_id").unwrap().name("user_a"), Some("Ana"));
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(follower.run(move |event| drop(sender.send(event))));
    let Some(FollowerEvent::Listed(synced)) = events.recv().await else { unreachable!() };
    task.abort();
    assert_eq!((missing(&synced.listing).len(), synced.written), (1, false));
    assert_eq!(names.snapshot().section("user_id").unwrap().name("user_a"), Some("Ana"));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_both_providers_write_at_once_contains_the_names_of_both() {
    let [openai_organization, anthropic_organization] = [Organization::new(2, 10), Organization::new(2, 0)];
    anthropic_organization.state().projects[0].keys.push(key("apikey_a", "checkout"));
    let openai = directory(&openai_organization).labels(all_labels()).by_provider(true);
    let anthropic = anthropic(&anthropic_organization, OAUTH_TOKEN).labels(all_labels()).by_provider(true);
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10 {
        let file = folder.path().join(format!("names{number}.json"));
        let (first, second) = tokio::join!(openai.sync(&file), anthropic.sync(&file));
        assert!(first.unwrap().written && second.unwrap().written);
        let map: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(map["openai"]["api_key_id"]["key_00001"], "service-1");
        let expected = json!({
            "api_key_id": {"apikey_a": "checkout"}, "service_account_id": {}, "user_id": {}, "workspace_id": {},
        });
        assert_eq!(map["anthropic"], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn handle_of_a_shared_file_contains_only_the_names_of_its_provider() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.json");
    let text = r#"{"openai":{"api_key_id":{"key_a":"same"}},"anthropic":{"api_key_id":{"apikey_a":"same"}}}"#;
    fs::write(&file, text).unwrap();
    for (directory, id) in
        [(directory(&organization()), "key_a"), (anthropic(&organization(), SECRET), "apikey_a")]
    {
        let (names, _follower) = directory.by_provider(true).watch([] as [&str; 0], &file).unwrap();
        let snapshot = names.snapshot();
        let ids: HashSet<_> = snapshot.ids("same").collect();
        assert_eq!(ids, HashSet::from([id]));
    }
}
