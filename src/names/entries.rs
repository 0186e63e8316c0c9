//! The entries of a map: one text for all of them, and for each section indexes into it.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::error::{ID, KeyNamesError, KeyNamesErrorKind};
use super::labels::KEY_ID;

/// Pairs of id and name in sections, with look-ups in both directions.
///
/// All ids and names are in one `String`. A `HashMap` would need two allocations per entry.
#[derive(Clone)]
pub(crate) struct Entries {
    text: String,
    /// The first section is that of the keys.
    sections: Vec<SectionIndex>,
    /// Seeded at random, so that ids cannot be chosen to collide. It is faster than the standard library's hasher and
    /// easier to guess, which is acceptable: the API chooses the ids.
    hasher: RandomState,
}

/// The index of the section of the keys.
pub(crate) const KEYS: usize = 0;

/// The entries of one label, in the order of their insertion.
#[derive(Clone)]
struct SectionIndex {
    /// The id member of the label.
    id_member: Box<str>,
    /// True if ids are known to be missing.
    is_partial: bool,
    list: Vec<Entry>,
    by_id: HashTable<Slot>,
    /// Hashes of names with indexes into `list`, sorted by `finish`.
    by_name: Vec<(u32, u32)>,
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

impl Default for Entries {
    /// No entries, in the section of the keys.
    fn default() -> Self {
        Self {
            text: String::new(),
            sections: vec![SectionIndex::new(KEY_ID)],
            hasher: RandomState::default(),
        }
    }
}

impl Entries {
    /// Returns the number of entries in a section.
    pub(super) fn len(&self, section: usize) -> usize {
        self.sections[section].list.len()
    }

    /// True if no section contains an entry.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The id members of all sections, in order.
    pub(super) fn id_members(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|section| &*section.id_member)
    }

    /// True if ids are known to be missing in a section.
    pub(super) fn is_partial(&self, section: usize) -> bool {
        self.sections[section].is_partial
    }

    /// Notes whether ids are known to be missing in a section.
    pub(super) fn set_partial(&mut self, section: usize, is_partial: bool) {
        self.sections[section].is_partial = is_partial;
    }

    /// Returns the section of a label, or `None` if the map has no such section.
    pub(crate) fn section(&self, id_member: &str) -> Option<usize> {
        self.id_members().position(|other| other == id_member)
    }

    /// Returns the section of a label, which is added if the map has no such section.
    pub(super) fn add_section(&mut self, id_member: &str) -> usize {
        self.section(id_member).unwrap_or_else(|| {
            self.sections.push(SectionIndex::new(id_member));
            self.sections.len() - 1
        })
    }

    /// Adds an entry to a section. Returns an error if the section contains the id, or if all texts would exceed 4 GiB. The
    /// id and the name must keep the rules of `KeyNames`, which bound their lengths.
    pub(super) fn insert(&mut self, section: usize, id: &str, name: &str) -> Result<(), KeyNamesError> {
        if self.find(section, id.as_bytes()).is_some() {
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
        self.index(section, Entry { id: id_span, json: json_span, name: name_span });
        Ok(())
    }

    /// Adds an entry, whose texts were appended, to the list and the look-ups of a section.
    fn index(&mut self, section: usize, entry: Entry) {
        let Self { text, sections, hasher } = self;
        let SectionIndex { list, by_id, by_name, .. } = &mut sections[section];
        by_name.push((hasher.hash_one(entry.name.text_in(text)) as u32, list.len() as u32));
        list.push(entry);
        let slot = Slot { id_start: entry.id.start, id_len: entry.id.len, json_len: entry.json.len };
        // The table also calls this closure for its other entries when it grows.
        let hash_of = |slot: &Slot| hasher.hash_one(slot.id().bytes_in(text));
        by_id.insert_unique(hash_of(&slot), slot, hash_of);
    }

    /// Makes the entries ready for look-ups by name, and returns spare capacity to the allocator.
    pub(super) fn finish(&mut self) {
        self.text.shrink_to_fit();
        for section in &mut self.sections {
            section.by_name.sort_unstable();
            section.list.shrink_to_fit();
        }
    }

    /// Finds the entry with this id in a section, in expected constant time.
    #[inline(always)]
    pub(crate) fn find(&self, section: usize, id: &[u8]) -> Option<EntryRef> {
        let is_same = |slot: &Slot| slot.id().bytes_in(&self.text) == id;
        let slot = self.sections[section].by_id.find(self.hasher.hash_one(id), is_same)?;
        Some(EntryRef { json_start: slot.id_start + u32::from(slot.id_len), json_len: slot.json_len })
    }

    /// Returns the ids of all entries of a section with this name, in the order of their insertion. Finds the entries
    /// with the hash of the name by a binary search.
    pub(super) fn ids(&self, section: usize, name: &str) -> Vec<&str> {
        let SectionIndex { list, by_name, .. } = &self.sections[section];
        let hash = self.hasher.hash_one(name) as u32;
        let start = by_name.partition_point(|(other_hash, _)| *other_hash < hash);
        let same_hash = by_name[start..].iter().take_while(|(other_hash, _)| *other_hash == hash);
        let mut ids = Vec::new();
        for (_, index) in same_hash {
            let entry = &list[*index as usize];
            // Different names can have the same hash.
            if entry.name.text_in(&self.text) == name {
                ids.push(entry.id.text_in(&self.text));
            }
        }
        ids
    }

    /// Returns the pairs of id and name of a section, in the order of their insertion.
    pub(super) fn iter(&self, section: usize) -> impl Iterator<Item = (&str, &str)> {
        self.sections[section].list.iter().map(|entry| entry.pair_in(&self.text))
    }

    /// Returns the id and the name of an entry, or `None` if the entry belongs to another section.
    pub(crate) fn pair(&self, section: usize, entry: EntryRef) -> Option<(&str, &str)> {
        // Entries are listed in the order of their texts.
        let list = &self.sections[section].list;
        let index = list.partition_point(|other| other.json.start < entry.json_start);
        let found = list.get(index).filter(|found| found.json.start == entry.json_start)?;
        Some(found.pair_in(&self.text))
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

impl SectionIndex {
    fn new(id_member: &str) -> Self {
        Self {
            id_member: id_member.into(),
            is_partial: false,
            list: Vec::new(),
            by_id: HashTable::new(),
            by_name: Vec::new(),
        }
    }
}

impl Entry {
    /// Returns the id and the name.
    fn pair_in<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        (self.id.text_in(text), self.name.text_in(text))
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
