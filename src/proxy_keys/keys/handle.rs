//! `ProxyKeys`: the handle to the current keys and names.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::parse::{KeysFile, RealKeys};
use super::{KeyTable, ProxyKeysError};
use crate::proxy_keys::operator_token::OperatorToken;
use crate::watch::{ContentError, Parse, WatchError, WatchedFile};
use crate::{SharedKeyNames, Status};

#[cfg(test)]
mod tests;

/// A handle to the current proxy keys and their names. All clones share them.
///
/// The keys are in a *keys file*: OpenAI's list of keys with further members. The same file is a map for
/// [`SharedKeyNames::watch`], with the same names.
///
/// ```
/// use tower_api_key_name::proxy_keys::{ProxyKeys, mint};
///
/// let minted = mint()?; // show `minted.key()` once to the caller
/// let file = format!(
///     r#"{{ "object": "list",
///        "data": [
///          {{ "id": "key_stmary_tutor", "name": "St Mary's, tutor", "group": "stmary",
///            "hashes": ["{}"], "models": ["gpt-5-mini*", "text-embedding-3-small"],
///            "limits": {{ "requests": {{"minute": 60}}, "tokens": {{"day": 200000}}, "parallel": 8 }},
///            "expires_at": "2027-07-31T00:00:00Z" }} ],
///        "groups": {{ "stmary": {{ "limits": {{ "dollars": {{"month": "500.00"}} }} }} }},
///        "prices": {{ "gpt-5-mini*": {{ "input": "0.25", "cached_input": "0.025", "output": "2.00" }},
///                    "text-embedding-3-small": {{ "input": "0.02" }} }} }}"#,
///     minted.digest()
/// );
/// let keys = ProxyKeys::from_json(file.as_bytes())?; // or `ProxyKeys::watch("keys.json")`
/// assert_eq!(keys.names().snapshot().name("key_stmary_tutor"), Some("St Mary's, tutor"));
///
/// let error = ProxyKeys::from_json(b"{\"data\": [],\n \"group\": {}}").unwrap_err();
/// assert!(error.to_string().starts_with("line 2, column 2: this is no member of the keys file"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Format
///
/// A file with every member:
///
/// ```
/// # use tower_api_key_name::proxy_keys::ProxyKeys;
/// let file = r#"{
///   "object": "list",
///   "data": [
///     { "id": "key_stmary_tutor",
///       "name": "St Mary's, tutor",
///       "hashes": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
///       "group": "stmary",
///       "models": ["gpt-5-mini*", "claude-haiku-4-5"],
///       "tools": ["web_search*"],
///       "limits": { "requests": {"minute": 60}, "tokens": {"day": 200000, "ever": 9000000},
///                   "dollars": {"month": "25.00"}, "parallel": 8 },
///       "reserve": 4096,
///       "created_at": 1790000000,
///       "expires_at": "2027-07-31T00:00:00Z",
///       "usage_scope": "own" },
///     { "id": "key_old", "name": "Revoked", "hashes": [] }
///   ],
///   "groups": {
///     "stmary": { "limits": { "dollars": {"month": "500.00"} },
///                 "upstreams": { "openai": "main", "anthropic": "europe" } }
///   },
///   "upstreams": {
///     "main": { "provider": "openai", "key_env": "STMARY_OPENAI_KEY" },
///     "europe": { "provider": "anthropic", "base_url": "https://gateway.example/anthropic",
///                 "key_file": "/run/secrets/anthropic" }
///   },
///   "prices": {
///     "gpt-5-mini*": { "input": "0.25", "cached_input": "0.025", "output": "2.00" },
///     "claude-haiku-4-5": { "input": "1.00", "cached_input": "0.10", "cache_write_5m": "1.25",
///                           "cache_write_1h": "2.00", "output": "5.00", "web_search": "10.00" }
///   },
///   "has_more": false
/// }"#;
/// ProxyKeys::check(file.as_bytes())?; // `from_json` and `watch` also read the real keys
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | member | type | default | unit and meaning |
/// |---|---|---|---|
/// | `object`, `has_more` | `"list"`, `false` | absent | members of OpenAI's lists; `"has_more": true` is an error, because keys are missing |
/// | `data` | array | required | the keys |
/// | `data[].id`, `.name` | text | required | as in [`KeyNames`](crate::KeyNames); each id once |
/// | `data[].hashes` | array of text | required | SHA-256 digests of the key: `sha256:` and 64 lower-case hexadecimal digits. Two allow a rotation. `[]` revokes the key, and keeps its name for old usage |
/// | `data[].group` | text | no group | a name in `groups` |
/// | `data[].models` | array of patterns | absent: all models | models that the key may call; `[]`: none. A fine-tuned model `ft:…` must match a pattern that starts with `ft:` |
/// | `data[].tools` | array of patterns | absent: none | hosted tools that the key may use, because they cost money outside of tokens; the client's own tools are always permitted |
/// | `data[].limits` | object | no limit | see `limits` |
/// | `data[].reserve` | number | 4096 | output tokens that are reserved for a call at most |
/// | `data[].created_at` | number | unknown | Unix time in seconds |
/// | `data[].expires_at` | text | never | the instant from which the key is rejected, with its offset from UTC (RFC 3339) |
/// | `data[].usage_scope` | text | `own` | the usage rows and names that the key may read: `own`; `group` for its own and those of its group, if it has one; or `all` |
/// | `limits.requests`, `.tokens` | object | no limit | window → whole number, at least 1; tokens are those of the input and the output |
/// | `limits.dollars` | object | no limit | window → dollars |
/// | `limits.parallel` | number | no limit | calls in flight |
/// | `groups` | object | `{}` | name → a customer. The limits of a group count for all its keys together, beside those of each key |
/// | `groups.….limits` | object | no limit | see `limits` |
/// | `groups.….upstreams` | object | those of the layer | `openai`, `anthropic` → a name in `upstreams` |
/// | `upstreams` | object | `{}` | name → the address of an API with its real key |
/// | `upstreams.….provider` | text | required | `openai` or `anthropic` |
/// | `upstreams.….base_url` | text | the provider's public address | `https`, or an address of this machine |
/// | `upstreams.….key_env` | text | `key_file` | an environment variable with the real key |
/// | `upstreams.….key_file` | text | `key_env` | the path of a file with the real key, relative to the working directory |
/// | `prices` | object | `{}` | pattern of models → prices |
/// | `prices.….input` | text | required | dollars for a million tokens |
/// | `prices.….cached_input`, `.cache_write`, `.cache_write_5m`, `.cache_write_1h`, `.audio_input`, `.image_input`, `.output`, `.audio_output`, `.image_output` | text | see below | dollars for a million tokens |
/// | `prices.….web_search`, `.web_fetch` | text | see below | dollars for a thousand requests |
///
/// - **Windows** are `minute`, `hour`, `day` and `month` of the calendar in UTC, and `ever`, which has no end.
/// - **Dollars** are text, such as `"25.00"`, with at most 6 decimal places and at most 9,223,372. They are stored as
///   integers, so they are never rounded.
/// - **Patterns** are names, or starts of names with `*` at their end. A model has the prices of its whole name if
///   there are any, and otherwise those of the longest pattern that matches.
/// - **Counters without a price** are charged at the model's highest price of the same unit.
///
/// # Errors
///
/// The file is strict, because a limit with a wrong name would be ignored silently. Unknown and repeated members, wrong
/// types, references to absent groups or upstreams, repeated ids or digests, and texts that look like a secret are
/// errors. So is `"has_more": true`, and a dollar limit of a key or its group if the key may call a model without a
/// price. Each [`ProxyKeysError`] contains the line, the column, the defect and a remedy, and never a value of the
/// file.
#[derive(Clone)]
pub struct ProxyKeys {
    table: Arc<ArcSwap<KeyTable>>,
    /// The names of all keys. Also keeps the thread running that reloads the file.
    pub(in crate::proxy_keys) all_names: SharedKeyNames,
    /// The token that is accepted as the credential of an operator, by this handle and its clones.
    pub(in crate::proxy_keys) operator_token: Option<OperatorToken>,
}

