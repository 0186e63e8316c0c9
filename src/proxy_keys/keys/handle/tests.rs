use std::fs;
use std::path::PathBuf;
use std::sync::Weak;

use tempfile::TempDir;

use super::*;
use crate::proxy_keys::mint;
use crate::watch::tests::{save_by_rename, within_deadline};

/// A keys file with one key, named `tutor`, which has these digests.
fn keys_file(digests: &[String]) -> String {
    let mut hashes = Vec::new();
    for digest in digests {
        hashes.push(format!("\"{digest}\""));
    }
    format!(r#"{{"data":[{{"id":"key_a","name":"tutor","hashes":[{}]}}]}}"#, hashes.join(","))
}

/// A folder with a keys file of this content.
fn folder_with(content: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys.json");
    fs::write(&path, content).unwrap();
    (folder, path)
}

/// True if the key is in the current table.
fn has_key(keys: &ProxyKeys, key: &str) -> bool {
    keys.table().find(key.as_bytes()).is_some()
}

/// Waits until the handle has reached this generation.
fn wait_for_generation(keys: &ProxyKeys, generation: u64) {
    within_deadline(keys.names().wait_for(|status| status.generation >= generation));
}

/// Waits until the last error contains this text.
fn wait_for_error(keys: &ProxyKeys, text: &str) {
    let has_text = |error: &WatchError| error.to_string().contains(text);
    within_deadline(keys.names().wait_for(|status| status.last_error.as_ref().is_some_and(has_text)));
}

#[test]
fn keys_and_names_are_those_of_the_text() {
    let minted = mint().unwrap();
    let keys = ProxyKeys::from_json(keys_file(&[minted.digest()]).as_bytes()).unwrap();
    assert!(has_key(&keys, minted.key()) && !has_key(&keys, &minted.digest()));
    assert_eq!(keys.names().snapshot().name("key_a"), Some("tutor"));
    assert_eq!((keys.status().generation, keys.status().entries), (1, 1));
}

#[test]
fn debug_output_contains_no_name_and_no_digest() {
    let minted = mint().unwrap();
    let keys = ProxyKeys::from_json(keys_file(&[minted.digest()]).as_bytes()).unwrap();
    let output = format!("{keys:?}");
    assert!(!output.contains("tutor") && !output.contains(&minted.digest()[7..]), "{output}");
}

#[test]
fn watched_file_has_the_names_that_the_naming_map_reads() {
    let (_folder, path) = folder_with(&keys_file(&[mint().unwrap().digest()]));
    let keys = ProxyKeys::watch(&path).unwrap();
    let names = SharedKeyNames::watch(&path).unwrap();
    assert!(keys.names().snapshot().iter().eq(names.snapshot().iter()));
    assert_eq!(keys.status().entries, 1);
}

#[test]
fn revoked_key_is_absent_and_keeps_its_name_in_the_next_generation() {
    let minted = mint().unwrap();
    let (_folder, path) = folder_with(&keys_file(&[minted.digest()]));
    let keys = ProxyKeys::watch(&path).unwrap();
    let other_handle = keys.clone();
    assert!(has_key(&other_handle, minted.key()));
    fs::write(&path, keys_file(&[])).unwrap();
    wait_for_generation(&keys, 2);
    assert!(!has_key(&other_handle, minted.key()));
    let snapshot = other_handle.names().snapshot();
    assert_eq!((snapshot.generation(), snapshot.name("key_a")), (2, Some("tutor")));
}

#[test]
fn file_replaced_by_a_rename_is_reloaded() {
    let [old, new] = [mint().unwrap(), mint().unwrap()];
    let (_folder, path) = folder_with(&keys_file(&[old.digest()]));
    let keys = ProxyKeys::watch(&path).unwrap();
    save_by_rename(&path, &keys_file(&[old.digest(), new.digest()]));
    wait_for_generation(&keys, 2);
    assert!(has_key(&keys, old.key()) && has_key(&keys, new.key()));
}

#[test]
fn invalid_file_keeps_its_last_valid_keys() {
    let minted = mint().unwrap();
    let valid = keys_file(&[minted.digest()]);
    let (_folder, path) = folder_with(&valid);
    let keys = ProxyKeys::watch(&path).unwrap();
    let with_key = keys_file(&[minted.key().to_owned()]);
    for (invalid, text) in [
        ("", "keys.json: there is nothing here"),
        ("{\"data\":[", "keys.json:1:10: the JSON ends too early"),
        (with_key.as_str(), "keys.json:1:49: a digest must be sha256:"),
    ] {
        fs::write(&path, invalid).unwrap();
        wait_for_error(&keys, text);
        assert!(!format!("{keys:?}").contains(minted.key()));
        assert!(has_key(&keys, minted.key()));
        fs::write(&path, &valid).unwrap();
        within_deadline(keys.names().wait_for(|status| status.last_error.is_none()));
    }
    assert_eq!(keys.status().generation, 1);
}

#[test]
fn error_of_a_watched_file_has_its_position() {
    let (_folder, path) = folder_with("{\n \"keys\": []}");
    let error = ProxyKeys::watch(&path).unwrap_err();
    assert!(error.to_string().contains("keys.json:2:2: this is no member of the keys file"), "{error}");
    let keys_error = error.keys_error().unwrap();
    assert_eq!((keys_error.line(), keys_error.column()), (Some(2), Some(2)));
    assert!(error.map_error().is_none());
}

#[test]
fn thread_ends_after_the_last_handle_is_dropped() {
    let (_folder, path) = folder_with(&keys_file(&[]));
    let keys = ProxyKeys::watch(&path).unwrap();
    let names = keys.names();
    let table: Weak<ArcSwap<KeyTable>> = Arc::downgrade(&keys.table);
    drop(keys);
    fs::write(&path, keys_file(&[mint().unwrap().digest()])).unwrap();
    within_deadline(names.wait_for(|status| status.generation == 2));
    drop(names);
    // The thread keeps the table until it ends.
    within_deadline(async {
        while table.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    });
}
