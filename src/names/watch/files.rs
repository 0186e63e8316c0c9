//! An ordered list of files, without a clock, a watcher or a thread.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::file::MapFile;
use super::links::directories_of;
use crate::names::KeyNames;
use crate::names::watch_error::WatchError;

/// The files in order of precedence.
pub(super) struct MapFiles(Vec<MapFile>);

/// The changes that one reading of all files has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reload {
    /// True if a file has a new valid content.
    pub(super) changed: bool,
    /// The errors of the files that were valid before.
    pub(super) broken: Vec<WatchError>,
    /// The paths of the files that are valid again.
    pub(super) recovered: Vec<String>,
}

impl MapFiles {
    /// Reads every file for the first time. All must be valid.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, WatchError> {
        let files = paths.iter().map(|path| MapFile::new(path));
        let mut files = Self(files.collect::<Result<_, _>>()?);
        files.reload();
        match files.error() {
            None => Ok(files),
            Some(error) => Err(error),
        }
    }

    /// Reads every file again. An invalid file keeps its last valid map.
    pub(super) fn reload(&mut self) -> Reload {
        let mut reload = Reload::default();
        for file in &mut self.0 {
            let was_valid = file.error().is_none();
            reload.changed |= file.reload();
            match file.error() {
                Some(error) if was_valid => reload.broken.push(error.clone()),
                None if !was_valid => reload.recovered.push(file.path().into()),
                _ => {}
            }
        }
        reload
    }

    /// The map of each file.
    pub(super) fn maps(&self) -> Vec<Arc<KeyNames>> {
        self.0.iter().map(|file| file.names().clone()).collect()
    }

    /// The paths for messages.
    pub(super) fn paths(&self) -> Vec<&str> {
        self.0.iter().map(MapFile::path).collect()
    }

    /// The errors of the files that are invalid now.
    pub(super) fn error(&self) -> Option<WatchError> {
        WatchError::of_all(self.0.iter().filter_map(MapFile::error).cloned().collect())
    }

    /// The directories in which changes of the files can appear.
    pub(super) fn directories(&self) -> BTreeSet<PathBuf> {
        self.0.iter().flat_map(|file| directories_of(file.absolute_path())).collect()
    }

    #[cfg(feature = "tracing")]
    pub(super) fn warn_if_partial(&self) {
        for file in self.0.iter().filter(|file| file.names().is_partial()) {
            tracing::warn!(
                "{}: this list page has has_more: true; the keys of later pages have no name",
                file.path()
            );
        }
    }
}
