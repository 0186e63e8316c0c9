//! Readings of files, without a watcher.

use std::error::Error as _;

use super::*;
use crate::names::WatchErrorKind;
use crate::secret::HIDDEN;

#[test]
fn watch_of_no_file_is_an_error() {
    let error = SharedKeyNames::watch_all([] as [&str; 0]).unwrap_err();
    assert_eq!(error.kind(), WatchErrorKind::NoFiles);
    assert_eq!(error.to_string(), "no file to watch; name at least one");
}

/// The error of a watch, with its text after the folder.
fn watch_error(file: &Path) -> (WatchError, String) {
    let error = SharedKeyNames::watch(file).unwrap_err();
    let folder = file.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
    let text = error.to_string().replacen(&folder, "", 1);
    (error, text)
}

#[test]
fn missing_file_is_an_error_at_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("names.json");
    let (error, text) = watch_error(&file);
    assert_eq!(text, "names.json: there is no such file");
    assert_eq!((error.kind(), error.path()), (WatchErrorKind::NotFound, Some(&*file)));
}

#[test]
fn directory_in_place_of_a_file_is_an_error() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("names");
    fs::create_dir(&directory).unwrap();
    let (error, text) = watch_error(&directory);
    assert_eq!(text, "names: is not a file; a directory or a pipe cannot be watched");
    assert_eq!(error.kind(), WatchErrorKind::NotAFile);
}

#[test]
fn empty_file_is_an_error_at_start() {
    let (_folder, file) = one_file();
    fs::write(&file, "").unwrap();
    assert!(watch_error(&file).1.starts_with("names.json: there is nothing here"));
}

#[test]
fn invalid_map_is_an_error_with_its_position() {
    let (_folder, file) = one_file();
    fs::write(&file, "{\n  \"a\": \"1\",\n  \"b\": \"sk-proj-abcdefgh\"\n}").unwrap();
    let (error, text) = watch_error(&file);
    assert!(text.starts_with("names.json:3:8: this name looks like a secret"), "{text}");
    assert!(!format!("{error} {error:?}").contains("abcdefgh"));
    assert_eq!(error.kind(), WatchErrorKind::InvalidMap);
    let defect = error.map_error().unwrap();
    assert_eq!((defect.line(), defect.column()), (Some(3), Some(8)));
    assert!(error.source().is_some());
}

#[test]
fn file_over_the_size_limit_is_an_error() {
    let (_folder, file) = one_file();
    fs::File::create(&file).unwrap().set_len((64 << 20) + 1).unwrap();
    let (error, text) = watch_error(&file);
    assert_eq!(text, "names.json: is over 64 MiB long, too long for a map of names");
    assert_eq!(error.kind(), WatchErrorKind::TooLarge);
}

#[test]
fn path_that_looks_like_a_secret_is_not_repeated() {
    let error = SharedKeyNames::watch("sk-proj-abcdefgh").unwrap_err();
    assert_eq!(error.to_string(), format!("{HIDDEN}: there is no such file"));
    assert!(error.path().is_none() && !format!("{error:?}").contains("abcdefgh"));
}

#[test]
fn empty_path_is_an_error() {
    let error = SharedKeyNames::watch("").unwrap_err();
    assert_eq!(error.kind(), WatchErrorKind::Io);
    assert!(error.to_string().starts_with("\"\": cannot be read: ") && error.source().is_some());
}

#[test]
fn error_of_several_files_contains_all_texts() {
    let folder = TempDir::new().unwrap();
    let [a, b] = ["a.json", "b.json"].map(|file| folder.path().join(file));
    let error = SharedKeyNames::watch_all([&a, &b]).unwrap_err();
    assert_eq!((error.kind(), error.path()), (WatchErrorKind::NotFound, Some(&*a)));
    let texts = [a, b].map(|file| format!("{}: there is no such file", file.display()));
    assert_eq!(error.to_string(), texts.join("; "));
}

/// A file with one entry, opened.
fn open_file() -> (TempDir, PathBuf, MapFile) {
    let (folder, path) = one_file();
    let file = MapFile::open_all(std::slice::from_ref(&path), &MapReader::default()).unwrap().remove(0);
    (folder, path, file)
}

#[test]
fn invalid_content_is_an_error_until_the_valid_content_returns() {
    let (_folder, path, mut file) = open_file();
    for invalid in ["", "{", "[]", "missing"] {
        match invalid {
            "missing" => fs::remove_file(&path).unwrap(),
            text => fs::write(&path, text).unwrap(),
        }
        assert!(!file.reload() && file.error.is_some(), "{invalid:?}");
        assert_eq!(file.names.name("a"), Some("one"));

        fs::write(&path, map("one")).unwrap();
        assert!(!file.reload() && file.error.is_none(), "{invalid:?}");
    }
}

#[test]
fn new_content_with_the_same_size_and_time_is_a_change() {
    let (_folder, path, mut file) = open_file();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, map("two")).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert!(file.reload());
    assert_eq!(file.names.name("a"), Some("two"));
}

#[test]
fn new_file_with_the_same_content_is_no_change() {
    let (_folder, path, mut file) = open_file();
    save_by_rename(&path, &map("one"));
    assert!(!file.reload() && file.error.is_none());
}
