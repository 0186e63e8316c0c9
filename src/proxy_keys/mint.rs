//! New proxy keys.

use std::{fmt, io};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::keys::KeyDigest;
use super::random_digits::{DIGIT_COUNT, Digits, KEY_PREFIX, random_digits};

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
    let digits = random_digits()?;
    Ok(MintedKey::with_digits(&digits))
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

    /// Creates the key of the prefix and these digits.
    fn with_digits(digits: &Digits) -> Self {
        let mut key = Zeroizing::new([0; KEY_PREFIX.len() + DIGIT_COUNT]);
        key[..KEY_PREFIX.len()].copy_from_slice(KEY_PREFIX.as_bytes());
        key[KEY_PREFIX.len()..].copy_from_slice(&**digits);
        let digest = KeyDigest::of(&*key);
        let text = str::from_utf8(&*key).expect("the prefix and the digits are ASCII");
        Self { key: SecretString::from(text), digest }
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
    use crate::proxy_keys::random_digits::to_base62;

    fn key_of(random: [u8; 32]) -> String {
        MintedKey::with_digits(&to_base62(Zeroizing::new(random))).key().to_owned()
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
