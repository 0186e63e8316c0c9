//! `KeyNames`: an immutable map from a key's id to its name, and back.
//!
//! Whatever can be wrong with a map is found here, once, at load: a `KeyNames` that exists is
//! valid, and no secret stands in it. Nobody downstream checks again.

use super::error::{Fault, Flaw, Place, Side};
use super::index::Index;
use super::{KeyNamesError, read};
use memchr::memchr_iter;
use std::fmt;

/// Which name each key id has: an immutable map, valid by construction.
///
/// It is made from pairs with [`KeyNames::new`] or from JSON with [`KeyNames::from_json`], and
/// holds entries of which all of this is true:
///
/// - id and name are 1 to 256 bytes of UTF-8, not blank, without control characters;
/// - neither looks like a secret API key (`sk-…`);
/// - no id stands there twice. A *name* may: names are not identities, and service-account keys
///   are often all called "Secret Key";
/// - together they take less than 4 GiB.
///
/// Looking a name up takes expected constant time, whatever the number of entries. Ids and names
/// are compared byte for byte: no case folding, no trimming, no Unicode normalization.
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
    /// One stretch an entry, in the order they were given: how long its parts are, id, name as JSON, and, only
    /// where the escaping changed it, the name itself. An entry is known by where its stretch begins. One
    /// allocation, and one cache line for most look-ups.
    text: Vec<u8>,
    index: Index,
    /// Entries, those of one name together and as they were given, for `ids`: see `rank`.
    by_name: Vec<u32>,
    len: usize,
    pub(super) left_out: usize,
    pub(super) partial: bool,
}

/// An entry that was found: where its name as JSON begins, how long that is, and the id before it. Who has it knows how
/// much the name will take, without going there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    json_from: u32,
    json: u16,
    id: u16,
}

impl Found {
    /// The length of the name as JSON.
    pub(crate) fn len(self) -> usize {
        self.json.into()
    }

    fn entry(self) -> u32 {
        self.json_from - u32::from(self.id) - Entry::LENGTHS as u32
    }
}

/// Where an entry's parts stand in `KeyNames::text`: lengths in bytes, one part after another.
#[derive(Clone, Copy)]
struct Entry {
    id_from: usize,
    id: usize,
    json: usize,
    name: usize,
}

impl Entry {
    /// How many bytes the lengths take.
    const LENGTHS: usize = 6;
    /// Where one may begin at most: its name has a place too.
    const LAST: u32 = Index::FREE - 1 - (Self::LENGTHS + KeyNames::MAX_ID) as u32;

    fn lengths(lengths: [usize; 3]) -> [u8; Self::LENGTHS] {
        let [[a, b], [c, d], [e, f]] = lengths.map(|len| (len as u16).to_le_bytes());
        [a, b, c, d, e, f]
    }

    #[inline]
    fn at(start: u32, text: &[u8]) -> Self {
        let start = start as usize;
        let [a, b, c, d, e, f] = text[start..].first_chunk().map_or([0; Self::LENGTHS], |lengths| *lengths);
        let [id, json, name] = [[a, b], [c, d], [e, f]].map(|len| usize::from(u16::from_le_bytes(len)));
        Self { id_from: start + Self::LENGTHS, id, json, name }
    }

    fn json_from(&self) -> usize {
        self.id_from + self.id
    }

    /// Whether the name as JSON is the name in quotes.
    fn is_plain(&self) -> bool {
        self.json == self.name + 2
    }

    /// Unescaped it stands between the quotes, else after them.
    fn name_from(&self) -> usize {
        self.json_from() + if self.is_plain() { 1 } else { self.json }
    }

    fn end(&self) -> usize {
        self.json_from() + self.json + if self.is_plain() { 0 } else { self.name }
    }
}

// === impl KeyNames ===

impl KeyNames {
    /// The longest id, in bytes.
    pub(crate) const MAX_ID: usize = 256;
    /// The longest name, in bytes.
    pub(crate) const MAX_NAME: usize = 256;

