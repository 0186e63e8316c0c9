//! One section of a map: the names of one label.

use std::fmt;

use super::entries::Entries;

/// The section of a label in a map, from [`KeyNames::section`](crate::KeyNames::section).
#[derive(Clone, Copy)]
pub struct Section<'a> {
    entries: &'a Entries,
    /// The index among the entries. `None` for an empty section that the map does not store.
    index: Option<usize>,
}

impl<'a> Section<'a> {
    pub(super) fn new(entries: &'a Entries, index: Option<usize>) -> Self {
        Self { entries, index }
    }

    /// Returns the number of ids.
    pub fn len(self) -> usize {
        self.index.map_or(0, |index| self.entries.len(index))
    }

    /// True if the section contains no id.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns the name of this id.
    pub fn name(self, id: &str) -> Option<&'a str> {
        let index = self.index?;
        let entry = self.entries.find(index, id.as_bytes())?;
        self.entries.pair(index, entry).map(|(_, name)| name)
    }

    /// Returns all ids with this name, in the order of the input.
    pub fn ids(self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let ids = self.index.map(|index| self.entries.ids(index, name));
        ids.unwrap_or_default().into_iter()
    }

    /// Returns all pairs of id and name, in the order of the input.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.index.into_iter().flat_map(|index| self.entries.iter(index))
    }
}

impl fmt::Debug for Section<'_> {
    /// Writes the number of ids only: the names do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("entries", &self.len()).finish()
    }
}
