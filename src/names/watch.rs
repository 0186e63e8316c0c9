//! Reloads maps from files, as long as a handle exists.
//!
//! ```text
//!  events ─▶ reloader ─▶ file ─▶ KeyNames ─▶ Store
//! ```
//!
//! `file` reads a file, without a clock or a watcher. `links` finds the directories in which a change of it can
//! appear, and `events` watches these directories. The thread of `reloader` decides when to read: after any event in
//! the directories, and every few seconds, because network file systems and some containers send no events. A reading
//! without a change has no effect, so events need no interpretation.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use self::error::{WatchError, WatchErrorKind};
use self::events::{DirectoryWatcher, NativeWatcher, Signal, native_watcher};
use self::file::MapFile;
use self::reloader::{POLL_INTERVAL, Reloader, StopOnDrop};
use super::SharedKeyNames;
use super::display_path;
#[cfg(feature = "directory")]
use super::learned::LearnedNames;
use super::store::{Sources, Store};

pub(super) mod error;
mod events;
mod file;
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
    /// it:
    ///
    /// ```
    /// # use tower_api_key_name::SharedKeyNames;
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("names.json");
    /// std::fs::write(&file, "{\n  \"key_abc\": null\n}")?;
    /// let error = SharedKeyNames::watch(&file).unwrap_err().to_string();
    /// assert!(error.contains("names.json:2:14: a name is text in quotes, not null"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch(path: impl AsRef<Path>) -> Result<Self, WatchError> {
        Self::watch_all([path.as_ref()])
    }

    /// Creates a handle that follows these files, in the forms that [`KeyNames::from_json`] parses.
    ///
    /// The first file that contains an id names it, so a file written by hand belongs before a saved list.
    ///
    /// The files are read before this returns, which blocks, and again when they change. A save, a rename or a
    /// replaced link (as in a Kubernetes ConfigMap) is found within about 100 ms if the system sends file events, and
    /// otherwise within 5 s by polling. After a reading that took *t*, no other starts for 49 *t*, or 5 s if that is
    /// less (2 s for 100,000 names), so readings take a fiftieth of one core. Only a changed content makes a new
    /// generation.
    ///
    /// Later, a file that is missing, empty (zero bytes: it is being written), truncated, invalid or larger than
    /// 64 MiB keeps its last valid map, and [`Status::last_error`] contains the error until the file is valid again.
    /// With the feature `tracing`, one warning reports the error and one line the recovery. `{}` is a map without
    /// names.
    ///
    /// A thread reads the files, so no runtime is needed. It ends when the last clone of the handle is dropped; the
    /// drop does not wait for it.
    ///
    /// ```
    /// # use tower_api_key_name::SharedKeyNames;
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("names.json");
    /// std::fs::write(&file, r#"{"key_a": "billing"}"#)?;
    /// let names = SharedKeyNames::watch_all([&file])?;
    /// assert_eq!(names.snapshot().name("key_a"), Some("billing"));
    ///
    /// std::fs::write(&file, r#"{"key_a": "search"}"#)?;
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// names.wait_for(|status| status.generation == 2).await;
    /// assert_eq!(names.snapshot().name("key_a"), Some("search"));
    /// # });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the list is empty, a file cannot be read or contains no valid map, or the thread cannot be
    /// started. Unavailable file events are no error: [`Status::warning`] reports them.
    ///
    /// [`KeyNames::from_json`]: crate::KeyNames::from_json
    /// [`Status::last_error`]: crate::Status::last_error
    /// [`Status::warning`]: crate::Status::warning
    pub fn watch_all<I>(paths: I) -> Result<Self, WatchError>
    where
        I: IntoIterator<Item: Into<PathBuf>>,
    {
        let paths: Vec<_> = paths.into_iter().map(Into::into).collect();
        if paths.is_empty() {
            return Err(WatchError::new(WatchErrorKind::NoFiles, "no file to watch; name at least one"));
        }
        let files = MapFile::open_all(&paths)?;
        let store = Store::new(sources_of(&files));
        start(files, store, POLL_INTERVAL, native_watcher)
    }

    /// Creates a handle that follows these files and contains learned names, with their publisher.
    ///
    /// `cached` contains the names that an earlier process has learned. `cache` is the file that they were read from;
    /// it is not watched. If it is among `files`, the learned names take its place in the order of precedence, and
    /// otherwise the last place.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`watch_all`](Self::watch_all), except that `files` may be empty.
    #[cfg(feature = "directory")]
    pub(crate) fn watch_with_learned(
        files: &[PathBuf],
        cache: &Path,
        cached: Option<crate::KeyNames>,
    ) -> Result<(Self, LearnedNames), WatchError> {
        let is_cache = |path: &PathBuf| is_same_path(path, cache);
        let place = files.iter().position(is_cache).unwrap_or(files.len());
        let watched: Vec<_> = files.iter().filter(|path| !is_cache(path)).cloned().collect();
        let mut files = MapFile::open_all(&watched)?;
        let mut sources = sources_of(&files);
        sources.paths.insert(place, display_path(cache));
        let unknown = || crate::KeyNames { partial: true, ..crate::KeyNames::default() };
        sources.maps.insert(place, Arc::new(cached.unwrap_or_else(unknown)));
        sources.is_listing_awaited = true;
        files.iter_mut().skip(place).for_each(|file| file.place += 1);
        let store = Store::new(sources);
        let learned = LearnedNames { store: Arc::downgrade(&store), place };
        let names = match files.is_empty() {
            true => Self { store, watcher: None },
            false => start(files, store, POLL_INTERVAL, native_watcher)?,
        };
        Ok((names, learned))
    }
}

/// True if both paths are equal after they are made absolute.
#[cfg(feature = "directory")]
fn is_same_path(path: &Path, other: &Path) -> bool {
    path == other
        || matches!((std::path::absolute(path), std::path::absolute(other)), (Ok(a), Ok(b)) if a == b)
}

fn sources_of(files: &[MapFile]) -> Sources {
    Sources {
        maps: files.iter().map(|file| file.names.clone()).collect(),
        paths: files.iter().map(|file| display_path(&file.path)).collect(),
        ..Sources::default()
    }
}

/// Starts the thread that reloads these files into the store. `native_watcher` creates the watcher that sends it
/// signals.
fn start(
    files: Vec<MapFile>,
    store: Arc<Store>,
    poll_interval: Duration,
    native_watcher: impl FnOnce(Sender<Signal>) -> notify::Result<NativeWatcher>,
) -> Result<SharedKeyNames, WatchError> {
    let (sender, signals) = channel();
    let directories = DirectoryWatcher::new(native_watcher(sender.clone()));
    let mut reloader = Reloader { files, directories, store: Arc::downgrade(&store) };
    #[cfg(feature = "tracing")]
    reloader.warn_if_partial();
    reloader.watch_directories();
    reloader.publish(&store, Vec::new());
    thread::Builder::new()
        .name("key names".into())
        .spawn(move || reloader.run(&signals, poll_interval))
        .map_err(|error| {
            let message = format!("no thread can be started to watch files: {error}");
            WatchError::new(WatchErrorKind::Thread, message).caused_by(error)
        })?;
    Ok(SharedKeyNames { store, watcher: Some(Arc::new(StopOnDrop(sender))) })
}
