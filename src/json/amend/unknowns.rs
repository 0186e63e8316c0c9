//! The ids of one body without an entry in the map, each of them once.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::KeyNames;

/// The most ids that are kept.
pub const MAX_UNMATCHED: usize = 256;

#[derive(Default)]
pub(super) struct Unknowns {
    /// The ids with the offset after each, in the order of the body.
    ids: Vec<(u64, Box<str>)>,
    /// The hashes of all ids. Two ids with the same 64-bit hash count as one.
    hashes: HashSet<u64, RandomState>,
    taken: usize,
}

impl Unknowns {
    /// Adds an id that ends before `at`. An id that is too long for any map is ignored.
    pub(super) fn add(&mut self, at: u64, id: &[u8]) {
        if id.len() > KeyNames::MAX_ID || self.hashes.len() == MAX_UNMATCHED {
            return;
        }
        let hash = self.hashes.hasher().hash_one(id);
        if self.hashes.insert(hash)
            && let Ok(id) = str::from_utf8(id)
        {
            self.ids.push((at, id.into()));
        }
    }

    /// Returns the ids since the last call, with the offset after each.
    pub(super) fn take(&mut self) -> impl ExactSizeIterator<Item = (u64, &str)> {
        let from = std::mem::replace(&mut self.taken, self.ids.len());
        self.ids[from..].iter().map(|(at, id)| (*at, &**id))
    }
}
