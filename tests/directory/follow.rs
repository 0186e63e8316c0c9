//! When the next walk is made. The clock stands still but for waiting, so that hours take no time.

use super::directory;
use super::organization::{Fault, Organization, key};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key_name::directory::Directory;
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};

struct Follow {
    names: SharedKeyNames,
    file: PathBuf,
    /// When each walk ended, in seconds, and whether it went well.
    ends: UnboundedReceiver<(u64, bool)>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Follow {
    /// `watched`: whether names arrive. Where they do not, every id is seen in vain again and again.
    fn begin(directory: Directory, watched: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("synced.json");
        let names = match watched {
            true => SharedKeyNames::watch_with_synced([] as [&str; 0], &file).unwrap(),
            false => SharedKeyNames::default(),
        };
        let (sender, ends) = unbounded_channel();
        let (handle, target, start) = (names.clone(), file.clone(), Instant::now());
        let task = tokio::spawn(async move {
            let told = |went: Result<_, _>| sender.send((start.elapsed().as_secs(), went.is_ok())).unwrap();
            match directory.follow(target, &handle, told).await {}
        });
        Self { names, file, ends, task, _folder: folder }
    }

    async fn next(&mut self) -> (u64, bool) {
        self.ends.recv().await.unwrap()
    }

    /// What a caller reads beside this id.
    async fn used(&self, id: &str) -> String {
        let page = format!(r#"{{"data":[{{"api_key_id":"{id}"}}]}}"#);
        let api = service_fn(move |_: Request<()>| {
            let head = Response::builder().header("content-type", "application/json");
            let answer = head.body(Full::<Bytes>::from(page.clone()));
            async move { answer }
        });
        let request = Request::get("/v1/organization/costs").body(()).unwrap();
        let answer = ApiKeyNameLayer::new(self.names.clone()).layer(api).oneshot(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
        page["data"][0]["api_key_name"].as_str().unwrap().to_owned()
    }

    /// Whatever was seen in vain is news again.
    fn forget(&self) {
        self.names.replace((*self.names.snapshot()).clone());
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_at_once_and_then_every_ten_minutes() {
    let organization = Organization::new(3, 30);
    let mut follow = Follow::begin(directory(&organization), false);
    for nth in 0..5 {
        assert_eq!(follow.next().await, (nth * 600, true));
    }
    drop(follow);
    let mut follow = Follow::begin(directory(&organization).interval(Duration::from_secs(60)), false);
    assert_eq!((follow.next().await, follow.next().await), ((0, true), (60, true)));
}

#[tokio::test(start_paused = true)]
async fn an_id_without_a_name_wakes_the_walk_once() {
    let organization = Organization::new(3, 30);
    let mut follow = Follow::begin(directory(&organization), false);
    assert_eq!(follow.next().await, (0, true));
    // Not at once: the last walk is less than half a minute old.
    assert_eq!(follow.used("key_deleted").await, "unknown");
    assert_eq!(follow.next().await, (30, true));
    // A whole walk did not find it: it waits for the regular one.
    follow.forget();
    follow.used("key_deleted").await;
    assert_eq!(follow.next().await, (630, true));
    // Long after the last walk: at once.
    tokio::time::sleep(Duration::from_secs(100)).await;
    organization.lists().projects[0].keys.push(key("key_new", "brand new"));
    follow.used("key_new").await;
    assert_eq!(follow.next().await, (730, true));
    // It was found, though nobody here has heard of it.
    follow.forget();
    follow.used("key_new").await;
    assert_eq!(follow.next().await, (1330, true));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_ids_is_a_walk_every_half_minute() {
    let organization = Organization::new(3, 30);
    let mut follow = Follow::begin(directory(&organization), false);
    for nth in 0..20 {
        assert_eq!(follow.next().await, (nth * 30, true));
        follow.forget();
        for id in 0..50 {
            follow.used(&format!("key_made_up_{nth}_{id}")).await;
        }
    }
    drop(follow);
    let mut follow = Follow::begin(directory(&organization).min_interval(Duration::from_secs(300)), false);
    follow.next().await;
    follow.used("key_made_up").await;
    assert_eq!(follow.next().await, (300, true));
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_walk_did_not_find_is_looked_for_again() {
    let organization = Organization::new(3, 30);
    let path = "/v1/organization/projects/proj_0000/api_keys";
    organization.lists().always.insert(path.into(), Fault::Wait(429, "3600".into()));
    let mut follow = Follow::begin(directory(&organization), false);
    follow.next().await;
    follow.used("key_new").await;
    assert_eq!(follow.next().await, (30, true));
    assert_eq!(follow.next().await, (60, true));
    // Where the key lacks a right, though, the next walk would find no more than this one.
    organization.lists().always.insert(path.into(), Fault::Status(403));
    assert_eq!(follow.next().await, (90, true));
    assert_eq!(follow.next().await, (690, true));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_written_is_told_and_tried_again() {
    let organization = Organization::new(3, 30);
    let mut follow = Follow::begin(directory(&organization), false);
    follow.next().await;
    std::fs::write(&follow.file, "{").unwrap();
    assert_eq!(follow.next().await, (600, false));
    follow.used("key_new").await;
    assert_eq!(follow.next().await, (630, false));
    std::fs::remove_file(&follow.file).unwrap();
    assert_eq!(follow.next().await, (660, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_gets_its_name_after_its_first_use() {
    let organization = Organization::new(3, 30);
    // No regular walk, and no waiting: what comes, comes because it was used.
    let directory =
        directory(&organization).interval(Duration::from_secs(86_400)).min_interval(Duration::ZERO);
    let mut follow = Follow::begin(directory, true);
    follow.next().await;
    follow.names.wait_for(|status| status.entries > 0).await;
    assert_eq!(follow.used("key_00001").await, "service-1");
    for id in ["key_new1", "key_new2"] {
        organization.lists().projects[0].keys.push(key(id, format!("name of {id}")));
        assert_eq!(follow.used(id).await, "unknown");
        follow.names.wait_for(|_| follow.names.snapshot().name(id).is_some()).await;
        assert_eq!(follow.used(id).await, format!("name of {id}"));
    }
}

/// Asks a layer for the keys of a name: 200, or how that was refused.
fn asked(names: &SharedKeyNames) -> impl AsyncFn(&str) -> u16 {
    let layer = ApiKeyNameLayer::new(names.clone());
    async move |name| {
        let api =
            service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
        let request =
            Request::get(format!("/v1/organization/costs?api_key_names[]={name}")).body(()).unwrap();
        layer.layer(api).oneshot(request).await.unwrap().status().as_u16()
    }
}

/// A name that nobody has is one only once all names are here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_by_an_unknown_name_waits_for_the_first_whole_walk() {
    let organization = Organization::new(3, 30);
    let folder = tempfile::tempdir().unwrap();
    let [ours, synced] = ["ours.json", "synced.json"].map(|name| folder.path().join(name));
    std::fs::write(&ours, r#"{"key_ours":"ours"}"#).unwrap();
    let names = SharedKeyNames::watch_with_synced([&ours], &synced).unwrap();
    let ask = asked(&names);
    assert_eq!(ask("ours").await, 200);
    assert_eq!(ask("nobody").await, 503, "the file has not come");

    // A walk that did not see everything writes a file too.
    let path = "/v1/organization/projects/proj_0002/api_keys";
    organization.lists().always.insert(path.into(), Fault::Wait(429, "3600".into()));
    let (sender, mut ends) = unbounded_channel();
    let task = tokio::spawn({
        let (directory, names) =
            (directory(&organization).interval(Duration::from_millis(50)), names.clone());
        let told = move |went: Result<_, _>| sender.send(went.is_ok()).unwrap();
        async move { match directory.follow(synced, &names, told).await {} }
    });
    names.wait_for(|status| status.entries > 1).await;
    assert_eq!(ask("nobody").await, 503, "the file does not say all");
    organization.lists().always.clear();
    while ask("nobody").await != 400 {
        ends.recv().await.unwrap();
    }
    assert_eq!(ask("service-1").await, 200);
    task.abort();
}

/// Who no longer fetches names has none to come.
#[tokio::test]
async fn a_filter_waits_for_nobody_who_has_stopped() {
    let organization = Organization::new(3, 30);
    organization
        .lists()
        .always
        .insert("/v1/organization/admin_api_keys".into(), Fault::Wait(429, "3600".into()));
    let mut follow = Follow::begin(directory(&organization), true);
    let names = follow.names.clone();
    names.wait_for(|status| status.entries > 0).await;
    follow.next().await;
    let ask = asked(&names);
    assert_eq!(ask("nobody").await, 503, "the file does not say all");
    follow.task.abort();
    assert!((&mut follow.task).await.unwrap_err().is_cancelled());
    assert_eq!(ask("nobody").await, 400);
}
