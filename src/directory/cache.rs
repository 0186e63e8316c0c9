//! The file with learned names: reading, merging and atomic replacement.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{DirectoryError, DirectoryErrorKind};
use crate::names::watch::{MAX_FILE, parse_file, read_file};
use crate::names::{MapReader, contains_secret, display_path};
use crate::{KeyNames, WatchError};

/// The age at which a temporary file is abandoned: its writer was killed.
const MAX_TEMPORARY_AGE: Duration = Duration::from_secs(60 * 60);

/// The suffix of temporary files.
const TEMPORARY: &str = ".draft";

/// The content of the file before and after an update.
pub(super) struct Saved {
    pub(super) before: KeyNames,
    pub(super) names: KeyNames,
    /// False if the file contained these names already.
    pub(super) written: bool,
}

/// Reads the names in the file. Returns `None` if the file is missing or empty.
pub(super) fn load(path: &Path) -> Result<Option<KeyNames>, DirectoryError> {
    let read_error = |cause: WatchError| {
        file_error(DirectoryErrorKind::ReadCache, path, cause.to_string()).caused_by(cause)
    };
    let bytes = read_file(path, path).map_err(read_error)?.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(None);
    }
    let names = parse_file(path, &bytes, &MapReader::default()).map_err(read_error)?;
    let is_list_page = names.is_partial() || names.left_out() > 0;
    if is_list_page {
        // A user has saved one page of a list. A listing reads the other pages, so only the pairs are kept.
        return Ok(Some(KeyNames::new(names.iter()).unwrap_or_default()));
    }
    Ok(Some(names))
}

/// Merges learned names into the file, and replaces the file if that changes it.
///
/// A file that is not a map is not replaced, since a user may have written it. An empty map is written only after a
/// complete listing.
pub(super) fn save(path: &Path, learned: &KeyNames, is_complete: bool) -> Result<Saved, DirectoryError> {
    let loaded = load(path)?;
    let is_first_complete = is_complete && loaded.is_none();
    let before = loaded.unwrap_or_default();
    let names = KeyNames::merged([learned, &before]);
    let is_changed = !names.has_same_pairs(&before);
    let written = is_changed || is_first_complete;
    if written {
        write_map(path, &names).map_err(|cause| {
            let message = format!("{}: cannot be written: {cause}", display_path(path));
            file_error(DirectoryErrorKind::WriteCache, path, message).caused_by(cause)
        })?;
    }
    Ok(Saved { before, names, written })
}

/// Creates an error with the path of its file, unless the path looks like a secret.
fn file_error(kind: DirectoryErrorKind, path: &Path, message: String) -> DirectoryError {
    let error = DirectoryError::new(kind, message);
    if contains_secret(&path.to_string_lossy()) { error } else { error.at(path) }
}

/// Writes a map with one id per line, sorted, so that two files can be compared line by line.
pub(super) fn render(names: &KeyNames) -> String {
    let sorted: BTreeMap<&str, &str> = names.iter().collect();
    // Serializing strings into a string cannot fail.
    serde_json::to_string_pretty(&sorted).unwrap_or_default() + "\n"
}

/// Writes the map with these names, unless it would be too long to be read again.
fn write_map(path: &Path, names: &KeyNames) -> io::Result<()> {
    let text = render(names);
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it would be longer than {} MiB", MAX_FILE >> 20)));
    }
    replace(path, text.as_bytes())
}

/// Replaces the file with these bytes in one step. After a crash there is the old file or the new one.
///
/// The new file has mode 0600, because names of keys may be confidential. A symbolic link is kept, and its target is
/// replaced.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = resolve_link(path)?;
    let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(OsStr::to_str)) else {
        return Err(io::Error::other("the path has no file name"));
    };
    let prefix = format!(".{name}.");
    remove_abandoned(folder, &prefix);
    // The temporary file is in the same folder, because a rename is atomic only within a file system. After an error,
    // dropping `temporary` removes the file.
    let mut temporary = tempfile::Builder::new().prefix(&prefix).suffix(TEMPORARY).tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(&target).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Returns the absolute path of a file behind its symbolic links. If the file does not exist, one link is resolved.
fn resolve_link(path: &Path) -> io::Result<PathBuf> {
    if let Ok(existing) = fs::canonicalize(path) {
        return Ok(existing);
    }
    match fs::read_link(path) {
        // A relative link begins at its own folder. An absolute link replaces the whole path.
        Ok(missing) => std::path::absolute(path.with_file_name(missing)),
        Err(_) => std::path::absolute(path),
    }
}

/// Removes temporary files of killed writers, whose names begin with `prefix`.
fn remove_abandoned(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let name = file_name.to_str().unwrap_or_default();
        let is_temporary = name.starts_with(prefix) && name.ends_with(TEMPORARY);
        if is_temporary && is_abandoned(&entry.path()) {
            // The removal fails if another process has removed the file, or owns it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// True if the file was modified more than [`MAX_TEMPORARY_AGE`] ago.
fn is_abandoned(path: &Path) -> bool {
    let Ok(modified) = fs::metadata(path).and_then(|metadata| metadata.modified()) else { return false };
    modified.elapsed().is_ok_and(|age| age > MAX_TEMPORARY_AGE)
}

/// Makes a rename in the folder survive a loss of power. Does nothing if the file system cannot.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // A folder cannot be opened as a file on Windows.
    if cfg!(windows) {
        return Ok(());
    }
    let Err(error) = fs::File::open(folder)?.sync_all() else { return Ok(()) };
    let is_unsupported = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported);
    if is_unsupported { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

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
}
