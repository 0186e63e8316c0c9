//! The ids of one body without an entry in the map, each of them once.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::KeyNames;

/// The most ids that are kept.
pub(super) const MAX_UNMATCHED: usize = 256;

/// The unmatched ids of one body.
#[derive(Debug, Default)]
pub(super) struct UnmatchedIds {
    /// The ids that were not taken yet, with the offset after each, in the order of the body.
    pub(super) new: Vec<(u64, Box<str>)>,
    /// The hashes of all ids. Two ids with the same 64-bit hash count as one.
    hashes: HashSet<u64, RandomState>,
}

impl UnmatchedIds {
    /// Adds an id that ends before `at`, unless it was added already, or is too long for any map.
    pub(super) fn add(&mut self, at: u64, id: &[u8]) {
        if id.len() > KeyNames::MAX_LEN || self.hashes.len() == MAX_UNMATCHED {
            return;
        }
        let hash = self.hashes.hasher().hash_one(id);
        let is_new = self.hashes.insert(hash);
        if is_new && let Ok(id) = str::from_utf8(id) {
            self.new.push((at, id.into()));
        }
    }
}
