//! An exact amount of money: a decimal number of any length, never a float.
use std::fmt;

use bigdecimal::num_bigint::{BigInt, BigUint, Sign};
use bigdecimal::{BigDecimal, RoundingMode};
use serde::{Serialize, Serializer};

/// The largest number of significant digits of one amount in a page. OpenAI sends up to 36.
const MAX_DIGITS: usize = 100;

/// The largest exponent of one amount in a page, in either direction. OpenAI sends `0E-6176`.
const MAX_EXPONENT: i64 = 6_200;

/// An exact amount, without a currency.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Amount(BigDecimal);

/// The reason why a text is not an amount.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AmountError {
    #[error("the amount is not a decimal number")]
    NotDecimal,
    #[error("the amount has more than {MAX_DIGITS} significant digits")]
    TooManyDigits,
    #[error("the exponent of the amount is beyond {MAX_EXPONENT}")]
    ExponentTooLarge,
}

impl Amount {
    /// Parses a number with the grammar of JSON (RFC 8259 §6). Zero with any exponent is 0.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let NumberParts { is_negative, integer, fraction, exponent } = split_number(text)?;
        let all_digits = [integer, fraction].concat();
        let without_final_zeros = all_digits.trim_end_matches('0');
        let digits = without_final_zeros.trim_start_matches('0');
        if digits.is_empty() {
            return Ok(Self::default());
        }
        if digits.len() > MAX_DIGITS {
            return Err(AmountError::TooManyDigits);
        }
        // The exponent of the last digit. A text such as `0.000…1` has a large one without writing it.
        let final_zero_count = all_digits.len() - without_final_zeros.len();
        let last_exponent = exponent.saturating_add(final_zero_count as i64 - fraction.len() as i64);
        // The exponent of the first digit.
        let first_exponent = last_exponent.saturating_add(digits.len() as i64 - 1);
        let is_in_range = |exponent: i64| exponent.saturating_abs() <= MAX_EXPONENT;
        if !is_in_range(exponent) || !is_in_range(first_exponent) {
            return Err(AmountError::ExponentTooLarge);
        }
        let unsigned: BigInt = digits.parse().map_err(|_| AmountError::NotDecimal)?;
        let number = if is_negative { -unsigned } else { unsigned };
        Ok(Self(BigDecimal::new(number, -last_exponent)))
    }

    /// Converts an amount of cents to one of the currency's unit.
    pub fn cents_to_units(self) -> Self {
        let (number, scale) = self.0.into_bigint_and_exponent();
        Self(BigDecimal::new(number, scale + 2))
    }

    /// Adds an amount of the same currency.
    pub fn add(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// Returns one hundredth of the currency's unit.
    pub fn cent() -> Self {
        Self(BigDecimal::new(BigInt::from(1), 2))
    }

    /// Returns the amount without its sign.
    pub fn abs(&self) -> Self {
        Self(self.0.abs())
    }

    /// Returns this amount divided by `total`, from 0 to 1, for a drawing. Returns 0 if either is not positive.
    pub fn share_of(&self, total: &Self) -> f64 {
        const SCALE: u32 = 1_000_000_000;
        let ratio = self.scaled_ratio(total, SCALE).unwrap_or_default();
        (ratio as f64 / f64::from(SCALE)).clamp(0.0, 1.0)
    }

    /// Returns this amount as tenths of a percent of `total`, rounded. `None` if the total is not positive.
    pub fn tenths_of_percent(&self, total: &Self) -> Option<i64> {
        self.scaled_ratio(total, 1_000)
    }

    /// Returns `self / total * factor`, rounded half away from zero. `None` if the total is not positive.
    ///
    /// For example, 2 of 3 with the factor 1000 is 667. Integers are divided, because a quotient of [`BigDecimal`] has
    /// 100 digits, and a table has a quotient for each row.
    fn scaled_ratio(&self, total: &Self, factor: u32) -> Option<i64> {
        if *total <= Self::default() {
            return None;
        }
        let (number, scale) = self.0.as_bigint_and_scale();
        let (total_number, total_scale) = total.0.as_bigint_and_scale();
        let mut numerator = number.magnitude() * factor;
        let mut denominator = total_number.magnitude().clone();
        // The exponents of all amounts in a page are limited, so those of sums and the power are too.
        let power = BigUint::from(10_u32).pow((total_scale - scale).unsigned_abs() as u32);
        if total_scale > scale {
            numerator *= power;
        } else {
            denominator *= power;
        }
        // Adds one half before the division, which rounds down.
        let rounded = (numerator * 2_u32 + &denominator) / (denominator * 2_u32);
        let ratio = i64::try_from(rounded).unwrap_or(i64::MAX);
        Some(if number.sign() == Sign::Minus { -ratio } else { ratio })
    }
}

/// The parts of a number in JSON.
struct NumberParts<'a> {
    is_negative: bool,
    /// The digits before the decimal point.
    integer: &'a str,
    /// The digits after the decimal point. Empty without one.
    fraction: &'a str,
    exponent: i64,
}

/// Splits a number with the grammar of JSON (RFC 8259 §6).
fn split_number(text: &str) -> Result<NumberParts<'_>, AmountError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent_text)) => (mantissa, parse_exponent(exponent_text)?),
        None => (text, 0),
    };
    let (signed_integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) if is_digits(fraction) => (integer, fraction),
        Some(_) => return Err(AmountError::NotDecimal),
        None => (mantissa, ""),
    };
    let (is_negative, integer) = match signed_integer.strip_prefix('-') {
        Some(integer) => (true, integer),
        None => (false, signed_integer),
    };
    let has_leading_zero = integer.len() > 1 && integer.starts_with('0');
    if !is_digits(integer) || has_leading_zero {
        return Err(AmountError::NotDecimal);
    }
    Ok(NumberParts { is_negative, integer, fraction, exponent })
}

