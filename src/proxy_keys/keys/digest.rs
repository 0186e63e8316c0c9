//! The digest under which a proxy key is stored.

use std::fmt;

use sha2::{Digest, Sha256};

/// The prefix of a digest in the keys file.
const PREFIX: &str = "sha256:";

/// The SHA-256 digest of a whole proxy key.
///
/// It has no salt: a minted key has 256 random bits, so its digest cannot be found by trying. The table is indexed by the
/// digest, so a client cannot choose the bytes that a comparison reads, and the time of a look-up says nothing about a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Returns the digest of a credential.
    pub(crate) fn of(credential: &[u8]) -> Self {
        Self(Sha256::digest(credential).into())
    }

    /// Parses a digest of the keys file: `sha256:` and 64 lower-case hexadecimal digits. Returns `None` for another text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

/// Returns the value of a lower-case hexadecimal digit, or `None` for another byte.
fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Writes the form of the keys file.
impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Hides the digest, which belongs in no log.
impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::KeyDigest;

    /// `printf test | sha256sum`
    const TEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn digest_equals_that_of_sha256sum() {
        let digest = KeyDigest::of(b"test");
        assert_eq!(KeyDigest::parse(TEST), Some(digest));
        assert_eq!(digest.to_string(), TEST);
    }

    #[test]
    fn digest_of_another_form_is_rejected() {
        for text in ["", &TEST[7..], &TEST[..70], &TEST.to_uppercase(), &format!("{TEST}0"), "sha512:00"] {
            assert_eq!(KeyDigest::parse(text), None, "{text}");
        }
    }

    #[test]
    fn debug_output_contains_no_digit_of_the_digest() {
        assert_eq!(format!("{:?}", KeyDigest::of(b"test")), "KeyDigest(…)");
    }
}
