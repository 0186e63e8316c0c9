//! The part of the upload budget that one key may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::keys::ProxyKey;

/// The bytes that the request bodies of each key hold.
#[derive(Debug)]
pub(super) struct KeyShares {
    /// The limit for each key.
    limit: u64,
    /// The bytes by the id of a key. A key without bytes is not in the map.
    held_bytes: Mutex<HashMap<String, u64>>,
}

impl KeyShares {
    /// Creates the shares of a budget of this number of bytes: each key may use a quarter of it.
    pub(super) fn of_budget(bytes: u64) -> Self {
        Self { limit: bytes / 4, held_bytes: Mutex::default() }
    }
}

/// The bytes of one body in the share of its key. They are returned when the share is dropped.
#[derive(Debug)]
pub(super) struct KeyShare {
    shares: Arc<KeyShares>,
    key: Arc<ProxyKey>,
    bytes: u64,
}

impl KeyShare {
    pub(super) fn new(shares: Arc<KeyShares>, key: Arc<ProxyKey>) -> Self {
        Self { shares, key, bytes: 0 }
    }

    /// Sets the bytes of the body. Returns false, and changes nothing, if the bodies of the key would hold more than its
    /// share. The share of a key is at least `min_limit`.
    pub(super) fn try_set(&mut self, bytes: u64, min_limit: u64) -> bool {
        let limit = self.shares.limit.max(min_limit);
        let mut held_bytes = self.shares.held_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let held_before = held_bytes.get(&self.key.id).copied().unwrap_or(0);
        let held_after = held_before - self.bytes + bytes;
        if held_after > held_before && held_after > limit {
            return false;
        }
        if held_after == 0 {
            held_bytes.remove(&self.key.id);
        } else {
            held_bytes.insert(self.key.id.clone(), held_after);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for KeyShare {
    fn drop(&mut self) {
        self.try_set(0, 0);
    }
}
