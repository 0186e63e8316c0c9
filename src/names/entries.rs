//! The entries of a map: one text for all of them, and indexes into it.

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
    /// Entries by the hash of the id.
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

// === impl Entries ===

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds an entry. Both texts must keep the rules of `KeyNames`, which bound their lengths.
    pub(super) fn insert(&mut self, id: &str, name: &str) -> Result<(), KeyNamesError> {
        if self.find(id.as_bytes()).is_some() {
            return Err(KeyNamesError::new(KeyNamesErrorKind::DuplicateId, ID));
        }
        // RFC 8259 §7: a valid name contains no other character that must be escaped.
        let needs_escapes = name.contains(['"', '\\']);
        let escaped = needs_escapes.then(|| name.replace('\\', r"\\").replace('"', r#"\""#));
        let json_name = escaped.as_deref().unwrap_or(name);
        if self.text.len() + id.len() + json_name.len() + name.len() + 2 > u32::MAX as usize {
            return Err(KeyNamesError::new(KeyNamesErrorKind::TooLarge, ""));
        }
        let index = self.list.len() as u32;
        self.by_name.push((self.hasher.hash_one(name) as u32, index));
        let id = self.push(id);
        let quote = self.push("\"");
        let inside_json = self.push(json_name);
        self.push("\"");
        let json = Span { start: quote.start, len: inside_json.len + 2 };
        let name = if needs_escapes { self.push(name) } else { inside_json };
        self.list.push(Entry { id, json, name });
        let slot = Slot { id_start: id.start, id_len: id.len, json_len: json.len };
        let Self { text, by_id, hasher, .. } = self;
        let hash_of = |slot: &Slot| hasher.hash_one(slot.id().bytes_of(text));
        by_id.insert_unique(hash_of(&slot), slot, hash_of);
        Ok(())
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
        let is_same = |slot: &Slot| slot.id().bytes_of(&self.text) == id;
        let slot = self.by_id.find(self.hasher.hash_one(id), is_same)?;
        Some(EntryRef { json_start: slot.id_start + u32::from(slot.id_len), json_len: slot.json_len })
    }

    /// Returns the ids of all entries with this name, in the order of their insertion.
    pub(super) fn ids(&self, name: &str) -> Vec<&str> {
        let hash = self.hasher.hash_one(name) as u32;
        let start = self.by_name.partition_point(|(other, _)| *other < hash);
        let same_hash = self.by_name[start..].iter().take_while(|(other, _)| *other == hash);
        let entries = same_hash.map(|(_, index)| &self.list[*index as usize]);
        let same_name = entries.filter(|entry| entry.name.of(&self.text) == name);
        same_name.map(|entry| entry.id.of(&self.text)).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|entry| (entry.id.of(&self.text), entry.name.of(&self.text)))
    }

    /// Returns an entry's id and name.
    pub(crate) fn pair(&self, entry: EntryRef) -> (&str, &str) {
        let index = self.list.partition_point(|other| other.json.start < entry.json_start);
        let entry = &self.list[index];
        (entry.id.of(&self.text), entry.name.of(&self.text))
    }

    /// Returns an entry's name as a JSON string (RFC 8259 §7), with quotes.
    #[inline]
    pub(crate) fn json(&self, entry: EntryRef) -> &[u8] {
        Span { start: entry.json_start, len: entry.json_len }.bytes_of(&self.text)
    }

    fn push(&mut self, text: &str) -> Span {
        let span = Span { start: self.text.len() as u32, len: text.len() as u16 };
        self.text.push_str(text);
        span
    }
}

// === impl Slot ===

impl Slot {
    fn id(&self) -> Span {
        Span { start: self.id_start, len: self.id_len }
    }
}

// === impl Span ===

impl Span {
    fn of(self, text: &str) -> &str {
        &text[self.start as usize..][..usize::from(self.len)]
    }

    #[inline]
    fn bytes_of(self, text: &str) -> &[u8] {
        &text.as_bytes()[self.start as usize..][..usize::from(self.len)]
    }
}
