use std::fs;

use tempfile::TempDir;

use super::*;

fn map(pairs: &[(&str, &str)]) -> KeyNames {
    KeyNames::new(pairs.iter().copied()).unwrap()
}

/// A handle without files whose cache contains these names.
fn learning(cached: Option<KeyNames>) -> (LearnedNames, SharedKeyNames) {
    let learned = cached.unwrap_or_else(unknown);
    LearnedNames::with_handle(&[], &MapReader::default(), "learned.json".as_ref(), learned).unwrap()
}

/// The names before the first listing, without a cache.
fn unknown() -> KeyNames {
    let mut names = KeyNames::default();
    names.set_partial(KEY_ID, true);
    names
}

#[test]
fn published_names_are_the_next_generation_at_once() {
    let (learned, names) = learning(None);
    learned.publish(map(&[("key_a", "billing")]), false);
    let snapshot = names.snapshot();
    assert_eq!((snapshot.generation(), snapshot.name("key_a")), (2, Some("billing")));
    assert_eq!(names.status().generation, 2);
    assert!(names.status().source.ends_with("learned.json"));
}

#[test]
fn same_names_are_a_new_generation_only_with_the_first_complete_listing() {
    let (learned, names) = learning(Some(map(&[("key_a", "1"), ("key_b", "2")])));
    learned.publish(map(&[("key_b", "2"), ("key_a", "1")]), false);
    assert_eq!(names.snapshot().generation(), 1);
    learned.publish(map(&[("key_b", "2"), ("key_a", "1")]), true);
    assert_eq!((names.snapshot().generation(), names.snapshot().is_complete), (2, true));
    learned.publish(map(&[("key_a", "1"), ("key_b", "2")]), true);
    assert_eq!(names.snapshot().generation(), 2);
}

#[test]
fn cached_names_are_used_before_the_first_publication() {
    let (_learned, names) = learning(Some(map(&[("key_a", "billing")])));
    assert_eq!(names.snapshot().name("key_a"), Some("billing"));
    assert!(!names.status().partial);
}

#[test]
fn snapshot_is_incomplete_until_a_complete_listing_is_published() {
    let (learned, names) = learning(None);
    assert!(names.status().partial && !names.snapshot().is_complete);
    learned.publish(map(&[("key_a", "1")]), false);
    let before = names.snapshot();
    learned.publish(map(&[("key_a", "1"), ("key_b", "2")]), true);
    assert!(!before.is_complete && names.snapshot().is_complete);
    learned.publish(map(&[("key_a", "1")]), false);
    assert!(names.snapshot().is_complete, "one complete listing is enough");
}

#[test]
fn complete_listing_without_keys_is_complete() {
    let (learned, names) = learning(Some(KeyNames::default()));
    learned.publish(KeyNames::default(), true);
    assert!(names.snapshot().is_complete);
}

#[test]
fn section_is_incomplete_until_it_is_published_as_complete() {
    let projects = |is_partial| {
        let mut names = map(&[]).with_section("project_id", [("proj_a", "storefront")]).unwrap();
        names.set_partial("project_id", is_partial);
        names
    };
    let (learned, names) = learning(Some(projects(true)));
    learned.publish(projects(true), true);
    let before = names.snapshot();
    learned.publish(projects(false), true);
    let after = names.snapshot();
    assert_eq!((before.generation(), after.generation()), (2, 3));
    assert!(before.is_complete_for(KEY_ID) && !before.is_complete_for("project_id"));
    assert!(after.is_complete_for("project_id") && !after.is_complete_for("user_id"));
}

#[test]
fn replaced_map_is_incomplete_while_names_are_awaited() {
    let (_learned, names) = learning(None);
    names.replace(map(&[("key_a", "1")]));
    assert!(!names.snapshot().is_complete);
}

#[test]
fn dropped_publisher_is_not_awaited() {
    let (learned, names) = learning(Some(map(&[("key_a", "1")])));
    assert!(!names.snapshot().is_complete);
    drop(learned);
    let snapshot = names.snapshot();
    assert!(snapshot.is_complete && !names.status().partial);
}

#[test]
fn publishing_after_the_last_handle_is_dropped_has_no_effect() {
    let (learned, names) = learning(None);
    drop(names);
    learned.publish(map(&[("key_a", "1")]), true);
}

#[test]
fn file_has_precedence_over_learned_names() {
    let folder = TempDir::new().unwrap();
    let [first, cache, last] = ["first.json", "cache.json", "last.json"].map(|name| folder.path().join(name));
    fs::write(&first, r#"{"a":"first"}"#).unwrap();
    fs::write(&last, r#"{"a":"last","b":"last","c":"last"}"#).unwrap();
    let learned_pairs = map(&[("a", "learned"), ("b", "learned")]);
    let watch = |files: &[PathBuf]| {
        let (_learned, names) =
            LearnedNames::with_handle(files, &MapReader::default(), &cache, learned_pairs.clone()).unwrap();
        let snapshot = names.snapshot();
        ["a", "b", "c"].map(|id| snapshot.name(id).unwrap_or_default().to_owned())
    };
    assert_eq!(watch(&[first.clone(), last.clone()]), ["first", "last", "last"]);
    let in_its_place = [first, folder.path().join("./cache.json"), last];
    assert_eq!(watch(&in_its_place), ["first", "learned", "last"]);
}

#[test]
fn changed_file_is_merged_with_learned_names() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, "{}").unwrap();
    let (learned, names) = LearnedNames::with_handle(
        std::slice::from_ref(&file),
        &MapReader::default(),
        "cache.json".as_ref(),
        unknown(),
    )
    .unwrap();
    learned.publish(map(&[("a", "learned"), ("b", "learned")]), true);
    fs::write(&file, r#"{"a":"file"}"#).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let renamed = names.wait_for(|_| names.snapshot().name("a") == Some("file"));
        tokio::time::timeout(std::time::Duration::from_secs(60), renamed)
            .await
            .expect("no reload within 60 s");
    });
    assert_eq!(names.snapshot().name("b"), Some("learned"));
}

#[test]
fn missing_hand_written_file_is_refused() {
    assert!(
        LearnedNames::with_handle(
            &["gone.json".into()],
            &MapReader::default(),
            "cache.json".as_ref(),
            unknown()
        )
        .is_err()
    );
}
