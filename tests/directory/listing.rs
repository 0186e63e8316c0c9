//! The requests of a listing, and its result.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use test_support::organization::{InjectedFailure, Organization, SECRET, TestProject, key};
use tower::service_fn;
use tower_api_key_name::directory::{AdminKey, Directory, KeyList, ListError, ListingProgress};

use crate::{admin_key, assert_names, directory, missing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_organization_over_loopback_is_listed_completely() {
    let organization = Organization::new(250, 12_000);
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let base = format!("http://{}/v1/", organization.serve().await).parse().unwrap();
    let last = Arc::new(Mutex::new(ListingProgress::default()));
    let progress = last.clone();
    let directory = Directory::openai(client, admin_key())
        .base_url(base)
        .on_progress(move |current| *progress.lock().unwrap() = current);
    let listing = directory.list().await;

    assert_eq!(missing(&listing), [""; 0]);
    assert_names(&listing.names, &organization);
    // Equal names stay separate, and archived projects and keys of former members are listed.
    assert_eq!(listing.names.ids("the same name").count(), 120);
    assert_eq!(listing.names.ids("nightly indexer").count(), 120);
    assert_eq!(listing.names.name("key_00067"), Some("orphaned 67"));
    assert_eq!((listing.projects, listing.keys(), listing.left_out), (250, 12_002, 3 * 120 + 1));

    // One request per page, and at most eight at once.
    let targets = organization.targets();
    assert_eq!((targets.len(), listing.requests, listing.retries), (organization.pages(), targets.len(), 0));
    assert_eq!(targets.iter().collect::<HashSet<_>>().len(), targets.len());
    assert!((2..=8).contains(&organization.max_in_flight()), "{}", organization.max_in_flight());
    let progress = *last.lock().unwrap();
    assert_eq!((progress.lists, progress.done, progress.requests), (252, 252, targets.len()));
    assert_eq!((progress.keys, progress.retries), (12_002, 0));
}

#[tokio::test(start_paused = true)]
async fn concurrency_setting_bounds_requests_in_flight() {
    for limit in [1, 3, 50] {
        let organization = Organization::new(120, 500);
        assert!(directory(&organization).concurrency(limit).list().await.is_complete());
        assert_eq!(organization.max_in_flight(), limit);
    }
    assert!(directory(&Organization::new(3, 30)).concurrency(0).list().await.is_complete());
}

#[tokio::test(start_paused = true)]
async fn forbidden_list_is_missing_alone() {
    for (path, list) in [
        ("/v1/organization/admin_api_keys", "the list of admin keys"),
        ("/v1/organization/projects/proj_0003/api_keys", "the keys of proj_0003"),
    ] {
        let organization = Organization::new(20, 2000);
        organization.state().always.insert(path.into(), InjectedFailure::Status(403));
        let listing = directory(&organization).list().await;
        let expected = format!(
            "{list}: the admin key may not read this (403); it requires an admin key of the organization with the \
             scope api.management.read"
        );
        assert_eq!(missing(&listing), [expected]);
        assert!(matches!(listing.missing[0].error, ListError::Status { status: StatusCode::FORBIDDEN, .. }));
        assert!(listing.missing[0].is_permanent());
        {
            let mut state = organization.state();
            match path.contains("proj_0003") {
                true => state.projects[3].keys.clear(),
                false => state.admin_keys.clear(),
            }
        }
        assert_names(&listing.names, &organization);
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_key_ends_the_listing() {
    let organization = Organization::new(250, 1000);
    for path in ["projects", "admin_api_keys"] {
        let path = format!("/v1/organization/{path}");
        organization.state().always.insert(path, InjectedFailure::Status(401));
    }
    let listing = directory(&organization).list().await;
    assert_eq!(organization.requests(), 2);
    let lists: Vec<_> = listing.missing.iter().map(|missing| &missing.list).collect();
    assert_eq!(lists, [&KeyList::Projects, &KeyList::AdminKeys]);
    for missing in missing(&listing) {
        assert!(missing.contains("does not accept the admin key (401)"), "{missing}");
        assert!(missing.contains("api.management.read"), "{missing}");
        assert!(!missing.contains("message of the API") && !missing.contains(SECRET), "{missing}");
    }
}

#[tokio::test(start_paused = true)]
async fn key_revoked_during_a_listing_keeps_the_names_so_far() {
    let organization = Organization::new(250, 1000);
    organization.state().on_nth = (100..1000).map(|nth| (nth, InjectedFailure::Status(401))).collect();
    let listing = directory(&organization).list().await;
    assert!((101..=108).contains(&organization.requests()), "{}", organization.requests());
    assert!(listing.keys() > 100 && listing.missing.len() > 100);
}

#[tokio::test(start_paused = true)]
async fn absent_list_of_keys_is_empty() {
    let organization = Organization::new(5, 100);
    for path in ["admin_api_keys", "projects/proj_0001/api_keys"] {
        let path = format!("/v1/organization/{path}");
        organization.state().always.insert(path, InjectedFailure::Status(404));
    }
    assert!(directory(&organization).list().await.is_complete());
}

#[tokio::test(start_paused = true)]
async fn absent_list_of_projects_is_missing() {
    let organization = Organization::new(5, 100);
    organization.state().always.insert("/v1/organization/projects".into(), InjectedFailure::Status(404));
    let missing = missing(&*directory(&organization).list().await);
    assert_eq!(missing, ["the list of projects: the API has no such list (404); check the base URL"]);
}

#[tokio::test(start_paused = true)]
async fn unusable_response_is_missing_with_its_reason_after_one_request() {
    for (failure, reason) in [
        (
            InjectedFailure::Text("<html>hello</html>"),
            "the response is not a page of a list; check the base URL",
        ),
        (InjectedFailure::Text(r#"{"data":{}}"#), "the response is not a page of a list; check the base URL"),
        (InjectedFailure::Compressed, "the response is compressed"),
        (InjectedFailure::Status(302), "the API redirects (302), which is not followed"),
        (InjectedFailure::Status(400), "the API responded with 400"),
    ] {
        let organization = Organization::new(5, 100);
        let path = "/v1/organization/projects/proj_0002/api_keys";
        organization.state().always.insert(path.into(), failure);
        let listing = directory(&organization).list().await;
        assert_eq!(listing.missing.len(), 1);
        let missing = listing.missing[0].to_string();
        assert!(missing.starts_with(&format!("the keys of proj_0002: {reason}")), "{missing}");
        assert_eq!(organization.requests(), organization.pages());
    }
}

#[tokio::test(start_paused = true)]
async fn list_that_repeats_its_cursor_ends() {
    for page in [
        r#"{"data":[{"id":"key_a","name":"a"}],"last_id":"key_a","has_more":true}"#,
        r#"{"data":[{"id":"key_a","name":"a"}],"has_more":true}"#,
        r#"{"data":[],"has_more":true}"#,
        r#"{"data":[],"last_id":"","has_more":true}"#,
    ] {
        let organization = Organization::new(5, 500);
        let path = "/v1/organization/projects/proj_0002/api_keys";
        organization.state().always.insert(path.into(), InjectedFailure::Text(page));
        let listing = directory(&organization).list().await;
        let expected = "the keys of proj_0002: the list repeats its cursor; the pages before that were kept";
        assert_eq!(missing(&listing), [expected]);
        assert_eq!(listing.names.name("key_a").is_some(), page.contains("key_a"));
        let targets = organization.targets();
        assert!(targets.iter().filter(|target| target.starts_with(path)).count() <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn list_with_endless_new_cursors_ends_after_1000_pages() {
    let requests = Arc::new(Mutex::new(0));
    let counter = requests.clone();
    let service = service_fn(move |_: Request<Empty<Bytes>>| {
        let mut requests = counter.lock().unwrap();
        *requests += 1;
        let page = format!(r#"{{"data":[{{"id":"key_{requests}","name":"n"}}],"has_more":true}}"#);
        async move { Ok::<_, Infallible>(http::Response::new(page)) }
    });
    let listing = Directory::anthropic(service, admin_key()).list().await;
    assert_eq!(missing(&listing).len(), 1);
    assert!(missing(&listing)[0].contains("more than 1000 pages"), "{:?}", missing(&listing));
    assert_eq!((*requests.lock().unwrap(), listing.names.len()), (1000, 1000));
}

#[tokio::test(start_paused = true)]
async fn project_id_with_unsafe_characters_is_not_requested() {
    let organization = Organization::new(3, 30);
    for id in ["..", "a/../../b", "a?b", ""] {
        organization.state().projects.push(TestProject { id: id.into(), ..TestProject::default() });
    }
    let listing = directory(&organization).list().await;
    assert_names(&listing.names, &organization);
    assert_eq!((listing.projects, organization.requests()), (3, 5));
}

#[tokio::test(start_paused = true)]
async fn project_that_two_pages_contain_is_listed_once() {
    let organization = Organization::new(150, 300);
    let first = r#"{"data":[{"id":"proj_0001"},{"id":"proj_0000"}],"last_id":"proj_0099","has_more":true}"#;
    let path = "/v1/organization/projects".to_owned();
    organization.state().next.insert(path, [InjectedFailure::Text(first)].into());
    let listing = directory(&organization).list().await;
    let targets = organization.targets();
    assert_eq!(targets.iter().collect::<HashSet<_>>().len(), targets.len());
    assert_eq!(listing.projects, 52);
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_share_the_next_listing() {
    let organization = Organization::new(5, 50);
    let directory = directory(&organization);
    let calls = (0..10).map(|_| {
        let directory = directory.clone();
        tokio::spawn(async move { directory.list().await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap().is_complete());
    }
    // The first call lists at once. The others came during that listing and share the second one.
    assert_eq!(organization.requests(), 2 * organization.pages());
    directory.list().await;
    assert_eq!(organization.requests(), 3 * organization.pages());
}

#[tokio::test(start_paused = true)]
async fn listing_after_a_dropped_one_is_complete() {
    let directory = directory(&Organization::new(5, 50));
    tokio::select! {
        biased;
        _ = directory.list() => unreachable!(),
        () = tokio::task::yield_now() => {}
    }
    assert!(directory.list().await.is_complete());
}

#[tokio::test(start_paused = true)]
async fn anthropic_organization_is_listed_from_one_list() {
    let organization = Organization::new(10, 2500);
    organization.state().admin_keys.clear();
    for (nth, key) in
        organization.state().projects.iter_mut().flat_map(|project| &mut project.keys).enumerate()
    {
        key.id = format!("apikey_{nth}");
        key.account = None;
    }
    let api = organization.clone();
    let service = service_fn(move |request: Request<Empty<Bytes>>| {
        let api = api.clone();
        async move {
            assert_eq!(request.uri().host(), Some("api.anthropic.com"));
            api.respond(request.into_parts().0).await
        }
    });
    let listing = Directory::anthropic(service, admin_key()).list().await;
    assert_eq!(missing(&listing), [""; 0]);
    assert_names(&listing.names, &organization);
    assert_eq!((organization.requests(), listing.projects), (3, 0));
    assert!(organization.targets()[1].contains("&after_id=apikey_999"));
}

#[tokio::test(start_paused = true)]
async fn key_file_that_is_removed_prevents_requests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, SECRET).unwrap();
    let organization = Organization::new(1, 1);
    let api = organization.clone();
    let service = service_fn(move |request: Request<Empty<Bytes>>| {
        let api = api.clone();
        async move { api.respond(request.into_parts().0).await }
    });
    let directory = Directory::openai(service, AdminKey::from_file(&path).unwrap());
    assert!(directory.list().await.is_complete());
    std::fs::remove_file(&path).unwrap();
    let listing = directory.list().await;
    assert!(missing(&listing)[0].contains("the admin key cannot be read"), "{:?}", missing(&listing));
    assert_eq!((organization.requests(), listing.missing[0].is_permanent()), (3, false));
}

#[tokio::test(start_paused = true)]
async fn key_in_two_lists_has_the_name_in_its_project() {
    let organization = Organization::new(2, 10);
    organization.state().admin_keys.push(key("key_00001", "another name"));
    // In either order of the lists.
    for slow in ["/v1/organization/admin_api_keys", "/v1/organization/projects/proj_0001/api_keys"] {
        organization.state().next.insert(slow.into(), [InjectedFailure::Status(503)].into());
        let listing = directory(&organization).retry_timeout(Duration::from_secs(10)).list().await;
        assert_eq!((listing.names.name("key_00001"), listing.keys()), (Some("service-1"), 12));
    }
}

/// The listed ids and names of an organization with one project, whose list at `path` is this page.
async fn names_of_page(path: &str, page: &'static str) -> Vec<(String, String)> {
    let organization = Organization::new(1, 0);
    organization.state().admin_keys.clear();
    organization.state().always.insert(path.into(), InjectedFailure::Text(page));
    let listing = directory(&organization).list().await;
    listing.names.iter().map(|(id, name)| (id.to_owned(), name.to_owned())).collect()
}

fn pairs<const N: usize>(names: [(&str, &str); N]) -> Vec<(String, String)> {
    names.map(|(id, name)| (id.to_owned(), name.to_owned())).into()
}

#[tokio::test(start_paused = true)]
async fn admin_key_with_a_flat_owner_is_named_by_its_account() {
    let page = include_str!("pages/openai_admin_api_keys_flat_owner.json");
    let expected = pairs([
        ("key_A1checkout", "checkout-production"),
        ("key_admin1", "Main Admin Key"),
        ("key_admin2", "nightly-export"),
        ("key_admin3", "indexer"),
    ]);
    assert_eq!(names_of_page("/v1/organization/admin_api_keys", page).await, expected);
}

#[tokio::test(start_paused = true)]
async fn project_key_with_a_short_name_after_sk_is_listed() {
    let page = include_str!("pages/openai_project_api_keys_2026-11.json");
    let expected = pairs([
        ("key_A1checkout", "checkout-production"),
        ("key_C4new", "queue-worker"),
        ("key_sk", "sk-bratislava"),
    ]);
    assert_eq!(names_of_page("/v1/organization/projects/proj_0000/api_keys", page).await, expected);
}

#[tokio::test(start_paused = true)]
async fn name_of_the_form_of_a_secret_is_left_out_alone() {
    let page = r#"{"data":[{"id":"key_1","name":"sk-proj-abcdefgh"},{"id":"key_2","name":"sk-svcacct-a"},
        {"id":"key_3","name":"sk-admin-a"},{"id":"key_4","name":"sk-ant-a"},
        {"id":"key_5","name":"sk-abcdefghijklmnopqR1t"},{"id":"sk-proj-abcdefgh","name":"an id"},
        {"id":"key_6","name":"sk-abcdefghijklmnopqrst"},{"id":"key_7","name":"sk-proj-a of the team"}]}"#;
    let expected = pairs([("key_6", "sk-abcdefghijklmnopqrst"), ("key_7", "sk-proj-a of the team")]);
    assert_eq!(names_of_page("/v1/organization/projects/proj_0000/api_keys", page).await, expected);
}

#[tokio::test(start_paused = true)]
async fn oauth_token_of_anthropic_is_a_bearer_token() {
    for (key, header, value) in [
        ("sk-ant-oat01-token", "authorization", "Bearer sk-ant-oat01-token"),
        ("sk-ant-admin01-key", "x-api-key", "sk-ant-admin01-key"),
    ] {
        let service = service_fn(move |request: Request<Empty<Bytes>>| {
            assert_eq!(request.headers()[header], value);
            let has_both =
                ["authorization", "x-api-key"].iter().all(|name| request.headers().contains_key(*name));
            assert!(!has_both);
            async { Ok::<_, Infallible>(http::Response::new(String::from(r#"{"data":[]}"#))) }
        });
        let directory = Directory::anthropic(service, AdminKey::new(key.into()).unwrap());
        assert!(directory.list().await.is_complete());
    }
}