impl fmt::Display for Amount {
    /// Writes the number without an exponent and without trailing zeros. `{:.2}` rounds half to even, to two decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match f.precision() {
            Some(decimals) => self.0.with_scale_round(decimals as i64, RoundingMode::HalfEven),
            None => self.0.normalized(),
        };
        f.write_str(&number.to_plain_string())
    }
}

impl Serialize for Amount {
    /// Writes a string, because readers of JSON numbers round them to floats.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// True for one ASCII digit or more.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parses an exponent with an optional sign. An exponent that is too large for an `i64` is limited to its range.
fn parse_exponent(text: &str) -> Result<i64, AmountError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !is_digits(digits) {
        return Err(AmountError::NotDecimal);
    }
    let absolute = digits.parse().unwrap_or(i64::MAX);
    Ok(if text.starts_with('-') { -absolute } else { absolute })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_without_exponent_and_trailing_zeros() {
        for (text, written) in [
            ("0", "0"),
            ("-0", "0"),
            ("0E-6176", "0"),
            ("0e999999999999999999999999", "0"),
            ("12.50", "12.5"),
            ("-12.50", "-12.5"),
            ("100", "100"),
            ("1e-7", "0.0000001"),
            ("1E+3", "1000"),
            ("12.5e1", "125"),
            ("0.003627500000000000000000000000000000", "0.0036275"),
            ("123456789012345678901234567890.123456", "123456789012345678901234567890.123456"),
        ] {
            assert_eq!(Amount::parse(text).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn amounts_with_a_precision_are_rounded_half_to_even() {
        for (text, written) in [
            ("0", "0.00"),
            ("12.5", "12.50"),
            ("0.005", "0.00"),
            ("0.015", "0.02"),
            ("0.0050000000000000000000000000000000001", "0.01"),
            ("-2.675", "-2.68"),
            ("-0.001", "0.00"),
            ("999999999999999999999999.995", "1000000000000000000000000.00"),
            ("1e3", "1000.00"),
            ("1e-6200", "0.00"),
        ] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!(format!("{amount:.2}"), written, "{text}");
        }
    }

    #[test]
    fn percentages_are_rounded_and_exist_for_positive_totals_only() {
        for (text, total, tenths) in [
            ("1", "3", Some(333)),
            ("-1", "3", Some(-333)),
            ("2", "3", Some(667)),
            ("0.1", "100", Some(1)),
            ("0.04", "100", Some(0)),
            ("100", "0.1", Some(1_000_000)),
            ("1e6200", "1e-6200", Some(i64::MAX)),
            ("1e-6200", "1e6200", Some(0)),
            ("0", "1", Some(0)),
            ("1", "0", None),
            ("1", "-2", None),
        ] {
            let part = Amount::parse(text).unwrap().tenths_of_percent(&Amount::parse(total).unwrap());
            assert_eq!(part, tenths, "{text} of {total}");
        }
    }

    #[test]
    fn shares_are_between_0_and_1() {
        for (text, total, share) in [
            ("1", "4", 0.25),
            ("4", "1", 1.0),
            ("-1", "4", 0.0),
            ("1", "-4", 0.0),
            ("1e6200", "1e-6200", 1.0),
        ] {
            let computed = Amount::parse(text).unwrap().share_of(&Amount::parse(total).unwrap());
            assert_eq!(computed, share, "{text} of {total}");
        }
    }

    #[test]
    fn text_without_json_number_is_rejected() {
        for text in
            ["", "-", "+1", ".5", "1.", "01", "1_000", " 1", "1 ", "NaN", "1e", "1e+", "1e1.5", "0x10", "１"]
        {
            assert_eq!(Amount::parse(text), Err(AmountError::NotDecimal), "{text}");
        }
    }

    #[test]
    fn amounts_beyond_the_limits_are_rejected() {
        assert!(Amount::parse(&"9".repeat(100)).is_ok());
        assert_eq!(Amount::parse(&"9".repeat(101)), Err(AmountError::TooManyDigits));
        assert!(Amount::parse("1e-6200").is_ok());
        assert!(Amount::parse(&format!("1{}.{}", "0".repeat(150), "0".repeat(150))).is_ok());
        for text in [
            format!("0.{}1", "0".repeat(6_200)),
            format!("0.{}1", "0".repeat(900_000)),
            format!("1{}", "0".repeat(6_201)),
            format!("1{}e6200", "0".repeat(10)),
        ] {
            assert_eq!(Amount::parse(&text), Err(AmountError::ExponentTooLarge));
        }
        for exponent in ["6201", "-6201", "100000000", "-100000000", "99999999999999999999"] {
            let text = format!("1e{exponent}");
            assert_eq!(Amount::parse(&text), Err(AmountError::ExponentTooLarge), "{text}");
        }
    }

    #[test]
    fn cents_are_divided_exactly() {
        let dollars = Amount::parse("1234.5678").unwrap().cents_to_units();
        assert_eq!(dollars.to_string(), "12.345678");
    }

    #[test]
    fn sums_keep_each_digit() {
        let mut sum = Amount::default();
        for _ in 0..10 {
            sum.add(&Amount::parse("0.1").unwrap());
        }
        sum.add(&Amount::parse("1e-36").unwrap());
        assert_eq!(sum.to_string(), "1.000000000000000000000000000000000001");
    }
}
