//! The names that a directory learns, and their publisher.

use std::fmt;
use std::sync::{Arc, Weak};

use super::KeyNames;
use super::store::Store;

#[cfg(test)]
mod tests;

/// The publisher of the names that a directory has learned, for one handle.
///
/// The handle's snapshots are incomplete until a complete listing is published. If the publisher
/// is dropped before, the handle no longer waits for that listing.
pub(crate) struct LearnedNames {
    store: Weak<Store>,
}

// === impl LearnedNames ===

impl LearnedNames {
    /// A publisher for this store, which must have a learned map. It does not keep the store alive.
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::downgrade(store) }
    }

    /// Replaces the names published before with these, and merges them into the handle's map.
    ///
    /// The merged map is the next generation, unless the pairs are the same as before. Pass true
    /// in `is_complete` if `names` includes a listing of all keys; once is enough.
    pub(crate) fn publish(&self, names: impl Into<Arc<KeyNames>>, is_complete: bool) {
        if let Some(store) = self.store.upgrade() {
            store.set_learned(names.into(), is_complete);
        }
    }
}

impl Drop for LearnedNames {
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            store.abandon_learned();
        }
    }
}

impl fmt::Debug for LearnedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearnedNames").finish_non_exhaustive()
    }
}

/// The map that a publisher fills.
pub(super) struct LearnedMap {
    /// The number of files with precedence over it.
    position: usize,
    /// `None` until the first names.
    names: Option<Arc<KeyNames>>,
    listing: ListingState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListingState {
    /// The publisher has not published a complete listing yet.
    Awaited,
    /// A complete listing was published.
    Complete,
    /// The publisher was dropped before a complete listing.
    Abandoned,
}

// === impl LearnedMap ===

impl LearnedMap {
    /// A map that has the names of an earlier process, if there are any, and awaits more.
    pub(super) fn new(position: usize, cached: Option<KeyNames>) -> Self {
        Self { position, names: cached.map(Arc::new), listing: ListingState::Awaited }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn names(&self) -> Option<&Arc<KeyNames>> {
        self.names.as_ref()
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.listing == ListingState::Awaited
    }

    pub(super) fn is_complete(&self) -> bool {
        self.listing == ListingState::Complete
    }

    /// Stores the names and returns true if they differ from those before.
    pub(super) fn set(&mut self, names: Arc<KeyNames>, is_complete: bool) -> bool {
        if is_complete {
            self.listing = ListingState::Complete;
        }
        let is_new = self.names.as_ref().is_none_or(|before| !before.has_same_pairs(&names));
        self.names = Some(names);
        is_new
    }

    pub(super) fn abandon(&mut self) {
        if self.is_awaited() {
            self.listing = ListingState::Abandoned;
        }
    }
}
