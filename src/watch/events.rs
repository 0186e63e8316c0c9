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
#[cfg(unix)]
fn identity(directory: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Creates the system's watcher. Its events become signals.
pub(super) fn native_watcher(signals: Sender<Signal>) -> notify::Result<NativeWatcher> {
    Ok(Box::new(notify::recommended_watcher(event_handler(signals))?))
}

/// Creates the callback of the system's watcher, which sends signals for every event except an access: reading the files
/// is an access. Each removed or renamed path is sent, and then [`Signal::Changed`].
pub(super) fn event_handler(signals: Sender<Signal>) -> impl FnMut(notify::Result<notify::Event>) + Send {
    move |result| {
        // An error can mean that events were lost. The default event counts as a change.
        let event = result.unwrap_or_default();
        if event.kind.is_access() {
            return;
        }
        // The results of `send` are ignored: `send` fails only if the thread has ended.
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            for path in event.paths {
                let _ = signals.send(Signal::Removed(path));
            }
        }
        let _ = signals.send(Signal::Changed);
    }
}

impl DirectoryWatcher {
    /// Creates a watcher that watches no directory yet. If `native` is an error, it becomes the warning.
    pub(super) fn new(native: notify::Result<NativeWatcher>) -> Self {
        let mut watcher = Self { native: None, watched: BTreeMap::new(), warning: None };
        match native {
            Ok(native) => watcher.native = Some(native),
            Err(error) => watcher.set_warning(Some(&error)),
        }
        watcher
    }

    /// Watches these directories and no others. Returns true if some of them are new. The warning is the error of a
    /// directory that cannot be watched.
    pub(super) fn set_directories(&mut self, directories: BTreeSet<PathBuf>) -> bool {
        if self.native.is_none() {
            return false;
        }
        for (directory, known_identity) in self.watched.clone() {
            if !directories.contains(&directory) || identity(&directory) != known_identity {
                self.unwatch(&directory);
            }
        }
        let mut any_new = false;
        let mut last_error = None;
        for directory in directories {
            if self.watched.contains_key(&directory) {
                continue;
            }
            let current_identity = identity(&directory);
            // Not recursive: a directory may contain a whole disk.
            match self.call(|native| native.watch(&directory, RecursiveMode::NonRecursive)) {
                Ok(()) => {
                    self.watched.insert(directory, current_identity);
                    any_new = true;
                }
                Err(error) => last_error = Some(error),
            }
        }
        self.set_warning(last_error.as_ref());
        any_new
    }

    /// Ends the watch of this directory, if it is watched.
    pub(super) fn unwatch(&mut self, directory: &Path) {
        if self.watched.remove(directory).is_some() {
            // This fails if the directory was removed; its watch has ended then.
            let _ = self.call(|native| native.unwatch(directory));
        }
    }

    /// Calls the native watcher. Returns an error if the call fails or panics, or if an earlier call panicked.
    ///
    /// The native watcher panics if notify's own thread could not be started. Polling must continue then.
    fn call(&mut self, run: impl FnOnce(&mut NativeWatcher) -> notify::Result<()>) -> notify::Result<()> {
        if let Some(mut native) = self.native.take() {
            if let Ok(result) = catch_unwind(AssertUnwindSafe(|| run(&mut native))) {
                self.native = Some(native);
                return result;
            }
            // Dropping the native watcher would panic again.
            std::mem::forget(native);
        }
        Err(notify::Error::generic("its thread has ended"))
    }

    /// Sets the warning to this error, or removes it. The first of several warnings is logged.
    fn set_warning(&mut self, error: Option<&notify::Error>) {
        let warning = error.map(|error| {
            format!(
                "changes of the files are found only by polling, every few seconds, because the system's file events \
                 are unavailable: {error}"
            )
        });
        #[cfg(feature = "tracing")]
        if let (None, Some(text)) = (&self.warning, &warning) {
            tracing::warn!("{text}");
        }
        self.warning = warning;
    }
}
