//! The state that all clones of a handle share with the watcher and the publisher.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::KeyNames;
use super::snapshot::{Generation, Snapshot};
use super::sources::Sources;
use super::status::Status;
use super::unmatched::UnmatchedIds;

/// The source of a map that was passed in by the program.
const MEMORY: &str = "memory";

/// The current map and its status. Readers take no lock to load the map.
pub(crate) struct Store {
    current: ArcSwap<Generation>,
    /// Locked by every writer, before the status.
    sources: Mutex<Sources>,
    pub(super) status: watch::Sender<Status>,
    pub(super) unmatched: Arc<UnmatchedIds>,
}

impl Store {
    /// A store whose first generation is this map.
    pub(super) fn in_memory(names: Arc<KeyNames>) -> Self {
        Self::with(Sources::default(), names, MEMORY)
    }

    /// A store whose first generation is merged from these sources.
    #[cfg(feature = "watch")]
    pub(crate) fn new(sources: Sources) -> Self {
        let (names, description) = (sources.merge(), sources.description().to_owned());
        Self::with(sources, names, &description)
    }

    fn with(sources: Sources, names: Arc<KeyNames>, source: &str) -> Self {
        let status = Status::new(&names, source, sources.is_partial(&names));
        let is_complete = sources.is_complete(&names, status.generation);
        Self {
            current: ArcSwap::from_pointee(Generation { number: status.generation, names, is_complete }),
            unmatched: Arc::new(UnmatchedIds::new(status.generation)),
            status: watch::Sender::new(status),
            sources: Mutex::new(sources),
        }
    }

    /// Loads the current map, without waiting.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(self.current.load_full())
    }

    /// Makes this map the next generation.
    pub(super) fn replace(&self, names: KeyNames) {
        self.advance(&self.lock(), Arc::new(names), MEMORY, |_| {});
    }

    /// Makes the next generation from changed files and returns its snapshot. `update` changes
    /// other parts of the status in the same step.
    #[cfg(feature = "watch")]
    pub(crate) fn set_files(&self, files: Vec<Arc<KeyNames>>, update: impl FnOnce(&mut Status)) -> Snapshot {
        let mut sources = self.lock();
        sources.set_files(files);
        self.advance(&sources, sources.merge(), sources.description(), update)
    }

    /// Makes the next generation from learned names, unless they are the same as before.
    #[cfg(feature = "directory")]
    pub(super) fn set_learned(&self, names: Arc<KeyNames>, is_complete: bool) {
        let mut sources = self.lock();
        if sources.set_learned(names, is_complete) {
            self.advance(&sources, sources.merge(), sources.description(), |_| {});
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

    /// Sets the watcher's part of the status. Wakes no waiter if nothing changed.
    #[cfg(feature = "watch")]
    pub(crate) fn set_watch_state(&self, last_error: Option<String>, warning: Option<String>) {
        self.status.send_if_modified(|status| {
            let is_new = status.last_error != last_error || status.warning != warning;
            status.last_error = last_error;
            status.warning = warning;
            is_new
        });
    }

    fn advance(
        &self,
        sources: &Sources,
        names: Arc<KeyNames>,
        source: &str,
        update: impl FnOnce(&mut Status),
    ) -> Snapshot {
        // The status stays locked until the map is stored, so a reader that has seen a generation
        // in the status loads that generation or a later one.
        self.status.send_modify(|status| {
            status.advance(&names, source, sources.is_partial(&names));
            update(status);
            let number = status.generation;
            let is_complete = sources.is_complete(&names, number);
            self.current.store(Arc::new(Generation { number, names, is_complete }));
            self.unmatched.restart(number);
        });
        self.snapshot()
    }

    /// Stores the current generation again if its completeness has changed.
    #[cfg(feature = "directory")]
    fn update_completeness(&self, sources: &Sources) {
        self.status.send_if_modified(|status| {
            let current = self.current.load_full();
            let is_complete = sources.is_complete(&current.names, current.number);
            if is_complete != current.is_complete {
                let names = current.names.clone();
                self.current.store(Arc::new(Generation { number: current.number, names, is_complete }));
            }
            let partial = sources.is_partial(&current.names);
            std::mem::replace(&mut status.partial, partial) != partial
        });
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        // The sources are whole after every statement, so a panic of another writer is harmless.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
