//! The proxy keys of one generation of the keys file.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{KeyDigest, Prices, ProxyKey};

/// The proxy keys by their digests. It never changes: a reload of the file makes a new table.
#[derive(Default)]
pub(crate) struct KeyTable {
    keys: HashMap<KeyDigest, Arc<ProxyKey>>,
    prices: Arc<Prices>,
}

impl KeyTable {
    /// Adds a key under one of its digests. Returns false if the table contains the digest already.
    pub(crate) fn add(&mut self, digest: KeyDigest, key: Arc<ProxyKey>) -> bool {
        match self.keys.entry(digest) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(key);
                true
            }
        }
    }

    /// True if the group of a key has an upstream of its own.
    pub(crate) fn has_upstreams(&self) -> bool {
        let mut groups = self.keys.values().filter_map(|key| key.group.as_ref());
        groups.any(|group| !group.upstreams.is_empty())
    }

    /// Sets the prices of all models.
    pub(crate) fn set_prices(&mut self, prices: Prices) {
        self.prices = Arc::new(prices);
    }

    /// Returns the prices of all models.
    pub(crate) fn prices(&self) -> &Arc<Prices> {
        &self.prices
    }

    /// Returns the key of a whole credential, or `None` if there is none. Expired keys are returned too.
    pub(crate) fn find(&self, credential: &[u8]) -> Option<&Arc<ProxyKey>> {
        self.keys.get(&KeyDigest::of(credential))
    }
}

impl fmt::Debug for KeyTable {
    /// Writes a count only: the table may be long, and its names do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTable").field("digests", &self.keys.len()).finish()
    }
}
