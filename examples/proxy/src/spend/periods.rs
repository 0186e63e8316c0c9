//! Ranges of days in UTC, and the periods that they are divided into.
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

/// A range of days, including `first` and `last`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DayRange {
    pub first: Date,
    pub last: Date,
}

/// The length of the periods that costs are summed for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Every {
    Day,
    /// Weeks of ISO 8601, which begin on Monday.
    Week,
    Month,
    /// One period for the whole range.
    Total,
}

/// One period of a range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Period {
    /// The first day that is in the period and in the range.
    pub first: Date,
    /// The last day that is in the period and in the range.
    pub last: Date,
    /// True if the range begins or ends within the week or month.
    pub is_clipped: bool,
}

impl Every {
    /// Returns the period that contains a day of the range.
    pub fn period(self, day: Date, range: DayRange) -> Period {
        let (whole_first, whole_last) = match self {
            Self::Day => (day, day),
            Self::Week => {
                let monday = day.saturating_sub(i32::from(day.weekday().to_monday_zero_offset()).days());
                (monday, monday.saturating_add(6.days()))
            }
            Self::Month => (day.first_of_month(), day.last_of_month()),
            Self::Total => (range.first, range.last),
        };
        let first = whole_first.max(range.first);
        let last = whole_last.min(range.last);
        Period { first, last, is_clipped: first != whole_first || last != whole_last }
    }
}

impl DayRange {
    /// Returns the number of days.
    pub fn count(self) -> u64 {
        let days = (self.last - self.first).get_days() + 1;
        u64::try_from(days).unwrap_or_default()
    }

    /// True if the day is in the range.
    pub fn contains(self, day: Date) -> bool {
        self.first <= day && day <= self.last
    }

    /// Returns the day after the last one.
    pub fn day_after(self) -> Date {
        next_day(self.last)
    }

    /// Divides the range into ranges of at most `max_days` days.
    pub fn split(self, max_days: u32) -> Vec<Self> {
        let mut ranges = Vec::new();
        let mut first = self.first;
        loop {
            let longest_last = first.saturating_add((i64::from(max_days) - 1).days());
            let range = Self { first, last: longest_last.min(self.last) };
            ranges.push(range);
            if range.last == self.last {
                return ranges;
            }
            first = range.day_after();
        }
    }
}

/// Parses a day in the form YYYY-MM-DD. Returns `None` for another text, such as one with a time or a zone.
pub fn parse_day(text: &str) -> Option<Date> {
    let has_date_form = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if has_date_form { text.parse().ok() } else { None }
}

/// Returns the day after a day.
pub fn next_day(day: Date) -> Date {
    day.saturating_add(1.day())
}

/// Returns the first second of a day in UTC.
pub fn start_of_day(day: Date) -> Timestamp {
    Offset::UTC.to_timestamp(day.into()).unwrap_or(Timestamp::MAX)
}

/// Returns the day of a time in UTC.
pub fn day_of(time: Timestamp) -> Date {
    Offset::UTC.to_datetime(time).date()
}

/// Returns the first day whose costs may still change: the APIs report costs up to three hours late.
pub fn first_provisional_day(now: Timestamp) -> Date {
    const DELAY: Duration = Duration::from_secs(3 * 60 * 60);
    day_of(now.saturating_sub(DELAY).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn weeks_begin_on_monday_and_are_clipped_to_the_range() {
        let range = DayRange { first: date(2026, 11, 1), last: date(2026, 11, 29) };
        let first = Period { first: date(2026, 11, 1), last: date(2026, 11, 1), is_clipped: true };
        assert_eq!(Every::Week.period(date(2026, 11, 1), range), first);
        let whole = Period { first: date(2026, 11, 23), last: date(2026, 11, 29), is_clipped: false };
        assert_eq!(Every::Week.period(date(2026, 11, 26), range), whole);
    }

    #[test]
    fn months_are_clipped_to_the_range() {
        let range = DayRange { first: date(2026, 1, 31), last: date(2026, 2, 28) };
        let january = Period { first: date(2026, 1, 31), last: date(2026, 1, 31), is_clipped: true };
        assert_eq!(Every::Month.period(date(2026, 1, 31), range), january);
        let february = Period { first: date(2026, 2, 1), last: date(2026, 2, 28), is_clipped: false };
        assert_eq!(Every::Month.period(date(2026, 2, 3), range), february);
        assert_eq!(range.count(), 29);
    }

    #[test]
    fn split_ranges_contain_each_day_once() {
        let range = DayRange { first: date(2026, 1, 1), last: date(2026, 3, 4) };
        let parts = range.split(31);
        assert_eq!(parts.iter().map(|part| part.count()).collect::<Vec<_>>(), [31, 31, 1]);
        assert_eq!(parts[1], DayRange { first: date(2026, 2, 1), last: date(2026, 3, 3) });
        assert_eq!(range.split(63), [range]);
        assert_eq!(range.split(62).len(), 2);
        let end_of_time = DayRange { first: Date::MAX, last: Date::MAX };
        assert_eq!(end_of_time.split(31), [end_of_time]);
    }

    #[test]
    fn day_that_ended_less_than_three_hours_ago_is_provisional() {
        let at = |text: &str| first_provisional_day(text.parse().unwrap());
        assert_eq!(at("2026-12-01T02:59:59Z"), date(2026, 11, 30));
        assert_eq!(at("2026-12-01T03:00:00Z"), date(2026, 12, 1));
    }
}
