//! The use of keys and groups, as a reader of a ledger file returns it.

use std::collections::BTreeMap;

use super::counter::{Amounts, Counter};
use crate::proxy_keys::picodollars::Picodollars;

/// The use of all keys and groups of a ledger, by their ids. One without any use is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerUsage {
    /// The keys that have made calls, also those that the keys file no longer contains.
    pub keys: BTreeMap<String, OwnerUsage>,
    /// The groups whose keys have made calls.
    pub groups: BTreeMap<String, OwnerUsage>,
}

/// The use of one key or group in the current window of each kind, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerUsage {
    /// The use in the current minute.
    pub minute: WindowUsage,
    /// The use in the current hour.
    pub hour: WindowUsage,
    /// The use in the current day.
    pub day: WindowUsage,
    /// The use in the current calendar month.
    pub month: WindowUsage,
    /// The use since the ledger was created.
    pub ever: WindowUsage,
}

impl OwnerUsage {
    /// Returns the number of calls in flight, or of calls that were in flight when the last writer ended.
    pub fn calls_in_flight(&self) -> u64 {
        // Each call in flight reserves one request.
        self.ever.reserved.requests
    }
}

/// The use in one window. A call belongs to the windows of its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowUsage {
    /// The sums of the calls that have ended.
    pub spent: UsageAmounts,
    /// The sums of the estimates for the calls in flight.
    pub reserved: UsageAmounts,
}

/// The requests, tokens and dollars of some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageAmounts {
    /// The number of calls.
    pub requests: u64,
    /// The input and output tokens.
    pub tokens: u64,
    /// The price of the tokens and tools.
    pub dollars: Picodollars,
}

impl From<Counter> for WindowUsage {
    fn from(counter: Counter) -> Self {
        Self { spent: counter.spent.into(), reserved: counter.reserved.into() }
    }
}

impl From<Amounts> for UsageAmounts {
    fn from(amounts: Amounts) -> Self {
        Self { requests: amounts.requests, tokens: amounts.tokens, dollars: Picodollars(amounts.picodollars) }
    }
}
