//! Reloads maps from files, as long as a handle exists.
//!
//! `file` reads a file. `links` finds the directories in which a change of it can appear, and `events` watches them.
//! The thread of `reloader` decides when to read: after any event in the directories, and every few seconds, because
//! network file systems and some containers send no events. A reading without a change has no effect, so events need
//! no interpretation.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use self::events::{DirectoryWatcher, NativeWatcher, Signal, native_watcher};
use self::file::MapFile;
use self::reloader::{POLL_INTERVAL, Reloader, StopOnDrop};
use super::store::{Sources, Store};
use super::{MapReader, SharedKeyNames, WatchError, WatchErrorKind};
use crate::secret::display_path;

mod events;
pub(super) mod file;
mod links;
mod reloader;
#[cfg(test)]
mod tests;

#[cfg(feature = "directory")]
pub(crate) use file::{MAX_FILE, parse_file, read_file};

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

impl MapReader {
    /// Creates a handle that follows these files, like [`SharedKeyNames::watch_all`], and reads them with these settings.
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
        follow(files, sources)
    }
}

pub(super) fn sources_of(files: &[MapFile]) -> Sources {
    let maps = files.iter().map(|file| (display_path(&file.path), file.names.clone()));
    Sources { files: maps.collect(), ..Sources::default() }
}

/// Creates a handle with the sources. If there are files, a thread reloads them.
pub(super) fn follow(files: Vec<MapFile>, sources: Sources) -> Result<SharedKeyNames, WatchError> {
    if files.is_empty() {
        return Ok(SharedKeyNames { store: Store::new(sources), watcher: None });
    }
    start(files, sources, POLL_INTERVAL, native_watcher)
}

/// Starts the thread that reloads the files. `create_watcher` creates the system's watcher, which sends signals to the
/// thread. Returns an error if the thread cannot be started.
fn start(
    files: Vec<MapFile>,
    sources: Sources,
    poll_interval: Duration,
    create_watcher: impl FnOnce(Sender<Signal>) -> notify::Result<NativeWatcher>,
) -> Result<SharedKeyNames, WatchError> {
    let store = Store::new(sources);
    let (sender, signals) = channel();
    let directories = DirectoryWatcher::new(create_watcher(sender.clone()));
    let mut reloader = Reloader { files, directories, store: Arc::downgrade(&store), signals };
    #[cfg(feature = "tracing")]
    reloader.warn_if_partial();
    reloader.watch_directories();
    // Publishes the warning if there are no file events.
    reloader.publish(&store, false);
    let thread = thread::Builder::new().name("key names".into());
    if let Err(error) = thread.spawn(move || reloader.run(poll_interval)) {
        let message = format!("no thread can be started to watch files: {error}");
        return Err(WatchError::new(WatchErrorKind::Thread, message).caused_by(error));
    }
    Ok(SharedKeyNames { store, watcher: Some(Arc::new(StopOnDrop(sender))) })
}
