//! The settings of the amender.

use crate::names::{LabelSet, Labels};

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

/// The position of a name in a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamePosition {
    /// A member is inserted beside the id. The default: the id stays usable.
    #[default]
    Beside,
    /// The name takes the place of the id, as the value of the id member.
    Replace,
}

/// The name that is used if a response contains a native name, and the map another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prefer {
    /// The name in the map. The default: the user controls the map.
    #[default]
    Map,
    /// The native name of the upstream.
    Upstream,
}

/// The settings of one amender.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The labels that the scanner recognizes.
    pub labels: Labels,
    /// The labels that are named in this body. The members of the others stay as they are.
    pub active: LabelSet,
    pub unmatched: Unmatched,
    /// A key id that is null or not a string gets the unmatched value instead of null. With `insert_null`, this applies
    /// to all labels.
    pub null_as_unmatched: bool,
    /// An id of another label than the keys that is null or not a string gets a name too.
    pub insert_null: bool,
    pub position: NamePosition,
    pub prefer: Prefer,
    /// The most bytes for which an object may stay undecided, including the charge for its edits.
    pub window: u64,
}

impl Rules {
    /// The default rules with the label of the keys.
    pub fn new(window: u64) -> Self {
        Self {
            labels: Labels::default(),
            active: LabelSet::KEYS,
            unmatched: Unmatched::default(),
            null_as_unmatched: false,
            insert_null: false,
            position: NamePosition::default(),
            prefer: Prefer::default(),
            window,
        }
    }

    /// Sets the labels, and the indexes of those that are active.
    #[cfg(feature = "_internal")]
    pub fn with_labels(self, labels: Labels, indexes: impl IntoIterator<Item = u8>) -> Self {
        let mut active = LabelSet::default();
        for index in indexes {
            active.insert(index);
        }
        Self { labels, active, ..self }
    }
}
