//! The unmatched ids of one body: each once, to be told of.

use crate::KeyNames;
use crate::names::index::Index;

/// How many different ones are told of.
pub(crate) const MAX_UNMATCHED: usize = 256;

#[derive(Default)]
pub(super) struct Unknowns {
    /// Each with the offset after it, in the order they came.
    ids: Vec<(u64, Box<str>)>,
    index: Index,
    /// How many of them were told of.
    told: usize,
}

impl Unknowns {
    /// One that is too long for any map is nobody's to name, and would be kept here.
    pub(super) fn add(&mut self, at: u64, id: &[u8]) {
        let Some(Ok(id)) = (id.len() <= KeyNames::MAX_ID).then(|| str::from_utf8(id)) else { return };
        if self.ids.len() == MAX_UNMATCHED {
            return;
        }
        let hash = self.index.hash(id.as_bytes());
        if self.index.find(hash, |nth| (*self.ids[nth as usize].1 == *id).then_some(())).is_none() {
            self.index.insert(hash, self.ids.len() as u32);
            self.ids.push((at, id.into()));
        }
    }

    /// Those that came since the last call.
    pub(super) fn take(&mut self) -> &[(u64, Box<str>)] {
        &self.ids[std::mem::replace(&mut self.told, self.ids.len())..]
    }
}
