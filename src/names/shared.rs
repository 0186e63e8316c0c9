//! `SharedKeyNames`: the handle to the current map.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;

use super::store::{Snapshot, Sources, Status, Store};
use super::unmatched::UnmatchedReceiver;
use crate::KeyNames;

#[cfg(test)]
mod tests;

/// A handle to the current map. All clones share the map, so replacing it in one replaces it in all.
///
/// A handle from [`new`](Self::new) keeps its map until [`replace`](Self::replace) is called. A handle from
/// `SharedKeyNames::watch` (feature `watch`) also reloads its map when a file changes, as long as a clone of it
/// exists. A handle from `ProxyKeys::names` (feature `proxy-keys`) has the names of a keys file, of which the layer uses
/// only those that the caller of the request may see. The default is a handle to an empty map.
///
/// ```
/// use tower_api_key_name::{KeyNames, SharedKeyNames};
///
/// let names = SharedKeyNames::new(KeyNames::new([("key_abc", "billing")])?);
/// let before = names.snapshot();
/// names.replace(KeyNames::new([("key_abc", "search")])?);
///
/// assert_eq!(before.name("key_abc"), Some("billing"));
/// assert_eq!(names.snapshot().name("key_abc"), Some("search"));
/// # Ok::<(), tower_api_key_name::KeyNamesError>(())
/// ```
#[derive(Clone)]
pub struct SharedKeyNames {
    pub(super) store: Arc<Store>,
    /// Keeps the watcher's thread running. The thread ends when the last clone is dropped.
    pub(super) watcher: Option<Arc<dyn Send + Sync>>,
    /// Selects the names that a request may see. `None` if each request may see all names.
    pub(super) selection: Option<NameSelection>,
}

/// A function from the headers of a request to the names that its caller may see.
pub(crate) type NameSelection = Arc<dyn Fn(&HeaderMap) -> Arc<KeyNames> + Send + Sync>;

impl SharedKeyNames {
    /// Creates a handle to this map, as generation 1, from `memory`.
    pub fn new(names: KeyNames) -> Self {
        let sources = Sources { replacement: Some(Arc::new(names)), ..Sources::default() };
        Self { store: Store::new(sources), watcher: None, selection: None }
    }

    /// Loads the current map: one atomic load, without waiting. Take one snapshot per request and use it to the
    /// request's end.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::clone(&self.store.current.load())
    }

    /// Loads the snapshot for a request: all names, or those that the selection returns for its headers.
    pub(crate) fn snapshot_for(&self, headers: &HeaderMap) -> Snapshot {
        let snapshot = self.snapshot();
        match &self.selection {
            Some(select_names) => snapshot.with_names(select_names(headers)),
            None => snapshot,
        }
    }

    /// Returns a handle that gives each request only the names that a selection returns. Ids without a selected name are treated
    /// as ids without a name.
    #[cfg(feature = "proxy-keys")]
    pub(crate) fn with_selection(&self, selection: NameSelection) -> Self {
        Self { selection: Some(selection), ..self.clone() }
    }

    /// Replaces the map, in every clone. The new map is the next generation, even if it is equal.
    ///
    /// If the handle watches files, the map stays until the *content* of a file changes.
    pub fn replace(&self, names: KeyNames) {
        let replacement = Some(Arc::new(names));
        self.store.change(|sources| {
            sources.replacement = replacement;
            true
        });
    }

    /// Returns the current generation, its source and the last error.
    pub fn status(&self) -> Status {
        self.store.status.borrow().clone()
    }

    /// Waits until the status fulfils `condition` and returns that status; at once if it already does. If several
    /// statuses follow each other quickly, only the last may be checked.
    ///
    /// The status is never ahead of the map: after this call has returned a generation, [`snapshot`](Self::snapshot)
    /// returns that generation or a later one.
    pub async fn wait_for(&self, mut condition: impl FnMut(&Status) -> bool) -> Status {
        let mut statuses = self.store.status.subscribe();
        loop {
            // A clone, so that no lock is held while `condition` uses this handle.
            let status = statuses.borrow_and_update().clone();
            // `changed` cannot fail: `self` keeps the sender.
            if condition(&status) || statuses.changed().await.is_err() {
                return status;
            }
        }
    }

    /// Returns the receiver of the ids that responses contained and the map did not. There is one receiver for all
    /// clones: the first call returns it, later calls return `None`.
    pub fn unmatched_ids(&self) -> Option<UnmatchedReceiver> {
        self.store.unmatched.take_receiver()
    }

    /// Notes an id without a name in this generation. Returns true if the id is new in it and was kept.
    ///
    /// An id whose name the request may not see has a name, so it is not kept.
    pub(crate) fn note_unmatched(&self, generation: u64, id: &str) -> bool {
        if self.selection.is_some() && self.snapshot().name(id).is_some() {
            return false;
        }
        self.store.unmatched.note(generation, id)
    }
}

impl Default for SharedKeyNames {
    fn default() -> Self {
        Self::new(KeyNames::default())
    }
}

impl From<KeyNames> for SharedKeyNames {
    fn from(names: KeyNames) -> Self {
        Self::new(names)
    }
}

impl fmt::Debug for SharedKeyNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeyNames")
            .field("status", &self.status())
            .field("watched", &self.watcher.is_some())
            .finish()
    }
}
