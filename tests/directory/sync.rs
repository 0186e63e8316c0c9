//! One listing, and the file with its names.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use test_support::organization::{InjectedFailure, Organization, SECRET, key};
use tower_api_key_name::KeyNames;
use tower_api_key_name::directory::DirectoryErrorKind;

use crate::{assert_names, directory};

fn temporary_path() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("learned.json");
    (folder, path)
}

fn read(path: &Path) -> KeyNames {
    KeyNames::from_json(&fs::read(path).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn first_sync_writes_one_id_per_line_sorted() {
    let (_folder, path) = temporary_path();
    let organization = Organization::new(50, 2000);
    let synced = directory(&organization).sync(&path).await.unwrap();
    assert_names(&read(&path), &organization);
    assert_names(&synced.names, &organization);
    assert!(synced.written);
    assert_eq!((synced.changes.new, synced.listing.left_out), (2002 - 61, 61));
    assert_eq!(
        synced.to_string(),
        "50 projects, 2002 keys: 1941 new, 0 renamed, 0 gone, 61 left out without a usable name"
    );
    let text = fs::read_to_string(&path).unwrap();
    let ids: Vec<_> = text.lines().filter_map(|line| line.trim().split('"').nth(1)).collect();
    assert!(ids.len() == 1941 && ids.is_sorted() && text.ends_with("\"\n}\n"));
    assert!(!text.contains(SECRET));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn sync_without_changes_does_not_touch_the_file() {
    use std::os::unix::fs::MetadataExt;
    let (_folder, path) = temporary_path();
    let directory = directory(&Organization::new(50, 2000));
    directory.sync(&path).await.unwrap();
    let before = fs::metadata(&path).unwrap();
    assert!(!directory.sync(&path).await.unwrap().written);
    let after = fs::metadata(&path).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!((before.ino(), before.mode() & 0o777), (after.ino(), 0o600));
}

#[tokio::test(start_paused = true)]
async fn sync_after_changes_adds_and_renames_and_keeps_names() {
    let (folder, path) = temporary_path();
    let organization = Organization::new(50, 2000);
    let directory = directory(&organization);
    directory.sync(&path).await.unwrap();
    let before = fs::read_to_string(&path).unwrap();
    {
        // The first key is renamed, the second loses its name, and the third is deleted.
        let keys = &mut organization.state().projects[1].keys;
        keys[0].name = "renamed".into();
        keys[1].name = Value::Null;
        keys[2] = key("key_new", "brand new");
    }
    let changes = directory.sync(&path).await.unwrap().changes;
    assert_eq!((changes.new, changes.renamed, changes.gone), (1, 1, Some(1)));
    let names = read(&path);
    assert_eq!(names.len(), 1941 + 1);
    assert!(names.ids("renamed").count() == 1 && names.ids("brand new").count() == 1);
    let after = fs::read_to_string(&path).unwrap();
    let changed = after.lines().filter(|line| !before.contains(line.trim_end_matches(',')));
    assert_eq!(changed.count(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[tokio::test(start_paused = true)]
async fn sync_with_a_missing_list_keeps_the_other_names() {
    let (_folder, path) = temporary_path();
    let organization = Organization::new(20, 500);
    let directory = directory(&organization);
    directory.sync(&path).await.unwrap();
    let before = read(&path);
    {
        let mut state = organization.state();
        state.projects[1].keys.push(key("key_new1", "new one"));
        state.projects[2].keys.push(key("key_new2", "new two"));
        let path = "/v1/organization/projects/proj_0002/api_keys";
        state.always.insert(path.into(), InjectedFailure::Status(500));
    }
    let synced = directory.sync(&path).await.unwrap();
    assert_eq!((synced.changes.new, synced.changes.gone), (1, None));
    assert!(synced.to_string().ends_with("; 1 lists are missing"), "{synced}");
    let names = read(&path);
    assert_eq!(names.len(), before.len() + 1);
    assert_eq!((names.name("key_new1"), names.name("key_new2")), (Some("new one"), None));
}

#[tokio::test(start_paused = true)]
async fn sync_with_all_lists_missing_writes_no_file() {
    let organization = Organization::new(20, 500);
    let directory = directory(&organization);
    let (_folder, path) = temporary_path();
    let before = directory.sync(&path).await.unwrap();
    organization.state().on_nth = (0..10_000).map(|nth| (nth, InjectedFailure::Status(401))).collect();
    let synced = directory.sync(&path).await.unwrap();
    assert!(!synced.written && synced.names.len() == before.names.len());
    let (_other_folder, other) = temporary_path();
    assert!(!directory.sync(&other).await.unwrap().written);
    assert!(!other.exists());
}

#[tokio::test(start_paused = true)]
async fn organization_without_keys_is_an_empty_map() {
    let (_folder, path) = temporary_path();
    let directory = directory(&Organization::default());
    assert!(directory.sync(&path).await.unwrap().written);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
    assert!(!directory.sync(&path).await.unwrap().written);
    // `mktemp` creates an empty file.
    fs::write(&path, "").unwrap();
    assert!(directory.sync(&path).await.unwrap().written);
}

#[tokio::test(start_paused = true)]
async fn file_that_is_not_a_map_is_not_overwritten() {
    let (folder, path) = temporary_path();
    let organization = Organization::new(3, 30);
    let directory = directory(&organization);
    for bad in ["{\n  \"key_a\": 7\n}", "not a map", "{\"key_a\": \"sk-proj-abcdefgh\"}"] {
        fs::write(&path, bad).unwrap();
        let error = directory.sync(&path).await.unwrap_err();
        assert_eq!((error.kind(), error.path()), (DirectoryErrorKind::ReadCache, Some(path.as_path())));
        assert!(std::error::Error::source(&error).is_some());
        let text = format!("{error} {error:?}");
        assert!(text.contains("learned.json:") && !text.contains("abcdefgh"), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    let error = directory.sync(folder.path()).await.unwrap_err();
    assert!(error.to_string().contains("is not a file"), "{error}");
    assert_eq!(organization.requests(), 0, "the file is checked before the first request");
}

#[tokio::test(start_paused = true)]
async fn file_in_a_missing_folder_is_an_error_with_its_source() {
    let (folder, _) = temporary_path();
    let path = folder.path().join("no/such.json");
    let error = directory(&Organization::new(3, 30)).sync(&path).await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (DirectoryErrorKind::WriteCache, Some(path.as_path())));
    assert!(error.to_string().contains("such.json: cannot be written: "), "{error}");
    assert!(std::error::Error::source(&error).unwrap().is::<std::io::Error>());
}

#[tokio::test(start_paused = true)]
async fn list_page_saved_by_hand_is_merged() {
    let (_folder, path) = temporary_path();
    let organization = Organization::new(3, 30);
    fs::write(&path, r#"{"data":[{"id":"key_old","name":"kept"},{"id":"key_00001","name":"old"}]}"#).unwrap();
    let synced = directory(&organization).sync(&path).await.unwrap();
    assert_eq!((synced.changes.renamed, synced.changes.gone), (1, Some(1)));
    let names = read(&path);
    assert_eq!((names.name("key_old"), names.name("key_00001")), (Some("kept"), Some("service-1")));
}
