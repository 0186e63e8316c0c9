//! The result of a listing, and the comparison with the names known before.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use super::api::KeyList;
use super::list_error::ListError;
use crate::KeyNames;
use crate::names::{KEY_ID, Section};

/// The result of reading all lists once.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The learned names, ordered by id, with a section for each label that is on and that the API lists.
    ///
    /// The section of a label whose lists could not all be read is incomplete: the layer responds with 503 to a filter by
    /// an unknown name, because the name may exist.
    pub names: KeyNames,
    /// The ids of listed keys without a usable name.
    pub(super) unnamed: HashSet<String>,
    /// The number of projects, archived ones included. 0 if the API has one list of all keys.
    pub projects: usize,
    /// The number of unusable keys, and of projects with an unusable id. An id or a name is unusable if it is absent,
    /// null, blank, longer than 256 bytes, contains a control character, or looks like a secret.
    pub left_out: usize,
    /// The number of requests, retries included.
    pub requests: usize,
    /// The number of requests that were retries.
    pub retries: usize,
    /// The lists that could not be read. All others were read to their ends. If service accounts may not be listed, only
    /// the list of the first project is included.
    pub missing: Vec<MissingList>,
}

/// The result of the first page of one list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListCheck {
    /// The list.
    pub list: KeyList,
    /// The number of items on the page, or the reason why it cannot be read.
    pub result: Result<usize, ListError>,
}

/// A list, or the rest of one, that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingList {
    /// The list.
    pub list: KeyList,
    /// The reason.
    pub error: ListError,
}

/// The difference between the keys of a listing and those known before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// The number of keys that had no name before.
    pub new: usize,
    /// The number of keys that had another name before.
    pub renamed: usize,
    /// The number of known keys that are in no list any more, probably because they were deleted. Their names are
    /// kept, because usage of earlier days contains them. `None` if a list is missing.
    pub gone: Option<usize>,
}

/// A listing whose names were stored. `Display` writes a summary in one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Synced {
    /// The result of the listing.
    pub listing: Arc<Listing>,
    /// All names: those of the listing, and those known before.
    pub names: Arc<KeyNames>,
    /// The difference between the listing and the names known before.
    pub changes: Changes,
    /// True if the file was written. False if it contained the same names already, or could not be written.
    pub written: bool,
}

impl Listing {
    /// The number of listed keys, with or without a usable name.
    pub fn keys(&self) -> usize {
        self.names.len() + self.unnamed.len()
    }

    /// True if every list of keys was read to its end. The lists of other labels may be missing.
    pub fn is_complete(&self) -> bool {
        self.missing_lists_of_keys().next().is_none()
    }

    /// True if each list of keys was read to its end or is missing permanently.
    pub(super) fn has_reachable_keys(&self) -> bool {
        self.missing_lists_of_keys().all(MissingList::is_permanent)
    }

    fn missing_lists_of_keys(&self) -> impl Iterator<Item = &MissingList> {
        self.missing.iter().filter(|missing| missing.list.is_required_for(KEY_ID))
    }

    /// True if each list was read to its end or is missing permanently. Another listing would find no more ids.
    pub(super) fn is_exhaustive(&self) -> bool {
        self.missing.iter().all(MissingList::is_permanent)
    }

    /// Merges the learned names into the known ones. A learned name replaces a known one; no name is removed.
    ///
    /// The section of a label other than keys is complete in the result if it is complete in one of both maps.
    pub fn merge_into(&self, known: &KeyNames) -> (KeyNames, Changes) {
        let mut names = KeyNames::merged([&self.names, known]);
        for id_member in self.names.section_names().filter(|id_member| *id_member != KEY_ID) {
            let is_complete = [&self.names, known].iter().any(|map| map.is_section_complete(id_member));
            names.set_partial(id_member, !is_complete);
        }
        (names, self.changes(known))
    }

    /// Counts the differences to the known names. Known keys that are gone are counted only after a complete listing.
    pub(super) fn changes(&self, known: &KeyNames) -> Changes {
        let mut changes = Changes::default();
        for (id, name) in self.names.iter() {
            match known.name(id) {
                Some(known_name) if known_name == name => {}
                Some(_) => changes.renamed += 1,
                None => changes.new += 1,
            }
        }
        if self.is_complete() {
            let is_listed = |id: &str| self.names.name(id).is_some() || self.unnamed.contains(id);
            let gone_count = known.iter().filter(|(id, _)| !is_listed(id)).count();
            changes.gone = Some(gone_count);
        }
        changes
    }
}

