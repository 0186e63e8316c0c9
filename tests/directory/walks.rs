//! What one walk asks, and what it learns.

use super::organization::{Fault, Organization, Project, SECRET, key};
use super::{admin_key, assert_names, directory, missing};
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::service_fn;
use tower_api_key_name::directory::{Directory, Progress};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_organization_over_loopback() {
    let organization = Organization::new(250, 12_000);
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let base = format!("http://{}/v1/", organization.serve().await);
    let last = Arc::new(Mutex::new(Progress::default()));
    let told = last.clone();
    let directory = Directory::openai(client, admin_key())
        .base_url(&base)
        .unwrap()
        .on_progress(move |progress| *told.lock().unwrap() = progress);
    let listing = directory.walk().await;

    assert_eq!(missing(&listing), [""; 0]);
    assert_names(listing.names(), &organization);
    // Archived projects, and keys whose owner has left, are there; two keys with the same name are two.
    assert_eq!(listing.names().ids("the same name").count(), 120);
    assert_eq!(listing.names().ids("nightly indexer").count(), 120);
    assert_eq!(listing.names().name("key_00067"), Some("orphaned 67"));
    assert_eq!((listing.projects(), listing.keys(), listing.left_out()), (250, 12_002, 3 * 120 + 1));

    // As many requests as there are pages, each for another, and never more at once than allowed.
    let asked = organization.asked();
    assert_eq!((asked.len(), listing.requests(), listing.retries()), (organization.pages(), asked.len(), 0));
    assert_eq!(asked.iter().collect::<HashSet<_>>().len(), asked.len());
    assert!((2..=8).contains(&organization.most()), "{}", organization.most());
    let progress = *last.lock().unwrap();
    assert_eq!((progress.lists, progress.done, progress.requests), (252, 252, asked.len()));
    assert_eq!((progress.keys, progress.retries), (12_002, 0));
}

#[tokio::test(start_paused = true)]
async fn never_more_at_once_than_allowed() {
    for most in [1, 3, 50] {
        let organization = Organization::new(120, 500);
        assert!(directory(&organization).concurrency(most).walk().await.is_complete());
        assert_eq!(organization.most(), most);
    }
    let organization = Organization::new(3, 30);
    assert!(directory(&organization).concurrency(0).walk().await.is_complete(), "0 would never end");
}

