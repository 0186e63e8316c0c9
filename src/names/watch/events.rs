//! File events of the operating system.

use std::collections::{BTreeMap, BTreeSet};
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use notify::event::{EventKind, ModifyKind};
use notify::{RecursiveMode, Watcher};

pub(super) type NativeWatcher = Box<dyn Watcher + Send>;

/// The system's watcher and the directories that it watches.
pub(super) struct DirectoryWatcher {
    native: Option<NativeWatcher>,
    /// The identity shows whether the path still leads to the directory that is watched.
    watched: BTreeMap<PathBuf, Option<(u64, u64)>>,
    /// The reason why there are no events, or not of every directory.
    pub(super) warning: Option<String>,
}

/// A message to the thread that reloads the files.
pub(super) enum Signal {
    /// Something changed in a watched directory.
    Changed,
    /// This path was removed or renamed. If it was a watched directory, its watch has ended, even if another
    /// directory has taken its place.
    Removed(PathBuf),
    /// The last handle was dropped.
    Stop,
}

/// Returns the device and inode of a directory, on systems that have them.
fn identity(_directory: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    return std::fs::metadata(_directory).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    #[cfg(not(unix))]
    None
}

/// Creates the system's watcher. Its events become signals.
pub(super) fn native_watcher(signals: Sender<Signal>) -> notify::Result<NativeWatcher> {
    Ok(Box::new(notify::recommended_watcher(event_handler(signals))?))
}

/// Sends a signal for every event except an access: reading the files is one.
pub(super) fn event_handler(signals: Sender<Signal>) -> impl FnMut(notify::Result<notify::Event>) + Send {
    move |event| {
        // An error can mean that events were lost, so it counts as a change.
        let event = event.unwrap_or_default();
        if event.kind.is_access() {
            return;
        }
        // `send` fails only if the thread has ended.
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            for path in event.paths {
                let _ = signals.send(Signal::Removed(path));
            }
        }
        let _ = signals.send(Signal::Changed);
    }
}

// === impl DirectoryWatcher ===

impl DirectoryWatcher {
    /// Creates a watcher that watches no directory yet.
    pub(super) fn new(native: notify::Result<NativeWatcher>) -> Self {
        let mut watcher = Self { native: None, watched: BTreeMap::new(), warning: None };
        watcher.set_warning(native.as_ref().err());
        watcher.native = native.ok();
        watcher
    }

    /// Watches these directories and no others. Returns true if some of them are new.
    pub(super) fn set_directories(&mut self, directories: BTreeSet<PathBuf>) -> bool {
        if self.native.is_none() {
            return false;
        }
        for (path, known_identity) in self.watched.clone() {
            if !directories.contains(&path) || identity(&path) != known_identity {
                self.unwatch(&path);
            }
        }
        let (known, mut last_error) = (self.watched.len(), None);
        for path in directories {
            if !self.watched.contains_key(&path) {
                let identity = identity(&path);
                // Not recursive: a directory may contain a whole disk.
                match self.call(|native| native.watch(&path, RecursiveMode::NonRecursive)) {
                    Ok(()) => _ = self.watched.insert(path, identity),
                    Err(error) => last_error = Some(error),
                }
            }
        }
        self.set_warning(last_error.as_ref());
        self.watched.len() > known
    }

    /// Ends the watch of this directory, if it is watched.
    pub(super) fn unwatch(&mut self, directory: &Path) {
        if self.watched.remove(directory).is_some() {
            // This fails if the directory was removed; its watch has ended then.
            let _ = self.call(|native| native.unwatch(directory));
        }
    }

    /// Calls the native watcher. It panics if notify's own thread could not be started; the panic becomes an error,
    /// so that polling continues.
    fn call(&mut self, run: impl FnOnce(&mut NativeWatcher) -> notify::Result<()>) -> notify::Result<()> {
        if let Some(mut native) = self.native.take() {
            if let Ok(result) = catch_unwind(AssertUnwindSafe(|| run(&mut native))) {
                self.native = Some(native);
                return result;
            }
            // Dropping it would panic again.
            std::mem::forget(native);
        }
        Err(notify::Error::generic("its thread has ended"))
    }

    fn set_warning(&mut self, error: Option<&notify::Error>) {
        let warning = error.map(|error| {
            format!(
                "changes of the files are found only by polling, every few seconds, because the system's file events \
                 are unavailable: {error}"
            )
        });
        #[cfg(feature = "tracing")]
        if let (None, Some(warning)) = (&self.warning, &warning) {
            tracing::warn!("{warning}");
        }
        self.warning = warning;
    }
}
