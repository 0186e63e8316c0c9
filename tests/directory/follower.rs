//! The times of the follower's listings, the names in the handle, and the cache file.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tempfile::TempDir;
use test_support::organization::{InjectedFailure, Organization, key, user};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key_name::directory::{Directory, DirectoryErrorKind, FollowerEvent};
use tower_api_key_name::names::Labels;
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames};

use crate::{assert_names, directory};

/// A running follower.
struct Running {
    names: SharedKeyNames,
    cache: PathBuf,
    /// Each event, with the seconds since the start.
    events: UnboundedReceiver<(u64, FollowerEvent)>,
    task: JoinHandle<Infallible>,
    folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    fn start(directory: &Directory) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(directory, folder, &[])
    }

    /// Starts a follower whose cache file and hand-written files are in this folder.
    fn start_in(directory: &Directory, folder: TempDir, files: &[&str]) -> Self {
        let cache = folder.path().join("learned.json");
        let files = files.iter().map(|file| folder.path().join(file));
        let (names, follower) = directory.watch(files, &cache).unwrap();
        let (sender, events) = unbounded_channel();
        let start = Instant::now();
        let on_event = move |event| drop(sender.send((start.elapsed().as_secs(), event)));
        Self { names, cache, events, task: tokio::spawn(follower.run(on_event)), folder }
    }

    /// The time of the next listing, and whether the cache file was in order.
    async fn next_listing(&mut self) -> (u64, bool) {
        let (seconds, event) = self.events.recv().await.unwrap();
        assert!(matches!(event, FollowerEvent::Listed(_)), "{event:?}");
        // The event of a failed file follows at once.
        tokio::task::yield_now().await;
        (seconds, self.events.try_recv().is_err())
    }

    /// The name that a caller reads beside this id.
    async fn name_of(&self, id: &str) -> String {
        let page = format!(r#"{{"data":[{{"api_key_id":"{id}"}}]}}"#);
        let api = service_fn(move |_: Request<()>| {
            let response = Response::builder().header("content-type", "application/json");
            let response = response.body(Full::<Bytes>::from(page.clone()));
            async move { response }
        });
        let request = Request::get("/v1/organization/costs").body(()).unwrap();
        let response = ApiKeyNameLayer::new(self.names.clone()).layer(api).oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
        page["data"][0]["api_key_name"].as_str().unwrap().to_owned()
    }

    /// Begins a new generation, in which each unmatched id is reported again.
    fn advance_generation(&self) {
        self.names.replace((*self.names.snapshot()).clone());
    }

    /// The status of a request with a filter by this name.
    async fn filter_status(&self, name: &str) -> u16 {
        let api =
            service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
        let target = format!("/v1/organization/costs?api_key_names[]={name}");
        let request = Request::get(target).body(()).unwrap();
        let layer = ApiKeyNameLayer::new(self.names.clone());
        layer.layer(api).oneshot(request).await.unwrap().status().as_u16()
    }
}

#[tokio::test(start_paused = true)]
async fn follower_lists_at_once_and_then_every_ten_minutes() {
    let mut running = Running::start(&directory(&Organization::new(3, 30)));
    for nth in 0..5 {
        assert_eq!(running.next_listing().await, (nth * 600, true));
    }
}

#[tokio::test(start_paused = true)]
async fn interval_setting_is_the_time_between_listings() {
    let directory = directory(&Organization::new(3, 30)).interval(Duration::from_secs(60));
    let mut running = Running::start(&directory);
    assert_eq!((running.next_listing().await, running.next_listing().await), ((0, true), (60, true)));
}

#[tokio::test(start_paused = true)]
async fn learned_names_are_in_the_handle_at_the_first_event() {
    let organization = Organization::new(3, 30);
    let mut running = Running::start(&directory(&organization));
    running.next_listing().await;
    assert_names(&running.names.snapshot(), &organization);
    assert_names(&KeyNames::from_json(&fs::read(&running.cache).unwrap()).unwrap(), &organization);
}

