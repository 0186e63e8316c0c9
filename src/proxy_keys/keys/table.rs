//! The proxy keys of one generation of the keys file.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{KeyDigest, Prices, ProxyKey};
use crate::KeyNames;

/// The proxy keys by their digests. It never changes: a reload of the file makes a new table.
#[derive(Default)]
pub(crate) struct KeyTable {
    keys: HashMap<KeyDigest, Arc<ProxyKey>>,
    prices: Arc<Prices>,
    /// The names of all keys, also of revoked keys.
    names: Arc<KeyNames>,
    /// The names of the keys of each group with a key, by the group's name.
    names_by_group: HashMap<String, Arc<KeyNames>>,
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

    /// Sets the names of all keys, and those of the keys of each group.
    pub(crate) fn set_names(&mut self, names: Arc<KeyNames>, names_by_group: HashMap<String, Arc<KeyNames>>) {
        self.names = names;
        self.names_by_group = names_by_group;
    }

    /// Returns the names of all keys, also of revoked keys.
    pub(crate) fn names(&self) -> &Arc<KeyNames> {
        &self.names
    }

    /// Returns the names of the keys of a group, which are none if the group is unknown.
    pub(crate) fn names_of_group(&self, group_id: &str) -> Arc<KeyNames> {
        self.names_by_group.get(group_id).cloned().unwrap_or_default()
    }

    /// Returns the name of one key, or no name if the key is unknown.
    pub(crate) fn names_of_key(&self, key_id: &str) -> KeyNames {
        let Some(name) = self.names.name(key_id) else { return KeyNames::default() };
        KeyNames::new([(key_id, name)]).expect("the pair is part of a valid map")
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
