//! The start of an inserted member: comma, member name and colon, with the white space of the id member.

use std::ops::Range;

use crate::json::scan::WhiteSpace;
use crate::names::Labels;

/// The most prefixes with white space for each label in one body. A pretty-printer uses one for each depth. If a body
/// has more, further members are inserted without white space.
const MAX_PREFIXES: usize = 62;

/// The number of a prefix in the [`Prefixes`] of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix(u16);

impl Prefix {
    /// No prefix: the edit replaces a value.
    pub(super) const NONE: Prefix = Prefix(0);

    /// The prefix without white space of a label.
    #[inline(always)]
    fn compact(label: u8) -> Self {
        Prefix(1 + u16::from(label))
    }
}

/// The prefixes of one body.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// The texts by the numbers of the prefixes: the empty one, the compact one of each label, and those with white space.
    texts: Vec<Box<[u8]>>,
    /// The prefixes with white space of each label.
    spaced: Vec<Vec<SpacedPrefix>>,
}

/// A prefix with white space.
#[derive(Debug)]
struct SpacedPrefix {
    prefix: Prefix,
    /// The positions of the white space in the text.
    white_space: [Range<usize>; 3],
}

impl Prefixes {
    /// Creates the compact prefix of each label.
    pub(super) fn new(labels: &Labels) -> Self {
        let mut texts = vec![Box::default()];
        let mut spaced = Vec::new();
        for (_, name) in labels.iter() {
            texts.push(format!(",\"{name}\":").into_bytes().into());
            spaced.push(Vec::new());
        }
        Self { texts, spaced }
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
        let Self { texts, spaced } = self;
        let spaced = &mut spaced[usize::from(label)];
        let is_same = |other: &&SpacedPrefix| {
            let text = &texts[usize::from(other.prefix.0)];
            let mut parts = other.white_space.iter().zip(white_space);
            parts.all(|(range, part)| text[range.clone()] == *part)
        };
        // From the newest to the oldest: most rows have the white space of the row before.
        if let Some(found) = spaced.iter().rev().find(is_same) {
            return found.prefix;
        }
        let compact = Prefix::compact(label);
        if spaced.len() == MAX_PREFIXES {
            return compact;
        }
        let compact_text = &texts[usize::from(compact.0)];
        let quoted_name = &compact_text[1..compact_text.len() - 1];
        let mut text = Vec::new();
        let mut add = |token: &[u8], part: &[u8]| {
            text.extend_from_slice(token);
            text.extend_from_slice(part);
            text.len() - part.len()..text.len()
        };
        let [before_name, before_colon, before_value] = white_space;
        let white_space = [add(b",", before_name), add(quoted_name, before_colon), add(b":", before_value)];
        let prefix = Prefix(texts.len() as u16);
        texts.push(text.into());
        spaced.push(SpacedPrefix { prefix, white_space });
        prefix
    }

    #[inline]
    pub(super) fn bytes(&self, prefix: Prefix) -> &[u8] {
        &self.texts[usize::from(prefix.0)]
    }
}
