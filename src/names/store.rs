//! The state that all clones of a handle share with its watcher and its publisher.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::KeyNames;
use super::snapshot::{Generation, Snapshot};
use super::status::Status;
use super::unmatched::UnmatchedQueue;

/// The current map and its status. Readers load the map without a lock.
pub(super) struct Store {
    current: ArcSwap<Generation>,
    /// Locked by each writer, before the status.
    sources: Mutex<Sources>,
    pub(super) status: watch::Sender<Status>,
    pub(super) unmatched: Arc<UnmatchedQueue>,
}

/// The maps that are merged into one.
pub(super) struct Sources {
    /// The paths of the files, for the status.
    pub(super) description: String,
    /// One map for each file, in order of precedence. One of them may be learned.
    pub(super) maps: Vec<Arc<KeyNames>>,
    /// The map that the program has put in place of all others, until one of them changes.
    pub(super) replacement: Option<Arc<KeyNames>>,
    /// True until a complete listing of the keys is published, if there is a publisher.
    pub(super) is_listing_awaited: bool,
}

// === impl Store ===

impl Store {
    /// Creates a store whose first generation is merged from these sources.
    pub(super) fn new(sources: Sources) -> Arc<Self> {
        let (names, number) = (sources.merge(), 1);
        let is_complete = !names.is_empty() && sources.can_be_complete(&names);
        Arc::new(Self {
            status: watch::Sender::new(Status::new(number, &names, sources.description())),
            unmatched: Arc::new(UnmatchedQueue::new(number)),
            sources: Mutex::new(sources),
            current: ArcSwap::from_pointee(Generation { number, names, is_complete }),
        })
    }

    /// Loads the current map, without waiting.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.current.load_full())
    }

    /// Changes the sources and the status in one step. Each closure returns true if it has changed something. Changed
    /// sources are the next generation.
    pub(super) fn change(
        &self,
        change_sources: impl FnOnce(&mut Sources) -> bool,
        change_status: impl FnOnce(&mut Status) -> bool,
    ) {
        // The sources are consistent even if another writer panics.
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let names = change_sources(&mut sources).then(|| sources.merge());
        // The status stays locked until the map is stored, so a reader that has seen a generation in the status loads
        // that generation or a later one.
        self.status.send_if_modified(|status| {
            let is_changed = change_status(status);
            let Some(names) = names else { return is_changed };
            status.advance(&names, sources.description());
            let number = status.generation;
            let is_complete = sources.can_be_complete(&names);
            self.current.store(Arc::new(Generation { number, names, is_complete }));
            self.unmatched.restart(number);
            true
        });
    }
}

// === impl Sources ===

impl Sources {
    /// One map that the program has passed in.
    pub(super) fn in_memory(names: Arc<KeyNames>) -> Self {
        Self { replacement: Some(names), ..Self::of_files(String::new(), Vec::new()) }
    }

    /// The maps of files, without a publisher.
    pub(super) fn of_files(description: String, maps: Vec<Arc<KeyNames>>) -> Self {
        Self { description, maps, replacement: None, is_listing_awaited: false }
    }

    /// Replaces the map at one place of the order of precedence.
    #[cfg(feature = "watch")]
    pub(super) fn set(&mut self, place: usize, names: Arc<KeyNames>) {
        self.maps[place] = names;
        self.replacement = None;
    }

    fn description(&self) -> &str {
        if self.replacement.is_some() { "memory" } else { &self.description }
    }

    /// Returns one map of all. The first map that contains an id names it.
    fn merge(&self) -> Arc<KeyNames> {
        match (&self.replacement, &self.maps[..]) {
            (Some(only), _) | (None, [only]) => only.clone(),
            (None, maps) => Arc::new(KeyNames::merged(maps.iter().map(Arc::as_ref))),
        }
    }

    fn can_be_complete(&self, names: &KeyNames) -> bool {
        !names.is_partial() && !self.is_listing_awaited
    }
}