#[tokio::test(start_paused = true)]
async fn unmatched_id_causes_a_listing_after_half_a_minute() {
    let organization = Organization::new(3, 30);
    let mut running = Running::start(&directory(&organization));
    assert_eq!(running.next_listing().await, (0, true));
    assert_eq!(running.name_of("key_deleted").await, "unknown");
    assert_eq!(running.next_listing().await, (30, true));
}

#[tokio::test(start_paused = true)]
async fn unmatched_id_long_after_a_listing_causes_a_listing_at_once() {
    let organization = Organization::new(3, 30);
    let mut running = Running::start(&directory(&organization));
    running.next_listing().await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    organization.state().projects[0].keys.push(key("key_new", "brand new"));
    assert_eq!(running.name_of("key_new").await, "unknown");
    assert_eq!(running.next_listing().await, (100, true));
    assert_eq!(running.name_of("key_new").await, "brand new");
}

#[tokio::test(start_paused = true)]
async fn id_that_was_not_found_waits_for_the_regular_listing() {
    let mut running = Running::start(&directory(&Organization::new(3, 30)));
    running.next_listing().await;
    running.name_of("key_deleted").await;
    assert_eq!(running.next_listing().await, (30, true));
    running.advance_generation();
    running.name_of("key_deleted").await;
    assert_eq!(running.next_listing().await, (630, true));
}

#[tokio::test(start_paused = true)]
async fn unmatched_id_that_is_found_in_another_section_is_not_remembered_as_missing() {
    let organization = Organization::new(3, 30);
    let labels = Labels::default().with("user_id", "user_name").unwrap();
    let mut running = Running::start(&directory(&organization).labels(labels));
    running.next_listing().await;
    organization.state().users.push(user("user_new", "Ana", "ana@example.com"));
    running.name_of("user_new").await;
    assert_eq!(running.next_listing().await, (30, true));
    running.advance_generation();
    running.name_of("user_new").await;
    assert_eq!(running.next_listing().await, (60, true));
}

