//! The cost of a call: the prices of its model, multiplied by the counts of its usage.

use super::{ModelPrices, PricedCounter};
use crate::proxy_keys::TokenUsage;

/// The cost of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The exact amount in picodollars (10⁻¹² $), or `u64::MAX` if it is larger.
    pub(crate) picodollars: u64,
    /// True if a counter that is not zero has no price, so the amount is not exact.
    pub(crate) has_unpriced_counter: bool,
}

impl ModelPrices {
    /// Returns the cost of the usage of a call.
    ///
    /// Each token has one price: that of its part of the input or output, or else of the whole. A part without a price is
    /// charged at the highest rate of the model. If parts overlap, such as tokens that are cached and audio, they are
    /// charged as if they did not.
    pub(crate) fn cost(&self, usage: &TokenUsage) -> Cost {
        let mut picodollars: u128 = 0;
        // Audio that is charged by its length has no price in the keys file.
        let mut has_unpriced_counter = usage.audio_duration.is_some_and(|duration| !duration.is_zero());
        for (counter, count) in counts(usage) {
            let rate = match self.of(counter) {
                Some(rate) => rate,
                None => {
                    has_unpriced_counter |= count > 0;
                    self.highest_rate(counter)
                }
            };
            picodollars += u128::from(rate) * u128::from(count);
        }
        Cost { picodollars: u64::try_from(picodollars).unwrap_or(u64::MAX), has_unpriced_counter }
    }

    /// Returns the cost of tokens of an unknown kind, in picodollars: the highest rate of a token.
    pub(crate) fn highest_cost(&self, tokens: u64) -> u64 {
        self.highest_rate(PricedCounter::Input).saturating_mul(tokens)
    }

    /// Returns the rate of a counter without a price: the highest of the model. Requests of a tool cost thousands of
    /// times more than a token, so their prices do not count for tokens.
    fn highest_rate(&self, unpriced: PricedCounter) -> u64 {
        let mut highest = 0;
        for counter in PricedCounter::ALL {
            if counter.is_token() || !unpriced.is_token() {
                highest = highest.max(self.of(counter).unwrap_or(0));
            }
        }
        highest
    }
}

impl PricedCounter {
    /// True if a unit of the counter is a token, and not a request of a tool.
    fn is_token(self) -> bool {
        !matches!(self, PricedCounter::WebSearch | PricedCounter::WebFetch)
    }
}

/// Splits the usage into disjoint parts, each with the counter of its price.
///
/// An example: of 100 input tokens, 60 are cached and 10 are audio, so 30 are charged as input.
fn counts(usage: &TokenUsage) -> [(PricedCounter, u64); PricedCounter::ALL.len()] {
    let cached = usage.cached_input_tokens.unwrap_or(0);
    let cache_write_5m = usage.cache_write_5m_input_tokens.unwrap_or(0);
    let cache_write_1h = usage.cache_write_1h_input_tokens.unwrap_or(0);
    let audio_input = usage.audio_input_tokens.unwrap_or(0);
    let image_input = usage.image_input_tokens.unwrap_or(0);
    let audio_output = usage.audio_output_tokens.unwrap_or(0);
    let image_output = usage.image_output_tokens.unwrap_or(0);
    let cache_write = rest(usage.cache_write_input_tokens, &[cache_write_5m, cache_write_1h]);
    let input_parts = [cached, cache_write, cache_write_5m, cache_write_1h, audio_input, image_input];
    [
        (PricedCounter::Input, rest(usage.input_tokens, &input_parts)),
        (PricedCounter::CachedInput, cached),
        (PricedCounter::CacheWrite, cache_write),
        (PricedCounter::CacheWrite5m, cache_write_5m),
        (PricedCounter::CacheWrite1h, cache_write_1h),
        (PricedCounter::AudioInput, audio_input),
        (PricedCounter::ImageInput, image_input),
        (PricedCounter::Output, rest(usage.output_tokens, &[audio_output, image_output])),
        (PricedCounter::AudioOutput, audio_output),
        (PricedCounter::ImageOutput, image_output),
        (PricedCounter::WebSearch, usage.web_search_requests.unwrap_or(0)),
        (PricedCounter::WebFetch, usage.web_fetch_requests.unwrap_or(0)),
    ]
}

