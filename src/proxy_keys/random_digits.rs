//! The random digits of proxy keys and operator tokens, and the prefix that only proxy keys have.

use std::io;

use secrecy::zeroize::Zeroizing;

/// The start of each minted key. It shows the origin of a leaked key, and lets logs recognize it.
pub(super) const KEY_PREFIX: &str = "sk-px-";

/// The number of digits with which 256 bits are written: 62⁴³ is more than 2²⁵⁶, and 62⁴² is less.
pub(super) const DIGIT_COUNT: usize = 43;

/// The digits of base 62, in the order of their values.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digits of 256 bits, which are wiped from memory when they are dropped.
pub(super) type Digits = Zeroizing<[u8; DIGIT_COUNT]>;

/// Returns 43 digits of base 62, which contain 256 bits from the system's random source. Fails if there is no such source.
pub(super) fn random_digits() -> Result<Digits, io::Error> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random)?;
    Ok(to_base62(random))
}

/// Writes a number, whose first byte is the highest, in base 62, with zeros at its start.
pub(super) fn to_base62(mut number: Zeroizing<[u8; 32]>) -> Digits {
    let mut digits = Zeroizing::new([0; DIGIT_COUNT]);
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0;
        for byte in number.iter_mut() {
            let dividend = remainder << 8 | u32::from(*byte);
            *byte = (dividend / 62) as u8;
            remainder = dividend % 62;
        }
        *digit = DIGITS[remainder as usize];
    }
    digits
}
