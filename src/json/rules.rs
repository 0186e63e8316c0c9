//! What a user settled of the members: how they are called, and what stands where the map has no name.

use super::edit::Text;
use super::text::MAX_NAME;

/// What stands beside an id that the map does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unmatched {
    /// The string `"unknown"`. The default: tables and charts show a row rather than a hole.
    #[default]
    Unknown,
    /// `null`.
    Null,
    /// No member at all.
    Omit,
}

impl Unmatched {
    pub(super) fn text(self) -> Text {
        match self {
            Unmatched::Unknown => Text::Unknown,
            Unmatched::Null => Text::Null,
            Unmatched::Omit => Text::Nothing,
        }
    }
}

/// The names of the two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Members {
    id: &'static str,
    name: &'static str,
}

impl Members {
    /// Each name is up to [`MAX_NAME`] letters, digits and `_`, which JSON can write in two ways only: as
    /// they are, or as `\u00xx`. A body without the id's name and without `\u00` holds no id.
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

/// What the amender goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub members: Members,
    pub unmatched: Unmatched,
    pub null_as_unmatched: bool,
    /// How many bytes an object may stay undecided for, edits counted.
    pub window: u64,
}
