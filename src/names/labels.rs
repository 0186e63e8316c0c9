//! Labels: pairs of an id member and a name member.

use std::fmt;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::secret::{HIDDEN, looks_like_secret};

/// The id members that a map may name without a setting. The first is always on.
pub(super) const KNOWN_ID_MEMBERS: [&str; 5] =
    [KEY_ID, "project_id", "user_id", "workspace_id", "service_account_id"];

/// The id member of the label for keys.
pub(crate) const KEY_ID: &str = "api_key_id";

/// The name member of the label for keys.
pub(crate) const KEY_NAME: &str = "api_key_name";

/// The greatest length of a member name, in bytes.
pub(crate) const MAX_MEMBER_LEN: usize = 64;

/// The greatest number of labels.
pub(crate) const MAX_LABELS: usize = 16;

/// The labels that are on: pairs of an id member and the name member that is inserted beside it.
///
/// The label `api_key_id`/`api_key_name` is always on, and is the only one by default. The APIs also have
/// `project_id`, `user_id`, `workspace_id` and `service_account_id`. The names of users are personal data: switch them
/// on only where the reader of a response may see them.
///
/// ```
/// use tower_api_key_name::names::Labels;
///
/// let labels = Labels::default().with("project_id", "project_name")?;
/// assert!(labels.iter().eq([("api_key_id", "api_key_name"), ("project_id", "project_name")]));
/// # Ok::<(), tower_api_key_name::names::LabelError>(())
/// ```
#[derive(Clone)]
pub struct Labels(Arc<[Label]>);

/// One label.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    /// The name of the id member, such as `project_id`.
    pub(crate) id: Box<str>,
    /// The name of the name member, such as `project_name`.
    pub(crate) name: Box<str>,
    /// The start of the inserted member without white space, such as `,"project_name":`.
    pub(crate) member_start: Box<[u8]>,
    /// A search for the id member, which is created once because that takes longer than the search of a short body.
    pub(crate) id_finder: Finder<'static>,
}

impl Label {
    fn new(id_member: &str, name_member: &str) -> Self {
        let member_start = format!(",\"{name_member}\":").into_bytes().into();
        let id_finder = Finder::new(id_member).into_owned();
        Self { id: id_member.into(), name: name_member.into(), member_start, id_finder }
    }
}

/// A set of labels, by their index in [`Labels`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSet(u16);

/// The reason why a label was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelError {
    /// A member name is empty, longer than 64 bytes, contains another character than `A-Z a-z 0-9 _ - .`, or
    /// looks like a secret API key, which is not repeated.
    InvalidMember {
        /// The member name.
        member: String,
    },
    /// The member belongs to a label that is on already, or is both the id and the name.
    UsedTwice {
        /// The member name.
        member: String,
    },
    /// More than 16 labels.
    TooMany,
}

impl Labels {
    /// Adds a label: `name_member` is inserted beside each `id_member`.
    ///
    /// # Errors
    ///
    /// Returns an error if a member name is invalid or is used already, or if there are 16 labels.
    pub fn with(self, id_member: &str, name_member: &str) -> Result<Self, LabelError> {
        if self.0.len() == MAX_LABELS {
            return Err(LabelError::TooMany);
        }
        let mut list = self.0.to_vec();
        list.push(Label::new(id_member, name_member));
        let mut used: Vec<&str> = Vec::new();
        for member in list.iter().flat_map(|label| [&*label.id, &*label.name]) {
            let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            let is_secret = looks_like_secret(member);
            let has_valid_len = (1..=MAX_MEMBER_LEN).contains(&member.len());
            if is_secret || !has_valid_len || !member.bytes().all(is_valid) {
                let shown = if is_secret { HIDDEN } else { member };
                return Err(LabelError::InvalidMember { member: shown.to_owned() });
            }
            if used.contains(&member) {
                return Err(LabelError::UsedTwice { member: member.to_owned() });
            }
            used.push(member);
        }
        Ok(Self(list.into()))
    }

    /// Returns the id member and the name member of each label, beginning with the label for keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|label| (&*label.id, &*label.name))
    }

    /// The labels by index. The label for keys has the index 0.
    #[inline(always)]
    pub(crate) fn list(&self) -> &[Label] {
        &self.0
    }

    /// The set of all labels.
    pub(crate) fn all(&self) -> LabelSet {
        LabelSet(u16::MAX >> (MAX_LABELS - self.0.len()))
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self([Label::new(KEY_ID, KEY_NAME)].into())
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Labels {}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl LabelSet {
    /// The set that contains only the label for keys.
    pub(crate) const KEYS: LabelSet = LabelSet(1);

    /// True if the set contains the label with this index.
    #[inline(always)]
    pub(crate) fn contains(self, label: u8) -> bool {
        self.0 >> label & 1 == 1
    }

    /// Adds the label with this index.
    pub(crate) fn insert(&mut self, label: u8) {
        self.0 |= 1 << label;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the labels that are in both sets.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelError::InvalidMember { member } => write!(
                f,
                "{member:?} is no member name of a label; use 1 to {MAX_MEMBER_LEN} of the characters A-Z a-z 0-9 _ - ."
            ),
            LabelError::UsedTwice { member } => write!(
                f,
                "the member {member} is used twice; each member belongs to one label, and api_key_id is always on"
            ),
            LabelError::TooMany => write!(f, "there are more than {MAX_LABELS} labels"),
        }
    }
}

impl std::error::Error for LabelError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Labels {
        Labels::default()
    }

    #[test]
    fn label_with_an_invalid_member_is_rejected() {
        for member in ["", "a b", "é", "a\"b", "a,b", "a[]", &"x".repeat(65)] {
            let expected = LabelError::InvalidMember { member: member.to_owned() };
            assert_eq!(keys().with(member, "n"), Err(expected.clone()));
            assert_eq!(keys().with("i", member), Err(expected));
        }
        assert!(keys().with("apiKey-id.1", &"x".repeat(64)).is_ok());
    }

    #[test]
    fn member_of_two_labels_is_rejected() {
        for (id, name) in [("api_key_id", "n"), ("i", "api_key_id"), ("api_key_name", "n"), ("i", "i")] {
            let error = keys().with(id, name).unwrap_err();
            assert!(matches!(error, LabelError::UsedTwice { .. }), "{id}={name}: {error}");
        }
    }

    #[test]
    fn label_beyond_the_greatest_number_is_rejected() {
        let mut labels = keys();
        for number in 1..MAX_LABELS {
            labels = labels.with(&format!("i{number}"), &format!("n{number}")).unwrap();
            let all = labels.all();
            let members = (0..16).filter(|index| all.contains(*index)).count();
            assert_eq!(members, number + 1);
        }
        assert_eq!(labels.with("i", "n"), Err(LabelError::TooMany));
    }
}
