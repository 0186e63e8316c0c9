//! Money as a whole number of picodollars, and its text in dollars.

use std::fmt;

/// The picodollars of one dollar.
const PICODOLLARS_PER_DOLLAR: u64 = 1_000_000_000_000;

/// An amount of money in picodollars (10⁻¹² $), which is shown in dollars without rounding.
///
/// ```
/// use tower_api_key_name::proxy_keys::Picodollars;
///
/// assert_eq!(Picodollars(1_500_000_000_000).to_string(), "1.50");
/// assert_eq!(Picodollars(250_000).to_string(), "0.00000025");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Picodollars(pub u64);

/// Writes the dollars with 2 to 12 decimal places.
impl fmt::Display for Picodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.0 / PICODOLLARS_PER_DOLLAR;
        let fraction = format!("{:012}", self.0 % PICODOLLARS_PER_DOLLAR);
        let significant = fraction.trim_end_matches('0');
        write!(f, "{dollars}.{significant:0<2}")
    }
}

#[cfg(test)]
mod tests {
    use super::Picodollars;

    #[test]
    fn picodollars_are_shown_as_exact_dollars() {
        for (picodollars, text) in [
            (0, "0.00"),
            (1, "0.000000000001"),
            (10_000_000_000, "0.01"),
            (100_000_000_000, "0.10"),
            (1_000_000_000_000, "1.00"),
            (123_456_000_000_000, "123.456"),
            (9_223_372_036_854_775_807, "9223372.036854775807"),
        ] {
            assert_eq!(Picodollars(picodollars).to_string(), text);
        }
    }
}
