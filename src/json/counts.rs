//! Numbers of ids in one body, by result.

/// Numbers of the id members in one response body, by result. They add up over all labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counts {
    /// Ids with an entry in the map. The name was inserted, or replaced the native name or the id, unless the setting
    /// [`prefer`](crate::ApiKeyNameLayer::prefer) keeps a native name.
    pub named: u64,
    /// Ids that are strings without an entry in the map.
    pub unmatched: u64,
    /// Ids that are null or of another type than string.
    pub not_a_string: u64,
    /// Ids that were left unchanged, because a member of their label occurs twice in the object, or because the object
    /// would have exceeded the limit. With [`NamePosition::Replace`](crate::settings::NamePosition::Replace), also ids
    /// whose name is itself an id of the map.
    pub skipped: u64,
}

/// The result for one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdResult {
    Named,
    Unmatched,
    NotAString,
    Skipped,
}

impl Counts {
    pub(crate) fn add(&mut self, result: IdResult) {
        match result {
            IdResult::Named => self.named += 1,
            IdResult::Unmatched => self.unmatched += 1,
            IdResult::NotAString => self.not_a_string += 1,
            IdResult::Skipped => self.skipped += 1,
        }
    }
}
