//! The counters: the spent and the reserved amounts of a key or a group in one window.

use std::sync::Arc;

use jiff::Timestamp;

use crate::proxy_keys::keys::{Meter, Window};

/// The largest amount. SQLite has no larger integer.
const MAX_AMOUNT: u64 = i64::MAX as u64;

/// The largest reservation of a call: 1,125 $ or 10¹⁵ tokens. Thousands of them fit in a counter.
const MAX_RESERVED: u64 = 1 << 50;

/// The tokens and the money of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    /// All input and output tokens.
    pub(crate) tokens: u64,
    /// The price in picodollars (10⁻¹² $).
    pub(crate) picodollars: u64,
}

impl Charge {
    /// Returns the charge in amounts that a store can contain.
    pub(crate) fn storable(self) -> Self {
        Self { tokens: self.tokens.min(MAX_AMOUNT), picodollars: self.picodollars.min(MAX_AMOUNT) }
    }

    /// Returns the part of the charge that may be reserved, so that the sum of reservations never exceeds an `i64`.
    pub(crate) fn capped(self) -> Self {
        Self { tokens: self.tokens.min(MAX_RESERVED), picodollars: self.picodollars.min(MAX_RESERVED) }
    }
}

/// A quantity of each meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    pub(crate) picodollars: u64,
}

impl Amounts {
    /// Returns the amounts of one call: its charge, and the request itself.
    pub(crate) fn of_call(charge: Charge) -> Self {
        Self { requests: 1, tokens: charge.tokens, picodollars: charge.picodollars }
    }

    /// Returns the sum. An amount does not grow past `i64::MAX`, which no limit exceeds.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            requests: add_amount(self.requests, other.requests),
            tokens: add_amount(self.tokens, other.tokens),
            picodollars: add_amount(self.picodollars, other.picodollars),
        }
    }

    /// Returns the difference. The other amounts are parts of these.
    #[must_use]
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            tokens: self.tokens.saturating_sub(other.tokens),
            picodollars: self.picodollars.saturating_sub(other.picodollars),
        }
    }

    /// Returns the amount of one meter.
    pub(crate) fn of_meter(self, meter: Meter) -> u64 {
        match meter {
            Meter::Requests => self.requests,
            Meter::Tokens => self.tokens,
            Meter::Dollars => self.picodollars,
        }
    }
}

/// Returns a sum that a store can contain: it does not grow past `i64::MAX`.
pub(crate) fn add_amount(sum: u64, amount: u64) -> u64 {
    sum.saturating_add(amount).min(MAX_AMOUNT)
}

/// The amounts of all meters of an owner in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    /// The amounts of the settled calls. They never decrease, and may exceed a limit.
    pub(crate) spent: Amounts,
    /// The reservations of the calls in flight.
    pub(crate) reserved: Amounts,
}

/// A key or a group, by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    Key(Arc<str>),
    Group(Arc<str>),
}

impl Owner {
    /// Returns the kind of the owner in a store.
    #[cfg(feature = "sqlite")]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Owner::Key(_) => "key",
            Owner::Group(_) => "group",
        }
    }

    /// Returns the id in the keys file.
    #[cfg(feature = "sqlite")]
    pub(crate) fn id(&self) -> &str {
        match self {
            Owner::Key(id) | Owner::Group(id) => id,
        }
    }
}

/// The identity of a counter.
///
/// It contains the start of the window, so a counter is never reset, and a clock that goes back finds the earlier counter.
/// It contains no limit, so a new or changed limit counts the use of its current window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CounterKey {
    pub(crate) owner: Owner,
    pub(crate) window: Window,
    /// The start of the window, in seconds since 1970.
    pub(crate) start: i64,
}

impl CounterKey {
    /// Returns the identity of the counter that counts a call which is admitted at this instant.
    pub(crate) fn at(owner: &Owner, window: Window, instant: Timestamp) -> Self {
        Self { owner: owner.clone(), window, start: window.start_at(instant) }
    }
}
