//! Recognises API keys, so that none enters a map, an error or a log line.

#[cfg(feature = "watch")]
use std::path::Path;

use memchr::memchr_iter;

/// The text shown in place of a secret.
pub(crate) const HIDDEN: &str = "(not repeated: it looks like a secret API key)";

/// The start of every API key of OpenAI and Anthropic, and of every proxy key.
const PREFIX: &str = "sk-";

/// Kinds of keys that are recognised even if they are truncated.
const KINDS: [&str; 5] = ["proj-", "svcacct-", "admin-", "ant-", "px-"];

/// The least number of characters after `sk-` in a key of no known kind.
const MIN_KEY_LEN: usize = 20;

/// True if an id or a name has the form of an API key, or contains one:
///
/// - `sk-proj-…`, `sk-svcacct-…`, `sk-admin-…`, `sk-ant-…` or `sk-px-…`, without white space up to the end of the text,
///   or
/// - `sk-` followed by 20 or more of `[A-Za-z0-9_-]`, with a digit, an upper-case and a lower-case letter.
///
/// A key does not continue a word: `risk-adjusted` is a name. So is `sk-bratislava`, which has neither form.
pub(crate) fn looks_like_secret(text: &str) -> bool {
    let trimmed = text.trim_end();
    for offset in memchr_iter(b's', trimmed.as_bytes()) {
        let continues_a_word = trimmed[..offset].ends_with(|c: char| c.is_ascii_alphanumeric());
        let Some(rest) = trimmed[offset..].strip_prefix(PREFIX) else { continue };
        if !continues_a_word && (is_key_of_known_kind(rest) || starts_with_random_key(rest)) {
            return true;
        }
    }
    false
}

/// True if the text after `sk-` is that of a key of a known kind.
fn is_key_of_known_kind(rest: &str) -> bool {
    let has_known_kind = KINDS.iter().any(|kind| rest.starts_with(kind));
    has_known_kind && !rest.contains(char::is_whitespace)
}

/// True if the text after `sk-` begins with enough characters of a key, which include a digit and letters of both cases.
fn starts_with_random_key(rest: &str) -> bool {
    let is_key_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let bytes = rest.as_bytes();
    let len = bytes.iter().take_while(|byte| is_key_byte(byte)).count();
    let key = &bytes[..len];
    let has_digit = key.iter().any(u8::is_ascii_digit);
    let has_both_cases = key.iter().any(u8::is_ascii_uppercase) && key.iter().any(u8::is_ascii_lowercase);
    len >= MIN_KEY_LEN && has_digit && has_both_cases
}

/// True if a word of a message looks like a secret. A truncated key in a message may precede other words.
#[cfg(any(feature = "watch", feature = "tracing"))]
pub(crate) fn contains_secret(message: &str) -> bool {
    message.split_whitespace().any(looks_like_secret)
}

/// Returns the text, or [`HIDDEN`] if it contains a secret.
#[cfg(feature = "tracing")]
pub(crate) fn mask(text: &str) -> &str {
    if contains_secret(text) { HIDDEN } else { text }
}

/// Returns the path as text for messages: `""` for an empty path, and [`HIDDEN`] for an API key in place of a path.
#[cfg(feature = "watch")]
pub(crate) fn display_path(path: &Path) -> String {
    match path.display().to_string() {
        shown if shown.is_empty() => "\"\"".into(),
        shown if contains_secret(&shown) => HIDDEN.into(),
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
            "sk-proj-x\n",
            "sk-svcacct-12345678",
            "sk-admin-x",
            "sk-ant-api03-R2D...igAA",
            "sk-px-x",
            "sk-abcdefghijklmnopqR1t",
            "sk-_a_-_-_-_-_-_-_-_B-3",
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
            "=sk-abcdefghijklmnopqR1t",
            "risk sk-proj-x",
            "x_sk-proj-x",
            "Bearer sk-ant-x",
            "sk-abcdefghijklmnopqR1t (old)",
            "sk-proj-Zq3XyWv7T0abcdEFGH of the team",
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
            "sk-proj-migration of the team",
            "sk-px",
            "sk-ant-farm\u{a0}dashboard",
            "sk-abcdefghijklmnopR1t",
            "sk-team-billing-dashboard-production",
            "sk-team-billing-dashboard-2026",
            "sk-Team-Billing-Dashboard-Production",
            "sk-TEAM-BILLING-DASHBOARD-2026",
            "sk-learn and 20 more Characters",
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

    #[cfg(any(feature = "watch", feature = "tracing"))]
    #[test]
    fn truncated_key_before_other_words_of_a_message_is_a_secret() {
        assert!(contains_secret("the key sk-proj-x... was rejected"));
        assert!(!contains_secret("the name sk-bratislava was rejected"));
    }
}
