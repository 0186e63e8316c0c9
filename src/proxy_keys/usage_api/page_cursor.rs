//! The value of `page`: the position of the next page.

use super::bucket::BucketUnit;

/// The position of a page in a range of buckets.
///
/// It contains the end of the range, so that the pages of a query without `end_time` belong to one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageCursor {
    pub(super) unit: BucketUnit,
    /// The start of the first bucket of the page, in seconds since 1970.
    pub(super) start: i64,
    /// The end of the range.
    pub(super) end: i64,
}

impl PageCursor {
    /// Returns the text, such as `1d-1767225600-1769904000`.
    pub(super) fn to_text(self) -> String {
        format!("{}-{}-{}", self.unit.name(), self.start, self.end)
    }

    /// Parses a text that [`to_text`](Self::to_text) returned. Returns `None` for another one, and if the times are no bounds of
    /// buckets in this order.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let unit = BucketUnit::parse(parts.next()?)?;
        let start: i64 = parts.next()?.parse().ok()?;
        let end: i64 = parts.next()?.parse().ok()?;
        let cursor = Self { unit, start, end };
        let is_range = 0 <= start && start < end && end <= MAX_SECOND;
        let has_bounds = is_range && unit.round_down(start) == start && unit.round_down(end) == end;
        // Another spelling of the same numbers is not accepted either.
        if has_bounds && cursor.to_text() == text { Some(cursor) } else { None }
    }
}

/// The start of the year 10000. No later time has a text.
pub(super) const MAX_SECOND: i64 = 253_402_300_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_cursor_is_parsed() {
        let cursor = PageCursor { unit: BucketUnit::Hour, start: 7_200, end: 36_000 };
        assert_eq!(cursor.to_text(), "1h-7200-36000");
        assert_eq!(PageCursor::parse("1h-7200-36000"), Some(cursor));
    }

    #[test]
    fn text_that_no_page_contained_is_rejected() {
        for text in [
            "",
            "1h",
            "1h-7200",
            "1h-7200-36000-",
            "1h-7200-36000-0",
            "1h-7201-36000",
            "1h-7200-36001",
            "1h-7200-7200",
            "1h-36000-7200",
            "1h--3600-7200",
            "1h-+7200-36000",
            "1h-07200-36000",
            "2h-7200-36000",
            "1h-7200-253402304400",
            "1h-7200-99999999999999999999",
        ] {
            assert_eq!(PageCursor::parse(text), None, "{text}");
        }
    }
}
