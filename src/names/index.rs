//! Id → entry, in expected constant time.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// Id → entry: open addressing with linear probing, at most half full, so that a search ends
/// after one or two slots. A `HashMap` would have to own every id a second time.
#[derive(Clone, Default)]
pub(crate) struct Index {
    /// Keyed at random, so that ids cannot be chosen to collide without knowing the key. Not as hard to
    /// guess as the standard library's, and several times faster: who chooses ids is the API.
    hasher: RandomState,
    /// A power of two in number, or none at all.
    slots: Vec<Slot>,
    used: usize,
}

/// The hash is kept so that a miss rarely has to look at an id, and growing never has to.
#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    entry: u32,
}

impl Index {
    /// Stands for no entry.
    pub(crate) const FREE: u32 = u32::MAX;
    /// How many slots there are at once: room for what most pages have of ids without a name.
    const FEWEST: usize = 32;
    const EMPTY: Slot = Slot { hash: 0, entry: Self::FREE };

    pub(crate) fn hash(&self, label: &[u8]) -> u32 {
        // `hash_one` would hash the length too, which tells two labels apart no better.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(label);
        hasher.finish() as u32
    }

    /// The first that is found of the entries with this hash.
    #[inline]
    pub(crate) fn find<T>(&self, hash: u32, found: impl Fn(u32) -> Option<T>) -> Option<T> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.entry == Self::FREE {
                return None;
            }
            if slot.hash == hash
                && let Some(found) = found(slot.entry)
            {
                return Some(found);
            }
            at = (at + 1) & mask;
        }
    }

    pub(crate) fn insert(&mut self, hash: u32, entry: u32) {
        if self.slots.len() <= self.used * 2 {
            let room = (self.slots.len() * 2).max(Self::FEWEST);
            let old = std::mem::replace(&mut self.slots, vec![Self::EMPTY; room]);
            for slot in old {
                if slot.entry != Self::FREE {
                    self.put(slot);
                }
            }
        }
        self.used += 1;
        self.put(Slot { hash, entry });
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.hash as usize & mask;
        while self.slots[at].entry != Self::FREE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Equal hashes and full neighbourhoods included, every entry is found, and only by what asks
    /// for it; and the table is at most half full, which is what bounds the expected time.
    #[test]
    fn finds_each_entry_at_every_size() {
        let hash = |entry: u32| entry / 3 * 8;
        let mut index = Index::default();
        assert_eq!(index.find(0, Some), None);
        for entry in 0..1000 {
            index.insert(hash(entry), entry);
            assert!(index.slots.len().is_power_of_two() && index.slots.len() >= 2 * index.used);
        }
        for entry in 0..1000 {
            assert_eq!(index.find(hash(entry), |it| (it == entry).then_some(it)), Some(entry));
            assert_eq!(index.find(hash(entry) + 1, Some), None);
        }
    }
}
