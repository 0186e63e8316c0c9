//! The settings of the amender: the names of the two members, and the values for ids without a name.

use super::text::MAX_NAME;

/// The value of the inserted member if the map does not contain the id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unmatched {
    /// The string `"unknown"`. The default: tables and charts show a row instead of a hole.
    #[default]
    Unknown,
    /// `null`.
    Null,
    /// No member is inserted.
    Omit,
}

/// The names of the id member and of the name member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Members {
    id: &'static str,
    name: &'static str,
}

impl Members {
    /// Creates the pair.
    ///
    /// Both consist of up to [`MAX_NAME`] ASCII letters, digits and `_`. JSON can write such a character in two
    /// ways: as it is, or as `\u00xx`. A body with neither the id's name nor `\u00` contains no id.
    ///
    /// # Panics
    ///
    /// If a name is empty, too long or has another character.
    pub const fn new(id: &'static str, name: &'static str) -> Self {
        assert!(is_plain(id.as_bytes()) && is_plain(name.as_bytes()));
        Self { id, name }
    }

    pub const fn id(self) -> &'static str {
        self.id
    }

    pub const fn name(self) -> &'static str {
        self.name
    }
}

const fn is_plain(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() && (name[at].is_ascii_alphanumeric() || name[at] == b'_') {
        at += 1;
    }
    at == name.len() && at > 0 && at <= MAX_NAME
}

/// The settings of one amender.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub members: Members,
    pub unmatched: Unmatched,
    /// An id that is null or not a string gets the unmatched value instead of null.
    pub null_as_unmatched: bool,
    /// The most bytes for which an object may stay undecided, including the charge for its edits.
    pub window: u64,
}
