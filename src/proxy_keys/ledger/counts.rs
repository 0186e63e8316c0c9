//! The sums of the counts of calls.

use serde::{Deserialize, Serialize};

use crate::proxy_keys::TokenUsage;

/// Declares [`CountSums`] with these counts of [`TokenUsage`], which are all but the duration.
macro_rules! declare_count_sums {
    ($($count:ident)*) => {
        /// The sums of the counts of calls, in the fields of [`TokenUsage`]. `None` means that no call has such a count.
        ///
        /// The JSON form contains the existing sums only. Its unknown members are ignored.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(default)]
        pub(crate) struct CountSums {
            $(
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(crate) $count: Option<u64>,
            )*
            /// In nanoseconds.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) audio_duration: Option<u64>,
        }

        impl From<&TokenUsage> for CountSums {
            fn from(usage: &TokenUsage) -> Self {
                // Without `..`, so that a new count cannot be forgotten here.
                let TokenUsage { $($count,)* audio_duration } = usage;
                let nanoseconds = audio_duration.and_then(|duration| u64::try_from(duration.as_nanos()).ok());
                Self { $($count: *$count,)* audio_duration: nanoseconds }
            }
        }

        impl CountSums {
            /// Adds the counts of other calls.
            pub(crate) fn add(&mut self, other: &Self) {
                $(add_count(&mut self.$count, other.$count);)*
                add_count(&mut self.audio_duration, other.audio_duration);
            }
        }
    };
}

declare_count_sums! {
    input_tokens
    cached_input_tokens
    cache_write_input_tokens
    cache_write_5m_input_tokens
    cache_write_1h_input_tokens
    text_input_tokens
    audio_input_tokens
    image_input_tokens
    output_tokens
    reasoning_output_tokens
    text_output_tokens
    audio_output_tokens
    image_output_tokens
    accepted_prediction_tokens
    rejected_prediction_tokens
    web_search_requests
    web_fetch_requests
    images
}

impl CountSums {
    /// Returns the sums in a JSON text that a ledger has written. Another text has no counts.
    #[cfg(feature = "sqlite")]
    pub(crate) fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Returns the existing sums as a JSON object.
    #[cfg(feature = "sqlite")]
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a struct of integers has a JSON form")
    }
}

/// Adds a count to a sum, which does not wrap. A count that does not exist changes nothing.
fn add_count(sum: &mut Option<u64>, added: Option<u64>) {
    if let Some(count) = added {
        *sum = Some(sum.unwrap_or(0).saturating_add(count));
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "sqlite")]
    use std::time::Duration;

    use super::{CountSums, TokenUsage};

    #[test]
    fn sum_without_a_count_differs_from_a_sum_of_zero() {
        let zero = TokenUsage { output_tokens: Some(0), ..TokenUsage::default() };
        let mut sums = CountSums::default();
        sums.add(&CountSums::from(&zero));
        assert_eq!((sums.output_tokens, sums.input_tokens), (Some(0), None));
    }

    #[test]
    fn sum_of_large_counts_does_not_wrap() {
        let usage = TokenUsage { output_tokens: Some(u64::MAX), ..TokenUsage::default() };
        let mut sums = CountSums::from(&usage);
        sums.add(&CountSums::from(&usage));
        assert_eq!(sums.output_tokens, Some(u64::MAX));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn json_of_sums_contains_the_existing_ones() {
        let usage = TokenUsage {
            input_tokens: Some(0),
            audio_duration: Some(Duration::from_nanos(7)),
            ..TokenUsage::default()
        };
        let sums = CountSums::from(&usage);
        assert_eq!(sums.to_json(), r#"{"input_tokens":0,"audio_duration":7}"#);
        assert_eq!(CountSums::from_json(&sums.to_json()), sums);
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn unknown_count_in_a_json_text_is_ignored() {
        let sums = CountSums::from_json(r#"{"new_tokens":4,"input_tokens":5}"#);
        assert_eq!(sums, CountSums { input_tokens: Some(5), ..CountSums::default() });
        assert_eq!(CountSums::from_json("no JSON"), CountSums::default());
    }
}