/// The parser of keys files.
#[derive(Clone)]
struct KeysFileParser;

impl Parse for KeysFileParser {
    type Parsed = KeysFile;

    const WHAT: &'static str = "proxy keys";

    fn parse(&self, content: &[u8]) -> Result<KeysFile, ContentError> {
        Ok(KeysFile::parse(content, RealKeys::Read)?)
    }
}

impl WatchError {
    /// The error in a keys file, with line and column. `None` for other kinds of errors, and for files that are no keys
    /// files.
    pub fn keys_error(&self) -> Option<&ProxyKeysError> {
        self.source()?.downcast_ref()
    }
}

impl ProxyKeys {
    /// Creates a handle to the keys in a keys file, as generation 1.
    ///
    /// This blocks: it reads the environment variables and files with the real keys of `upstreams`, and each of the files is
    /// followed by a thread. A relative `key_file` is relative to the working directory. [`check`](Self::check) reads none of
    /// them.
    ///
    /// # Errors
    ///
    /// Returns the first defect, its line and column, and a remedy. The error never repeats a value of the file.
    pub fn from_json(json: &[u8]) -> Result<Self, ProxyKeysError> {
        Ok(Self::of_file(KeysFile::parse(json, RealKeys::Read)?))
    }

    /// Creates a handle to the content of a file, as generation 1.
    fn of_file(file: KeysFile) -> Self {
        let all_names = SharedKeyNames::new(Arc::unwrap_or_clone(file.names));
        Self { table: Arc::new(ArcSwap::new(file.table)), all_names, operator_token: None }
    }

