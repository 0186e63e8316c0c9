//! The value of `--expires`.
use jiff::{SignedDuration, Timestamp};

const EXPECTED: &str = "expected an instant with its offset, for example 2027-07-31T00:00:00Z, or a number of days, \
                        for example 90d";

/// An instant, or a number of days from now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expiry {
    At(Timestamp),
    AfterDays(u32),
}

impl Expiry {
    /// Returns the instant without a fraction of a second. Fails if it is not after `now`, or after the year 9999.
    pub fn instant(self, now: Timestamp) -> Result<Timestamp, String> {
        let exact = match self {
            Expiry::At(instant) => instant,
            Expiry::AfterDays(days) => {
                let duration = SignedDuration::from_hours(24 * i64::from(days));
                now.checked_add(duration).map_err(|_| "--expires: the year is after 9999".to_owned())?
            }
        };
        let whole_seconds = Timestamp::from_second(exact.as_second()).unwrap_or(exact);
        if whole_seconds <= now {
            return Err(format!("--expires {whole_seconds}: this instant is not in the future"));
        }
        Ok(whole_seconds)
    }
}

/// Parses an instant, or a number of days with the unit `d`.
pub fn parse_expiry(text: &str) -> Result<Expiry, String> {
    if let Some(digits) = text.strip_suffix('d') {
        return match digits.parse() {
            Ok(days @ 1..) if !digits.starts_with('+') => Ok(Expiry::AfterDays(days)),
            _ => Err(EXPECTED.to_owned()),
        };
    }
    text.parse().map(Expiry::At).map_err(|_| EXPECTED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Result<String, String> {
        let now: Timestamp = "2026-12-01T10:20:30.5Z".parse().unwrap();
        parse_expiry(text)?.instant(now).map(|instant| instant.to_string())
    }

    #[test]
    fn instant_is_stored_in_utc_without_a_fraction() {
        assert_eq!(instant("2027-07-31T00:00:00Z").unwrap(), "2027-07-31T00:00:00Z");
        assert_eq!(instant("2027-07-31T02:00:00.75+02:00").unwrap(), "2027-07-31T00:00:00Z");
    }

    #[test]
    fn days_count_from_now() {
        assert_eq!(instant("90d").unwrap(), "2027-03-01T10:20:30Z");
        assert_eq!(instant("1d").unwrap(), "2026-12-02T10:20:30Z");
    }

    #[test]
    fn instant_that_is_not_in_the_future_is_rejected() {
        for text in ["2026-12-01T10:20:30Z", "2026-12-01T10:20:30.9Z", "1970-01-01T00:00:00Z"] {
            assert!(instant(text).unwrap_err().contains("not in the future"), "{text}");
        }
    }

    #[test]
    fn expiry_of_another_form_is_rejected_with_an_example() {
        for text in ["", "d", "0d", "+5d", "-5d", "90", "2027-07-31", "2027-07-31T00:00:00", "tomorrow"] {
            assert!(instant(text).unwrap_err().contains("for example 2027-07-31T00:00:00Z"), "{text}");
        }
        assert!(instant("4294967295d").unwrap_err().contains("9999"));
    }
}
