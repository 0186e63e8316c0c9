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

/// The number of a prefix in the [`Prefixes`] of its body.
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

    /// Returns the prefix of this label with this white space.
    #[inline(always)]
    pub(super) fn find_or_add(&mut self, label: u8, white_space: WhiteSpace<'_>) -> Prefix {
        if white_space.iter().all(|part| part.is_empty()) {
            return Prefix::compact(label);
        }
        self.find_or_add_spaced(label, white_space)
    }

    /// Returns the prefix with this white space, or the compact one if the label has too many already.
    fn find_or_add_spaced(&mut self, label: u8, white_space: WhiteSpace<'_>) -> Prefix {
        let is_same = |other: &SpacedPrefix| {
            let mut parts = other.white_space.iter().zip(white_space);
            other.label == label && parts.all(|(range, part)| other.text[range.clone()] == *part)
        };
        // From the newest to the oldest: most rows have the white space of the row before.
        if let Some(index) = self.spaced.iter().rposition(is_same) {
            return Prefix::spaced(index);
        }
        let count = self.spaced.iter().filter(|other| other.label == label).count();
        if count == MAX_PREFIXES {
            return Prefix::compact(label);
        }
        let quoted_name = format!("\"{}\"", self.labels.list()[usize::from(label)].name);
        let mut text = Vec::new();
        let mut add = |token: &str, part: &[u8]| {
            text.extend_from_slice(token.as_bytes());
            text.extend_from_slice(part);
            text.len() - part.len()..text.len()
        };
        let [before_name, before_colon, before_value] = white_space;
        let white_space = [add(",", before_name), add(&quoted_name, before_colon), add(":", before_value)];
        self.spaced.push(SpacedPrefix { label, text: text.into(), white_space });
        Prefix::spaced(self.spaced.len() - 1)
    }

    #[inline(always)]
    pub(super) fn bytes(&self, prefix: Prefix) -> &[u8] {
        // A constant is copied faster.
        if prefix == COMPACT_KEY { COMPACT_KEY_TEXT } else { self.other_bytes(prefix) }
    }

    /// Returns the text of any prefix.
    fn other_bytes(&self, prefix: Prefix) -> &[u8] {
        let Some(label) = prefix.0.checked_sub(COMPACT_KEY.0) else { return b"" };
        match usize::from(label).checked_sub(MAX_LABELS) {
            None => &self.labels.list()[usize::from(label)].member_start,
            Some(index) => &self.spaced[index].text,
        }
    }
}
