//! The file that a walk is put into.

use super::organization::{Fault, Organization, SECRET, key};
use super::{assert_names, directory};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;
use tower_api_key_name::{KeyNames, SharedKeyNames};

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("synced.json");
    (folder, path)
}

fn read(path: &PathBuf) -> KeyNames {
    KeyNames::from_json(&fs::read(path).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn walk_after_walk() {
    let (folder, path) = place();
    let organization = Organization::new(50, 2000);
    let directory = directory(&organization);

    let synced = directory.sync(&path).await.unwrap();
    assert_names(&read(&path), &organization);
    assert_names(synced.names(), &organization);
    assert!(synced.written());
    let (new, left_out) = (synced.changes().new, synced.listing().left_out());
    assert_eq!((new, left_out), (2002 - 61, 61));
    assert_eq!(
        synced.to_string(),
        "50 projects, 2002 keys: 1941 new, 0 renamed, 0 gone, 61 left out without a usable name"
    );
    let text = fs::read_to_string(&path).unwrap();
    let ids: Vec<_> = text.lines().filter_map(|line| line.trim().split('"').nth(1)).collect();
    assert!(ids.len() == 1941 && ids.is_sorted() && text.ends_with("\"\n}\n"));
    assert!(!text.contains(SECRET));

    // Nothing is new: the file is not even touched.
    let before = fs::metadata(&path).unwrap();
    let synced = directory.sync(&path).await.unwrap();
    assert!(!synced.written());
    let after = fs::metadata(&path).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!((before.ino(), before.mode() & 0o777), (after.ino(), 0o600));
    }

    // One is renamed, one deleted, one new, one loses its name.
    {
        let keys = &mut organization.lists().projects[1].keys;
        keys[0].name = "renamed".into();
        keys[1].name = Value::Null;
        keys[2] = key("key_new", "brand new");
    }
    let gone = text.lines().filter(|line| !line.contains("brand new")).count();
    let synced = directory.sync(&path).await.unwrap();
    let changes = synced.changes();
    assert_eq!((changes.new, changes.renamed, changes.gone), (1, 1, Some(1)));
    let names = read(&path);
    assert_eq!(names.len(), gone - 2 + 1);
    assert!(names.ids("renamed").count() == 1 && names.ids("brand new").count() == 1);
    // Only the lines of those two are others.
    let now = fs::read_to_string(&path).unwrap();
    assert_eq!(now.lines().filter(|line| !text.contains(line.trim_end_matches(','))).count(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "and no draft is left");
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_fails_half_way_keeps_what_it_learned() {
    let (_folder, path) = place();
    let organization = Organization::new(20, 500);
    let directory = directory(&organization);
    directory.sync(&path).await.unwrap();
    let before = read(&path);
    {
        let mut lists = organization.lists();
        lists.projects[1].keys.push(key("key_new1", "new one"));
        lists.projects[2].keys.push(key("key_new2", "new two"));
        lists.always.insert("/v1/organization/projects/proj_0002/api_keys".into(), Fault::Status(500));
    }
    let synced = directory.sync(&path).await.unwrap();
    assert_eq!((synced.changes().new, synced.changes().gone), (1, None));
    assert!(synced.to_string().ends_with("; 1 lists are missing"), "{synced}");
    let names = read(&path);
    assert_eq!(names.len(), before.len() + 1);
    assert_eq!((names.name("key_new1"), names.name("key_new2")), (Some("new one"), None));

    // Nothing at all can be read: nothing is written, and nothing made of nothing.
    organization.lists().on_nth = (0..10_000).map(|nth| (nth, Fault::Status(401))).collect();
    let synced = directory.sync(&path).await.unwrap();
    assert!(!synced.written() && synced.names().len() == names.len());
    let (_other, other) = place();
    assert!(!directory.sync(&other).await.unwrap().written());
    assert!(!other.exists());
}

#[tokio::test(start_paused = true)]
async fn an_organization_without_keys_is_a_map_without_names() {
    let (_folder, path) = place();
    let directory = directory(&Organization::default());
    assert!(directory.sync(&path).await.unwrap().written());
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
    assert!(!directory.sync(&path).await.unwrap().written());
    // As `mktemp` leaves it.
    fs::write(&path, "").unwrap();
    assert!(directory.sync(&path).await.unwrap().written());
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_not_written_over() {
    let (folder, path) = place();
    let organization = Organization::new(3, 30);
    let directory = directory(&organization);
    for bad in ["{\n  \"key_a\": 7\n}", "not a map", "{\"key_a\": \"sk-proj-abcdefgh\"}"] {
        fs::write(&path, bad).unwrap();
        let error = directory.sync(&path).await.unwrap_err().to_string();
        assert!(error.contains("synced.json:") && !error.contains("abcdefgh"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    assert!(directory.sync(folder.path()).await.unwrap_err().to_string().contains("is not a file"));
    assert_eq!(organization.requests(), 0, "nothing is asked for a file that is no good");
    let error = directory.sync(folder.path().join("no/such.json")).await.unwrap_err().to_string();
    assert!(error.contains("such.json: cannot be written: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_was_saved_by_hand_is_known() {
    let (_folder, path) = place();
    let organization = Organization::new(3, 30);
    fs::write(&path, r#"{"data":[{"id":"key_old","name":"kept"},{"id":"key_00001","name":"old"}]}"#).unwrap();
    let synced = directory(&organization).sync(&path).await.unwrap();
    assert_eq!((synced.changes().renamed, synced.changes().gone), (1, Some(1)));
    assert_eq!(
        (read(&path).name("key_old"), read(&path).name("key_00001")),
        (Some("kept"), Some("service-1"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watch_picks_it_up_beneath_what_was_written_by_hand() {
    let (folder, path) = place();
    let ours = folder.path().join("overrides.json");
    fs::write(&ours, r#"{"key_00001":"ours"}"#).unwrap();
    let names = SharedKeyNames::watch_with_synced([&ours, &path], &path).unwrap();
    assert_eq!((names.status().entries, names.status().last_error), (1, None));
    let organization = Organization::new(3, 30);
    directory(&organization).sync(&path).await.unwrap();
    names.wait_for(|status| status.entries > 1).await;
    let now = names.snapshot();
    assert_eq!((now.name("key_00001"), now.name("key_00002")), (Some("ours"), Some("service-2")));

    // One that goes bad does not take the other down.
    fs::write(&ours, "{").unwrap();
    names.wait_for(|status| status.last_error.is_some()).await;
    organization.lists().projects[0].keys.push(key("key_new", "brand new"));
    directory(&organization).sync(&path).await.unwrap();
    names.wait_for(|_| names.snapshot().name("key_new").is_some()).await;
    assert_eq!(names.snapshot().name("key_00001"), Some("ours"));
}
