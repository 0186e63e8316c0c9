//! The file with learned names: reading, merging and atomic replacement.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{DirectoryError, DirectoryErrorKind};
use crate::names::{KEY_ID, Labels, MapReader, Provider, Section};
use crate::secret::{contains_secret, display_path};
use crate::watch::{MAX_FILE, Parse, parse_file, read_file};
use crate::{KeyNames, WatchError};

/// The age at which a temporary file is abandoned: its writer was killed.
const MAX_TEMPORARY_AGE: Duration = Duration::from_secs(60 * 60);

/// The suffix of temporary files.
const TEMPORARY: &str = ".draft";

/// A valid map may begin with it (RFC 8259 §8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Locked while a file is read, changed and replaced, because the directories of two providers may share it.
static UPDATE: Mutex<()> = Mutex::new(());

/// The file with learned names.
#[derive(Clone)]
pub(super) struct CacheFile {
    pub(super) path: PathBuf,
    pub(super) labels: Labels,
    /// The provider whose names are read and replaced.
    pub(super) provider: Provider,
    /// True if the file is written with a section for each provider, whatever its form is now.
    pub(super) by_provider: bool,
}

/// The names of one provider in the file, before and after an update.
pub(super) struct Saved {
    pub(super) before: KeyNames,
    pub(super) names: KeyNames,
    /// False if the file contained these names already.
    pub(super) written: bool,
}

/// The names of each label by its id member, sorted, so that two files can be compared line by line.
type SortedSections<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

impl CacheFile {
    /// Reads the names of the provider. Returns `None` if the file is missing or empty, or has sections for providers
    /// without this one.
    pub(super) fn load(&self) -> Result<Option<KeyNames>, DirectoryError> {
        self.parse(&self.read()?, self.provider)
    }

    /// Merges learned names into the file, and replaces the file if that changes it. The names of the other provider are
    /// kept.
    ///
    /// A file that is not a map is not replaced, since a user may have written it. An empty map is written only after a
    /// complete listing.
    pub(super) fn save(&self, learned: &KeyNames, is_complete: bool) -> Result<Saved, DirectoryError> {
        // The file is complete even if another writer panics.
        let _guard = UPDATE.lock().unwrap_or_else(PoisonError::into_inner);
        let content = self.read()?;
        let loaded = self.parse(&content, self.provider)?;
        let is_first_complete = is_complete && loaded.is_none();
        let before = loaded.unwrap_or_default();
        let names = KeyNames::merged([learned, &before]);
        let written = is_first_complete || sort_sections(&names) != sort_sections(&before);
        if written {
            let text = if self.by_provider || !listed_providers(&content).is_empty() {
                self.render_providers(&content, &names)?
            } else {
                render(&names)
            };
            write_map(&self.path, &text).map_err(|cause| {
                let message = format!("{}: cannot be written: {cause}", display_path(&self.path));
                self.error(DirectoryErrorKind::WriteCache, message).caused_by(cause)
            })?;
        }
        Ok(Saved { before, names, written })
    }

    /// Reads the content of the file. It is empty if the file is missing.
    fn read(&self) -> Result<Vec<u8>, DirectoryError> {
        let content =
            read_file(&self.path, &self.path, MapReader::WHAT).map_err(|cause| self.read_error(cause))?;
        Ok(content.unwrap_or_default())
    }

    /// Returns the names of a provider in the content of the file. `None` if the content is empty, or has sections for
    /// providers without this one.
    fn parse(&self, content: &[u8], provider: Provider) -> Result<Option<KeyNames>, DirectoryError> {
        if content.is_empty() {
            return Ok(None);
        }
        let reader = MapReader::default().labels(self.labels.clone()).provider(provider);
        let parsed = parse_file(&self.path, content, &reader).map_err(|cause| self.read_error(cause))?;
        let providers = listed_providers(content);
        if !providers.is_empty() && !providers.contains(&provider) {
            return Ok(None);
        }
        // Only the pairs are kept: a page of a list that a user has saved is read again by the listing, and an empty
        // file does not mean that every section is empty.
        let mut names = KeyNames::default();
        for id_member in parsed.section_names() {
            let all_pairs = parsed.section(id_member).into_iter().flat_map(Section::iter);
            let own_pairs = all_pairs.filter(|(id, _)| !self.by_provider || provider.may_own(id));
            // The parser has checked the pairs.
            names = names.with_section(id_member, own_pairs).unwrap_or_default();
        }
        Ok(Some(names))
    }

    /// Renders a map with a section for each provider: `names` for this provider, and the known names of the other.
    fn render_providers(&self, content: &[u8], names: &KeyNames) -> Result<String, DirectoryError> {
        let is_openai = self.provider == Provider::OpenAi;
        let other_provider = if is_openai { Provider::Anthropic } else { Provider::OpenAi };
        let other_names = self.parse(content, other_provider)?;
        let mut sections = BTreeMap::from([(self.provider.as_str(), sort_sections(names))]);
        if let Some(other_names) = &other_names {
            sections.insert(other_provider.as_str(), sort_sections(other_names));
        }
        Ok(to_json(&sections))
    }

    fn read_error(&self, cause: WatchError) -> DirectoryError {
        self.error(DirectoryErrorKind::ReadCache, cause.to_string()).caused_by(cause)
    }

    /// Creates an error with the path of the file, unless the path looks like a secret.
    fn error(&self, kind: DirectoryErrorKind, message: String) -> DirectoryError {
        let error = DirectoryError::new(kind, message);
        if contains_secret(&self.path.to_string_lossy()) { error } else { error.at(&self.path) }
    }
}

/// Returns the providers with a section in a valid map. Returns none for the other forms of a map.
fn listed_providers(content: &[u8]) -> Vec<Provider> {
    let json = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(json).unwrap_or_default();
    let has_section = |provider: &Provider| {
        members.get(provider.as_str()).is_some_and(|section| section.get().starts_with('{'))
    };
    Provider::ALL.into_iter().filter(has_section).collect()
}

/// Returns the names of each section. A section without names is omitted if its label has not been listed completely.
fn sort_sections(names: &KeyNames) -> SortedSections<'_> {
    let mut sections = BTreeMap::new();
    for id_member in names.section_names() {
        let pairs: BTreeMap<_, _> = names.section(id_member).into_iter().flat_map(Section::iter).collect();
        let is_known = names.is_section_complete(id_member) || !pairs.is_empty();
        if is_known {
            sections.insert(id_member, pairs);
        }
    }
    sections
}

/// Renders a map with one id per line: flat if it contains only names of keys, otherwise with a section for each label.
pub(super) fn render(names: &KeyNames) -> String {
    let sections = sort_sections(names);
    match sections.get(KEY_ID) {
        Some(keys) if sections.len() == 1 => to_json(keys),
        _ => to_json(&sections),
    }
}

fn to_json(map: &impl Serialize) -> String {
    // Serializing strings into a string cannot fail.
    serde_json::to_string_pretty(map).unwrap_or_default() + "\n"
}

/// Writes the text of a map, unless it is too long to be read again.
fn write_map(path: &Path, text: &str) -> io::Result<()> {
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
mod tests;
