//! The start of an inserted member: comma, member name and colon, with the white space of the id member.

use std::ops::Range;

use crate::json::scan::WhiteSpace;
use crate::names::KEY_NAME as NAME;

/// The most prefixes with white space in one body. A pretty-printer uses one for each depth. If a body has more,
/// further members are inserted without white space.
const MAX_PREFIXES: usize = 62;

/// The text of the prefix without white space.
const COMPACT: &[u8] = b",\"api_key_name\":";

/// The number of a prefix in the [`Prefixes`] of its body.
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

/// The prefixes of one body.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
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
    /// Returns the prefix with this white space.
    #[inline(always)]
    pub(super) fn find_or_add(&mut self, white_space: WhiteSpace<'_>) -> Prefix {
        if white_space.iter().all(|part| part.is_empty()) {
            return Prefix::COMPACT;
        }
        self.find_or_add_spaced(white_space)
    }

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
        let name = format!("\"{NAME}\"");
        let mut text = Vec::new();
        let mut add = |token: &str, part: &[u8]| {
            text.extend_from_slice(token.as_bytes());
            text.extend_from_slice(part);
            text.len() - part.len()..text.len()
        };
        let [before_name, before_colon, before_value] = white_space;
        let white_space = [add(",", before_name), add(&name, before_colon), add(":", before_value)];
        self.spaced.push(SpacedPrefix { text: text.into(), white_space });
        Prefix(Prefix::SPACED + self.spaced.len() as u8 - 1)
    }

    #[inline]
    pub(super) fn bytes(&self, prefix: Prefix) -> &[u8] {
        match prefix {
            Prefix::NONE => b"",
            Prefix::COMPACT => COMPACT,
            Prefix(spaced) => &self.spaced[usize::from(spaced - Prefix::SPACED)].text,
        }
    }
}
