//! Handles with names that a directory learns, and the publisher of these names.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::store::Store;
use super::watch::{MapFile, follow, sources_of};
use super::{KEY_ID, KeyNames, MapReader, SharedKeyNames};
use crate::secret::display_path;
use crate::watch::WatchError;

#[cfg(test)]
mod tests;

/// The publisher of the names that a directory has learned, for one handle.
///
/// The handle's snapshots are incomplete for keys until a complete listing is published. If the publisher is dropped
/// before, the handle no longer waits for that listing. For other labels, a snapshot is incomplete while their section
/// in the published map is.
#[derive(Debug)]
pub(crate) struct LearnedNames {
    /// Weak, so that the publisher does not keep the map of a dropped handle.
    store: Weak<Store>,
    /// The place of the learned map in the order of precedence.
    place: usize,
}

impl LearnedNames {
    /// Creates a publisher, and its handle, which also follows the files at these paths.
    ///
    /// The files are read with `reader`. `learned` contains the names that an earlier process has learned, and `cache` is
    /// the file that they were read from; it is not watched. If it is among `paths`, the learned names take its place in
    /// the order of precedence, and otherwise the last place. Unlike in [`SharedKeyNames::watch_all`], `paths` may be
    /// empty.
    pub(crate) fn with_handle(
        paths: &[PathBuf],
        reader: &MapReader,
        cache: &Path,
        learned: KeyNames,
    ) -> Result<(Self, SharedKeyNames), WatchError> {
        let absolute_path = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into());
        let is_cache = |path: &PathBuf| absolute_path(path) == absolute_path(cache);
        let place = paths.iter().position(is_cache).unwrap_or(paths.len());
        let watched_paths: Vec<_> = paths.iter().filter(|path| !is_cache(path)).cloned().collect();
        let files = MapFile::open_all(&watched_paths, reader)?;
        let mut sources = sources_of(&files);
        sources.files.insert(place, (display_path(cache), Arc::new(learned)));
        sources.is_listing_awaited = true;
        // The learned map is not a watched file.
        let places_of_files = (0..sources.files.len()).filter(|file_place| *file_place != place);
        let names = follow(files, places_of_files.collect(), sources)?;
        Ok((Self { store: Arc::downgrade(&names.store), place }, names))
    }

    /// Replaces the names published before with these, and merges them into the handle's map.
    ///
    /// `is_complete` is true if `names` includes a listing of all keys. The merged map is the next generation, unless
    /// the pairs and the incomplete sections are the same as before and this is not the first complete listing.
    pub(crate) fn publish(&self, names: impl Into<Arc<KeyNames>>, is_complete: bool) {
        let Some(store) = self.store.upgrade() else { return };
        let names = names.into();
        store.change(|sources| {
            let is_first_complete = is_complete && sources.is_listing_awaited;
            let is_changed = is_first_complete || is_different(&sources.files[self.place].1, &names);
            if is_changed {
                sources.set(self.place, names);
                if is_complete {
                    sources.is_listing_awaited = false;
                }
            }
            is_changed
        });
    }
}

/// True if the maps contain different pairs, or if a section other than that of the keys is incomplete in one of them.
fn is_different(before: &KeyNames, after: &KeyNames) -> bool {
    let is_same_section = |id_member: &str| {
        let is_complete = after.is_section_complete(id_member);
        id_member == KEY_ID || is_complete == before.is_section_complete(id_member)
    };
    !before.has_same_pairs(after) || !after.section_names().all(is_same_section)
}

impl Drop for LearnedNames {
    /// Makes the handle's map complete, as a new generation, if a listing was still awaited.
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            store.change(|sources| std::mem::take(&mut sources.is_listing_awaited));
        }
    }
}
