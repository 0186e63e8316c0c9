//! The texts of an error that describe the account of the real key.

use memchr::memmem;

/// The texts, in lower case. An id of an organization starts with `org-`, and one of a project with `proj_`.
const ACCOUNT_TEXTS: [&[u8]; 6] =
    [b"org-", b"proj_", b"organization", b"billing", b"credit balance", b"usage limit"];

/// True if an error body may describe the account of the real key, in any case of its letters.
///
/// An ASCII character that is escaped, as in `\u006frg-1234`, can hide such a text or the key. A provider has no reason to
/// escape one, so each is treated like such a text.
pub(in super::super) fn may_describe_account(body: &[u8]) -> bool {
    let text = body.to_ascii_lowercase();
    if ACCOUNT_TEXTS.iter().any(|found| memmem::find(&text, found).is_some()) {
        return true;
    }
    let mut escapes = memmem::find_iter(&text, b"\\u00");
    escapes.any(|at| matches!(text.get(at + 4), Some(b'0'..=b'7')))
}

#[cfg(test)]
mod tests {
    use super::may_describe_account;

    #[test]
    fn text_about_the_account_is_found_in_any_case() {
        for text in [
            "in org-Abc123",
            "ORG-ABC",
            "proj_1",
            "Your Organization must be verified",
            "check your Billing details",
            "Your credit balance is too low",
            "You have reached your specified API usage limits",
        ] {
            assert!(may_describe_account(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn escape_of_an_ascii_character_is_found() {
        for text in [r"\u006frg", r"\u006F", r"x\u0000", r"\u007f"] {
            assert!(may_describe_account(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn other_text_is_not_found() {
        for text in ["", "Invalid value: 'organ'.", r"\u00e9 \u2019 \n \u00", "usage of the limit"] {
            assert!(!may_describe_account(text.as_bytes()), "{text}");
        }
    }
}
