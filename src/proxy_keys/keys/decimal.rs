//! Amounts of dollars as decimal text, without floating-point numbers.

/// The greatest number of decimal places.
const MAX_PLACES: usize = 6;

/// The number of picodollars (10⁻¹² $) in a millionth of a dollar.
const PICODOLLARS_PER_MICRODOLLAR: u64 = 1_000_000;

/// Parses an amount such as `0.25` as millionths of a dollar.
///
/// The text has an integer part without a sign, and optionally a point with 1 to 6 digits. Returns `None` for another
/// text, and for an amount that a `u64` cannot represent.
pub(super) fn parse_microdollars(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    let fraction_digits = fraction.unwrap_or_default();
    let has_empty_fraction = fraction.is_some() && fraction_digits.is_empty();
    if has_leading_zero || has_empty_fraction || fraction_digits.len() > MAX_PLACES {
        return None;
    }
    let whole_dollars = parse_digits(whole)?;
    let padded_fraction = format!("{fraction_digits:0<MAX_PLACES$}");
    let fraction_microdollars = parse_digits(&padded_fraction)?;
    whole_dollars.checked_mul(1_000_000)?.checked_add(fraction_microdollars)
}

/// Parses an amount of dollars as picodollars. Returns `None` if the text is no amount, or if an `i64`, in which counters
/// are stored, cannot represent it: the limit is $9,223,372.
pub(super) fn parse_picodollars(text: &str) -> Option<u64> {
    let picodollars = parse_microdollars(text)?.checked_mul(PICODOLLARS_PER_MICRODOLLAR)?;
    if i64::try_from(picodollars).is_ok() { Some(picodollars) } else { None }
}

/// Parses a number of decimal digits only, because `u64::from_str` also accepts a sign.
fn parse_digits(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{parse_microdollars, parse_picodollars};

    #[test]
    fn amount_with_up_to_six_places_is_exact() {
        for (text, microdollars) in [
            ("0", 0),
            ("0.25", 250_000),
            ("25.00", 25_000_000),
            ("0.000001", 1),
            ("10", 10_000_000),
            ("1234567.654321", 1_234_567_654_321),
        ] {
            assert_eq!(parse_microdollars(text), Some(microdollars), "{text}");
        }
    }

    #[test]
    fn amount_in_another_form_is_rejected() {
        for text in [
            "",
            ".",
            ".5",
            "5.",
            "-1",
            "+1",
            "1e3",
            "1,5",
            " 1",
            "1 ",
            "$1",
            "00.5",
            "01",
            "0.0000001",
            "1.-5",
            "1.+5",
            "1.2.3",
            "٣",
            "NaN",
            "99999999999999999999",
        ] {
            assert_eq!(parse_microdollars(text), None, "{text:?}");
        }
    }

    #[test]
    fn amount_beyond_the_range_of_counters_is_rejected() {
        assert_eq!(parse_picodollars("9223372.036854"), Some(9_223_372_036_854_000_000));
        assert_eq!(parse_picodollars("9223372.036855"), None);
        assert_eq!(parse_picodollars("18446744073709.551615"), None);
    }
}
