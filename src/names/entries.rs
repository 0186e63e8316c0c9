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
    by_id: HashTable<Slot>,
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

/// The position of an id and of the JSON behind it. A look-up by id needs nothing else from memory but the text.
#[derive(Clone, Copy)]
struct Slot {
    id_start: u32,
    id_len: u16,
    json_len: u16,
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
    json_start: u32,
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
        self.index_by_id(Slot { id_start: id_span.start, id_len: id_span.len, json_len: json_span.len });
        Ok(())
    }

    /// Adds an entry to the table of ids.
    fn index_by_id(&mut self, slot: Slot) {
        let Self { text, by_id, hasher, .. } = self;
        // The table also calls this closure for its other entries when it grows.
        let hash_of = |slot: &Slot| hasher.hash_one(slot.id().bytes_in(text));
        by_id.insert_unique(hash_of(&slot), slot, hash_of);
    }

    /// Makes the entries ready for look-ups by name, and returns spare capacity to the allocator.
    pub(super) fn finish(&mut self) {
        self.by_name.sort_unstable();
        self.text.shrink_to_fit();
        self.list.shrink_to_fit();
    }

    /// Finds the entry with this id, in expected constant time.
    #[inline(always)]
    pub(crate) fn find(&self, id: &[u8]) -> Option<EntryRef> {
        let is_same = |slot: &Slot| slot.id().bytes_in(&self.text) == id;
        let slot = self.by_id.find(self.hasher.hash_one(id), is_same)?;
        Some(EntryRef { json_start: slot.id_start + u32::from(slot.id_len), json_len: slot.json_len })
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
        // Entries are listed in the order of their texts.
        let index = self.list.partition_point(|other| other.json.start < entry.json_start);
        let entry = &self.list[index];
        (entry.id.text_in(&self.text), entry.name.text_in(&self.text))
    }

    /// Returns an entry's name as a JSON string (RFC 8259 §7), with quotes.
    #[inline]
    pub(crate) fn json(&self, entry: EntryRef) -> &[u8] {
        Span { start: entry.json_start, len: entry.json_len }.bytes_in(&self.text)
    }

    fn append(&mut self, text: &str) -> Span {
        let span = Span { start: self.text.len() as u32, len: text.len() as u16 };
        self.text.push_str(text);
        span
    }
}

impl Slot {
    /// The position of the id in the text.
    fn id(&self) -> Span {
        Span { start: self.id_start, len: self.id_len }
    }
}

impl Span {
    #[inline]
    fn text_in(self, text: &str) -> &str {
        &text[self.start as usize..][..usize::from(self.len)]
    }

    /// Returns the bytes, without the check of character boundaries that `text_in` needs.
    #[inline]
    fn bytes_in(self, text: &str) -> &[u8] {
        &text.as_bytes()[self.start as usize..][..usize::from(self.len)]
    }
}