    /// Creates a handle as [`from_json`](Self::from_json) does, but without the real keys: it reads no environment variable and
    /// no other file.
    ///
    /// The handle is for programs that read usage and names. A call through an upstream of the file would fail, because its
    /// real key is a placeholder.
    ///
    /// # Errors
    ///
    /// Returns the first defect, its line and column, and a remedy. The error never repeats a value of the file.
    pub fn without_real_keys(json: &[u8]) -> Result<Self, ProxyKeysError> {
        Ok(Self::of_file(KeysFile::parse(json, RealKeys::Ignore)?))
    }

    /// Checks a keys file as [`from_json`](Self::from_json) does, but without the real keys: it reads no environment
    /// variable and no other file.
    ///
    /// # Errors
    ///
    /// Returns the first defect, its line and column, and a remedy. The error never repeats a value of the file.
    pub fn check(json: &[u8]) -> Result<(), ProxyKeysError> {
        KeysFile::parse(json, RealKeys::Ignore)?;
        Ok(())
    }

    /// Creates a handle that follows a keys file, which is read before this returns, and again when it changes.
    ///
    /// A change is found as by [`SharedKeyNames::watch_all`], and replaces the keys and the names in one generation: a
    /// revoked key is rejected from then on.
    ///
    /// **An error anywhere in the file keeps all old keys.** A key that is revoked in an invalid file stays valid until the
    /// file is valid. The same applies to a missing file. [`Status::last_error`] contains the error until then.
    ///
    /// The real keys are read as by [`from_json`](Self::from_json). An environment variable of `key_env` is read again
    /// only when the keys file changes. A `key_file` is watched: see [`UpstreamKey::from_file`](super::super::UpstreamKey::from_file).
    ///
    /// A thread reads the file, so no runtime is needed. Dropping the last clone of the handle and of its
    /// [`names`](Self::names) ends it, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or is invalid, or if the thread cannot be started. Its text is one
    /// line, as compilers write it: `keys.json:2:14: there is no group of this name; …`.
    pub fn watch(path: impl AsRef<Path>) -> Result<Self, WatchError> {
        let file = WatchedFile::open(path.as_ref(), &KeysFileParser)?;
        let table = Arc::new(ArcSwap::new(file.parsed.table.clone()));
        let followed_table = table.clone();
        let all_names = SharedKeyNames::follow_file(
            file,
            |keys_file| keys_file.names.clone(),
            move |keys_file| followed_table.store(keys_file.table.clone()),
        )?;
        Ok(Self { table, all_names, operator_token: None })
    }

    /// Returns the current generation, its source and the last error.
    pub fn status(&self) -> Status {
        self.all_names.status()
    }

    /// True if the group of a key has an upstream of its own, with a real key of its own.
    pub fn has_upstreams(&self) -> bool {
        self.table().has_upstreams()
    }

    /// Loads the current keys: one atomic load, without waiting. Take one table per request.
    pub(crate) fn table(&self) -> Arc<KeyTable> {
        self.table.load_full()
    }
}

impl fmt::Debug for ProxyKeys {
    /// Writes the status only: the keys and their names do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyKeys").field("status", &self.status()).finish()
    }
}
