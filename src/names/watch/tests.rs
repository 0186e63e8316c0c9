use std::fs;

use tempfile::TempDir;

use super::*;
use crate::Status;
use crate::watch::tests::{reload_without_thread, save_by_rename, within_deadline};

fn map(name: &str) -> String {
    format!("{{\"a\":\"{name}\"}}")
}

/// A folder with one map file, which names the key `a`.
fn one_file() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, map("one")).unwrap();
    (folder, file)
}

fn name_of(names: &SharedKeyNames) -> Option<String> {
    names.snapshot().name("a").map(str::to_owned)
}

/// Waits until the key `a` has this name.
fn wait_for_name(names: &SharedKeyNames, name: &str) {
    within_deadline(names.wait_for(|_| names.snapshot().name("a") == Some(name)));
}

#[test]
fn watch_of_no_file_is_an_error() {
    let error = SharedKeyNames::watch_all([] as [&str; 0]).unwrap_err();
    assert_eq!(error.kind(), WatchErrorKind::NoFiles);
    assert_eq!(error.to_string(), "no file to watch; name at least one");
}

#[test]
fn empty_file_is_an_error_at_start() {
    let (_folder, file) = one_file();
    fs::write(&file, "").unwrap();
    let text = SharedKeyNames::watch(&file).unwrap_err().to_string();
    assert!(text.contains("names.json: there is nothing here"), "{text}");
}

#[test]
fn invalid_map_is_an_error_with_its_position() {
    let (_folder, file) = one_file();
    fs::write(&file, "{\n  \"a\": \"1\",\n  \"b\": \"sk-proj-abcdefgh\"\n}").unwrap();
    let error = SharedKeyNames::watch(&file).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("names.json:3:8: this name looks like a secret"), "{text}");
    assert!(!format!("{error} {error:?}").contains("abcdefgh"));
    assert_eq!(error.kind(), WatchErrorKind::InvalidContent);
    let defect = error.map_error().unwrap();
    assert_eq!((defect.line(), defect.column()), (Some(3), Some(8)));
}

#[test]
fn file_over_the_size_limit_is_too_long_for_key_names() {
    let (_folder, file) = one_file();
    fs::File::create(&file).unwrap().set_len((64 << 20) + 1).unwrap();
    let text = SharedKeyNames::watch(&file).unwrap_err().to_string();
    assert!(text.ends_with("names.json: is over 64 MiB long, too long for a file of key names"), "{text}");
}

#[test]
fn invalid_file_keeps_its_last_valid_map() {
    let (_folder, file) = one_file();
    let names = SharedKeyNames::watch(&file).unwrap();
    for (invalid, text) in [
        ("", "names.json: there is nothing here"),
        ("{\"a\":\"tw", "names.json:1:9: the JSON ends too early"),
        ("{\n\"a\": \"sk-proj-abcdefgh\"}", "names.json:2:6: this name looks like a secret"),
    ] {
        fs::write(&file, invalid).unwrap();
        let has_text = |error: &WatchError| error.to_string().contains(text);
        within_deadline(names.wait_for(|status| status.last_error.as_ref().is_some_and(has_text)));
        assert!(!format!("{names:?}").contains("abcdefgh"));
        assert_eq!(name_of(&names).as_deref(), Some("one"));
        fs::write(&file, map("one")).unwrap();
        within_deadline(names.wait_for(|status| status.last_error.is_none()));
    }
    assert_eq!(names.status().generation, 1);
}

#[test]
fn empty_object_is_a_map_without_names() {
    let (_folder, file) = one_file();
    let names = SharedKeyNames::watch(&file).unwrap();
    fs::write(&file, "{}").unwrap();
    // Writing in place may be observed after the file was emptied and before it was filled.
    let is_second = |status: &Status| status.generation == 2 && status.last_error.is_none();
    assert_eq!(within_deadline(names.wait_for(is_second)).entries, 0);
}

#[test]
fn first_file_with_an_id_names_it() {
    let folder = TempDir::new().unwrap();
    let [first, second] = ["first.json", "second.json"].map(|file| folder.path().join(file));
    fs::write(&first, "{}").unwrap();
    fs::write(&second, r#"{"a":"second","b":"second"}"#).unwrap();
    let names = SharedKeyNames::watch_all([&first, &second]).unwrap();
    assert_eq!(names.status().source, format!("{}, {}", first.display(), second.display()));
    assert_eq!(name_of(&names).as_deref(), Some("second"));
    fs::write(&first, map("first")).unwrap();
    wait_for_name(&names, "first");
    assert_eq!(names.snapshot().name("b"), Some("second"));
}

#[test]
fn replaced_map_gives_way_to_a_new_content() {
    let (_folder, file) = one_file();
    let names = SharedKeyNames::watch(&file).unwrap();
    names.replace(KeyNames::new([("a", "ours")]).unwrap());
    save_by_rename(&file, &map("two"));
    wait_for_name(&names, "two");
    assert_eq!(names.status().generation, 3);
}

#[test]
fn replaced_map_stays_until_the_content_changes() {
    let (_folder, file) = one_file();
    let files = MapFile::open_all(std::slice::from_ref(&file), &MapReader::default()).unwrap();
    let names = SharedKeyNames { store: Store::new(sources_of(&files)), watcher: None, selection: None };
    let store = Arc::downgrade(&names.store);
    let mut reload = reload_without_thread(files, move |reading| publish(&store, &[0], Arc::clone, reading));
    names.replace(KeyNames::new([("a", "ours")]).unwrap());
    assert_eq!(names.status().source, "memory");

    save_by_rename(&file, &map("one"));
    reload();
    assert_eq!(name_of(&names).as_deref(), Some("ours"));

    fs::write(&file, "{").unwrap();
    reload();
    assert_eq!(name_of(&names).as_deref(), Some("ours"));
    assert!(names.status().last_error.is_some());

    fs::write(&file, map("one")).unwrap();
    reload();
    assert_eq!(name_of(&names).as_deref(), Some("ours"));
    assert_eq!((names.status().generation, names.status().last_error), (2, None));

    fs::write(&file, map("two")).unwrap();
    reload();
    assert_eq!(name_of(&names).as_deref(), Some("two"));
    assert_eq!(names.status().generation, 3);
    assert_eq!(names.status().source, file.display().to_string());
}

#[test]
fn watcher_ends_with_the_last_handle() {
    let (_folder, file) = one_file();
    let names = SharedKeyNames::watch(&file).unwrap();
    let watcher = Arc::downgrade(names.watcher.as_ref().unwrap());
    let snapshot = names.snapshot();
    let clone = names.clone();
    drop(names);
    assert!(watcher.upgrade().is_some(), "a clone keeps the watcher");
    drop(clone);
    assert!(watcher.upgrade().is_none(), "a snapshot does not keep the watcher");
    assert_eq!(snapshot.name("a"), Some("one"));
}
