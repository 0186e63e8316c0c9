//! The entries of a map: one text for all of them, and indexes into it.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::error::{ID, KeyNamesError, KeyNamesErrorKind};

/// Pairs of id and name in the order of their insertion, with look-ups in both directions.
///
/// All ids and names are in one `String`. A `HashMap` would need two allocations per entry.
#[derive(Clone, Default)]
pub(crate) struct Entries {
    text: String,
    list: Vec<Entry>,
    /// Indexes into `list`, by the hash of the id.
    by_id: HashTable<u32>,
    /// Hashes of names with indexes into `list`, sorted by `finish`.
    by_name: Vec<(u32, u32)>,
    /// Seeded at random, so that ids cannot be chosen to collide. It is faster than the standard library's hasher and
    /// easier to guess, which is acceptable: the API chooses the ids.
    hasher: RandomState,
}

/// The parts of one entry in the text.
#[derive(Clone, Copy)]
struct Entry {
    id: Span,
    /// The name as JSON.
    json: Span,
    /// The name: inside `json` if it needs no escapes, and after it otherwise.
    name: Span,
}

/// A byte range of the text.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    len: u16,
}

/// A reference to an entry of one [`KeyNames`](super::KeyNames). It is valid for that map only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryRef {
    index: u32,
    /// The length of the name as JSON, in bytes.
    pub(crate) json_len: u16,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds an entry, or returns an error if the map contains the id or its texts exceed 4 GiB. Both texts must keep the
    /// rules of `KeyNames`, which bound their lengths.
    pub(super) fn insert(&mut self, id: &str, name: &str) -> Result<(), KeyNamesError> {
        if self.find(id.as_bytes()).is_some() {
            return Err(KeyNamesError::new(KeyNamesErrorKind::DuplicateId, ID));
        }
        // RFC 8259 §7: a valid name contains no other character that must be escaped.
        let needs_escapes = name.contains(['"', '\\']);
        let json_content = if needs_escapes {
            Cow::Owned(name.replace('\\', r"\\").replace('"', r#"\""#))
        } else {
            Cow::Borrowed(name)
        };
        let max_added_len = id.len() + json_content.len() + name.len() + 2;
        if self.text.len() + max_added_len > u32::MAX as usize {
            return Err(KeyNamesError::new(KeyNamesErrorKind::TooLarge, ""));
        }
        let id_span = self.append(id);
        let opening_quote = self.append("\"");
        let content_span = self.append(&json_content);
        self.append("\"");
        let json_span = Span { start: opening_quote.start, len: content_span.len + 2 };
        let name_span = if needs_escapes { self.append(name) } else { content_span };
        let index = self.list.len() as u32;
        self.list.push(Entry { id: id_span, json: json_span, name: name_span });
        self.by_name.push((self.hasher.hash_one(name) as u32, index));
        self.index_by_id(index);
        Ok(())
    }

    /// Adds an entry of the list to the table of ids.
    fn index_by_id(&mut self, index: u32) {
        let Self { text, list, by_id, hasher, .. } = self;
        // The table also calls this closure for its other entries when it grows.
        let hash_of = |index: &u32| hasher.hash_one(list[*index as usize].id.text_in(text).as_bytes());
        by_id.insert_unique(hash_of(&index), index, hash_of);
    }

    /// Makes the entries ready for look-ups by name, and returns spare capacity to the allocator.
    pub(super) fn finish(&mut self) {
        self.by_name.sort_unstable();
        self.text.shrink_to_fit();
        self.list.shrink_to_fit();
    }

    /// Finds the entry with this id, given as unescaped bytes. Expected constant time.
    #[inline]
    pub(crate) fn find(&self, id: &[u8]) -> Option<EntryRef> {
        let has_id = |index: &u32| self.list[*index as usize].id.text_in(&self.text).as_bytes() == id;
        let index = *self.by_id.find(self.hasher.hash_one(id), has_id)?;
        Some(EntryRef { index, json_len: self.list[index as usize].json.len })
    }

    /// Returns the ids of all entries with this name, in the order of their insertion. Finds the entries with the hash
    /// of the name by a binary search.
    pub(super) fn ids(&self, name: &str) -> Vec<&str> {
        let hash = self.hasher.hash_one(name) as u32;
        let start = self.by_name.partition_point(|(other_hash, _)| *other_hash < hash);
        let same_hash = self.by_name[start..].iter().take_while(|(other_hash, _)| *other_hash == hash);
        let mut ids = Vec::new();
        for (_, index) in same_hash {
            let entry = &self.list[*index as usize];
            // Different names can have the same hash.
            if entry.name.text_in(&self.text) == name {
                ids.push(entry.id.text_in(&self.text));
            }
        }
        ids
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|entry| (entry.id.text_in(&self.text), entry.name.text_in(&self.text)))
    }

    /// Returns an entry's id and name.
    pub(crate) fn pair(&self, entry: EntryRef) -> (&str, &str) {
        let entry = &self.list[entry.index as usize];
        (entry.id.text_in(&self.text), entry.name.text_in(&self.text))
    }

    /// Returns an entry's name as a JSON string (RFC 8259 §7), with quotes.
    #[inline]
    pub(crate) fn json(&self, entry: EntryRef) -> &[u8] {
        self.list[entry.index as usize].json.text_in(&self.text).as_bytes()
    }

    fn append(&mut self, text: &str) -> Span {
        let span = Span { start: self.text.len() as u32, len: text.len() as u16 };
        self.text.push_str(text);
        span
    }
}

impl Span {
    #[inline]
    fn text_in(self, text: &str) -> &str {
        &text[self.start as usize..][..usize::from(self.len)]
    }
}
