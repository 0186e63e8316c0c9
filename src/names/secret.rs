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
    let bytes = text.as_bytes();
    memchr_iter(PREFIX[0], bytes).any(|at| {
        let continues_a_word = at > 0 && bytes[at - 1].is_ascii_alphanumeric();
        !continues_a_word && starts_with_key(&bytes[at..])
    })
}

/// True if the text starts with an API key of a known kind, or with one of enough characters.
fn starts_with_key(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    if KINDS.iter().any(|kind| rest.starts_with(kind)) {
        return true;
    }
    let is_key_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    rest.len() >= MIN_KEY_LEN && rest[..MIN_KEY_LEN].iter().all(is_key_byte)
}

/// Returns the text, or [`HIDDEN`] if it contains a secret.
#[cfg(feature = "tracing")]
pub(crate) fn mask(text: &str) -> &str {
    if looks_like_secret(text) { HIDDEN } else { text }
}

/// Returns the path as text for messages: `""` for an empty path, and [`HIDDEN`] for an API key in place of a path.
#[cfg(feature = "watch")]
pub(crate) fn display_path(path: &Path) -> String {
    match path.display().to_string() {
        shown if shown.is_empty() => "\"\"".into(),
        shown if looks_like_secret(&shown) => HIDDEN.into(),
        shown => shown,
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
