//! The buckets of a response: whole minutes, hours or days in UTC.

use super::endpoint::UsageEndpoint;

/// The width of the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BucketUnit {
    Minute,
    Hour,
    Day,
}

/// A period of one bucket, in seconds since 1970. The end is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeBucket {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl BucketUnit {
    /// Parses the text of `bucket_width`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "1m" => Some(Self::Minute),
            "1h" => Some(Self::Hour),
            "1d" => Some(Self::Day),
            _ => None,
        }
    }

    /// Returns the text of `bucket_width`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    pub(super) fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Returns the start of the unit that contains a second.
    pub(super) fn round_down(self, second: i64) -> i64 {
        second - second.rem_euclid(self.seconds())
    }

    /// Returns the first start of a unit that is not before a second.
    pub(super) fn round_up(self, second: i64) -> i64 {
        self.round_down(second + self.seconds() - 1)
    }

    /// Returns the bucket that begins at this start of a unit.
    pub(super) fn bucket_at(self, start: i64) -> TimeBucket {
        TimeBucket { start, end: start + self.seconds() }
    }

    /// The number of buckets in a page without `limit`.
    pub(super) fn default_limit(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 24,
            Self::Day => 7,
        }
    }

    /// The greatest number of buckets in a page.
    pub(super) fn max_limit(self, endpoint: UsageEndpoint) -> i64 {
        match self {
            Self::Minute => 1_440,
            Self::Hour => 168,
            Self::Day if endpoint == UsageEndpoint::Costs => 180,
            Self::Day => 31,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BucketUnit;

    #[test]
    fn second_is_rounded_to_units_of_utc() {
        assert_eq!(BucketUnit::Day.round_down(86_399), 0);
        assert_eq!(BucketUnit::Day.round_up(1), 86_400);
        assert_eq!(BucketUnit::Hour.round_down(3_600), 3_600);
        assert_eq!(BucketUnit::Hour.round_up(3_600), 3_600);
        assert_eq!(BucketUnit::Minute.round_up(3_601), 3_660);
    }

    #[test]
    fn name_of_a_unit_is_parsed() {
        for unit in [BucketUnit::Minute, BucketUnit::Hour, BucketUnit::Day] {
            assert_eq!(BucketUnit::parse(unit.name()), Some(unit));
        }
        assert_eq!(BucketUnit::parse("2h"), None);
    }
}
