//! An ordered list of files, read and read again. No clock, no watcher, no thread.

use super::WatchError;
use super::places::places;
use crate::KeyNames;
use crate::names::looks_like_secret;
use crate::names::sources::Sources;
use crate::names::store::Store;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest file: over a hundred thousand entries even of the longest ids and names. Without
/// a bound a wrong path could take all memory.
pub(crate) const MAX_FILE: u64 = 64 << 20;

/// The files in order: the first that knows an id names it.
pub(super) struct Files(Vec<File>);

struct File {
    /// As it was given, for messages.
    shown: String,
    /// Absolute, so that a later change of the working directory changes nothing.
    path: PathBuf,
    /// The bytes of the last good reading, to compare: times and sizes miss edits.
    good: Option<Vec<u8>>,
    names: Arc<KeyNames>,
    /// Why the last reading was not good.
    fault: Option<String>,
}

/// What one reading of all files brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reloaded {
    /// Some file holds other bytes than in its last good reading, and they are good.
    pub(super) changed: bool,
    /// The faults of the files that were good until now.
    pub(super) broken: Vec<String>,
    /// The files that are good again.
    pub(super) mended: Vec<String>,
}

impl Files {
    /// Reads every file for the first time: all must be good.
    pub(super) fn open(paths: Vec<PathBuf>) -> Result<Self, WatchError> {
        let mut files = Self(paths.iter().map(|path| File::at(path)).collect::<Result<_, _>>()?);
        files.reload();
        match files.error() {
            None => Ok(files),
            Some(error) => Err(WatchError(error)),
        }
    }

    /// Reads every file again. One that is not good keeps its own last good map.
    pub(super) fn reload(&mut self) -> Reloaded {
        let mut reloaded = Reloaded::default();
        for file in &mut self.0 {
            let was_bad = file.fault.is_some();
            match file.reload() {
                Ok(changed) => reloaded.changed |= changed,
                Err(fault) => file.fault = Some(fault),
            }
            match &file.fault {
                Some(fault) if !was_bad => reloaded.broken.push(fault.clone()),
                None if was_bad => reloaded.mended.push(file.shown.clone()),
                _ => {}
            }
        }
        reloaded
    }

    /// The map of each file.
    pub(super) fn maps(&self) -> Vec<Arc<KeyNames>> {
        self.0.iter().map(|file| file.names.clone()).collect()
    }

    pub(super) fn store(&self) -> Arc<Store> {
        Arc::new(Store::new(Sources::new(self.source(), self.maps())))
    }

    #[cfg(feature = "directory")]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|file| &*file.shown)
    }

    /// Their names, for the status.
    pub(super) fn source(&self) -> String {
        self.shown().collect::<Vec<_>>().join(", ")
    }

    /// What is wrong with those that are not good.
    pub(super) fn error(&self) -> Option<String> {
        let faults: Vec<_> = self.0.iter().filter_map(|file| file.fault.as_deref()).collect();
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    /// The directories in which a change of theirs can show.
    pub(super) fn places(&self) -> BTreeSet<PathBuf> {
        self.0.iter().flat_map(|file| places(&file.path)).collect()
    }

    #[cfg(feature = "tracing")]
    pub(super) fn warn_if_partial(&self) {
        for file in self.0.iter().filter(|file| file.names.is_partial()) {
            tracing::warn!(
                "{}: this list says has_more: true; the keys of the pages after it have no name",
                file.shown
            );
        }
    }
}

impl File {
    fn at(path: &Path) -> Result<Self, WatchError> {
        let shown = shown(path);
        let path = std::path::absolute(path)
            .map_err(|error| WatchError(format!("{shown:?} is no path to watch: {error}")))?;
        Ok(Self { shown, path, good: None, names: Arc::default(), fault: None })
    }

    /// Reads the file again: whether its content changed, or why it is not good.
    fn reload(&mut self) -> Result<bool, String> {
        let bytes = read(&self.path).map_err(|why| format!("{}: {why}", self.shown))?;
        let Some(bytes) = bytes else { return Err(format!("{}: there is no such file", self.shown)) };
        let changed = self.good.as_ref() != Some(&bytes);
        if changed {
            let names = KeyNames::from_json(&bytes);
            self.names = Arc::new(names.map_err(|error| error.in_file(&self.shown))?);
            self.good = Some(bytes);
        }
        self.fault = None;
        Ok(changed)
    }
}

/// A path for messages; one given an API key by mistake must not print it.
pub(crate) fn shown(path: &Path) -> String {
    let shown = path.display().to_string();
    if looks_like_secret(&shown) {
        return "(a path that looks like an API key)".into();
    }
    shown
}

/// The bytes of a file that may be a map; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let unread = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        _ => Err(format!("cannot be read: {error}")),
    };
    let too_long = || format!("is over {} MiB long, too long for a map of names", MAX_FILE >> 20);
    // Before it is opened: opening a pipe waits for its writer.
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) => return unread(error),
    };
    if !about.is_file() {
        return Err("is not a file; a directory or a pipe cannot be watched".into());
    }
    if about.len() > MAX_FILE {
        return Err(too_long());
    }
    let mut bytes = Vec::with_capacity(about.len() as usize + 1);
    let reading = fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    match reading {
        Err(error) => unread(error),
        Ok(_) if bytes.len() as u64 > MAX_FILE => Err(too_long()),
        Ok(_) => Ok(Some(bytes)),
    }
}
