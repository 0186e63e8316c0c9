//! `KeyNames`: an immutable map between ids and their names.

use std::fmt;

use super::Section;
use super::entries::{Entries, KEYS};
use super::error::{ID, KeyNamesError, KeyNamesErrorKind, NAME};
use crate::secret::looks_like_secret;

#[cfg(test)]
mod tests;

/// An immutable map from the id of each key to its name.
///
/// Its entries keep these rules, which are checked when the map is built:
///
/// - An id or a name has 1 to 256 bytes of UTF-8, is not blank, and contains no control character.
/// - Neither looks like a secret API key (`sk-proj-…`).
/// - An id occurs once in its section. A *name* may occur more often: names are not identities, and the keys of service accounts are
///   often all named "Secret Key".
/// - All entries together take less than 4 GiB.
///
/// A look-up takes expected constant time. Ids and names are compared byte by byte, without case folding, trimming or
/// Unicode normalization.
///
/// The names of other ids, such as those of projects, are in further [sections](Self::section), one for each
/// [label](crate::names::Labels). All other methods concern the keys.
///
/// ```
/// # use tower_api_key_name::KeyNames;
/// let names = KeyNames::new([("key_live", "billing"), ("key_test", "billing")])?;
/// assert_eq!(names.name("key_live"), Some("billing"));
/// assert_eq!(names.name("key_gone"), None);
/// assert!(names.ids("billing").eq(["key_live", "key_test"]));
/// # Ok::<(), tower_api_key_name::KeyNamesError>(())
/// ```
#[derive(Clone, Default)]
pub struct KeyNames {
    pub(crate) entries: Entries,
    pub(super) left_out: usize,
    /// True if each section that the map does not store is known to be empty.
    pub(super) has_all_sections: bool,
    /// True if the map was read from sections without that of the keys. It stores an empty one in any case.
    pub(super) lacks_keys: bool,
}

impl KeyNames {
    /// The greatest length of an id or a name, in bytes.
    pub(crate) const MAX_LEN: usize = 256;

