use std::time::SystemTime;

use tempfile::TempDir;

use super::*;

#[test]
fn rendered_map_is_sorted_and_parses_to_the_same_names() {
    assert_eq!(render(&KeyNames::default()), "{}\n");
    let names = KeyNames::new([("b", "say \"hi\" \\o/"), ("a\"\\", "Zürich 🦀")]).unwrap();
    let text = render(&names);
    assert_eq!(text, "{\n  \"a\\\"\\\\\": \"Zürich 🦀\",\n  \"b\": \"say \\\"hi\\\" \\\\o/\"\n}\n");
    let parsed = KeyNames::from_json(text.as_bytes()).unwrap();
    assert_eq!((parsed.len(), parsed.name("b")), (2, names.name("b")));
}

/// The cache of a provider, in a folder that contains this text as the file.
fn cache(folder: &TempDir, text: &str, provider: Provider, by_provider: bool) -> CacheFile {
    let path = folder.path().join("names.json");
    fs::write(&path, text).unwrap();
    let labels = Labels::default().with("project_id", "project_name").unwrap();
    CacheFile { path, labels, provider, by_provider }
}

#[test]
fn sections_of_labels_that_are_off_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"api_key_id":{"key_a":"a"},"user_id":{"user_a":"Ana"}}"#;
    let cache = cache(&folder, text, Provider::OpenAi, false);
    let learned = KeyNames::default().with_section("project_id", [("proj_a", "storefront")]).unwrap();
    assert!(cache.save(&learned, false).unwrap().written);
    let saved = cache.load().unwrap().unwrap();
    let name = |id_member, id| saved.section(id_member).unwrap().name(id);
    assert_eq!((name(KEY_ID, "key_a"), name("user_id", "user_a")), (Some("a"), Some("Ana")));
    assert_eq!(name("project_id", "proj_a"), Some("storefront"));
    assert!(!cache.save(&learned, true).unwrap().written);
}

#[test]
fn flat_file_is_divided_between_the_providers_by_the_forms_of_ids() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"key_a":"a","apikey_b":"b","c":"c"}"#;
    let openai = cache(&folder, text, Provider::OpenAi, true);
    let anthropic = CacheFile { provider: Provider::Anthropic, ..openai.clone() };
    let saved = openai.save(&KeyNames::new([("key_new", "new")]).unwrap(), true).unwrap();
    assert!(saved.before.iter().eq([("key_a", "a"), ("c", "c")]));
    let other = anthropic.load().unwrap().unwrap();
    assert!(other.iter().eq([("apikey_b", "b"), ("c", "c")]));
    let text = fs::read_to_string(&openai.path).unwrap();
    assert_eq!(listed_providers(text.as_bytes()), Provider::ALL);
}

#[test]
fn file_with_sections_of_providers_keeps_its_form() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"anthropic":{"api_key_id":{"apikey_a":"a"}}}"#;
    for text in [text, &format!("\u{feff}{text}")] {
        let cache = cache(&folder, text, Provider::OpenAi, false);
        assert!(cache.load().unwrap().is_none());
        cache.save(&KeyNames::default(), true).unwrap();
        let saved = fs::read_to_string(&cache.path).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&saved).unwrap(),
            serde_json::json!({"anthropic": {"api_key_id": {"apikey_a": "a"}}, "openai": {"api_key_id": {}}})
        );
    }
}

#[test]
fn empty_map_does_not_mean_that_every_section_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let names = cache(&folder, "{}", Provider::OpenAi, false).load().unwrap().unwrap();
    assert!(names.section("project_id").is_none() && !names.is_section_complete("project_id"));
}

#[cfg(unix)]
#[test]
fn replaced_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.json");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    replace(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn replacement_removes_old_temporary_files_of_this_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [old, recent, other] = [".names.json.abc", ".names.json.def", ".other.json.abc"]
        .map(|name| path(&format!("{name}{TEMPORARY}")));
    let long_ago = SystemTime::now() - MAX_TEMPORARY_AGE * 2;
    for file in [&old, &recent, &other] {
        fs::write(file, "").unwrap();
    }
    for file in [&old, &other] {
        fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
    }
    replace(&path("names.json"), b"new").unwrap();
    assert!(!old.exists() && recent.exists() && other.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[cfg(unix)]
#[test]
fn replacement_through_a_link_keeps_the_link() {
    let folder = tempfile::tempdir().unwrap();
    let [path, link] = ["names.json", "link.json"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink("names.json", &link).unwrap();
    for text in ["created", "replaced"] {
        replace(&link, text.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}

#[test]
fn replacement_in_a_missing_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(replace(&folder.path().join("no/such/folder"), b"").is_err());
}