#[tokio::test(start_paused = true)]
async fn one_list_that_may_not_be_read_is_missing_and_nothing_else() {
    for (path, list) in [
        ("/v1/organization/admin_api_keys", "the list of admin keys"),
        ("/v1/organization/projects/proj_0003/api_keys", "the keys of proj_0003"),
    ] {
        let organization = Organization::new(20, 2000);
        organization.lists().always.insert(path.into(), Fault::Status(403));
        let listing = directory(&organization).walk().await;
        let want = format!(
            "{list}: the admin key may not read this (403); it takes an admin key of the organization with the \
             scope api.management.read"
        );
        assert_eq!(missing(&listing), [want]);
        assert!(listing.missing()[0].lasting);
        {
            let mut lists = organization.lists();
            match path.contains("proj_0003") {
                true => lists.projects[3].keys.clear(),
                false => lists.admin_keys.clear(),
            }
        }
        assert_names(listing.names(), &organization);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_accepted_ends_the_walk() {
    let organization = Organization::new(250, 1000);
    {
        let mut lists = organization.lists();
        for path in ["projects", "admin_api_keys"] {
            lists.always.insert(format!("/v1/organization/{path}"), Fault::Status(401));
        }
    }
    let listing = directory(&organization).walk().await;
    assert_eq!(organization.requests(), 2);
    assert_eq!(listing.missing().len(), 2);
    for missing in missing(&listing) {
        assert!(missing.contains("does not accept the admin key (401)"), "{missing}");
        assert!(missing.contains("api.management.read"), "{missing}");
        assert!(!missing.contains("odd words") && !missing.contains(SECRET), "{missing}");
    }

    // Revoked half-way: what was learned stays, and the rest is not asked one by one.
    let organization = Organization::new(250, 1000);
    organization.lists().on_nth = (100..1000).map(|nth| (nth, Fault::Status(401))).collect();
    let listing = directory(&organization).walk().await;
    assert!((101..=108).contains(&organization.requests()), "{}", organization.requests());
    assert!(listing.keys() > 100 && listing.missing().len() > 100);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_has_no_keys() {
    let organization = Organization::new(5, 100);
    for path in ["admin_api_keys", "projects/proj_0001/api_keys"] {
        organization.lists().always.insert(format!("/v1/organization/{path}"), Fault::Status(404));
    }
    assert!(directory(&organization).walk().await.is_complete());
    // But an API without projects is no such API.
    let path = "/v1/organization/projects".to_owned();
    organization.lists().always.insert(path, Fault::Status(404));
    let missing = missing(&*directory(&organization).walk().await);
    assert_eq!(missing, ["the list of projects: the API has no such list (404); check the base URL"]);
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_missing_with_its_reason() {
    for (fault, reason) in [
        (Fault::Text("<html>hello</html>"), "the answer is no list page; check the base URL"),
        (Fault::Text(r#"{"data":{}}"#), "the answer is no list page; check the base URL"),
        (Fault::Compressed, "the answer is compressed"),
        (Fault::Status(302), "the API redirects (302), which is not followed"),
        (Fault::Status(400), "the API answered 400"),
    ] {
        let organization = Organization::new(5, 100);
        let path = "/v1/organization/projects/proj_0002/api_keys";
        organization.lists().always.insert(path.into(), fault);
        let listing = directory(&organization).walk().await;
        assert_eq!(listing.missing().len(), 1);
        let missing = listing.missing()[0].to_string();
        assert!(missing.starts_with(&format!("the keys of proj_0002: {reason}")), "{missing}");
        assert_eq!(organization.requests(), organization.pages(), "asked once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_runs_in_circles_ends() {
    for page in [
        r#"{"data":[{"id":"key_a","name":"a"}],"last_id":"key_a","has_more":true}"#,
        r#"{"data":[{"id":"key_a","name":"a"}],"has_more":true}"#,
        r#"{"data":[],"has_more":true}"#,
        r#"{"data":[],"last_id":"","has_more":true}"#,
    ] {
        let organization = Organization::new(5, 500);
        let path = "/v1/organization/projects/proj_0002/api_keys";
        organization.lists().always.insert(path.into(), Fault::Text(page));
        let listing = directory(&organization).walk().await;
        let want = "the keys of proj_0002: the list repeats its cursor; what came before that was kept";
        assert_eq!(missing(&listing), [want]);
        assert_eq!(listing.names().name("key_a").is_some(), page.contains("key_a"));
        let asked = organization.asked();
        assert!(asked.iter().filter(|target| target.starts_with(path)).count() <= 2);
    }
}

/// It names another cursor each time, and never ends.
#[tokio::test(start_paused = true)]
async fn a_list_that_never_ends_ends() {
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let service = service_fn(move |_: Request<Empty<Bytes>>| {
        let mut asked = count.lock().unwrap();
        *asked += 1;
        let page = format!(r#"{{"data":[{{"id":"key_{asked}","name":"n"}}],"has_more":true}}"#);
        async move { Ok::<_, std::convert::Infallible>(http::Response::new(page)) }
    });
    let listing = Directory::anthropic(service, admin_key()).walk().await;
    assert_eq!(missing(&listing).len(), 1);
    assert!(missing(&listing)[0].contains("has not ended after 1000 pages"), "{:?}", missing(&listing));
    assert_eq!((*asked.lock().unwrap(), listing.names().len()), (1000, 1000));
}

/// What the API names leads nowhere but to its own lists.
#[tokio::test(start_paused = true)]
async fn an_odd_project_is_left_out() {
    let organization = Organization::new(3, 30);
    for id in ["..", "a/../../b", "a?b", ""] {
        organization.lists().projects.push(Project { id: id.into(), archived: false, keys: Vec::new() });
    }
    let listing = directory(&organization).walk().await;
    assert_names(listing.names(), &organization);
    assert_eq!((listing.projects(), organization.requests()), (3, 5));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_grows_between_two_pages_is_read_once() {
    let organization = Organization::new(150, 300);
    let again = r#"{"data":[{"id":"proj_0001"},{"id":"proj_0000"}],"last_id":"proj_0099","has_more":true}"#;
    let path = "/v1/organization/projects".to_owned();
    organization.lists().faults.insert(path, [Fault::Text(again)].into());
    let listing = directory(&organization).walk().await;
    // The first page was a stranger's; what it repeats of the second is asked for once.
    let asked = organization.asked();
    assert_eq!(asked.iter().collect::<HashSet<_>>().len(), asked.len());
    assert_eq!(listing.projects(), 52);
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_share_two_walks() {
    let organization = Organization::new(5, 50);
    let directory = directory(&organization);
    let walks = (0..10).map(|_| {
        let directory = directory.clone();
        tokio::spawn(async move { directory.walk().await })
    });
    for walk in walks.collect::<Vec<_>>() {
        assert!(walk.await.unwrap().is_complete());
    }
    // The first who asks gets one at once; for the others it may have begun too early.
    assert_eq!(organization.requests(), 2 * organization.pages());
    directory.walk().await;
    assert_eq!(organization.requests(), 3 * organization.pages());
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_is_dropped_leaves_room_for_the_next() {
    let organization = Organization::new(5, 50);
    let directory = directory(&organization);
    tokio::select! {
        biased;
        _ = directory.walk() => unreachable!(),
        () = tokio::task::yield_now() => {}
    }
    assert!(directory.walk().await.is_complete());
}

#[tokio::test(start_paused = true)]
async fn anthropic_has_one_list() {
    let organization = Organization::new(10, 2500);
    organization.lists().admin_keys.clear();
    for (nth, key) in organization.lists().projects.iter_mut().flat_map(|p| &mut p.keys).enumerate() {
        key.id = format!("apikey_{nth}");
        key.account = None;
    }
    let peer = organization.clone();
    let service = service_fn(move |request: Request<Empty<Bytes>>| {
        let peer = peer.clone();
        async move {
            assert_eq!(request.uri().host(), Some("api.anthropic.com"));
            peer.answer(request.into_parts().0).await
        }
    });
    let listing = Directory::anthropic(service, admin_key()).walk().await;
    assert_eq!(missing(&listing), [""; 0]);
    assert_names(listing.names(), &organization);
    assert_eq!((organization.requests(), listing.projects()), (3, 0));
    assert!(organization.asked()[1].contains("&after_id=apikey_999"));
}

#[tokio::test(start_paused = true)]
async fn a_key_file_that_is_gone_is_told_and_nothing_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, SECRET).unwrap();
    let organization = Organization::new(1, 1);
    let peer = organization.clone();
    let service = service_fn(move |request: Request<Empty<Bytes>>| {
        let peer = peer.clone();
        async move { peer.answer(request.into_parts().0).await }
    });
    let key = tower_api_key_name::directory::AdminKey::from_file(&path).unwrap();
    let directory = Directory::openai(service, key);
    assert!(directory.walk().await.is_complete());
    std::fs::remove_file(&path).unwrap();
    let listing = directory.walk().await;
    assert!(missing(&listing)[0].contains("the admin key cannot be read"), "{:?}", missing(&listing));
    assert_eq!((organization.requests(), listing.missing()[0].lasting), (3, false));
}

#[test]
fn a_base_url_is_one() {
    let base = |url: &str| directory(&Organization::default()).base_url(url).map(|it| format!("{it:?}"));
    for (url, want) in [
        ("https://api.example.com", "https://api.example.com"),
        (" http://127.0.0.1:8080/v1/ ", "http://127.0.0.1:8080"),
        ("https://gateway/openai/v1", "https://gateway/openai"),
    ] {
        let shown = base(url).unwrap();
        assert!(shown.contains(&format!("base: \"{want}\"")), "{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
    for bad in [
        "",
        "api.openai.com",
        "/v1",
        "ftp://x",
        "https://a:b@host",
        "https://host?x=1",
        "https://host#",
        "https://host/v1#x",
        "https://",
    ] {
        let error = base(bad).unwrap_err().to_string();
        assert!(error.starts_with("the base URL "), "{bad}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_in_two_lists_is_called_as_in_its_project() {
    let organization = Organization::new(2, 10);
    organization.lists().admin_keys.push(key("key_00001", "another name"));
    // Whichever comes first.
    for slow in ["/v1/organization/admin_api_keys", "/v1/organization/projects/proj_0001/api_keys"] {
        organization.lists().faults.insert(slow.into(), [Fault::Status(503)].into());
        let listing = directory(&organization).retry_timeout(Duration::from_secs(10)).walk().await;
        assert_eq!((listing.names().name("key_00001"), listing.keys()), (Some("service-1"), 12));
    }
}