    /// A map of these pairs of id and name.
    ///
    /// # Errors
    ///
    /// The first pair that breaks one of the rules of [`KeyNames`], counted from 1, and why.
    ///
    /// ```
    /// # use tower_api_key_name::KeyNames;
    /// let error = KeyNames::new([("key_a", "billing"), ("key_a", "search")]).unwrap_err();
    /// assert_eq!(error.to_string(), "pair 2: this id stands in the map twice; remove one of the two");
    /// ```
    pub fn new<I, K, V>(pairs: I) -> Result<Self, KeyNamesError>
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut names = Self::default();
        for (nth, (id, name)) in pairs.into_iter().enumerate() {
            names.add(id.as_ref(), name.as_ref()).map_err(|fault| fault.at(Place::Pair(nth + 1)))?;
        }
        Ok(names.sealed())
    }

    /// A map from JSON, in either of two shapes. UTF-8; a byte order mark is ignored
    /// (RFC 8259 §8.1 allows that).
    ///
    /// **Written by hand**, `{"id": "name", …}`. Every entry must keep the rules of [`KeyNames`].
    ///
    /// **A list page**, as the API answers it and `curl` saves it. That is an object whose `data`
    /// is an array; of its items only `id` and `name` are read. It is not the user's writing, so
    /// an item that cannot be used (its name is null, say) is left out and counted by
    /// [`KeyNames::left_out`], and `"has_more": true` makes [`KeyNames::is_partial`] true. Where
    /// an id stands there more than once, the first counts.
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
    /// What is wrong, at which line and column, and what to do. Never what was read: it may be
    /// a secret.
    ///
    /// ```
    /// # use tower_api_key_name::KeyNames;
    /// let error = KeyNames::from_json(b"{\n  \"key_abc\": 7\n}").unwrap_err();
    /// assert_eq!((error.line(), error.column()), (Some(2), Some(14)));
    /// ```
    pub fn from_json(json: &[u8]) -> Result<Self, KeyNamesError> {
        read::read(json)
    }

    /// How many ids have a name here.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no id has a name here.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The name of the key with this id.
    pub fn name(&self, id: &str) -> Option<&str> {
        self.find(id.as_bytes()).map(|found| text(self.name_of(found.entry())))
    }

    /// The ids of all keys of this name, in the order in which they were given.
    pub fn ids<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let (order, sought) = (&self.by_name, self.rank(name.as_bytes()));
        let from = order.partition_point(|&entry| self.rank(self.name_of(entry)) < sought);
        let count = order[from..].partition_point(|&entry| self.name_of(entry) == name.as_bytes());
        order[from..from + count].iter().map(|&entry| text(self.id_of(entry)))
    }

    /// What names are ordered by in `by_name`: nobody asks but for those that are equal, and hashes are told apart
    /// sooner than names, which mostly begin alike.
    fn rank<'a>(&self, name: &'a [u8]) -> (u32, &'a [u8]) {
        (self.index.hash(name), name)
    }

    /// Every pair of id and name, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().map(|entry| (text(self.id_of(entry)), text(self.name_of(entry))))
    }

    fn entries(&self) -> impl Iterator<Item = u32> {
        let next = |start: &u32| Some(Entry::at(*start, &self.text).end() as u32);
        std::iter::successors(Some(0), next).take(self.len)
    }

    /// How many items of saved list pages could not be used: `id` or `name` is absent, stands there twice, is null,
    /// blank or too long, holds a control character or looks like a secret; or the id came before, with another name.
    /// 0 where no list page was read.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether it is known to be a part: a saved list page said `"has_more": true`, and the keys of the
    /// pages after it have no name here; or a file that is awaited has not come yet.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// The entry of the key with this id: its bytes, unescaped. Expected constant time.
    #[inline]
    pub(crate) fn find(&self, id: &[u8]) -> Option<Found> {
        self.index.find(self.index.hash(id), |entry| {
            let at = Entry::at(entry, &self.text);
            let is_it = self.text.get(at.id_from..at.json_from()).is_some_and(|this| this == id);
            is_it.then(|| Found { json_from: at.json_from() as u32, json: at.json as u16, id: at.id as u16 })
        })
    }

    /// An entry's name as a JSON string (RFC 8259 §7), quotes included.
    #[inline]
    pub(crate) fn json(&self, found: Found) -> &[u8] {
        &self.text[found.json_from as usize..][..found.len()]
    }

    /// An entry's id and name.
    #[cfg(feature = "tracing")]
    pub(crate) fn entry(&self, found: Found) -> (&str, &str) {
        (text(self.id_of(found.entry())), text(self.name_of(found.entry())))
    }

    /// Whether this could be the id of an entry.
    #[cfg(feature = "directory")]
    pub(crate) fn is_id(text: &str) -> bool {
        check(text, Self::MAX_ID).is_ok()
    }

    /// Whether this could be the name of an entry.
    #[cfg(feature = "directory")]
    pub(crate) fn is_name(text: &str) -> bool {
        check(text, Self::MAX_NAME).is_ok()
    }

    /// One map of several, of which the first that knows an id names it.
    pub(crate) fn merged<'a>(maps: impl IntoIterator<Item = &'a KeyNames>) -> Self {
        let mut merged = Self::default();
        for map in maps {
            for (id, name) in map.iter() {
                // Refused where the id is there already, or beyond 4 GiB, which no files that are watched come to.
                let _ = merged.add_valid(id, name);
            }
            merged.left_out += map.left_out;
            merged.partial |= map.partial;
        }
        merged.sealed()
    }

    /// True if both maps contain the same pairs, in any order.
    pub(crate) fn has_same_pairs(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(id, name)| other.name(id) == Some(name))
    }

    fn id_of(&self, entry: u32) -> &[u8] {
        let Entry { id_from, id, .. } = Entry::at(entry, &self.text);
        &self.text[id_from..id_from + id]
    }

    fn name_of(&self, entry: u32) -> &[u8] {
        let entry = Entry::at(entry, &self.text);
        &self.text[entry.name_from()..][..entry.name]
    }

    /// Adds one entry, checked.
    pub(super) fn add(&mut self, id: &str, name: &str) -> Result<(), Fault> {
        check(id, Self::MAX_ID).map_err(|flaw| Fault::Label(Side::Id, flaw))?;
        check(name, Self::MAX_NAME).map_err(|flaw| Fault::Label(Side::Name, flaw))?;
        self.add_valid(id, name)
    }

    /// Adds one entry that keeps the rules. The lengths fit: see `MAX_ID` and `MAX_NAME`.
    fn add_valid(&mut self, id: &str, name: &str) -> Result<(), Fault> {
        let hash = self.index.hash(id.as_bytes());
        if self.index.find(hash, |entry| (self.id_of(entry) == id.as_bytes()).then_some(())).is_some() {
            return Err(Fault::Twice);
        }
        let entry = u32::try_from(self.text.len()).ok().filter(|&entry| entry <= Entry::LAST);
        let entry = entry.ok_or(Fault::TooMany)?;
        // RFC 8259 §7: of what must be escaped only these two can occur in a valid name.
        let must_be_escaped = |byte: &u8| matches!(byte, b'"' | b'\\');
        let escapes = name.bytes().filter(must_be_escaped).count();
        self.text.extend_from_slice(&Entry::lengths([id.len(), name.len() + escapes + 2, name.len()]));
        self.text.extend_from_slice(id.as_bytes());
        self.text.push(b'"');
        if escapes > 0 {
            for byte in name.bytes() {
                self.text.extend(must_be_escaped(&byte).then_some(b'\\'));
                self.text.push(byte);
            }
            self.text.push(b'"');
        }
        self.text.extend_from_slice(name.as_bytes());
        if escapes == 0 {
            self.text.push(b'"');
        }
        self.len += 1;
        self.index.insert(hash, entry);
        Ok(())
    }

    /// The last step of every way to make a map: bring those of one name together, and give back spare room.
    pub(super) fn sealed(mut self) -> Self {
        let mut order: Vec<_> = self.entries().map(|entry| (self.rank(self.name_of(entry)), entry)).collect();
        order.sort_unstable();
        self.by_name = order.into_iter().map(|(_, entry)| entry).collect();
        self.text.shrink_to_fit();
        self
    }
}

