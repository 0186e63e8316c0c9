//! `KeyNames`: an immutable map between the ids of keys and their names.
//!
//! Every rule of a map is checked when the map is built, so its users need no check of their own.

use std::fmt;

use super::entries::{Entries, EntryRef};
use super::error::{ID, KeyNamesError, KeyNamesErrorKind, NAME, Position};
use super::parse;
use super::secret::looks_like_secret;

#[cfg(test)]
mod tests;

/// An immutable map from the id of each key to its name.
///
/// Its entries keep these rules:
///
/// - An id or a name has 1 to 256 bytes of UTF-8, is not blank, and contains no control character.
/// - Neither looks like a secret API key (`sk-proj-…`).
/// - An id occurs once. A *name* may occur more often: names are not identities, and the keys of service accounts are
///   often all named "Secret Key".
/// - All entries together take less than 4 GiB.
///
/// A look-up takes expected constant time. Ids and names are compared byte by byte, without case folding, trimming or
/// Unicode normalization.
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
    entries: Entries,
    pub(super) left_out: usize,
    pub(super) partial: bool,
}

// === impl KeyNames ===

impl KeyNames {
    /// The greatest length of an id, in bytes.
    pub(crate) const MAX_ID: usize = 256;
    /// The greatest length of a name, in bytes.
    pub(crate) const MAX_NAME: usize = 256;

    /// Builds a map from pairs of id and name.
    ///
    /// # Errors
    ///
    /// Returns the number of the first pair that breaks a rule of [`KeyNames`], from 1, and the reason.
    ///
    /// ```
    /// # use tower_api_key_name::KeyNames;
    /// let error = KeyNames::new([("key_a", "billing"), ("key_a", "search")]).unwrap_err();
    /// assert_eq!(error.to_string(), "pair 2: this id occurs twice in the map; remove one of the two");
    /// ```
    pub fn new<I, K, V>(pairs: I) -> Result<Self, KeyNamesError>
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut names = Self::default();
        for (index, (id, name)) in pairs.into_iter().enumerate() {
            let added = names.add(id.as_ref(), name.as_ref());
            added.map_err(|error| error.at(Position::Pair(index + 1)))?;
        }
        names.entries.finish();
        Ok(names)
    }

    /// Parses a map from JSON in UTF-8, in one of two forms. A byte order mark is ignored (RFC 8259 §8.1).
    ///
    /// **A map written by hand**, `{"id": "name", …}`. Every entry must keep the rules of [`KeyNames`].
    ///
    /// **A list page** of the API, as saved by `curl`: an object whose `data` is an array. Only the `id` and `name`
    /// of each item are read. The user did not write the page, so an unusable item (for example with the name null)
    /// is left out and counted in [`KeyNames::left_out`]. If an id occurs more than once, the first item counts. With
    /// `"has_more": true`, [`KeyNames::is_partial`] returns true.
    ///
    /// ```
    /// # use tower_api_key_name::KeyNames;
    /// let written = KeyNames::from_json(br#"{"key_abc": "billing"}"#)?;
    /// let saved = KeyNames::from_json(
    ///     br#"{"object": "list", "data": [{"id": "key_abc", "name": "billing"}], "has_more": false}"#,
    /// )?;
    /// assert!(written.iter().eq(saved.iter()));
    /// # Ok::<(), tower_api_key_name::KeyNamesError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the defect, its line and column, and a remedy. The error never repeats the input, which may be a
    /// secret.
    ///
    /// ```
    /// # use tower_api_key_name::KeyNames;
    /// let error = KeyNames::from_json(b"{\n  \"key_abc\": 7\n}").unwrap_err();
    /// assert_eq!((error.line(), error.column()), (Some(2), Some(14)));
    /// ```
    pub fn from_json(json: &[u8]) -> Result<Self, KeyNamesError> {
        let mut names = parse::parse(json)?;
        names.entries.finish();
        Ok(names)
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if the map contains no id.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the name of the key with this id.
    pub fn name(&self, id: &str) -> Option<&str> {
        self.find(id.as_bytes()).map(|entry| self.entries.pair(entry).1)
    }

    /// Returns the ids of all keys with this name, in the order of the input.
    pub fn ids<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.entries.ids(name)
    }

    /// Returns all pairs of id and name, in the order of the input.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter()
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
        self.partial
    }

    /// Finds the entry with this id, given as unescaped bytes. Expected constant time.
    #[inline(always)]
    pub(crate) fn find(&self, id: &[u8]) -> Option<EntryRef> {
        self.entries.find(id)
    }

    /// Returns an entry's name as a JSON string (RFC 8259 §7), with quotes.
    #[inline]
    pub(crate) fn json(&self, entry: EntryRef) -> &[u8] {
        self.entries.json(entry)
    }

    /// Returns an entry's id and name.
    #[cfg(feature = "tracing")]
    pub(crate) fn entry(&self, entry: EntryRef) -> (&str, &str) {
        self.entries.pair(entry)
    }

    /// True if this text can be an id in a map.
    #[cfg(feature = "directory")]
    pub(crate) fn is_id(text: &str) -> bool {
        check(text, ID, Self::MAX_ID).is_ok()
    }

    /// True if this text can be a name in a map.
    #[cfg(feature = "directory")]
    pub(crate) fn is_name(text: &str) -> bool {
        check(text, NAME, Self::MAX_NAME).is_ok()
    }

    /// Merges maps. The first map that contains an id names it.
    pub(crate) fn merged<'a>(maps: impl IntoIterator<Item = &'a KeyNames>) -> Self {
        let mut merged = Self::default();
        for map in maps {
            for (id, name) in map.iter() {
                // The entry is dropped if the id is present already. The other error, more than 4 GiB, cannot occur
                // with files of at most 64 MiB.
                let _ = merged.entries.insert(id, name);
            }
            merged.left_out += map.left_out;
            merged.partial |= map.partial;
        }
        merged.entries.finish();
        merged
    }

    /// An empty map that lacks names.
    #[cfg(feature = "directory")]
    pub(super) fn partial() -> Self {
        Self { partial: true, ..Self::default() }
    }

    /// True if both maps contain the same pairs, in any order.
    #[cfg(feature = "directory")]
    pub(crate) fn has_same_pairs(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(id, name)| other.name(id) == Some(name))
    }

    /// Checks and adds one entry.
    pub(super) fn add(&mut self, id: &str, name: &str) -> Result<(), KeyNamesError> {
        check(id, ID, Self::MAX_ID)?;
        check(name, NAME, Self::MAX_NAME)?;
        self.entries.insert(id, name)
    }
}

impl fmt::Debug for KeyNames {
    /// Writes counts only: a map may be long, and its names do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyNames")
            .field("entries", &self.len())
            .field("left_out", &self.left_out)
            .field("partial", &self.partial)
            .finish()
    }
}

/// Checks an id or a name against the rules that do not depend on other entries.
fn check(text: &str, subject: &'static str, limit: usize) -> Result<(), KeyNamesError> {
    let kind = if text.trim().is_empty() {
        KeyNamesErrorKind::Blank
    } else if text.len() > limit {
        KeyNamesErrorKind::TooLong
    } else if text.contains(char::is_control) {
        KeyNamesErrorKind::ControlCharacter
    } else if looks_like_secret(text) {
        KeyNamesErrorKind::Secret
    } else {
        return Ok(());
    };
    Err(KeyNamesError::new(kind, subject).with_bytes(text.len()))
}
