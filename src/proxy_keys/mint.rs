//! New proxy keys.

use std::{fmt, io};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::keys::KeyDigest;

/// The start of each minted key. It shows the origin of a leaked key, and lets logs recognize it.
const PREFIX: &str = "sk-px-";

/// The number of digits with which 256 bits are written: 62⁴³ is more than 2²⁵⁶, and 62⁴² is less.
const DIGIT_COUNT: usize = 43;

/// The digits of base 62, in the order of their values.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new proxy key with its digest, from [`mint`].
///
/// The key is wiped from memory when it is dropped, and `Debug` shows neither the key nor the digest.
pub struct MintedKey {
    key: SecretString,
    digest: KeyDigest,
}

/// Creates a proxy key: `sk-px-` and 43 digits of base 62, which contain 256 bits from the system's random source.
///
/// No user chooses a key, so its SHA-256 digest needs no salt: it cannot be found by trying.
///
/// ```
/// let minted = tower_api_key_name::proxy_keys::mint()?;
/// assert!(minted.key().starts_with("sk-px-") && minted.key().len() == 49);
/// assert!(minted.digest().starts_with("sha256:"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// If the system has no random source.
pub fn mint() -> Result<MintedKey, io::Error> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random)?;
    Ok(MintedKey::from_random(random))
}

impl MintedKey {
    /// The key. Show it once to its owner, and store only its digest.
    pub fn key(&self) -> &str {
        self.key.expose_secret()
    }

    /// The digest of the whole key, in the form of `hashes` in the keys file: `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> String {
        self.digest.to_string()
    }

    /// Creates the key of 256 random bits.
    fn from_random(random: Zeroizing<[u8; 32]>) -> Self {
        let mut key = Zeroizing::new([0; PREFIX.len() + DIGIT_COUNT]);
        key[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        write_base62(random, &mut key[PREFIX.len()..]);
        let digest = KeyDigest::of(&*key);
        let text = str::from_utf8(&*key).expect("the prefix and the digits are ASCII");
        Self { key: SecretString::from(text), digest }
    }
}

/// Writes a number, whose first byte is the highest, in base 62. The digits fill `output`, with zeros at its start.
fn write_base62(mut number: Zeroizing<[u8; 32]>, output: &mut [u8]) {
    for digit in output.iter_mut().rev() {
        let mut remainder = 0;
        for byte in number.iter_mut() {
            let dividend = remainder << 8 | u32::from(*byte);
            *byte = (dividend / 62) as u8;
            remainder = dividend % 62;
        }
        *digit = DIGITS[remainder as usize];
    }
}

impl fmt::Debug for MintedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MintedKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(random: [u8; 32]) -> String {
        MintedKey::from_random(Zeroizing::new(random)).key().to_owned()
    }

    #[test]
    fn minted_key_has_the_prefix_and_43_digits() {
        let minted = mint().unwrap();
        let digits = minted.key().strip_prefix("sk-px-").unwrap();
        assert_eq!(digits.len(), 43);
        assert!(digits.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{digits}");
    }

    #[test]
    fn known_numbers_are_written_in_base_62() {
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(key_of([0; 32]), format!("sk-px-{}", "0".repeat(43)));
        assert_eq!(key_of(one), format!("sk-px-{}1", "0".repeat(42)));
        assert_eq!(key_of([0xFF; 32]), "sk-px-yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
    }

    #[test]
    fn minted_keys_differ() {
        assert_ne!(mint().unwrap().key(), mint().unwrap().key());
    }

    #[test]
    fn digest_is_that_of_the_whole_key() {
        let minted = mint().unwrap();
        assert_eq!(minted.digest(), KeyDigest::of(minted.key().as_bytes()).to_string());
    }

    #[test]
    fn minted_key_is_recognized_as_a_secret() {
        assert!(crate::secret::looks_like_secret(mint().unwrap().key()));
    }

    #[test]
    fn debug_output_contains_neither_the_key_nor_its_digest() {
        assert_eq!(format!("{:?}", mint().unwrap()), "MintedKey(…)");
    }
}
