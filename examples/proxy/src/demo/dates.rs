//! The times of Anthropic's reports, in the form of RFC 3339.
use jiff::Timestamp;

use super::params::QueryParams;
use super::response::{DAY, now};

/// Returns the start and the end of a report. An error is the message of a 400.
pub(super) fn parse_range(params: &QueryParams) -> Result<(u64, u64), &'static str> {
    let starting_at = params.first("starting_at").ok_or("starting_at: Field required")?;
    let start = parse_midnight(starting_at).ok_or("starting_at: not an RFC 3339 time")?;
    let end = match params.first("ending_at") {
        Some(ending_at) => parse_midnight(ending_at).ok_or("ending_at: not an RFC 3339 time")?,
        None => now(),
    };
    Ok((start, end))
}

/// Returns the start of an RFC 3339 time's day in Unix seconds.
fn parse_midnight(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    let seconds = u64::try_from(time.as_second()).ok()?;
    Some(seconds - seconds % DAY)
}

/// Returns the RFC 3339 time of the start of a day.
pub(super) fn timestamp(time: u64) -> String {
    let start = i64::try_from(time - time % DAY).unwrap_or(i64::MAX);
    Timestamp::from_second(start).unwrap_or(Timestamp::MAX).to_string()
}
