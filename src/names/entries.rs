//! The entries of a map: one text for all of them, and two hash tables of indexes into it.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::error::Defect;

/// Pairs of id and name in the order of their insertion, with look-ups in both directions.
///
/// All ids and names are in one `String`. A `HashMap` would need two allocations per entry.
#[derive(Clone, Default)]
pub(super) struct Entries {
    text: String,
    list: Vec<Entry>,
    /// Indexes into `list`.
    by_id: HashTable<u32>,
    by_name: HashTable<SameName>,
    /// Seeded at random, so that ids cannot be chosen to collide. It is faster than the standard
    /// library's hasher and easier to guess, which is acceptable: the API chooses the ids.
    hasher: RandomState,
}

/// The byte ranges of one entry in the text: the id, the name as JSON, and the name.
#[derive(Clone, Copy)]
struct Entry {
    id: Span,
    json: Span,
    /// Inside `json` if the name needs no escapes, and after it otherwise.
    name: Span,
    /// The next entry with the same name.
    next: Option<NonZeroU32>,
}

/// A byte range of the text.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    len: u16,
}

/// The first and the last entry with one name.
#[derive(Clone, Copy)]
struct SameName {
    first: u32,
    last: u32,
}

/// A reference to an entry of one [`KeyNames`](super::KeyNames). It is valid for that map only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryRef {
    index: u32,
    json_len: u16,
}

// === impl Entries ===

impl Entries {
    /// The greatest length of the text, in bytes.
    const MAX_TEXT: usize = u32::MAX as usize;

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds an entry. Both texts must keep the rules of `KeyNames`, which bound their lengths.
    pub(super) fn insert(&mut self, id: &str, name: &str) -> Result<(), Defect> {
        if self.find(id.as_bytes()).is_some() {
            return Err(Defect::DuplicateId);
        }
        // RFC 8259 §7: a valid name contains no other character that must be escaped.
        let escapes = name.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        let json_len = name.len() + escapes + 2;
        if self.text.len() + id.len() + json_len + name.len() > Self::MAX_TEXT {
            return Err(Defect::TooLarge);
        }
        let id_span = self.push(id);
        let json_start = self.text.len();
        let name_span = if escapes == 0 {
            self.text.push('"');
            let span = self.push(name);
            self.text.push('"');
            span
        } else {
            let escaped = name.replace('\\', r"\\").replace('"', r#"\""#);
            self.text.extend(["\"", &escaped, "\""]);
            self.push(name)
        };
        let index = self.list.len() as u32;
        let json = Span { start: json_start as u32, len: json_len as u16 };
        self.list.push(Entry { id: id_span, json, name: name_span, next: None });
        self.index_id(index);
        self.index_name(index);
        Ok(())
    }

    /// Finds the entry with this id, in expected constant time.
    #[inline]
    pub(super) fn find(&self, id: &[u8]) -> Option<EntryRef> {
        let is_same = |&index: &u32| self.bytes(self.list[index as usize].id) == id;
        let &index = self.by_id.find(hash(&self.hasher, id), is_same)?;
        Some(EntryRef { index, json_len: self.list[index as usize].json.len })
    }

    /// Returns the ids of all entries with this name, in the order of their insertion.
    pub(super) fn ids(&self, name: &str) -> impl Iterator<Item = &str> + use<'_> {
        let is_same = |same: &SameName| self.bytes(self.list[same.first as usize].name) == name.as_bytes();
        let first = self.by_name.find(hash(&self.hasher, name.as_bytes()), is_same).map(|same| same.first);
        let next = |&index: &u32| self.list[index as usize].next.map(NonZeroU32::get);
        std::iter::successors(first, next).map(|index| self.str(self.list[index as usize].id))
    }

    /// Returns the pairs of id and name, in the order of their insertion.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|entry| (self.str(entry.id), self.str(entry.name)))
    }

    #[cfg(feature = "tracing")]
    pub(super) fn id(&self, entry: EntryRef) -> &str {
        self.str(self.list[entry.index as usize].id)
    }

    #[inline]
    pub(super) fn name(&self, entry: EntryRef) -> &str {
        self.str(self.list[entry.index as usize].name)
    }

    #[inline]
    pub(super) fn json(&self, entry: EntryRef) -> &[u8] {
        self.bytes(self.list[entry.index as usize].json)
    }

    /// Returns spare capacity to the allocator.
    pub(super) fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.list.shrink_to_fit();
    }

    fn push(&mut self, text: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span { start, len: text.len() as u16 }
    }

    fn index_id(&mut self, index: u32) {
        let Self { text, list, by_id, hasher, .. } = self;
        let hash_of = |&index: &u32| hash(hasher, list[index as usize].id.of(text).as_bytes());
        by_id.insert_unique(hash_of(&index), index, hash_of);
    }

    fn index_name(&mut self, index: u32) {
        let Self { text, list, by_name, hasher, .. } = self;
        let name = list[index as usize].name.of(text);
        let name_hash = hash(hasher, name.as_bytes());
        let is_same = |same: &SameName| list[same.first as usize].name.of(text) == name;
        if let Some(same) = by_name.find_mut(name_hash, is_same) {
            list[same.last as usize].next = NonZeroU32::new(index);
            same.last = index;
            return;
        }
        let hash_of = |same: &SameName| hash(hasher, list[same.first as usize].name.of(text).as_bytes());
        by_name.insert_unique(name_hash, SameName { first: index, last: index }, hash_of);
    }

    #[inline]
    fn bytes(&self, span: Span) -> &[u8] {
        &self.text.as_bytes()[span.start as usize..][..usize::from(span.len)]
    }

    fn str(&self, span: Span) -> &str {
        span.of(&self.text)
    }
}

fn hash(hasher: &RandomState, text: &[u8]) -> u64 {
    // `hash_one` would also hash the length, which makes no difference between two texts.
    let mut hasher = hasher.build_hasher();
    hasher.write(text);
    hasher.finish()
}

// === impl Span ===

impl Span {
    fn of(self, text: &str) -> &str {
        &text[self.start as usize..][..usize::from(self.len)]
    }
}

// === impl EntryRef ===

impl EntryRef {
    /// The length of the name as JSON, in bytes.
    pub(crate) fn json_len(self) -> usize {
        self.json_len.into()
    }
}
