//! The unmatched ids of one body: each once, to be told of.

use crate::KeyNames;
use crate::names::index::Index;

/// How many different ones are told of.
pub const MAX_UNMATCHED: usize = 256;

/// How many there is room for at once, of which length. Most pages have few.
const FEW: usize = 16;
const USUAL: usize = 32;

#[derive(Default)]
pub(super) struct Unknowns {
    /// One behind another, in the order they came: they have one allocation, not one each.
    text: String,
    /// Of each the offset after it in the body, and where it ends in `text`.
    ends: Vec<(u64, usize)>,
    index: Index,
    /// How many of them were told of.
    told: usize,
}

impl Unknowns {
    /// One that is too long for any map is nobody's to name, and would be kept here.
    pub(super) fn add(&mut self, at: u64, id: &[u8]) {
        if id.len() > KeyNames::MAX_ID || self.ends.len() == MAX_UNMATCHED {
            return;
        }
        let hash = self.index.hash(id);
        if self.index.find(hash, |nth| (self.id(nth as usize).as_bytes() == id).then_some(())).is_some() {
            return;
        }
        let Ok(id) = str::from_utf8(id) else { return };
        if self.ends.is_empty() {
            self.text.reserve(FEW * USUAL);
            self.ends.reserve(FEW);
        }
        self.index.insert(hash, self.ends.len() as u32);
        self.text.push_str(id);
        self.ends.push((at, self.text.len()));
    }

    /// Those that came since the last call, each with the offset after it.
    pub(super) fn take(&mut self) -> impl ExactSizeIterator<Item = (u64, &str)> {
        let from = std::mem::replace(&mut self.told, self.ends.len());
        (from..self.told).map(|nth| (self.ends[nth].0, self.id(nth)))
    }

    fn id(&self, nth: usize) -> &str {
        let from = nth.checked_sub(1).map_or(0, |before| self.ends[before].1);
        &self.text[from..self.ends[nth].1]
    }
}