#[tokio::test(start_paused = true)]
async fn flood_of_unmatched_ids_causes_a_listing_every_half_minute() {
    let mut running = Running::start(&directory(&Organization::new(3, 30)));
    for nth in 0..20 {
        assert_eq!(running.next_listing().await, (nth * 30, true));
        running.advance_generation();
        for id in 0..50 {
            running.name_of(&format!("key_invented_{nth}_{id}")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn min_interval_setting_delays_the_listing_for_an_unmatched_id() {
    let directory = directory(&Organization::new(3, 30)).min_interval(Duration::from_secs(300));
    let mut running = Running::start(&directory);
    running.next_listing().await;
    running.name_of("key_invented").await;
    assert_eq!(running.next_listing().await, (300, true));
}

#[tokio::test(start_paused = true)]
async fn id_that_a_transient_failure_hid_is_listed_again() {
    let organization = Organization::new(3, 30);
    let path = "/v1/organization/projects/proj_0000/api_keys";
    organization.state().always.insert(path.into(), InjectedFailure::RetryAfter(429, "3600".into()));
    let mut running = Running::start(&directory(&organization));
    running.next_listing().await;
    running.name_of("key_new").await;
    assert_eq!(running.next_listing().await, (30, true));
    assert_eq!(running.next_listing().await, (60, true));
    // A missing right is permanent: the next listing would find no more.
    organization.state().always.insert(path.into(), InjectedFailure::Status(403));
    assert_eq!(running.next_listing().await, (90, true));
    assert_eq!(running.next_listing().await, (690, true));
}

#[tokio::test(start_paused = true)]
async fn broken_cache_file_is_reported_and_names_are_learned() {
    let organization = Organization::new(3, 30);
    let mut running = Running::start(&directory(&organization));
    running.next_listing().await;
    fs::write(&running.cache, "{").unwrap();
    organization.state().projects[0].keys.push(key("key_new", "brand new"));
    running.events.recv().await.unwrap();
    let (seconds, event) = running.events.recv().await.unwrap();
    let FollowerEvent::CacheFailed(error) = event else { unreachable!("{event:?}") };
    assert_eq!((seconds, error.kind()), (600, DirectoryErrorKind::ReadCache));
    assert!(error.to_string().contains("learned.json:1:2: "), "{error}");
    assert_eq!(running.name_of("key_new").await, "brand new");
    assert_eq!(fs::read_to_string(&running.cache).unwrap(), "{", "it is not overwritten");

    fs::remove_file(&running.cache).unwrap();
    assert_eq!(running.next_listing().await, (1200, true));
    let cached = KeyNames::from_json(&fs::read(&running.cache).unwrap()).unwrap();
    assert_eq!(cached.name("key_new"), Some("brand new"));
}

#[tokio::test(start_paused = true)]
async fn cache_file_that_cannot_be_written_stops_nothing() {
    let organization = Organization::new(3, 30);
    let folder = tempfile::tempdir().unwrap();
    let (names, follower) =
        directory(&organization).watch([] as [&str; 0], folder.path().join("no/learned.json")).unwrap();
    let (sender, mut events) = unbounded_channel();
    let task = tokio::spawn(follower.run(move |event| drop(sender.send(event))));
    for _ in 0..2 {
        assert!(matches!(events.recv().await, Some(FollowerEvent::Listed(synced)) if !synced.written));
        let Some(FollowerEvent::CacheFailed(error)) = events.recv().await else { unreachable!() };
        assert_eq!(error.kind(), DirectoryErrorKind::WriteCache);
        assert_names(&names.snapshot(), &organization);
    }
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn names_that_another_process_cached_are_in_the_handle_after_a_listing() {
    let organization = Organization::new(3, 30);
    let mut running = Running::start(&directory(&organization));
    running.next_listing().await;
    fs::write(&running.cache, r#"{"key_other":"of another process"}"#).unwrap();
    running.next_listing().await;
    assert_eq!(running.name_of("key_other").await, "of another process");
    let cached = KeyNames::from_json(&fs::read(&running.cache).unwrap()).unwrap();
    assert_eq!(
        (cached.name("key_other"), cached.len()),
        (Some("of another process"), organization.names().len() + 1)
    );
}

#[tokio::test(start_paused = true)]
async fn key_that_is_deleted_keeps_its_name() {
    let organization = Organization::new(3, 30);
    let mut running = Running::start(&directory(&organization));
    running.next_listing().await;
    organization.state().projects.iter_mut().for_each(|project| project.keys.clear());
    running.next_listing().await;
    assert_eq!(running.name_of("key_00001").await, "service-1");
}

#[tokio::test(start_paused = true)]
async fn cached_names_are_used_without_the_api() {
    let organization = Organization::new(3, 30);
    organization.state().on_nth = (0..10_000).map(|nth| (nth, InjectedFailure::BrokenConnection)).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("learned.json"), r#"{"key_a":"cached"}"#).unwrap();
    let mut running = Running::start_in(&directory(&organization), folder, &[]);
    assert_eq!(running.name_of("key_a").await, "cached");
    running.next_listing().await;
    assert_eq!(running.name_of("key_a").await, "cached");
}

#[test]
fn unusable_files_at_the_start_are_errors_with_kind_and_source() {
    let directory = directory(&Organization::default());
    let folder = tempfile::tempdir().unwrap();
    let [cache, missing] = ["learned.json", "missing.json"].map(|name| folder.path().join(name));
    let error = directory.watch([&missing], &cache).unwrap_err();
    assert_eq!(error.kind(), DirectoryErrorKind::Watch);
    assert!(error.to_string().contains("missing.json: there is no such file"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    fs::write(&cache, "{").unwrap();
    let error = directory.watch([] as [&str; 0], &cache).unwrap_err();
    assert_eq!((error.kind(), error.path()), (DirectoryErrorKind::ReadCache, Some(cache.as_path())));
    fs::write(&cache, "").unwrap();
    assert!(directory.watch([] as [&str; 0], &cache).is_ok());
}

#[test]
fn secret_in_a_file_written_by_hand_is_an_error_with_its_line() {
    let directory = directory(&Organization::default());
    let folder = tempfile::tempdir().unwrap();
    let [file, cache] = ["ours.json", "learned.json"].map(|name| folder.path().join(name));
    fs::write(&file, "{\n  \"key_a\": \"sk-bratislava\"\n}").unwrap();
    assert!(directory.watch([&file], &cache).is_ok());
    for secret in ["sk-proj-abcdefgh", "sk-svcacct-a", "sk-admin-a", "sk-ant-a", "sk-abcdefghijklmnopqR1t"] {
        fs::write(&file, format!("{{\n  \"key_a\": \"sk-bratislava\",\n  \"key_b\": \"{secret}\"\n}}"))
            .unwrap();
        let error = directory.watch([&file], &cache).unwrap_err().to_string();
        assert!(error.contains("ours.json:3:12: ") && !error.contains(secret), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_written_by_hand_has_precedence_and_may_break() {
    let organization = Organization::new(3, 30);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("overrides.json"), r#"{"key_00001":"ours"}"#).unwrap();
    let directory =
        directory(&organization).interval(Duration::from_secs(86_400)).min_interval(Duration::ZERO);
    let mut running = Running::start_in(&directory, folder, &["overrides.json", "learned.json"]);
    running.next_listing().await;
    assert_eq!(running.name_of("key_00001").await, "ours");
    assert_eq!(running.name_of("key_00002").await, "service-2");

    fs::write(running.folder.path().join("overrides.json"), "{").unwrap();
    running.names.wait_for(|status| status.last_error.is_some()).await;
    organization.state().projects[0].keys.push(key("key_new", "brand new"));
    running.name_of("key_new").await;
    running.next_listing().await;
    assert_eq!(running.name_of("key_new").await, "brand new");
    assert_eq!(running.name_of("key_00001").await, "ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_key_is_named_soon_after_its_first_use() {
    let organization = Organization::new(3, 30);
    // Without regular listings: each further listing is caused by an unmatched id.
    let directory =
        directory(&organization).interval(Duration::from_secs(86_400)).min_interval(Duration::ZERO);
    let mut running = Running::start(&directory);
    running.next_listing().await;
    assert_eq!(running.name_of("key_00001").await, "service-1");
    for id in ["key_new1", "key_new2"] {
        organization.state().projects[0].keys.push(key(id, format!("name of {id}")));
        assert_eq!(running.name_of(id).await, "unknown");
        running.names.wait_for(|_| running.names.snapshot().name(id).is_some()).await;
        assert_eq!(running.name_of(id).await, format!("name of {id}"));
    }
}

#[tokio::test(start_paused = true)]
async fn filter_by_an_unknown_name_is_503_until_a_listing_is_complete() {
    let organization = Organization::new(3, 30);
    let path = "/v1/organization/projects/proj_0002/api_keys";
    organization.state().always.insert(path.into(), InjectedFailure::RetryAfter(429, "3600".into()));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ours.json"), r#"{"key_ours":"ours"}"#).unwrap();
    let mut running = Running::start_in(&directory(&organization), folder, &["ours.json"]);
    assert_eq!((running.filter_status("ours").await, running.filter_status("nobody").await), (200, 503));
    running.next_listing().await;
    assert_eq!(running.filter_status("nobody").await, 503, "a list is missing");
    organization.state().always.clear();
    running.next_listing().await;
    assert_eq!(running.filter_status("nobody").await, 400);
    assert_eq!(running.filter_status("service-1").await, 200);
}

#[tokio::test(start_paused = true)]
async fn filter_by_an_unknown_name_is_400_after_the_follower_is_dropped() {
    let organization = Organization::new(3, 30);
    let path = "/v1/organization/admin_api_keys";
    organization.state().always.insert(path.into(), InjectedFailure::RetryAfter(429, "3600".into()));
    let mut running = Running::start(&directory(&organization));
    running.next_listing().await;
    assert_eq!(running.filter_status("nobody").await, 503, "a list is missing");
    running.task.abort();
    assert!((&mut running.task).await.unwrap_err().is_cancelled());
    assert_eq!(running.filter_status("nobody").await, 400);
}
