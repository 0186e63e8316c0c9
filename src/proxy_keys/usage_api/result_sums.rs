//! The sums of the calls in one result.

use crate::proxy_keys::ledger::CallSums;

/// The sums of the calls in one result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ResultSums {
    pub(super) calls: CallSums,
    /// The input tokens that were neither read from nor written to a cache.
    pub(super) uncached_input_tokens: u64,
    /// Charged tokens that are neither input nor output tokens, such as those of a call whose end is unknown.
    pub(super) undivided_tokens: u64,
}

impl ResultSums {
    /// Adds one stored sum, of an hour or of a call.
    ///
    /// The differences are calculated for each stored sum, so the sums of several results equal those of one result with the
    /// same calls.
    pub(super) fn add(&mut self, sums: &CallSums) {
        self.calls.add(sums);
        let input_tokens = sums.counts.input_tokens.unwrap_or(0);
        let output_tokens = sums.counts.output_tokens.unwrap_or(0);
        let cached_tokens = sums.counts.cached_input_tokens.unwrap_or(0);
        let cache_write_tokens = sums.counts.cache_write_input_tokens.unwrap_or(0);
        let uncached_tokens = input_tokens.saturating_sub(cached_tokens).saturating_sub(cache_write_tokens);
        self.uncached_input_tokens = self.uncached_input_tokens.saturating_add(uncached_tokens);
        let undivided_tokens = sums.amounts.tokens.saturating_sub(input_tokens).saturating_sub(output_tokens);
        self.undivided_tokens = self.undivided_tokens.saturating_add(undivided_tokens);
    }
}
