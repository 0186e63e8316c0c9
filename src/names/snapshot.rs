//! The map of one moment.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::KeyNames;

/// One generation of the map. It never changes, even if the handle's map is replaced.
///
/// A clone is cheap, and a snapshot may be kept across an `await`. It dereferences to its [`KeyNames`].
#[derive(Clone)]
pub struct Snapshot(Arc<Generation>);

/// A map with its number.
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) names: Arc<KeyNames>,
    pub(super) is_complete: bool,
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn new(generation: Arc<Generation>) -> Self {
        Self(generation)
    }

    /// The number of this generation of the handle's maps. The first is 1.
    pub fn generation(&self) -> u64 {
        self.0.number
    }

    /// True if a name that is absent here belongs to no key. False before the first names, if a map is partial, and
    /// until the first complete listing, if names are learned.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.is_complete
    }
}

impl Deref for Snapshot {
    type Target = KeyNames;

    fn deref(&self) -> &KeyNames {
        &self.0.names
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation())
            .field("names", &self.0.names)
            .finish_non_exhaustive()
    }
}
