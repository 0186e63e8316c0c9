//! The publisher of learned names.

use std::sync::{Arc, Weak};

use super::KeyNames;
use super::store::Store;

#[cfg(test)]
mod tests;

/// The publisher of the names that a directory has learned, for one handle.
///
/// The handle's snapshots are incomplete until a complete listing is published. If the publisher is dropped before,
/// the handle no longer waits for that listing.
#[derive(Debug)]
pub(crate) struct LearnedNames {
    /// Weak, so that the publisher does not keep the map of a dropped handle.
    pub(super) store: Weak<Store>,
    /// The place of the learned map in the order of precedence.
    pub(super) place: usize,
}

// === impl LearnedNames ===

impl LearnedNames {
    /// Replaces the names published before with these, and merges them into the handle's map.
    ///
    /// Pass true in `is_complete` if `names` includes a listing of all keys. The merged map is the next generation,
    /// unless the pairs are the same as before and this is not the first complete listing.
    pub(crate) fn publish(&self, names: impl Into<Arc<KeyNames>>, is_complete: bool) {
        let Some(store) = self.store.upgrade() else { return };
        let names = names.into();
        store.change(|sources| {
            let is_first_complete = is_complete && sources.is_listing_awaited;
            let is_changed = is_first_complete || !sources.maps[self.place].has_same_pairs(&names);
            if is_changed {
                sources.set(self.place, names);
                sources.is_listing_awaited &= !is_complete;
            }
            is_changed
        });
    }
}

impl Drop for LearnedNames {
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            store.change(|sources| std::mem::take(&mut sources.is_listing_awaited));
        }
    }
}