impl MissingList {
    /// True if the next listing would probably fail with the same error, for example for a missing right.
    pub fn is_permanent(&self) -> bool {
        self.error.is_permanent()
    }

    /// True if the API rejected the request for the list, and another key may be accepted.
    fn is_rejected(&self) -> bool {
        let is_status = |status| self.error.is_status(status);
        let is_unknown = is_status(StatusCode::NOT_FOUND) && !self.list.is_required_for(KEY_ID);
        is_status(StatusCode::UNAUTHORIZED) || is_status(StatusCode::FORBIDDEN) || is_unknown
    }

    /// True if both are lists of a project's service accounts that were rejected for the same reason.
    pub(super) fn is_rejected_like(&self, other: &Self) -> bool {
        let is_project_list = |list: &KeyList| matches!(list, KeyList::ProjectServiceAccounts { .. });
        let are_same_lists = is_project_list(&self.list) && is_project_list(&other.list);
        are_same_lists && self.is_rejected() && self.error == other.error
    }
}

impl fmt::Display for MissingList {
    /// Writes the list and the reason, and for a rejected key the kind of key that is required.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.list, self.error)?;
        if self.is_rejected() {
            write!(f, "; it requires {}", self.list.required_key())?;
        }
        Ok(())
    }
}

impl fmt::Display for Synced {
    /// Writes a summary, for example `250 projects, 12002 keys: 12002 new, 0 renamed, 0 gone; user_id: 40 names`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listing = &self.listing;
        let Changes { new, renamed, gone } = self.changes;
        if listing.projects > 0 {
            write!(f, "{} projects, ", listing.projects)?;
        }
        write!(f, "{} keys: {new} new, {renamed} renamed", listing.keys())?;
        if let Some(gone) = gone {
            write!(f, ", {gone} gone")?;
        }
        if listing.left_out > 0 {
            write!(f, ", {} left out without a usable name", listing.left_out)?;
        }
        for id_member in listing.names.section_names().filter(|id_member| *id_member != KEY_ID) {
            let name_count = listing.names.section(id_member).map_or(0, Section::len);
            write!(f, "; {id_member}: {name_count} names")?;
        }
        if !listing.missing.is_empty() {
            write!(f, "; {} lists are missing", listing.missing.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_of_a_complete_listing_keeps_known_names_and_counts_changes() {
        let known = KeyNames::new([("a", "a"), ("b", "old"), ("gone", "gone"), ("null", "before")]).unwrap();
        let names = KeyNames::new([("a", "a"), ("b", "new"), ("c", "c")]).unwrap();
        let listing = Listing { names, unnamed: ["null".to_owned()].into(), ..Listing::default() };
        let (names, changes) = listing.merge_into(&known);
        assert_eq!(changes, Changes { new: 1, renamed: 1, gone: Some(1) });
        let name = |id| names.name(id);
        assert_eq!((name("b"), name("gone"), name("null")), (Some("new"), Some("gone"), Some("before")));
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn merge_with_a_missing_list_does_not_count_gone_keys() {
        let missing = vec![MissingList { list: KeyList::Projects, error: ListError::DeadlineExceeded }];
        let listing = Listing { missing, ..Listing::default() };
        let known = KeyNames::new([("gone", "gone")]).unwrap();
        assert_eq!(listing.merge_into(&known).1.gone, None);
        assert!(!listing.is_exhaustive());
    }

    #[test]
    fn missing_list_of_a_rejected_key_names_the_required_key() {
        let shown = |list, error| MissingList { list, error }.to_string();
        let unauthorized = ListError::Status { status: StatusCode::UNAUTHORIZED, retry_after: None };
        assert_eq!(
            shown(KeyList::WorkspaceKeys, unauthorized),
            "the list of keys: the API does not accept the admin key (401); it requires an Admin API key, or \
             an OAuth token with the scope org:admin"
        );
        assert_eq!(
            shown(KeyList::AdminKeys, ListError::NotAPage),
            "the list of admin keys: the response is not a page of a list; check the base URL"
        );
    }
}
