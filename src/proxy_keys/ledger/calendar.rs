//! The calendar of the windows, in UTC.

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::proxy_keys::keys::Window;

impl Window {
    /// Returns the start of the window that contains an instant, in seconds since 1970. The start of `ever` is 0.
    pub(crate) fn start_at(self, instant: Timestamp) -> i64 {
        let second = instant.as_second();
        match self {
            Window::Minute => second - second.rem_euclid(60),
            Window::Hour => second - second.rem_euclid(3_600),
            Window::Day => second - second.rem_euclid(86_400),
            Window::Month => {
                let date = Offset::UTC.to_datetime(instant).date();
                second - second.rem_euclid(86_400) - 86_400 * i64::from(date.day() - 1)
            }
            Window::Ever => 0,
        }
    }

    /// Returns the seconds from an instant to the start of the next window, rounded up. `None` if no window follows.
    pub(crate) fn seconds_to_next(self, instant: Timestamp) -> Option<u64> {
        let length = match self {
            Window::Minute => 60,
            Window::Hour => 3_600,
            Window::Day => 86_400,
            Window::Month => 86_400 * i64::from(Offset::UTC.to_datetime(instant).date().days_in_month()),
            Window::Ever => return None,
        };
        // The instant is in the second that began at `as_second`, so the difference is rounded up.
        u64::try_from(self.start_at(instant) + length - instant.as_second()).ok()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Window;

    /// Returns the start of a window as text, and the seconds to the next one.
    fn bounds(window: Window, instant: &str) -> (String, Option<u64>) {
        let instant: Timestamp = instant.parse().unwrap();
        let start = Timestamp::from_second(window.start_at(instant)).unwrap();
        (start.to_string(), window.seconds_to_next(instant))
    }

    #[test]
    fn window_in_the_middle_of_a_year_starts_at_its_calendar_unit() {
        let cases = [
            (Window::Minute, "2026-07-15T13:45:00Z", Some(15)),
            (Window::Hour, "2026-07-15T13:00:00Z", Some(14 * 60 + 15)),
            (Window::Day, "2026-07-15T00:00:00Z", Some(10 * 3_600 + 14 * 60 + 15)),
            (Window::Month, "2026-07-01T00:00:00Z", Some(16 * 86_400 + 10 * 3_600 + 14 * 60 + 15)),
            (Window::Ever, "1970-01-01T00:00:00Z", None),
        ];
        for (window, start, seconds) in cases {
            assert_eq!(bounds(window, "2026-07-15T13:45:45Z"), (start.to_owned(), seconds), "{window:?}");
        }
    }

    #[test]
    fn first_second_of_a_window_belongs_to_it() {
        assert_eq!(
            bounds(Window::Month, "2026-08-01T00:00:00Z"),
            ("2026-08-01T00:00:00Z".to_owned(), Some(31 * 86_400))
        );
        assert_eq!(
            bounds(Window::Minute, "2026-07-31T23:59:59.999Z"),
            ("2026-07-31T23:59:00Z".to_owned(), Some(1))
        );
    }

    #[test]
    fn february_of_a_leap_year_has_29_days() {
        assert_eq!(
            bounds(Window::Month, "2028-02-29T12:00:00Z"),
            ("2028-02-01T00:00:00Z".to_owned(), Some(43_200))
        );
        assert_eq!(
            bounds(Window::Month, "2027-02-28T12:00:00Z"),
            ("2027-02-01T00:00:00Z".to_owned(), Some(43_200))
        );
        assert_eq!(
            bounds(Window::Day, "2028-02-29T12:00:00Z"),
            ("2028-02-29T00:00:00Z".to_owned(), Some(43_200))
        );
    }
}
