//! The real key of an upstream, and its sources.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use memchr::memmem;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::api_key::{ApiKeyError, KeyVariable, find_in_environment, parse_key};
use crate::names::Provider;
use crate::proxy_keys::shared_secret::{SecretParser, SharedSecret};

/// The name of a real key in messages.
const NOUN: &str = "API key";

/// The number of consecutive key bytes that hides an error body. A shorter part may be a text that is no secret, such as the
/// prefix `sk-svcacct-`.
const ECHO_LEN: usize = 16;

/// The real key of a provider, which replaces the proxy key of a request.
///
/// `Debug` does not show it, and its header is marked sensitive. It is wiped from memory when it is dropped. Copies made by
/// the HTTP client are not wiped, and neither is the copy with which a change of a key's file is found.
#[derive(Clone)]
pub struct UpstreamKey(SharedSecret<SecretString>);

impl UpstreamKey {
    /// Creates a real key from its text, without the white space around it.
    ///
    /// # Errors
    ///
    /// If the text is not one word of visible ASCII.
    pub fn new(key: String) -> Result<Self, ApiKeyError> {
        let secret = parse_real_key(&Zeroizing::new(key))?;
        Ok(Self(SharedSecret::new(secret)))
    }

    /// Creates a real key from a file that contains only the key. It is read before this returns, which blocks, and again when
    /// it changes: a key is rotated without a restart.
    ///
    /// A new content that is not a key, and a removed file, keep the last key. The feature `tracing` logs both. The file is
    /// watched as the map is: see [`SharedKeyNames::watch_all`](crate::SharedKeyNames::watch_all).
    ///
    /// # Errors
    ///
    /// If the file cannot be read, does not contain a key, or cannot be watched.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ApiKeyError> {
        let parser = SecretParser { noun: NOUN, parse: parse_real_key };
        Ok(Self(SharedSecret::from_file(path.as_ref(), parser)?))
    }

    /// Reads the real key from an environment variable, or from the file that `{variable}_FILE` names.
    ///
    /// There is no constructor for a command line, because each process on the machine may read that.
    ///
    /// # Errors
    ///
    /// If neither variable is set, or the value is not a key. An empty variable counts as one that is not set.
    ///
    /// ```
    /// use tower_api_key_name::proxy_keys::UpstreamKey;
    ///
    /// let error = UpstreamKey::from_env("NOT_SET").unwrap_err();
    /// assert!(error.to_string().starts_with("NOT_SET is not set"));
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, ApiKeyError> {
        match find_in_environment(variable, NOUN)? {
            KeyVariable::Text(key) => Ok(Self(SharedSecret::new(key))),
            KeyVariable::File(file_variable, path) => {
                Self::from_file(path).map_err(|error| error.in_context(&file_variable))
            }
        }
    }

    /// Returns the real key of this moment.
    pub(super) fn current(&self) -> RealKey {
        RealKey(self.0.current())
    }
}

/// Parses a real key.
fn parse_real_key(text: &str) -> Result<SecretString, ApiKeyError> {
    parse_key(text, NOUN)
}

impl fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamKey(…)")
    }
}

/// The text of a real key, as one request uses it.
#[derive(Clone)]
pub(crate) struct RealKey(Arc<SecretString>);

impl RealKey {
    /// Returns the header with which the provider's API expects the key, marked sensitive.
    pub(crate) fn header(&self, provider: Provider) -> (HeaderName, HeaderValue) {
        let key = self.0.expose_secret();
        let (name, text) = match provider {
            Provider::OpenAi => (AUTHORIZATION, Zeroizing::new(format!("Bearer {key}"))),
            Provider::Anthropic => (HeaderName::from_static("x-api-key"), Zeroizing::new(key.to_owned())),
        };
        let mut value = HeaderValue::from_str(&text).expect("a key is visible ASCII");
        value.set_sensitive(true);
        (name, value)
    }

    /// True if the text contains the key, or 16 consecutive bytes of it.
    pub(crate) fn is_echoed_in(&self, text: &[u8]) -> bool {
        let key = self.0.expose_secret().as_bytes();
        let part_len = key.len().min(ECHO_LEN);
        key.windows(part_len).any(|part| memmem::find(text, part).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::watch::Parse;

    const KEY: &str = "sk-proj-0123456789abcdefghijklmnop";

    fn real_key(text: &str) -> RealKey {
        UpstreamKey::new(text.to_owned()).unwrap().current()
    }

    #[test]
    fn header_of_each_provider_contains_the_key_and_is_sensitive() {
        let (name, value) = real_key(" sk-real\n").header(Provider::OpenAi);
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer sk-real"));
        assert!(value.is_sensitive());
        let (name, value) = real_key("sk-real").header(Provider::Anthropic);
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-api-key", "sk-real"));
        assert!(value.is_sensitive());
    }

    #[test]
    fn key_or_a_long_part_of_it_is_found_in_a_text() {
        let key = real_key(KEY);
        for echo in [KEY, &KEY[..16], &KEY[18..], &KEY[9..25]] {
            assert!(key.is_echoed_in(format!("Incorrect API key: \"{echo}\".").as_bytes()), "{echo}");
        }
        assert!(real_key("short").is_echoed_in(b"the key short is wrong"));
    }

    #[test]
    fn short_part_of_the_key_is_not_found_in_a_text() {
        let key = real_key(KEY);
        for text in ["", "sk-proj-", &KEY[..15], &KEY[19..]] {
            assert!(!key.is_echoed_in(text.as_bytes()), "{text}");
        }
        assert!(!real_key("short").is_echoed_in(b"shor"));
    }

    /// Waits until the key has this text.
    fn wait_for(key: &UpstreamKey, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while key.current().0.expose_secret() != text {
            assert!(Instant::now() < deadline, "the key is not replaced");
            std::thread::yield_now();
        }
    }

    #[test]
    fn key_in_a_file_is_replaced_unless_the_new_content_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "first\n").unwrap();
        let key = UpstreamKey::from_file(&path).unwrap();
        let clone = key.clone();
        drop(key);
        wait_for(&clone, "first");
        fs::write(&path, "not a\nkey").unwrap();
        fs::write(folder.path().join("next"), "second").unwrap();
        let before = clone.current();
        fs::rename(folder.path().join("next"), &path).unwrap();
        wait_for(&clone, "second");
        assert_eq!(before.0.expose_secret(), "first");
    }

    #[test]
    fn file_without_a_key_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let error = UpstreamKey::from_file(&path).unwrap_err();
        assert!(error.to_string().contains("the API key cannot be read"), "{error}");
        fs::write(&path, "two words").unwrap();
        let error = UpstreamKey::from_file(&path).unwrap_err();
        assert!(
            error.to_string().contains("not an API key") && !error.to_string().contains("two"),
            "{error}"
        );
    }

    #[test]
    fn parser_of_a_file_repeats_no_content() {
        let parser = SecretParser { noun: NOUN, parse: parse_real_key };
        let error = parser.parse(b"two words").err().unwrap();
        assert_eq!(error.text, "not an API key, which is one word of visible ASCII");
    }

    #[test]
    fn debug_output_contains_no_part_of_the_key() {
        assert_eq!(format!("{:?}", UpstreamKey::new(KEY.to_owned()).unwrap()), "UpstreamKey(…)");
    }
}
