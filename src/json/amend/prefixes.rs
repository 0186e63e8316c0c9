//! The start of an inserted member: comma, member name and colon, with the white space of the id member.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::scan::WhiteSpace;
use crate::names::{KEY_NAME, Labels};

/// The most prefixes with white space for each label in one body. A pretty-printer uses one for each depth. If a body
/// has more, further members are inserted without white space.
const MAX_PREFIXES: usize = 62;

/// The prefix without white space of the label for keys.
const COMPACT_KEY_NAME: &[u8] = b",\"api_key_name\":";

/// The number of a prefix among the [`Prefixes`] of its label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix(u8);

impl Prefix {
    /// No prefix: the edit replaces a value.
    pub(super) const NONE: Prefix = Prefix(0);
    /// The prefix without white space.
    const COMPACT: Prefix = Prefix(1);
    /// The number of the first prefix with white space.
    const SPACED: u8 = 2;
}

/// The prefixes of one body, by label.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    labels: Vec<LabelPrefixes>,
}

/// The prefixes of one label.
#[derive(Debug)]
struct LabelPrefixes {
    compact: Cow<'static, [u8]>,
    spaced: Vec<SpacedPrefix>,
}

/// A prefix with white space.
#[derive(Debug)]
struct SpacedPrefix {
    text: Box<[u8]>,
    /// The positions of the white space in the text.
    white_space: [Range<usize>; 3],
}

impl Prefixes {
    /// Creates the compact prefix of each label.
    pub(super) fn new(labels: &Labels) -> Self {
        let compact = |name: &str| match name {
            KEY_NAME => Cow::Borrowed(COMPACT_KEY_NAME),
            name => Cow::Owned(format!(",\"{name}\":").into_bytes()),
        };
        let prefixes = |(_, name)| LabelPrefixes { compact: compact(name), spaced: Vec::new() };
        Self { labels: labels.iter().map(prefixes).collect() }
    }

    /// Returns the prefix of this label with this white space.
    #[inline(always)]
    pub(super) fn find_or_add(&mut self, label: u8, white_space: WhiteSpace<'_>) -> Prefix {
        if white_space.iter().all(|part| part.is_empty()) {
            return Prefix::COMPACT;
        }
        self.labels[usize::from(label)].find_or_add_spaced(white_space)
    }

    #[inline]
    pub(super) fn bytes(&self, label: u8, prefix: Prefix) -> &[u8] {
        if prefix == Prefix::NONE {
            return b"";
        }
        let LabelPrefixes { compact, spaced } = &self.labels[usize::from(label)];
        match prefix {
            Prefix::COMPACT => compact,
            Prefix(number) => &spaced[usize::from(number - Prefix::SPACED)].text,
        }
    }
}

impl LabelPrefixes {
    /// Returns the prefix with this white space, or the compact one if the body has too many already.
    fn find_or_add_spaced(&mut self, white_space: WhiteSpace<'_>) -> Prefix {
        let is_same = |prefix: &SpacedPrefix| {
            let mut parts = prefix.white_space.iter().zip(white_space);
            parts.all(|(range, part)| prefix.text[range.clone()] == *part)
        };
        // From the newest to the oldest: most rows have the white space of the row before.
        if let Some(index) = self.spaced.iter().rposition(is_same) {
            return Prefix(Prefix::SPACED + index as u8);
        }
        if self.spaced.len() == MAX_PREFIXES {
            return Prefix::COMPACT;
        }
        let quoted_name = &self.compact[1..self.compact.len() - 1];
        let mut text = Vec::new();
        let mut add = |token: &[u8], part: &[u8]| {
            text.extend_from_slice(token);
            text.extend_from_slice(part);
            text.len() - part.len()..text.len()
        };
        let [before_name, before_colon, before_value] = white_space;
        let white_space = [add(b",", before_name), add(quoted_name, before_colon), add(b":", before_value)];
        self.spaced.push(SpacedPrefix { text: text.into(), white_space });
        Prefix(Prefix::SPACED + self.spaced.len() as u8 - 1)
    }
}
