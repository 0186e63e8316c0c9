//! The names of the two members, and the settings of the amender.

/// The name of the id member.
pub const ID: &str = "api_key_id";

/// The name of the name member.
pub const NAME: &str = "api_key_name";

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

/// The settings of one amender.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub unmatched: Unmatched,
    /// An id that is null or not a string gets the unmatched value instead of null.
    pub null_as_unmatched: bool,
    /// The most bytes for which an object may stay undecided, including the charge for its edits.
    pub window: u64,
}
