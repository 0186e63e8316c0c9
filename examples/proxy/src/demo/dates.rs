//! The times of Anthropic's reports, in the form of RFC 3339.
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

/// Returns the start of an RFC 3339 time's day in Unix seconds. The offset from UTC is ignored.
fn parse_midnight(text: &str) -> Option<u64> {
    let mut numbers = text.get(..10)?.split('-').map(|number| number.parse::<u64>().ok());
    let year = numbers.next()??;
    let month = numbers.next()??;
    let day = numbers.next()??;
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days_of_years: u64 = (1970..year).map(days_in_year).sum();
    let days_of_months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    Some((days_of_years + days_of_months + day - 1) * DAY)
}

/// Returns the RFC 3339 time of the start of a day.
pub(super) fn timestamp(time: u64) -> String {
    let mut days = time / DAY;
    let mut year = 1970;
    while days >= days_in_year(year) {
        days -= days_in_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_in_month(year, month) {
        days -= days_in_month(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}T00:00:00Z", days + 1)
}

fn days_in_year(year: u64) -> u64 {
    (1..=12).map(|month| days_in_month(year, month)).sum()
}

/// Returns the length of a month in the Gregorian calendar.
fn days_in_month(year: u64, month: u64) -> u64 {
    let leap_interval = if year.is_multiple_of(100) { 400 } else { 4 };
    let is_leap_year = year.is_multiple_of(leap_interval);
    match month {
        2 if is_leap_year => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