/// Returns the part of a total that is in no other part, or 0 if the parts are larger than the total.
fn rest(total: Option<u64>, parts: &[u64]) -> u64 {
    let mut rest = total.unwrap_or(0);
    for part in parts {
        rest = rest.saturating_sub(*part);
    }
    rest
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cost, ModelPrices, PricedCounter};
    use crate::proxy_keys::TokenUsage;

    fn prices(list: &[(PricedCounter, u64)]) -> ModelPrices {
        let mut prices = ModelPrices::default();
        for (counter, picodollars) in list {
            prices.set(*counter, *picodollars);
        }
        prices
    }

    /// 0.25 $ for a million input tokens, 0.025 $ cached, 2 $ output.
    fn mini() -> ModelPrices {
        prices(&[
            (PricedCounter::Input, 250_000),
            (PricedCounter::CachedInput, 25_000),
            (PricedCounter::Output, 2_000_000),
        ])
    }

    fn usage(set: impl FnOnce(&mut TokenUsage)) -> TokenUsage {
        let mut usage = TokenUsage::default();
        set(&mut usage);
        usage
    }

    #[test]
    fn cached_tokens_are_charged_once() {
        let usage = usage(|usage| {
            usage.input_tokens = Some(100);
            usage.cached_input_tokens = Some(60);
            usage.output_tokens = Some(10);
            usage.reasoning_output_tokens = Some(8);
        });
        let picodollars = 40 * 250_000 + 60 * 25_000 + 10 * 2_000_000;
        assert_eq!(mini().cost(&usage), Cost { picodollars, has_unpriced_counter: false });
    }

    #[test]
    fn cache_writes_are_charged_by_their_lifetime() {
        let prices = prices(&[
            (PricedCounter::Input, 1),
            (PricedCounter::CacheWrite, 10),
            (PricedCounter::CacheWrite5m, 100),
            (PricedCounter::CacheWrite1h, 1_000),
        ]);
        let usage = usage(|usage| {
            usage.input_tokens = Some(9);
            usage.cache_write_input_tokens = Some(7);
            usage.cache_write_5m_input_tokens = Some(3);
            usage.cache_write_1h_input_tokens = Some(2);
        });
        assert_eq!(
            prices.cost(&usage),
            Cost { picodollars: 2 + 20 + 300 + 2_000, has_unpriced_counter: false }
        );
    }

    #[test]
    fn counter_of_each_kind_is_charged_at_its_price() {
        let all: Vec<_> =
            PricedCounter::ALL.into_iter().zip((0..12).map(|power| 10_u64.pow(power))).collect();
        let usage = usage(|usage| {
            usage.input_tokens = Some(100);
            usage.cached_input_tokens = Some(2);
            usage.cache_write_input_tokens = Some(12);
            usage.cache_write_5m_input_tokens = Some(4);
            usage.cache_write_1h_input_tokens = Some(5);
            usage.audio_input_tokens = Some(6);
            usage.image_input_tokens = Some(73);
            usage.output_tokens = Some(20);
            usage.audio_output_tokens = Some(8);
            usage.image_output_tokens = Some(4);
            usage.web_search_requests = Some(1);
            usage.web_fetch_requests = Some(9);
        });
        let counts = [7, 2, 3, 4, 5, 6, 73, 8, 8, 4, 1, 9];
        let mut picodollars = 0;
        for (count, (_, price)) in counts.into_iter().zip(&all) {
            picodollars += count * price;
        }
        assert_eq!(prices(&all).cost(&usage), Cost { picodollars, has_unpriced_counter: false });
    }

    #[test]
    fn token_without_a_price_is_charged_at_the_highest_rate_of_a_token() {
        let mut prices = mini();
        prices.set(PricedCounter::WebSearch, 10_000_000_000);
        let usage = usage(|usage| {
            usage.input_tokens = Some(5);
            usage.audio_input_tokens = Some(5);
        });
        assert_eq!(prices.cost(&usage), Cost { picodollars: 5 * 2_000_000, has_unpriced_counter: true });
        assert_eq!(prices.highest_cost(7), 7 * 2_000_000);
    }

    #[test]
    fn tool_without_a_price_is_charged_at_the_highest_rate() {
        let mut prices = mini();
        prices.set(PricedCounter::WebSearch, 10_000_000_000);
        let usage = usage(|usage| usage.web_fetch_requests = Some(2));
        assert_eq!(prices.cost(&usage), Cost { picodollars: 20_000_000_000, has_unpriced_counter: true });
    }

    #[test]
    fn audio_that_is_charged_by_its_length_is_marked() {
        let usage = usage(|usage| usage.audio_duration = Some(Duration::from_secs(1)));
        assert!(mini().cost(&usage).has_unpriced_counter);
    }

    #[test]
    fn counter_of_zero_needs_no_price() {
        let usage = usage(|usage| {
            usage.audio_input_tokens = Some(0);
            usage.audio_duration = Some(Duration::ZERO);
        });
        assert_eq!(mini().cost(&usage), Cost::default());
    }

    #[test]
    fn cost_that_exceeds_a_u64_is_the_largest() {
        let usage = usage(|usage| usage.output_tokens = Some(u64::MAX));
        assert_eq!(mini().cost(&usage).picodollars, u64::MAX);
        assert_eq!(mini().highest_cost(u64::MAX), u64::MAX);
    }

    #[test]
    fn parts_larger_than_their_total_are_charged() {
        let usage = usage(|usage| {
            usage.input_tokens = Some(10);
            usage.cached_input_tokens = Some(20);
        });
        assert_eq!(mini().cost(&usage).picodollars, 20 * 25_000);
    }
}
