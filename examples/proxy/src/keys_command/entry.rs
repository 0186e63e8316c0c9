//! The keys of a file, as far as the subcommand needs them.
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use super::limits::KeyLimits;

/// The keys and groups of a file that the library has accepted. It contains no digest.
#[derive(Debug, Deserialize)]
pub(super) struct KeysFileView {
    #[serde(rename = "data", default)]
    pub(super) keys: Vec<KeyEntry>,
    #[serde(default)]
    pub(super) groups: BTreeMap<String, GroupEntry>,
}

/// One group of a file.
#[derive(Debug, Deserialize)]
pub(super) struct GroupEntry {
    #[serde(default)]
    pub(super) limits: KeyLimits,
}

/// One key of a file, with the number of its digests in place of the digests.
#[derive(Debug, Deserialize)]
pub(super) struct KeyEntry {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) group: Option<String>,
    #[serde(rename = "hashes", default, deserialize_with = "count_values")]
    pub(super) digest_count: usize,
    #[serde(default)]
    pub(super) limits: KeyLimits,
    /// `None` means all models.
    pub(super) models: Option<Vec<String>>,
    pub(super) tools: Option<Vec<String>>,
    #[serde(default, deserialize_with = "parse_instant")]
    pub(super) expires_at: Option<Timestamp>,
}

/// The state of a key at an instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeyState {
    Active,
    Expired,
    /// The key has no digest.
    Revoked,
}

/// The entry of a new key, in the order of its members in the file.
#[derive(Serialize)]
pub(super) struct NewEntry {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    pub(super) hashes: [String; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) models: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tools: Option<Vec<String>>,
    #[serde(skip_serializing_if = "KeyLimits::is_empty")]
    pub(super) limits: KeyLimits,
    /// Seconds since 1970, as in OpenAI's list of keys.
    pub(super) created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
}

impl KeysFileView {
    /// Parses the text of a file that the library has accepted. The error has no part of the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let without_mark = text.strip_prefix('\u{feff}').unwrap_or(text);
        serde_json::from_str(without_mark).map_err(|e| unexpected_form(&e))
    }

    /// True if a key has this id.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }
}

impl KeyEntry {
    /// Returns the state of the key. A key that is revoked and has expired is revoked.
    pub(super) fn state(&self, now: Timestamp) -> KeyState {
        if self.digest_count == 0 {
            return KeyState::Revoked;
        }
        match self.expires_at {
            Some(instant) if instant <= now => KeyState::Expired,
            _ => KeyState::Active,
        }
    }
}

impl KeyState {
    /// The name of the state in the output.
    pub(super) fn name(self) -> &'static str {
        match self {
            KeyState::Active => "active",
            KeyState::Expired => "expired",
            KeyState::Revoked => "revoked",
        }
    }
}

/// The error of a part of a text that this subcommand cannot read. The position in the part is not that in the file.
pub(super) const UNEXPECTED_FORM: &str = "this form of a keys file is not supported by `keys`";

/// The error of a text that this subcommand cannot read. It names the position only: an error of serde_json could repeat
/// the value, which may be a secret.
pub(super) fn unexpected_form(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("line {line}, column {column}: {UNEXPECTED_FORM}")
}

/// Counts the values of an array, without storing them.
fn count_values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    Vec::<IgnoredAny>::deserialize(deserializer).map(|values| values.len())
}

/// Parses an instant, or null.
fn parse_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| D::Error::custom("not an instant"))
}