/// Ids and names came as text.
fn text(bytes: &[u8]) -> &str {
    let text = std::str::from_utf8(bytes);
    debug_assert!(text.is_ok(), "the parts of an entry end where its characters do");
    text.unwrap_or_default()
}

impl fmt::Debug for KeyNames {
    /// Counts only: a map may be long, and a log is no place for a customer's names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyNames")
            .field("entries", &self.len())
            .field("left_out", &self.left_out)
            .field("partial", &self.partial)
            .finish()
    }
}

// === Rules ===

/// Whether an id or a name can be used, whatever else is in the map.
fn check(label: &str, longest: usize) -> Result<(), Flaw> {
    if label.trim().is_empty() {
        Err(Flaw::Blank)
    } else if label.len() > longest {
        Err(Flaw::TooLong { bytes: label.len(), longest })
    } else if label.contains(char::is_control) {
        Err(Flaw::Control)
    } else if looks_like_secret(label) {
        Err(Flaw::Secret)
    } else {
        Ok(())
    }
}

/// What stands for text that looks like a secret.
pub(crate) const HIDDEN: &str = "(not repeated: it looks like a secret API key)";

/// Text for a log: itself, unless it looks like a secret.
#[cfg(feature = "tracing")]
pub(crate) fn shown(text: &str) -> &str {
    if looks_like_secret(text) { HIDDEN } else { text }
}

/// Whether text holds what looks like an API key of OpenAI or Anthropic: `sk-` at its very
/// beginning, or after a character that is no ASCII letter or digit with eight or more characters
/// of a key behind it. So `task-runner-production` and "the sk-learn job" are names like any other.
///
/// What looks like a secret is neither taken into a map nor written to a log.
pub(crate) fn looks_like_secret(text: &str) -> bool {
    let text = text.as_bytes();
    memchr_iter(b's', text).any(|at| {
        let (before, Some(after)) = (&text[..at], text[at..].strip_prefix(b"sk-")) else { return false };
        let is_key = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match before.last() {
            None => true,
            Some(last) => !last.is_ascii_alphanumeric() && after.iter().take_while(is_key).count() >= 8,
        }
    })
}
