//! The state that all clones of a handle share with its watcher and its publisher.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::KeyNames;
use super::snapshot::{Generation, Snapshot};
use super::sources::Sources;
use super::status::Status;
use super::unmatched::UnmatchedQueue;
#[cfg(feature = "watch")]
use super::watch_error::WatchError;

/// The current map and its status. Readers load the map without a lock.
pub(crate) struct Store {
    current: ArcSwap<Generation>,
    /// Locked by each writer, before the status.
    sources: Mutex<Sources>,
    pub(super) status: watch::Sender<Status>,
    pub(super) unmatched: Arc<UnmatchedQueue>,
}

impl Store {
    /// Creates a store whose first generation is merged from these sources.
    pub(super) fn new(sources: Sources) -> Self {
        let names = sources.merge();
        let status = Status::new(1, &names, &sources);
        let number = status.generation;
        let is_complete = sources.is_complete(&names, number);
        Self {
            current: ArcSwap::from_pointee(Generation { number, names, is_complete }),
            sources: Mutex::new(sources),
            status: watch::Sender::new(status),
            unmatched: Arc::new(UnmatchedQueue::new(number)),
        }
    }

    /// Loads the current map, without waiting.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.current.load_full())
    }

    /// Makes this map the next generation.
    pub(super) fn replace(&self, names: Arc<KeyNames>) {
        let mut sources = self.lock();
        sources.replace(names);
        self.advance(&sources, |_| {});
    }

    /// Makes the next generation from changed files, and returns its snapshot.
    #[cfg(feature = "watch")]
    pub(super) fn set_files(
        &self,
        files: Vec<Arc<KeyNames>>,
        last_error: Option<WatchError>,
        warning: Option<String>,
    ) -> Snapshot {
        let mut sources = self.lock();
        sources.set_files(files);
        self.advance(&sources, |status| {
            status.last_error = last_error;
            status.warning = warning;
        })
    }

    /// Sets the watcher's part of the status. Wakes no waiter if nothing changed.
    #[cfg(feature = "watch")]
    pub(super) fn set_watch_state(&self, last_error: Option<WatchError>, warning: Option<String>) {
        self.status.send_if_modified(|status| {
            let is_new = status.last_error != last_error || status.warning != warning;
            status.last_error = last_error;
            status.warning = warning;
            is_new
        });
    }

    /// Makes the next generation from learned names, unless they are the same as before.
    #[cfg(feature = "directory")]
    pub(super) fn set_learned(&self, names: Arc<KeyNames>, is_complete: bool) {
        let mut sources = self.lock();
        if sources.set_learned(names, is_complete) {
            self.advance(&sources, |_| {});
        } else {
            self.update_completeness(&sources);
        }
    }

    /// Ends the wait for learned names.
    #[cfg(feature = "directory")]
    pub(super) fn abandon_learned(&self) {
        let mut sources = self.lock();
        sources.abandon_learned();
        self.update_completeness(&sources);
    }

    /// Makes the next generation. `update` changes other parts of the status in the same step.
    fn advance(&self, sources: &Sources, update: impl FnOnce(&mut Status)) -> Snapshot {
        let names = sources.merge();
        // The status stays locked until the map is stored, so a reader that has seen a generation
        // in the status loads that generation or a later one.
        self.status.send_modify(|status| {
            status.advance(&names, sources);
            update(status);
            let number = status.generation;
            let is_complete = sources.is_complete(&names, number);
            self.current.store(Arc::new(Generation { number, names, is_complete }));
            self.unmatched.restart(number);
        });
        self.snapshot()
    }

    /// Stores the current generation again with its completeness.
    #[cfg(feature = "directory")]
    fn update_completeness(&self, sources: &Sources) {
        self.status.send_if_modified(|status| {
            let current = self.current.load_full();
            let (number, names) = (current.number, current.names.clone());
            let is_complete = sources.is_complete(&names, number);
            let was_partial = std::mem::replace(&mut status.partial, sources.is_partial(&names));
            self.current.store(Arc::new(Generation { number, names, is_complete }));
            status.partial != was_partial
        });
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        // The sources are consistent after each statement, so a panic of another writer is harmless.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
