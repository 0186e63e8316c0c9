//! The limits of a key or a group.

use std::fmt;

/// The limits of a key or a group. A meter and window without a limit is unlimited.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The amounts, each for another pair of meter and window.
    pub(crate) amounts: Vec<Limit>,
    /// The greatest number of calls in flight.
    pub(crate) parallel: Option<u64>,
}

/// The amount that may be used in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) meter: Meter,
    pub(crate) window: Window,
    /// The number of requests, tokens or picodollars (10⁻¹² $), from 1 to `i64::MAX`.
    pub(crate) amount: u64,
}

/// A quantity that calls use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meter {
    /// Calls, also those that fail.
    Requests,
    /// Input and output tokens.
    Tokens,
    /// The price of the tokens and tools.
    Dollars,
}

/// A period of the calendar in UTC, in which the use is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Window {
    Minute,
    Hour,
    Day,
    Month,
    /// All time: the use is never forgotten.
    Ever,
}

impl Limits {
    /// True if there is no limit.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.amounts.is_empty() && self.parallel.is_none()
    }

    /// True if the use of this meter is limited in some window.
    pub(crate) fn has_meter(&self, meter: Meter) -> bool {
        self.amounts.iter().any(|limit| limit.meter == meter)
    }
}

impl Meter {
    /// All meters.
    #[cfg(test)]
    pub(crate) const ALL: [Meter; 3] = [Meter::Requests, Meter::Tokens, Meter::Dollars];

    /// The name in the keys file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Meter::Requests => "requests",
            Meter::Tokens => "tokens",
            Meter::Dollars => "dollars",
        }
    }
}

impl Window {
    /// All windows, the shortest first.
    pub(crate) const ALL: [Window; 5] =
        [Window::Minute, Window::Hour, Window::Day, Window::Month, Window::Ever];

    /// The name in the keys file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Window::Minute => "minute",
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Month => "month",
            Window::Ever => "ever",
        }
    }
}

/// Writes each limit in the form `tokens/day: 200000`, dollars as picodollars.
impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for Limit { meter, window, amount } in &self.amounts {
            map.entry(&format_args!("{}/{}", meter.as_str(), window.as_str()), amount);
        }
        if let Some(parallel) = self.parallel {
            map.entry(&format_args!("parallel"), &parallel);
        }
        map.finish()
    }
}
