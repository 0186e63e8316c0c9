//! Maps that are reloaded from files, as long as a handle exists.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::store::{Sources, Store};
use super::{KeyNames, KeyNamesError, MapReader, SharedKeyNames};
use crate::secret::display_path;
use crate::watch::{self, ContentError, Parse, Reading, WatchError, WatchErrorKind, WatchedFile};

#[cfg(test)]
mod tests;

/// A file and the map of its last valid content.
pub(super) type MapFile = WatchedFile<MapReader>;

impl Parse for MapReader {
    type Parsed = KeyNames;

    const WHAT: &'static str = "key names";

    fn parse(&self, content: &[u8]) -> Result<KeyNames, ContentError> {
        self.read(content).map_err(|error| ContentError {
            position: error.position,
            text: error.text(),
            source: error.into(),
        })
    }
}

impl WatchError {
    /// The error in a map, with line and column. `None` for other kinds of errors, and for files that are no maps.
    pub fn map_error(&self) -> Option<&KeyNamesError> {
        self.source()?.downcast_ref()
    }
}

impl SharedKeyNames {
    /// Creates a handle that follows one file, which is read before this returns: see [`watch_all`](Self::watch_all).
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or contains no valid map. Its text is one line, as compilers write
    /// it: `names.json:2:14: a name is text in quotes, not null; …`.
    pub fn watch(path: impl AsRef<Path>) -> Result<Self, WatchError> {
        Self::watch_all([path.as_ref()])
    }

    /// Creates a handle that follows these files, in the forms of [`MapReader::read`].
    ///
    /// The first file that contains an id names it, so a file written by hand belongs before a saved list. The files
    /// are read before this returns, which blocks, and again when they change. Only a changed content makes a new
    /// generation.
    ///
    /// A save, a rename or a replaced link (as in a Kubernetes ConfigMap) is found within about 100 ms if the system
    /// sends file events, and otherwise within 5 s by polling. After a reading that took *t*, no other starts for
    /// 49 *t*, or 5 s if that is less (2 s for 100,000 names), so readings take a fiftieth of one core.
    ///
    /// Later, a file that is missing, empty (zero bytes: it is being written), truncated, invalid or larger than
    /// 64 MiB keeps its last valid map. [`Status::last_error`](crate::Status::last_error) contains the error until the
    /// file is valid again, and the feature `tracing` logs both changes. `{}` is a map without names.
    ///
    /// A thread reads the files, so no runtime is needed. Dropping the last clone of the handle ends it, without
    /// waiting.
    ///
    /// # Errors
    ///
    /// Returns an error if the list is empty, a file cannot be read or contains no valid map, or the thread cannot be
    /// started. Unavailable file events are no error: [`Status::warning`](crate::Status::warning) reports them.
    pub fn watch_all(paths: impl IntoIterator<Item: Into<PathBuf>>) -> Result<Self, WatchError> {
        MapReader::default().watch_all(paths)
    }
}

#[cfg(feature = "proxy-keys")]
impl SharedKeyNames {
    /// Creates a handle to the names in a file that is not only a map. `on_change` is called with the file after each
    /// change, before its names and the status are published, so the status is not ahead of other values of the file.
    pub(crate) fn follow_file<P: Parse>(
        file: WatchedFile<P>,
        names_of: fn(&Arc<P::Parsed>) -> Arc<KeyNames>,
        mut on_change: impl FnMut(&P::Parsed) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let source = (display_path(&file.path), names_of(&file.parsed));
        let sources = Sources { files: vec![source], ..Sources::default() };
        follow_with(vec![file], vec![0], sources, names_of, move |files| {
            for file in files {
                on_change(&file.parsed);
            }
        })
    }
}

impl MapReader {
    /// Creates a handle that follows these files, like [`SharedKeyNames::watch_all`], and reads them with these
    /// settings.
    ///
    /// # Errors
    ///
    /// The errors of [`SharedKeyNames::watch_all`].
    pub fn watch_all(
        &self,
        paths: impl IntoIterator<Item: Into<PathBuf>>,
    ) -> Result<SharedKeyNames, WatchError> {
        let paths: Vec<_> = paths.into_iter().map(Into::into).collect();
        if paths.is_empty() {
            return Err(WatchError::new(WatchErrorKind::NoFiles, "no file to watch; name at least one"));
        }
        let files = MapFile::open_all(&paths, self)?;
        let sources = sources_of(&files);
        let places = (0..files.len()).collect();
        follow(files, places, sources)
    }
}

pub(super) fn sources_of(files: &[MapFile]) -> Sources {
    let maps = files.iter().map(|file| (display_path(&file.path), file.parsed.clone()));
    Sources { files: maps.collect(), ..Sources::default() }
}

/// Creates a handle with the sources. If there are files, a thread reloads them. `places` contains the place of each
/// file in the order of precedence.
pub(super) fn follow(
    files: Vec<MapFile>,
    places: Vec<usize>,
    sources: Sources,
) -> Result<SharedKeyNames, WatchError> {
    if files.is_empty() {
        return Ok(SharedKeyNames { store: Store::new(sources), watcher: None, selection: None });
    }
    #[cfg(feature = "tracing")]
    warn_if_partial(&files);
    follow_with(files, places, sources, Arc::clone, |_changed_files| {
        #[cfg(feature = "tracing")]
        warn_if_partial(_changed_files);
    })
}

/// Creates a handle with the sources, and a thread that reloads the files with any parser. `names_of` returns the names
/// in a file. `on_change` is called with changed files, before their names and the status are published.
fn follow_with<P: Parse>(
    files: Vec<WatchedFile<P>>,
    places: Vec<usize>,
    sources: Sources,
    names_of: fn(&Arc<P::Parsed>) -> Arc<KeyNames>,
    mut on_change: impl FnMut(&[WatchedFile<P>]) + Send + 'static,
) -> Result<SharedKeyNames, WatchError> {
    let store = Store::new(sources);
    // Weak, so that the thread does not keep the map of a dropped handle.
    let weak_store = Arc::downgrade(&store);
    let watcher = watch::follow(files, move |reading| {
        if reading.any_changed {
            on_change(reading.files);
        }
        publish(&weak_store, &places, names_of, reading);
    })?;
    Ok(SharedKeyNames { store, watcher: Some(Arc::new(watcher)), selection: None })
}

/// Publishes the names if some of the files have changed, and the error and the warning in any case. Does nothing if
/// the last handle was dropped.
fn publish<P: Parse>(
    store: &Weak<Store>,
    places: &[usize],
    names_of: fn(&Arc<P::Parsed>) -> Arc<KeyNames>,
    reading: Reading<'_, P>,
) {
    let Some(store) = store.upgrade() else { return };
    let Reading { files, any_changed, error, warning } = reading;
    store.change_with_status(
        |sources| {
            if any_changed {
                for (place, file) in places.iter().zip(files) {
                    sources.set(*place, names_of(&file.parsed));
                }
            }
            any_changed
        },
        |status| {
            let is_same = status.last_error == error && status.warning == warning;
            status.last_error = error;
            status.warning = warning;
            !is_same
        },
    );
    #[cfg(feature = "tracing")]
    if any_changed {
        let crate::Status { generation, entries, left_out, source, .. } = store.status.borrow().clone();
        tracing::info!(generation, entries, left_out, source, "{} reloaded", P::WHAT);
    }
}

#[cfg(feature = "tracing")]
fn warn_if_partial(files: &[MapFile]) {
    for file in files.iter().filter(|file| file.parsed.is_partial()) {
        let path = display_path(&file.path);
        tracing::warn!("{path}: this list page has has_more: true; the keys of later pages have no name");
    }
}
