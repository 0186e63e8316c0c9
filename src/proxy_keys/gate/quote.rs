//! Texts of the client in messages.

use crate::secret::{HIDDEN, looks_like_secret};

/// The longest text that is shown, in characters.
const MAX_CHARS: usize = 64;

/// Returns the text, or its start and `…` if it is long. A text that looks like an API key is not repeated.
pub(crate) fn shorten(text: &str) -> String {
    if looks_like_secret(text) {
        return HIDDEN.to_owned();
    }
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns a text in quotes, with escapes for control characters. A long text is cut.
pub(crate) fn quote(text: &str) -> String {
    format!("{:?}", shorten(text))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(quote(&"é".repeat(64)), format!("\"{}\"", "é".repeat(64)));
        assert_eq!(quote(&"é".repeat(65)), format!("\"{}…\"", "é".repeat(64)));
    }

    #[test]
    fn text_that_looks_like_a_key_is_not_repeated() {
        assert_eq!(quote("sk-px-0123456789abcdefGHIJ"), format!("\"{}\"", crate::secret::HIDDEN));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(quote("a\n\"\u{1b}"), r#""a\n\"\u{1b}""#);
    }
}
