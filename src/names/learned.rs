//! The publisher of learned names.

use std::fmt;
use std::sync::{Arc, Weak};

use super::KeyNames;
use super::store::Store;

/// The publisher of the names that a directory has learned, for one handle.
///
/// Until it publishes a complete listing, the handle's snapshots are incomplete. If it is dropped
/// before, the handle no longer waits for that listing.
pub(crate) struct LearnedNames {
    store: Weak<Store>,
}

impl LearnedNames {
    /// The publisher for a store with learned names. It does not keep the store alive.
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::downgrade(store) }
    }

    /// Merges these names, in place of those published before, into the handle's map at once.
    ///
    /// The merged map is the next generation, unless the pairs are the same as before.
    /// `is_complete` is true if a listing of all keys is part of `names`; it needs to be true only
    /// once.
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

#[cfg(test)]
mod tests;
