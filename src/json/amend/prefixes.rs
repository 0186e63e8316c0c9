//! The start of an inserted member: comma, member name and colon, with the white space of the id member.

use std::ops::Range;

use crate::json::scan::WhiteSpace;
use crate::names::{Labels, MAX_LABELS};

/// The most prefixes with white space for each label in one body. A pretty-printer uses one for each depth. If a body
/// has more, further members are inserted without white space.
const MAX_PREFIXES: usize = 62;

/// The prefix without white space of the label for keys, which has the index 0.
const COMPACT_KEY: Prefix = Prefix(1);
const COMPACT_KEY_TEXT: &[u8] = b",\"api_key_name\":";

/// The number of a prefix in the [`Prefixes`] of its body: 0 for [`NONE`](Self::NONE), then the compact prefixes of the
/// [`MAX_LABELS`] labels, then the prefixes with white space in the order of their first use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix(u16);

impl Prefix {
    /// No prefix: the edit replaces a value.
    pub(super) const NONE: Prefix = Prefix(0);

    /// The prefix without white space of a label.
    #[inline(always)]
    fn compact(label: u8) -> Self {
        Prefix(COMPACT_KEY.0 + u16::from(label))
    }

    /// The prefix with white space at this index.
    fn spaced(index: usize) -> Self {
        Prefix(COMPACT_KEY.0 + (MAX_LABELS + index) as u16)
    }
}

/// The prefixes of one body.
#[derive(Debug)]
pub(super) struct Prefixes {
    labels: Labels,
    /// The prefixes with white space. Their numbers follow those of the compact ones.
    spaced: Vec<SpacedPrefix>,
}

/// A prefix with white space.
#[derive(Debug)]
struct SpacedPrefix {
    label: u8,
    text: Box<[u8]>,
    /// The positions of the white space in the text.
    white_space: [Range<usize>; 3],
}

impl Prefixes {
    pub(super) fn new(labels: &Labels) -> Self {
        Self { labels: labels.clone(), spaced: Vec::new() }
    }

    /// Returns the prefix of this label with this white space, or the compact one if the label has too many already.
    #[inline(always)]
    pub(super) fn find_or_add(&mut self, label: u8, white_space: WhiteSpace<'_>) -> Prefix {
        if white_space.iter().all(|part| part.is_empty()) {
            return Prefix::compact(label);
        }
        self.find_or_add_spaced(label, white_space)
    }

    /// Returns the prefix with this white space, which is not empty, or the compact one if the label has too many already.
    fn find_or_add_spaced(&mut self, label: u8, white_space: WhiteSpace<'_>) -> Prefix {
        // From the newest to the oldest: most rows have the white space of the row before.
        let is_same = |known: &SpacedPrefix| known.label == label && known.has_white_space(white_space);
        if let Some(index) = self.spaced.iter().rposition(is_same) {
            return Prefix::spaced(index);
        }
        let count_of_label = self.spaced.iter().filter(|known| known.label == label).count();
        if count_of_label == MAX_PREFIXES {
            return Prefix::compact(label);
        }
        let name = &self.labels.list()[usize::from(label)].name;
        self.spaced.push(SpacedPrefix::new(label, name, white_space));
        Prefix::spaced(self.spaced.len() - 1)
    }

    /// Returns the text of a prefix. It is empty for [`Prefix::NONE`].
    #[inline(always)]
    pub(super) fn bytes(&self, prefix: Prefix) -> &[u8] {
        // A constant is copied faster.
        if prefix == COMPACT_KEY { COMPACT_KEY_TEXT } else { self.other_bytes(prefix) }
    }

    /// Returns the text of any prefix.
    fn other_bytes(&self, prefix: Prefix) -> &[u8] {
        if prefix == Prefix::NONE {
            return b"";
        }
        let index = usize::from(prefix.0 - COMPACT_KEY.0);
        if index < MAX_LABELS {
            return &self.labels.list()[index].member_start;
        }
        &self.spaced[index - MAX_LABELS].text
    }
}

impl SpacedPrefix {
    /// Creates the text `,"name":` with white space before the name, before the colon and at the end.
    fn new(label: u8, name: &str, white_space: WhiteSpace<'_>) -> Self {
        let mut text = Vec::new();
        let tokens = [",", &format!("\"{name}\""), ":"];
        let white_space_ranges = [0, 1, 2].map(|index| {
            text.extend_from_slice(tokens[index].as_bytes());
            let range_start = text.len();
            text.extend_from_slice(white_space[index]);
            range_start..text.len()
        });
        Self { label, text: text.into(), white_space: white_space_ranges }
    }

    /// True if the white space in all three positions is the same.
    fn has_white_space(&self, white_space: WhiteSpace<'_>) -> bool {
        let mut parts = self.white_space.iter().zip(white_space);
        parts.all(|(range, expected)| self.text[range.clone()] == *expected)
    }
}
