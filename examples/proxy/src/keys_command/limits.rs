//! The limits of a key, in the form of the file and in that of `--limit`.
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The form of a limit, with examples.
const EXPECTED: &str = "expected METER/WINDOW=AMOUNT, for example requests/minute=60, tokens/day=200000 or \
                        dollars/month=25.00, or parallel=8; the windows are minute, hour, day, month and ever";

/// The greatest number of decimal places of a dollar.
const MAX_DECIMAL_PLACES: usize = 6;

/// The limits of one key, as the keys file contains them.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct KeyLimits {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    requests: BTreeMap<LimitWindow, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tokens: BTreeMap<LimitWindow, u64>,
    /// Decimal text, because a JSON number is read as a binary fraction.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    dollars: BTreeMap<LimitWindow, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parallel: Option<u64>,
}

/// The UTC period over which usage is added up; `ever` has no end.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitWindow {
    Minute,
    Hour,
    Day,
    Month,
    Ever,
}

/// The value of one `--limit`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LimitFlag {
    Requests(LimitWindow, u64),
    Tokens(LimitWindow, u64),
    Dollars(LimitWindow, String),
    Parallel(u64),
}

impl KeyLimits {
    /// Adds a limit. Fails if there is one with the same meter and window.
    pub fn add(&mut self, limit: &LimitFlag) -> Result<(), String> {
        let replaced = match limit {
            LimitFlag::Requests(window, count) => self.requests.insert(*window, *count).is_some(),
            LimitFlag::Tokens(window, count) => self.tokens.insert(*window, *count).is_some(),
            LimitFlag::Dollars(window, amount) => self.dollars.insert(*window, amount.clone()).is_some(),
            LimitFlag::Parallel(count) => self.parallel.replace(*count).is_some(),
        };
        if replaced { Err(format!("--limit {limit}: there are two limits of this kind")) } else { Ok(()) }
    }

    /// True if there is no limit.
    pub fn is_empty(&self) -> bool {
        let has_windows = !(self.requests.is_empty() && self.tokens.is_empty() && self.dollars.is_empty());
        !has_windows && self.parallel.is_none()
    }

    /// Returns the limits as values of `--limit`.
    pub(super) fn flags(&self) -> Vec<LimitFlag> {
        let mut flags = Vec::new();
        for (window, count) in &self.requests {
            flags.push(LimitFlag::Requests(*window, *count));
        }
        for (window, count) in &self.tokens {
            flags.push(LimitFlag::Tokens(*window, *count));
        }
        for (window, amount) in &self.dollars {
            flags.push(LimitFlag::Dollars(*window, amount.clone()));
        }
        if let Some(count) = self.parallel {
            flags.push(LimitFlag::Parallel(count));
        }
        flags
    }
}

/// Writes the values of `--limit`, separated by spaces, or `none`.
impl fmt::Display for KeyLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.flags().iter().map(LimitFlag::to_string).collect();
        if words.is_empty() { f.write_str("none") } else { f.write_str(&words.join(" ")) }
    }
}

impl fmt::Display for LimitFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitFlag::Requests(window, count) => write!(f, "requests/{window}={count}"),
            LimitFlag::Tokens(window, count) => write!(f, "tokens/{window}={count}"),
            LimitFlag::Dollars(window, amount) => write!(f, "dollars/{window}={amount}"),
            LimitFlag::Parallel(count) => write!(f, "parallel={count}"),
        }
    }
}

impl fmt::Display for LimitWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitWindow::Minute => "minute",
            LimitWindow::Hour => "hour",
            LimitWindow::Day => "day",
            LimitWindow::Month => "month",
            LimitWindow::Ever => "ever",
        })
    }
}

/// Parses a value of `--limit`.
pub fn parse_limit(text: &str) -> Result<LimitFlag, String> {
    let Some((counter, amount)) = text.split_once('=') else { return Err(EXPECTED.to_owned()) };
    if counter == "parallel" {
        return parse_count(amount).map(LimitFlag::Parallel);
    }
    let Some((meter, window_name)) = counter.split_once('/') else { return Err(EXPECTED.to_owned()) };
    let window = parse_window(window_name)?;
    match meter {
        "requests" => Ok(LimitFlag::Requests(window, parse_count(amount)?)),
        "tokens" => Ok(LimitFlag::Tokens(window, parse_count(amount)?)),
        "dollars" => Ok(LimitFlag::Dollars(window, parse_dollars(amount)?)),
        _ => Err(EXPECTED.to_owned()),
    }
}

