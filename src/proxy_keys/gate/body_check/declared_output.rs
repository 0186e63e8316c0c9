//! The amount of output that a request body declares.

use super::refuse;
use crate::proxy_keys::gate::Refusal;
use crate::proxy_keys::gate::usage_option::ValueStart;

/// The members with the greatest number of output tokens.
const CEILINGS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// The members with the number of outputs. Each of them may have as many tokens as the ceiling.
const OUTPUT_COUNTS: [&str; 2] = ["n", "best_of"];

/// The output that a request declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeclaredOutput {
    /// The largest ceiling, for one output. `None` if there is none.
    ceiling: Option<u64>,
    /// The largest number of outputs. `None` if there is none.
    count: Option<u64>,
}

impl DeclaredOutput {
    /// Returns the number of output tokens to reserve: the declared ones, but at most `reserve`.
    pub(crate) fn tokens_to_reserve(self, reserve: u64) -> u64 {
        match self.ceiling {
            Some(ceiling) => ceiling.saturating_mul(self.output_count().max(1)).min(reserve),
            None => reserve,
        }
    }

    /// The declared number of outputs, or 1.
    pub(crate) fn output_count(self) -> u64 {
        self.count.unwrap_or(1)
    }

    /// Reads these members of the root object from a body that consists of these chunks. Returns an error if a value is no
    /// whole number, or if a `u64` cannot represent it.
    pub(super) fn read(numbers: &[(&'static str, ValueStart)], chunks: &[&[u8]]) -> Result<Self, Refusal> {
        let mut output = Self::default();
        for (name, value) in numbers {
            let Ok(number) = number_text(chunks, value.offset).parse() else {
                let message =
                    format!("The member {name:?} must be a whole number that is not negative, or null.");
                return Err(refuse(message).about(*name));
            };
            let largest = if CEILINGS.contains(name) { &mut output.ceiling } else { &mut output.count };
            *largest = Some(largest.unwrap_or(0).max(number));
        }
        Ok(output)
    }
}

/// True if a member of the root object declares an amount of output.
pub(super) fn declares_output(name: &str) -> bool {
    CEILINGS.contains(&name) || OUTPUT_COUNTS.contains(&name)
}

/// Returns the text of the number at an offset of the body.
fn number_text(chunks: &[&[u8]], offset: u64) -> String {
    let bytes = chunks.iter().copied().flatten().skip(offset as usize);
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    bytes.take_while(is_part).map(|byte| char::from(*byte)).collect()
}
