//! The estimate of a call before it is made.

use memchr::memchr2;
use memchr::memmem;

use super::gate::CheckedBody;
use super::keys::{Prices, ProxyKey};
use super::ledger::Charge;

/// The bytes of a request body for one token. English text has about 4.
const BYTES_PER_TOKEN: u64 = 4;

/// The tokens of a string that starts with `data:`, such as an image, however long it is.
const TOKENS_PER_DATA_STRING: u64 = 1_000;

/// The start of a string with data.
const DATA_STRING: &[u8] = b"\"data:";

/// The expected use of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallEstimate {
    pub(super) input_tokens: u64,
    /// The charge to reserve: the input and the declared output, at the highest rate of the model.
    pub(super) reserved: Charge,
}

impl CallEstimate {
    /// Estimates a call from its body, before the edit of the layer.
    pub(super) fn new(body: &[u8], checked: &CheckedBody, key: &ProxyKey, prices: &Prices) -> Self {
        let input_tokens = estimate_input_tokens(body);
        let tokens = input_tokens.saturating_add(checked.output.tokens_to_reserve(key.reserve));
        let model_prices = prices.find(&checked.model);
        let picodollars = model_prices.map_or(0, |prices| prices.highest_cost(tokens));
        Self { input_tokens, reserved: Charge { tokens, picodollars } }
    }
}

/// Estimates the input tokens of a JSON body from its length.
fn estimate_input_tokens(body: &[u8]) -> u64 {
    let mut text_len = body.len() as u64;
    let mut data_string_count: u64 = 0;
    let mut rest = body;
    while let Some(found) = memmem::find(rest, DATA_STRING) {
        // A quote that begins a string is not escaped, and one that ends it is not followed by a letter.
        let is_escaped = found > 0 && rest[found - 1] == b'\\';
        let string = &rest[found + 1..];
        let string_len = if is_escaped { 0 } else { string_len(string) };
        if !is_escaped {
            data_string_count += 1;
            text_len -= string_len as u64;
        }
        rest = &string[string_len..];
    }
    text_len.div_ceil(BYTES_PER_TOKEN) + data_string_count * TOKENS_PER_DATA_STRING
}

/// Returns the number of bytes before the quote that ends a string.
fn string_len(text: &[u8]) -> usize {
    let mut len = 0;
    while let Some(found) = memchr2(b'"', b'\\', &text[len..]) {
        len += found;
        if text[len] == b'"' {
            return len;
        }
        // The byte behind a backslash is a part of the string.
        len = (len + 2).min(text.len());
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::estimate_input_tokens;

    #[test]
    fn four_bytes_are_a_token() {
        for (body, tokens) in [("", 0), ("1", 1), ("1234", 1), ("12345", 2)] {
            assert_eq!(estimate_input_tokens(body.as_bytes()), tokens, "{body}");
        }
    }

    #[test]
    fn string_of_data_counts_as_a_thousand_tokens() {
        let long = "x".repeat(100_000);
        // The text has 8 bytes without the data: `["",""]` and a line feed.
        let body = format!("[\"data:{long}\",\"data:\\\"\\\\\"]\n");
        assert_eq!(estimate_input_tokens(body.as_bytes()), 2 + 2_000);
    }

    #[test]
    fn data_within_a_string_counts_by_its_bytes() {
        for body in [r#""\"data:xx""#, r#""x data:xxx""#, r#""data.xxxxx""#] {
            assert_eq!(estimate_input_tokens(body.as_bytes()), 3, "{body}");
        }
    }

    #[test]
    fn string_of_data_that_is_cut_ends_with_the_body() {
        assert_eq!(estimate_input_tokens(br#""data:x\"#), 1 + 1_000);
    }
}