fn parse_window(name: &str) -> Result<LimitWindow, String> {
    match name {
        "minute" => Ok(LimitWindow::Minute),
        "hour" => Ok(LimitWindow::Hour),
        "day" => Ok(LimitWindow::Day),
        "month" => Ok(LimitWindow::Month),
        "ever" => Ok(LimitWindow::Ever),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// Parses a whole number from 1 to `i64::MAX`, in digits only.
fn parse_count(text: &str) -> Result<u64, String> {
    match text.parse::<i64>() {
        // `parse` also accepts a sign.
        Ok(count @ 1..) if is_number(text) => Ok(count.unsigned_abs()),
        _ => Err("the amount is a whole number above 0, such as 200000".to_owned()),
    }
}

/// Checks an amount in dollars, such as `25` or `25.00`. Returns the text, so that the file contains it as given.
fn parse_dollars(text: &str) -> Result<String, String> {
    let (dollars, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let has_leading_zero = dollars.len() > 1 && dollars.starts_with('0');
    let is_decimal = is_number(dollars) && is_number(fraction) && fraction.len() <= MAX_DECIMAL_PLACES;
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if !is_decimal || has_leading_zero || is_zero {
        return Err("the amount is a number of dollars above 0 with at most 6 decimal places, such as 25.00"
            .to_owned());
    }
    Ok(text.to_owned())
}

/// True if a text consists of digits.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(flags: &[&str]) -> Result<KeyLimits, String> {
        let mut limits = KeyLimits::default();
        for flag in flags {
            limits.add(&parse_limit(flag)?)?;
        }
        Ok(limits)
    }

    #[test]
    fn limits_of_one_meter_are_merged_by_window() {
        let flags =
            ["tokens/month=9", "requests/minute=60", "parallel=8", "tokens/day=7", "dollars/ever=25.00"];
        let limits = limits(&flags).unwrap();
        assert_eq!(
            serde_json::to_string(&limits).unwrap(),
            r#"{"requests":{"minute":60},"tokens":{"day":7,"month":9},"dollars":{"ever":"25.00"},"parallel":8}"#
        );
        assert_eq!(
            limits.to_string(),
            "requests/minute=60 tokens/day=7 tokens/month=9 dollars/ever=25.00 parallel=8"
        );
    }

    #[test]
    fn limit_with_the_same_meter_and_window_twice_is_rejected() {
        for flags in [["tokens/day=1", "tokens/day=2"], ["parallel=1", "parallel=1"]] {
            assert!(limits(&flags).unwrap_err().contains("two limits of this kind"), "{flags:?}");
        }
        assert!(limits(&["tokens/day=1", "tokens/hour=1", "requests/day=1"]).is_ok());
    }

    #[test]
    fn limit_of_another_form_is_rejected_with_an_example() {
        for (flag, reason) in [
            ("", "expected METER/WINDOW=AMOUNT"),
            ("tokens=5", "expected METER/WINDOW=AMOUNT"),
            ("tokens/day", "expected METER/WINDOW=AMOUNT"),
            ("tokens/week=5", "the windows are minute, hour, day, month and ever"),
            ("euros/day=5", "dollars/month=25.00"),
            ("parallel/day=5", "or parallel=8"),
            ("tokens/day=0", "above 0"),
            ("tokens/day=+5", "such as 200000"),
            ("tokens/day=200_000", "such as 200000"),
            ("tokens/day=1.5", "such as 200000"),
            ("tokens/day=9223372036854775808", "such as 200000"),
            ("parallel=", "such as 200000"),
            ("dollars/day=0.00", "above 0"),
            ("dollars/day=$5", "such as 25.00"),
            ("dollars/day=.5", "such as 25.00"),
            ("dollars/day=5.", "such as 25.00"),
            ("dollars/day=0.0000001", "at most 6 decimal places"),
            ("dollars/day=05", "such as 25.00"),
            ("dollars/day=5e3", "such as 25.00"),
            ("dollars/day=1.2.3", "such as 25.00"),
        ] {
            let error = limits(&[flag]).unwrap_err();
            assert!(error.contains(reason), "{flag}: {error}");
        }
    }
}