    /// Builds a map from pairs of id and name.
    ///
    /// # Errors
    ///
    /// Returns the number of the first pair that breaks a rule of [`KeyNames`], from 1, and the reason.
    pub fn new<I, K, V>(pairs: I) -> Result<Self, KeyNamesError>
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut names = Self::default();
        names.add_pairs(KEYS, pairs)?;
        Ok(names)
    }

    /// Adds the section of a label, such as `project_id`, from pairs of id and name.
    ///
    /// ```
    /// # use tower_api_key_name::KeyNames;
    /// let names = KeyNames::new([("key_live", "billing")])?.with_section("project_id", [("proj_1", "storefront")])?;
    /// let projects = names.section("project_id");
    /// assert_eq!(projects.and_then(|section| section.name("proj_1")), Some("storefront"));
    /// assert_eq!(names.name("proj_1"), None);
    /// # Ok::<(), tower_api_key_name::KeyNamesError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the number of the first pair that breaks a rule of [`KeyNames`], from 1, and the reason. If the map has the
    /// section already, the pairs are added to it.
    pub fn with_section<I, K, V>(mut self, id_member: &str, pairs: I) -> Result<Self, KeyNamesError>
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let section = self.add_section(id_member);
        self.add_pairs(section, pairs)?;
        Ok(self)
    }

    /// Returns the section of a label by its id member, such as `project_id`.
    ///
    /// Returns `None` if the map does not contain the section: the names may exist, and are not known. An empty section
    /// means that there are none.
    pub fn section(&self, id_member: &str) -> Option<Section<'_>> {
        let index = self.entries.section(id_member);
        let is_known = match index {
            Some(KEYS) => !self.lacks_keys,
            Some(_) => true,
            None => self.has_all_sections,
        };
        if is_known { Some(Section::new(&self.entries, index)) } else { None }
    }

    /// True if the section of this label contains all ids: a name that is absent in it belongs to no id.
    pub(crate) fn is_section_complete(&self, id_member: &str) -> bool {
        match self.entries.section(id_member) {
            Some(KEYS) if self.lacks_keys => false,
            Some(section) => !self.entries.is_partial(section),
            None => self.has_all_sections,
        }
    }

    /// Notes whether ids are known to be missing in the section of this label, which is added if it does not exist.
    #[cfg(feature = "directory")]
    pub(crate) fn set_partial(&mut self, id_member: &str, is_partial: bool) {
        let section = self.entries.add_section(id_member);
        self.entries.set_partial(section, is_partial);
    }

    /// Returns the id members of all sections that the map stores. The first is `api_key_id`.
    pub fn section_names(&self) -> impl Iterator<Item = &str> {
        self.entries.id_members()
    }

    /// The section of the keys.
    fn keys(&self) -> Section<'_> {
        Section::new(&self.entries, Some(KEYS))
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        self.keys().len()
    }

    /// True if the map contains no id.
    pub fn is_empty(&self) -> bool {
        self.keys().is_empty()
    }

    /// Returns the name of the key with this id.
    pub fn name(&self, id: &str) -> Option<&str> {
        self.keys().name(id)
    }

    /// Returns the ids of all keys with this name, in the order of the input.
    pub fn ids<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.keys().ids(name)
    }

    /// Returns all pairs of id and name, in the order of the input.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys().iter()
    }

    /// The number of unusable items in saved list pages; 0 if no list page was read.
    ///
    /// An item is unusable if its `id` or `name` is absent, occurs twice, is null, blank or too long, contains a
    /// control character or looks like a secret, or if an earlier item has the same id and another name.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// True if keys are known to be missing: a saved list page contains `"has_more": true`.
    pub fn is_partial(&self) -> bool {
        self.entries.is_partial(KEYS)
    }

    /// True if this text can be an id or a name in a map.
    #[cfg(feature = "directory")]
    pub(crate) fn is_valid_text(text: &str) -> bool {
        check_text(text, NAME).is_ok()
    }

    /// True if both maps contain the same pairs in the same sections, in any order.
    #[cfg(feature = "directory")]
    pub(crate) fn has_same_pairs(&self, other: &Self) -> bool {
        let is_contained = |id_member: &str| {
            let (Some(section), Some(others)) = (self.section(id_member), other.section(id_member)) else {
                return false;
            };
            section.len() == others.len() && section.iter().all(|(id, name)| others.name(id) == Some(name))
        };
        let mut id_members = self.section_names().chain(other.section_names());
        id_members.all(is_contained)
    }

    /// Merges maps, section by section. The first map that contains an id names it. A section is partial if it is in one map.
    pub(crate) fn merged<'a>(maps: impl IntoIterator<Item = &'a KeyNames>) -> Self {
        let mut merged = Self::default();
        let mut map_count = 0;
        let mut complete_count = 0;
        merged.lacks_keys = true;
        for map in maps {
            map_count += 1;
            complete_count += usize::from(map.has_all_sections);
            merged.lacks_keys &= map.lacks_keys;
            for (index, id_member) in map.section_names().enumerate() {
                let section = merged.entries.add_section(id_member);
                if map.entries.is_partial(index) {
                    merged.entries.set_partial(section, true);
                }
                for (id, name) in map.entries.iter(index) {
                    // `insert` rejects the ids of earlier maps. Files of at most 64 MiB cannot reach its limit of 4 GiB.
                    let _ = merged.entries.insert(section, id, name);
                }
            }
            merged.left_out += map.left_out;
        }
        merged.has_all_sections = map_count > 0 && complete_count == map_count;
        merged.entries.finish();
        merged
    }

    /// Returns the section of a label, which is added if the map has no such section.
    pub(super) fn add_section(&mut self, id_member: &str) -> usize {
        let section = self.entries.add_section(id_member);
        self.lacks_keys &= section != KEYS;
        section
    }

    /// Checks and adds the entries of a section. An error contains the number of the pair.
    fn add_pairs<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        section: usize,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), KeyNamesError> {
        for (index, (id, name)) in pairs.into_iter().enumerate() {
            if let Err(error) = self.add(section, id.as_ref(), name.as_ref()) {
                return Err(KeyNamesError { pair: Some(index + 1), ..error });
            }
        }
        self.entries.finish();
        Ok(())
    }

    /// Checks and adds one entry to a section. `Entries::finish` must follow the last one.
    pub(super) fn add(&mut self, section: usize, id: &str, name: &str) -> Result<(), KeyNamesError> {
        check_text(id, ID)?;
        check_text(name, NAME)?;
        self.entries.insert(section, id, name)
    }
}

impl fmt::Debug for KeyNames {
    /// Writes counts only: a map may be long, and its names do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyNames")
            .field("entries", &self.len())
            .field("left_out", &self.left_out)
            .field("partial", &self.is_partial())
            .finish()
    }
}

/// Checks an id or a name against the rules that do not depend on other entries. Returns the first broken rule.
pub(crate) fn check_text(text: &str, subject: &'static str) -> Result<(), KeyNamesError> {
    let kind = if text.trim().is_empty() {
        KeyNamesErrorKind::Blank
    } else if text.len() > KeyNames::MAX_LEN {
        KeyNamesErrorKind::TooLong
    } else if text.contains(char::is_control) {
        KeyNamesErrorKind::ControlCharacter
    } else if looks_like_secret(text) {
        KeyNamesErrorKind::Secret
    } else {
        return Ok(());
    };
    Err(KeyNamesError { bytes: text.len(), ..KeyNamesError::new(kind, subject) })
}
