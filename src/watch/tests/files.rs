//! Readings of files, without a watcher.

use std::error::Error as _;

use super::*;
use crate::secret::HIDDEN;

/// The error of these files when they are read for the first time.
fn open_error(paths: &[&Path]) -> WatchError {
    let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
    WatchedFile::open_all(&paths, &TextParser).err().unwrap()
}

/// The error of a file, with its text after the folder.
fn error_of(file: &Path) -> (WatchError, String) {
    let error = open_error(&[file]);
    let folder = file.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
    let text = error.to_string().replacen(&folder, "", 1);
    (error, text)
}

#[test]
fn missing_file_is_an_error_at_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file.txt");
    let (error, text) = error_of(&file);
    assert_eq!(text, "file.txt: there is no such file");
    assert_eq!((error.kind(), error.path()), (WatchErrorKind::NotFound, Some(&*file)));
}

#[test]
fn directory_in_place_of_a_file_is_an_error() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("inner");
    fs::create_dir(&directory).unwrap();
    let (error, text) = error_of(&directory);
    assert_eq!(text, "inner: is not a file; a directory or a pipe cannot be watched");
    assert_eq!(error.kind(), WatchErrorKind::NotAFile);
}

#[test]
fn invalid_content_is_an_error_with_its_position() {
    let (_folder, file) = one_file();
    fs::write(&file, "two").unwrap();
    let (error, text) = error_of(&file);
    assert_eq!(text, "file.txt:1:1: = is missing");
    assert_eq!((error.kind(), error.path()), (WatchErrorKind::InvalidContent, Some(&*file)));
    assert_eq!(error.source().unwrap().to_string(), "no text");
}

#[test]
fn invalid_content_without_a_position_is_an_error_of_the_whole_file() {
    let (_folder, file) = one_file();
    fs::write(&file, "").unwrap();
    assert_eq!(error_of(&file).1, "file.txt: = is missing");
}

#[test]
fn file_over_the_size_limit_is_an_error() {
    let (_folder, file) = one_file();
    fs::File::create(&file).unwrap().set_len((64 << 20) + 1).unwrap();
    let (error, text) = error_of(&file);
    assert_eq!(text, "file.txt: is over 64 MiB long, too long for a file of texts");
    assert_eq!(error.kind(), WatchErrorKind::TooLarge);
}

#[test]
fn path_that_looks_like_a_secret_is_not_repeated() {
    let error = open_error(&["sk-proj-abcdefgh".as_ref()]);
    assert_eq!(error.to_string(), format!("{HIDDEN}: there is no such file"));
    assert!(error.path().is_none() && !format!("{error:?}").contains("abcdefgh"));
}

#[test]
fn empty_path_is_an_error() {
    let error = open_error(&["".as_ref()]);
    assert_eq!(error.kind(), WatchErrorKind::Io);
    assert!(error.to_string().starts_with("\"\": cannot be read: ") && error.source().is_some());
}

#[test]
fn error_of_several_files_contains_all_texts() {
    let folder = TempDir::new().unwrap();
    let [a, b] = ["a.txt", "b.txt"].map(|file| folder.path().join(file));
    let error = open_error(&[&a, &b]);
    assert_eq!((error.kind(), error.path()), (WatchErrorKind::NotFound, Some(&*a)));
    let texts = [a, b].map(|file| format!("{}: there is no such file", file.display()));
    assert_eq!(error.to_string(), texts.join("; "));
}

/// A file, opened.
fn open_file() -> (TempDir, PathBuf, WatchedFile<TextParser>) {
    let (folder, path) = one_file();
    let file = WatchedFile::open_all(std::slice::from_ref(&path), &TextParser).unwrap().remove(0);
    (folder, path, file)
}

#[test]
fn invalid_content_is_an_error_until_the_valid_content_returns() {
    let (_folder, path, mut file) = open_file();
    for invalid in ["", "two", "missing"] {
        match invalid {
            "missing" => fs::remove_file(&path).unwrap(),
            text => fs::write(&path, text).unwrap(),
        }
        assert!(!file.reload() && file.error.is_some(), "{invalid:?}");
        assert_eq!(*file.parsed, "one");

        fs::write(&path, file_with("one")).unwrap();
        assert!(!file.reload() && file.error.is_none(), "{invalid:?}");
    }
}

#[test]
fn new_content_with_the_same_size_and_time_is_a_change() {
    let (_folder, path, mut file) = open_file();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, file_with("two")).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert!(file.reload());
    assert_eq!(*file.parsed, "two");
}

#[test]
fn new_file_with_the_same_content_is_no_change() {
    let (_folder, path, mut file) = open_file();
    save_by_rename(&path, &file_with("one"));
    assert!(!file.reload() && file.error.is_none());
}
