//! Recognises API keys, so that none enters a map, an error or a log line.

#[cfg(feature = "watch")]
use std::path::Path;

use memchr::memchr_iter;

/// The text shown in place of a secret.
pub(crate) const HIDDEN: &str = "(not repeated: it looks like a secret API key)";

/// The start of every API key of OpenAI and Anthropic.
const PREFIX: &[u8] = b"sk-";

/// Kinds of keys that are recognised even if they are truncated.
const KINDS: [&[u8]; 4] = [b"proj-", b"svcacct-", b"admin-", b"ant-"];

/// The least number of characters after `sk-` in a key of no known kind.
const MIN_KEY_LEN: usize = 20;

/// True if the text contains a value of the form of an API key: `sk-proj-…`, `sk-svcacct-…`, `sk-admin-…`,
/// `sk-ant-…`, or `sk-` followed by 20 or more letters, digits, `_` and `-`.
///
/// The value must not continue a word: `risk-adjusted` and `disk-usage-12345678` are names. So is `sk-bratislava`,
/// which is too short for a key.
pub(crate) fn looks_like_secret(text: &str) -> bool {
    let text = text.as_bytes();
    let is_key_byte = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_key = |rest: &[u8]| {
        KINDS.iter().any(|kind| rest.starts_with(kind))
            || rest.iter().take_while(is_key_byte).take(MIN_KEY_LEN).count() == MIN_KEY_LEN
    };
    memchr_iter(PREFIX[0], text).any(|at| {
        let continues_a_word = at > 0 && text[at - 1].is_ascii_alphanumeric();
        !continues_a_word && text[at..].strip_prefix(PREFIX).is_some_and(is_key)
    })
}

/// Returns the text, or [`HIDDEN`] if it contains a secret.
#[cfg(feature = "tracing")]
pub(crate) fn mask(text: &str) -> &str {
    if looks_like_secret(text) { HIDDEN } else { text }
}

/// Returns the path as text for messages, or [`HIDDEN`] if an API key was passed in its place.
#[cfg(feature = "watch")]
pub(crate) fn display_path(path: &Path) -> String {
    match path.display().to_string() {
        path if path.is_empty() => "\"\"".into(),
        path if looks_like_secret(&path) => HIDDEN.into(),
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_keys_are_secrets() {
        for secret in [
            "sk-proj-Zq3XyWv7T0abcdEFGH",
            "sk-proj-x",
            "sk-svcacct-12345678",
            "sk-admin-x",
            "sk-ant-api03-R2D...igAA",
            "sk-abcdefghijklmnopqrst",
            "sk-____----____----____",
        ] {
            assert!(looks_like_secret(secret), "{secret}");
        }
    }

    #[test]
    fn api_key_inside_a_text_is_a_secret() {
        for text in [
            "old key: sk-proj-abcdefgh",
            "é sk-proj-x",
            "ésk-proj-x",
            "=sk-abcdefghijklmnopqrst",
            "risk sk-proj-x",
            "x_sk-proj-x",
            "Bearer sk-ant-x",
        ] {
            assert!(looks_like_secret(text), "{text}");
        }
    }

    #[test]
    fn names_with_sk_are_no_secrets() {
        for name in [
            "",
            "sk",
            "sk-",
            "sk-bratislava",
            "sk-project",
            "sk-abcdefghijklmnopqrs",
            "sk-learn and 20 more characters",
            "the sk-learn job",
            "risk-adjusted",
            "task-brief",
            "task-runner-production-europe-west",
            "disk-usage-12345678",
            "9sk-proj-x",
            "Sk-proj-x",
        ] {
            assert!(!looks_like_secret(name), "{name}");
        }
    }
}
