//! One counter of a key or group: its limit, if there is one, and its amounts.
use serde::{Serialize, Serializer};
use tower_api_key_name::proxy_keys::{OwnerUsage, Picodollars, WindowUsage};

use crate::keys_command::limits::{KeyLimits, LimitFlag, LimitWindow};

/// A counter with its amounts. With a limit, the used, reserved and remaining amounts are its parts, unless more was used.
#[derive(Debug, Serialize)]
pub(super) struct UsageLine {
    meter: &'static str,
    /// `None` for `parallel`.
    window: Option<LimitWindow>,
    limit: Option<MeterAmount>,
    used: MeterAmount,
    reserved: MeterAmount,
    left: Option<MeterAmount>,
}

/// A number of requests or tokens, or an amount of money.
#[derive(Clone, Copy, Debug)]
enum MeterAmount {
    Count(u64),
    Dollars(Picodollars),
}

impl UsageLine {
    /// The columns of the table.
    pub(super) const COLUMNS: [&str; 5] = ["counter", "limit", "used", "reserved", "left"];

    /// Returns the cells of the table.
    pub(super) fn cells(&self) -> [String; Self::COLUMNS.len()] {
        let counter = match self.window {
            Some(window) => format!("{}/{window}", self.meter),
            None => self.meter.to_owned(),
        };
        [
            counter,
            optional_text(self.limit),
            self.used.to_string(),
            self.reserved.to_string(),
            optional_text(self.left),
        ]
    }

    /// Returns the counter of a limit.
    fn of_limit(limit: &LimitFlag, usage: &OwnerUsage) -> Self {
        match limit {
            LimitFlag::Requests(window, count) => {
                requests_line(*window, usage).with_limit(MeterAmount::Count(*count))
            }
            LimitFlag::Tokens(window, count) => {
                tokens_line(*window, usage).with_limit(MeterAmount::Count(*count))
            }
            LimitFlag::Dollars(window, text) => {
                let amount = Picodollars(parse_picodollars(text));
                dollars_line(*window, usage).with_limit(MeterAmount::Dollars(amount))
            }
            LimitFlag::Parallel(count) => {
                let used = MeterAmount::Count(usage.calls_in_flight());
                Self::new("parallel", None, used, MeterAmount::Count(0))
                    .with_limit(MeterAmount::Count(*count))
            }
        }
    }

    fn new(
        meter: &'static str,
        window: Option<LimitWindow>,
        used: MeterAmount,
        reserved: MeterAmount,
    ) -> Self {
        Self { meter, window, limit: None, used, reserved, left: None }
    }

    /// Adds a limit and the amount that remains of it, which is 0 if more was used.
    fn with_limit(mut self, limit: MeterAmount) -> Self {
        self.limit = Some(limit);
        self.left = Some(limit.minus(self.used).minus(self.reserved));
        self
    }
}

/// Returns a line for each limit. Without limits, returns the requests, tokens and dollars of the day and the month.
pub(super) fn usage_lines(limits: &KeyLimits, usage: &OwnerUsage) -> Vec<UsageLine> {
    let mut lines = Vec::new();
    for limit in limits.flags() {
        lines.push(UsageLine::of_limit(&limit, usage));
    }
    if lines.is_empty() {
        for window in [LimitWindow::Day, LimitWindow::Month] {
            lines.push(requests_line(window, usage));
            lines.push(tokens_line(window, usage));
            lines.push(dollars_line(window, usage));
        }
    }
    lines
}

fn requests_line(window: LimitWindow, usage: &OwnerUsage) -> UsageLine {
    let WindowUsage { spent, reserved, .. } = window_usage(window, usage);
    UsageLine::new(
        "requests",
        Some(window),
        MeterAmount::Count(spent.requests),
        MeterAmount::Count(reserved.requests),
    )
}

fn tokens_line(window: LimitWindow, usage: &OwnerUsage) -> UsageLine {
    let WindowUsage { spent, reserved, .. } = window_usage(window, usage);
    UsageLine::new(
        "tokens",
        Some(window),
        MeterAmount::Count(spent.tokens),
        MeterAmount::Count(reserved.tokens),
    )
}

fn dollars_line(window: LimitWindow, usage: &OwnerUsage) -> UsageLine {
    let WindowUsage { spent, reserved, .. } = window_usage(window, usage);
    UsageLine::new(
        "dollars",
        Some(window),
        MeterAmount::Dollars(spent.dollars),
        MeterAmount::Dollars(reserved.dollars),
    )
}

fn window_usage(window: LimitWindow, usage: &OwnerUsage) -> WindowUsage {
    match window {
        LimitWindow::Minute => usage.minute,
        LimitWindow::Hour => usage.hour,
        LimitWindow::Day => usage.day,
        LimitWindow::Month => usage.month,
        LimitWindow::Ever => usage.ever,
    }
}

/// Parses the dollars of a limit, such as `25.00`, which the library has checked. Returns 0 for another text.
fn parse_picodollars(text: &str) -> u64 {
    let (dollars, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{dollars}{fraction:0<12}").parse().unwrap_or_default()
}

/// Returns the text of an amount, or `-`.
fn optional_text(amount: Option<MeterAmount>) -> String {
    amount.map_or("-".to_owned(), |amount| amount.to_string())
}

impl MeterAmount {
    /// Returns the difference, or 0 if the other amount is larger. Both are counts, or both are dollars.
    fn minus(self, other: Self) -> Self {
        match (self, other) {
            (MeterAmount::Dollars(Picodollars(whole)), MeterAmount::Dollars(Picodollars(part))) => {
                MeterAmount::Dollars(Picodollars(whole.saturating_sub(part)))
            }
            (MeterAmount::Count(whole), MeterAmount::Count(part)) => {
                MeterAmount::Count(whole.saturating_sub(part))
            }
            (amount, _) => amount,
        }
    }
}

impl std::fmt::Display for MeterAmount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MeterAmount::Count(count) => count.fmt(f),
            MeterAmount::Dollars(dollars) => dollars.fmt(f),
        }
    }
}

/// Serializes dollars as text, because a JSON number is read as a binary fraction.
impl Serialize for MeterAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            MeterAmount::Count(count) => serializer.serialize_u64(*count),
            MeterAmount::Dollars(dollars) => serializer.collect_str(dollars),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_picodollars;

    #[test]
    fn dollars_of_a_limit_are_exact_picodollars() {
        for (text, picodollars) in [
            ("25", 25_000_000_000_000),
            ("25.00", 25_000_000_000_000),
            ("0.000001", 1_000_000),
            ("9223372.036854", 9_223_372_036_854_000_000),
        ] {
            assert_eq!(parse_picodollars(text), picodollars, "{text}");
        }
    }
}
