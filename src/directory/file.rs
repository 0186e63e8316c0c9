//! The map file: what is known, and the whole of it again or nothing at all.

use super::listing::Listing;
use super::{DirectoryError, Synced};
use crate::KeyNames;
use crate::names::watch::{MAX_FILE, display_path, parse_file, read_file};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A draft that is older belongs to nobody any more: its writer was killed.
const STALE: Duration = Duration::from_secs(60 * 60);

/// The names that stand in this file: none, if it is missing or empty.
pub(super) fn known(path: &Path) -> Result<KeyNames, DirectoryError> {
    parsed(path, &bytes(path)?)
}

/// Puts what was learned over what the file says, and saves that if it says anything new.
pub(super) fn save(path: &Path, listing: Arc<Listing>) -> Result<Synced, DirectoryError> {
    let before = bytes(path)?;
    let (names, changes) = listing.merge_into(&parsed(path, &before)?);
    // A file is not made of nothing, unless nothing is all there is.
    let is_first = before.is_empty() && (!names.is_empty() || listing.is_complete());
    let written = is_first || changes.new + changes.renamed > 0;
    if written {
        let text = rendered(&names);
        if text.len() as u64 > MAX_FILE {
            let why = format!("would be over {} MiB long, too long for a map of names", MAX_FILE >> 20);
            return Err(fault(path, why));
        }
        write(path, text.as_bytes()).map_err(|error| fault(path, format!("cannot be written: {error}")))?;
    }
    Ok(Synced { listing, names: Arc::new(names), changes, written })
}

fn bytes(path: &Path) -> Result<Vec<u8>, DirectoryError> {
    let bytes = read_file(path).map_err(|error| DirectoryError::new(error.to_string()))?;
    Ok(bytes.unwrap_or_default())
}

/// What is there and makes no sense is somebody's work: it is refused, not written over.
fn parsed(path: &Path, bytes: &[u8]) -> Result<KeyNames, DirectoryError> {
    if bytes.is_empty() {
        return Ok(KeyNames::default());
    }
    parse_file(path, bytes).map_err(|error| DirectoryError::new(error.to_string()))
}

fn fault(path: &Path, why: String) -> DirectoryError {
    DirectoryError::new(format!("{}: {why}", display_path(path)))
}

/// One id a line, in order: made to be read, and compared line by line.
pub(super) fn rendered(names: &KeyNames) -> String {
    let sorted: BTreeMap<&str, &str> = names.iter().collect();
    // Of text to text: this does not fail.
    serde_json::to_string_pretty(&sorted).unwrap_or_default() + "\n"
}

// === Writing ===

/// Puts these bytes in place of the file, in one step: whoever reads it meanwhile, and whatever breaks meanwhile,
/// there is the old file or the new one. Only its owner may read it: names of keys tell what a company is up to.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays: what it leads to is replaced, or made.
    let target = || Ok::<_, io::Error>(path.with_file_name(fs::read_link(path)?));
    let path = fs::canonicalize(path).or_else(|_| target()).or_else(|_| std::path::absolute(path))?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io::Error::other("this is no path of a file"));
    };
    let prefix = format!(".{name}.");
    sweep(folder, &prefix);
    // In the same directory, since a rename is one step only within a file system. Created with mode 0600, and
    // removed if anything fails.
    let mut draft = tempfile::Builder::new().prefix(&prefix).suffix(DRAFT).tempfile_in(folder)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    draft.persist(&path).map_err(|error| error.error)?;
    settle(folder)
}

const DRAFT: &str = ".draft";

/// Removes drafts that a killed writer left.
fn sweep(folder: &Path, prefix: &str) {
    let is_stale = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let age = || SystemTime::now().duration_since(fs::metadata(path).ok()?.modified().ok()?).ok();
        name.starts_with(prefix) && name.ends_with(DRAFT) && age().is_some_and(|age| age > STALE)
    };
    let found = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in found.filter(is_stale) {
        // It may be gone by now, or belong to somebody else.
        let _ = fs::remove_file(path);
    }
}

/// Makes the rename last through a loss of power.
#[cfg(unix)]
fn settle(folder: &Path) -> io::Result<()> {
    match fs::File::open(folder)?.sync_all() {
        // Some file systems know no such thing.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        settled => settled,
    }
}

#[cfg(not(unix))]
fn settle(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sorted_one_id_a_line_and_reads_back() {
        assert_eq!(rendered(&KeyNames::default()), "{}\n");
        let names = KeyNames::new([("b", "say \"hi\" \\o/"), ("a\"\\", "Zürich 🦀")]).unwrap();
        let text = rendered(&names);
        assert_eq!(text, "{\n  \"a\\\"\\\\\": \"Zürich 🦀\",\n  \"b\": \"say \\\"hi\\\" \\\\o/\"\n}\n");
        let back = KeyNames::from_json(text.as_bytes()).unwrap();
        assert_eq!((back.len(), back.name("b")), (2, names.name("b")));
    }

    #[cfg(unix)]
    #[test]
    fn it_is_written_for_its_owner_only_and_leaves_nothing_else() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.json");
        let stale = folder.path().join(format!(".names.json.abc{DRAFT}"));
        let fresh = folder.path().join(format!(".names.json.def{DRAFT}"));
        let other = folder.path().join(format!(".other.json.abc{DRAFT}"));
        for file in [&stale, &fresh, &other] {
            fs::write(file, "").unwrap();
        }
        let long_ago = SystemTime::now() - STALE * 2;
        for file in [&stale, &other] {
            fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
        }
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!stale.exists() && fresh.exists() && other.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);

        // Through a link, to what it leads to.
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink("names.json", &link).unwrap();
        write(&link, b"newer").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(write(&folder.path().join("no/such/folder"), b"").is_err());
    }
}
