//! The result of one listing, and the comparison with the names known before.

use super::api::KeyList;
use super::list_error::ListError;
use crate::KeyNames;
use std::collections::HashSet;
use std::fmt;

/// The result of reading all lists once.
#[derive(Clone, Debug)]
pub struct Listing {
    pub(super) names: KeyNames,
    /// Ids of listed keys without a usable name.
    pub(super) unnamed: HashSet<String>,
    pub(super) projects: usize,
    pub(super) left_out: usize,
    pub(super) requests: usize,
    pub(super) retries: usize,
    pub(super) missing: Vec<MissingList>,
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

/// The difference between a listing and the names known before.
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

// === impl Listing ===

impl Listing {
    /// The learned names, ordered by id.
    pub fn names(&self) -> &KeyNames {
        &self.names
    }

    /// The number of projects, archived ones included. 0 if the API has one list of all keys.
    pub fn projects(&self) -> usize {
        self.projects
    }

    /// The number of listed keys, with or without a usable name.
    pub fn keys(&self) -> usize {
        self.names.len() + self.unnamed.len()
    }

    /// The number of unusable items: id or name is absent, null, blank, longer than 256 bytes, contains a control
    /// character, or looks like a secret.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The number of requests, retries included.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// The number of requests that were retries.
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// The lists that could not be read. All other lists were read to their ends.
    pub fn missing(&self) -> &[MissingList] {
        &self.missing
    }

    /// True if every list was read to its end.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// True if another listing would probably not find more keys: each missing list is missing permanently.
    pub(super) fn is_final(&self) -> bool {
        self.missing.iter().all(MissingList::is_permanent)
    }

    /// Merges the learned names into the known ones, and counts the changes.
    ///
    /// A learned name replaces a known one. A known name is never removed.
    pub fn merge_into(&self, known: &KeyNames) -> (KeyNames, Changes) {
        (KeyNames::merged([&self.names, known]), self.changes(known))
    }

    pub(super) fn changes(&self, known: &KeyNames) -> Changes {
        let mut changes = Changes::default();
        for (id, name) in self.names.iter() {
            match known.name(id) {
                None => changes.new += 1,
                Some(before) => changes.renamed += usize::from(before != name),
            }
        }
        let is_gone = |id: &str| self.names.name(id).is_none() && !self.unnamed.contains(id);
        changes.gone = self.is_complete().then(|| known.iter().filter(|(id, _)| is_gone(id)).count());
        changes
    }
}

// === impl MissingList ===

impl MissingList {
    /// True if the next listing would probably fail with the same error, for example for a missing right.
    pub fn is_permanent(&self) -> bool {
        self.error.is_permanent()
    }
}

impl fmt::Display for MissingList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.list, self.error)?;
        match self.error {
            ListError::Unauthorized | ListError::Forbidden => {
                write!(f, "; it requires {}", self.list.required_key())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[(&str, &str)], unnamed: &[&str], missing: Vec<MissingList>) -> Listing {
        Listing {
            names: KeyNames::new(names.iter().copied()).unwrap(),
            unnamed: unnamed.iter().map(ToString::to_string).collect(),
            projects: 0,
            left_out: 0,
            requests: 0,
            retries: 0,
            missing,
        }
    }

    #[test]
    fn merge_of_a_complete_listing_keeps_known_names_and_counts_changes() {
        let known = KeyNames::new([("a", "a"), ("b", "old"), ("gone", "gone"), ("null", "before")]).unwrap();
        let listing = listing(&[("a", "a"), ("b", "new"), ("c", "c")], &["null"], Vec::new());
        let (names, changes) = listing.merge_into(&known);
        assert_eq!(changes, Changes { new: 1, renamed: 1, gone: Some(1) });
        let name = |id| names.name(id);
        assert_eq!((name("b"), name("gone"), name("null")), (Some("new"), Some("gone"), Some("before")));
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn merge_with_a_missing_list_does_not_count_gone_keys() {
        let missing = MissingList { list: KeyList::Projects, error: ListError::DeadlineExceeded };
        let listing = listing(&[], &[], vec![missing]);
        let known = KeyNames::new([("gone", "gone")]).unwrap();
        assert_eq!(listing.merge_into(&known).1.gone, None);
        assert!(!listing.is_final());
    }

    #[test]
    fn missing_list_of_a_rejected_key_names_the_required_key() {
        let shown = |list, error| MissingList { list, error }.to_string();
        assert_eq!(
            shown(KeyList::WorkspaceKeys, ListError::Unauthorized),
            "the list of keys: the API does not accept the admin key (401); it requires an Admin API key of the \
             organization"
        );
        assert_eq!(
            shown(KeyList::AdminKeys, ListError::NotAPage),
            "the list of admin keys: the response is not a page of a list; check the base URL"
        );
    }
}
