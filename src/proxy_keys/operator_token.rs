//! The operator token: the credential of a caller who may read the usage of all keys.

use std::path::Path;
use std::{fmt, io};

use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256};

use super::random_digits::{KEY_PREFIX, random_digits};
use super::shared_secret::{SecretParser, SharedSecret};
use crate::api_key::{ApiKeyError, parse_key};

/// The name of an operator token in messages.
const NOUN: &str = "operator token";

/// The least length of a token, in bytes. A random text of 32 hexadecimal digits has 128 bits.
const MIN_LEN: usize = 32;

/// The credential with which an operator reads the usage of all keys. It permits no call to a provider.
///
/// A token has at least 32 bytes of visible ASCII without a comma, and is no proxy key. Use a random text, such as the output of
/// `openssl rand -hex 32`. Only its SHA-256 digest is kept, apart from the copy with which a change of its file is found.
/// `Debug` shows neither.
///
/// ```
/// use tower_api_key_name::proxy_keys::{OperatorToken, ProxyKeys};
///
/// let token = "1f0c97bb5c1d4f0e9a1f5b3c58ad6d8e";
/// let keys = ProxyKeys::from_json(br#"{"data": []}"#)?.operator_token(OperatorToken::new(token.to_owned())?);
///
/// let request = http::Request::get("/").header("authorization", format!("Bearer {token}")).body(())?;
/// assert!(keys.is_operator(request.headers()) && !keys.accepts(request.headers()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OperatorToken(SharedSecret<TokenDigest>);

/// The SHA-256 digest of a token.
struct TokenDigest([u8; 32]);

impl OperatorToken {
    /// Creates a token from its text, without the white space around it.
    ///
    /// # Errors
    ///
    /// If the text is not one word of visible ASCII, is shorter than 32 bytes, contains a comma, or is a proxy key.
    pub fn new(token: String) -> Result<Self, ApiKeyError> {
        let digest = parse_token(&Zeroizing::new(token))?;
        Ok(Self(SharedSecret::new(digest)))
    }

    /// Creates a random token, and returns it with its text: 43 digits of base 62, which contain 256 bits from the system's
    /// random source. The text is a secret, which is not kept.
    ///
    /// ```
    /// use tower_api_key_name::proxy_keys::{OperatorToken, ProxyKeys};
    ///
    /// let (token, text) = OperatorToken::random()?;
    /// let keys = ProxyKeys::from_json(br#"{"data": []}"#)?.operator_token(token);
    ///
    /// let request = http::Request::get("/").header("authorization", format!("Bearer {text}")).body(())?;
    /// assert!(keys.is_operator(request.headers()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the system has no random source.
    pub fn random() -> Result<(Self, String), io::Error> {
        let digits = random_digits()?;
        let token = Self(SharedSecret::new(TokenDigest::of(&*digits)));
        let text = String::from_utf8(digits.to_vec()).expect("the digits are ASCII");
        Ok((token, text))
    }

    /// Creates a token from a file that contains only the token. It is read before this returns, which blocks, and again when
    /// it changes: a token is replaced without a restart.
    ///
    /// A new content that is not a token, and a removed file, keep the last token. The feature `tracing` logs both. The file
    /// is watched as the map is: see [`SharedKeyNames::watch_all`](crate::SharedKeyNames::watch_all).
    ///
    /// # Errors
    ///
    /// If the file cannot be read, does not contain a token, or cannot be watched.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ApiKeyError> {
        let parser = SecretParser { noun: NOUN, parse: parse_token };
        Ok(Self(SharedSecret::from_file(path.as_ref(), parser)?))
    }

    /// True if the credential is the token of this moment.
    pub(super) fn is_equal_to(&self, credential: &[u8]) -> bool {
        self.0.current().is_equal_to(&TokenDigest::of(credential))
    }
}

impl TokenDigest {
    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Compares two digests. The time of the comparison does not depend on the position of the first difference.
    fn is_equal_to(&self, other: &Self) -> bool {
        let mut difference = 0;
        for (byte, other_byte) in self.0.iter().zip(other.0) {
            difference |= byte ^ other_byte;
        }
        difference == 0
    }
}

/// Parses a token and returns its digest. An error contains no part of the text.
fn parse_token(text: &str) -> Result<TokenDigest, ApiKeyError> {
    let secret = parse_key(text, NOUN)?;
    let token = secret.expose_secret();
    if token.starts_with(KEY_PREFIX) {
        let message = "not an operator token, but a proxy key; create a token with: openssl rand -hex 32";
        return Err(ApiKeyError::new(message));
    }
    let has_comma = token.contains(',');
    if has_comma {
        let message = "an operator token has no comma, which separates the values of a header; create one with: openssl rand \
                       -hex 32";
        return Err(ApiKeyError::new(message));
    }
    if token.len() < MIN_LEN {
        let message =
            format!("an operator token has at least {MIN_LEN} bytes; create one with: openssl rand -hex 32");
        return Err(ApiKeyError::new(message));
    }
    Ok(TokenDigest::of(token.as_bytes()))
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::proxy_keys::mint;

    const FIRST: &str = "first-0123456789abcdef0123456789";
    const SECOND: &str = "second-0123456789abcdef012345678";

    /// Returns the message about a text that is no token, and checks that it contains no part of the text.
    fn error_of(text: &str) -> String {
        let message = OperatorToken::new(text.to_owned()).unwrap_err().to_string();
        for word in text.split_whitespace() {
            assert!(!message.contains(word), "{message}");
        }
        message
    }

    #[test]
    fn random_token_equals_its_text_and_no_other_one() {
        let (token, text) = OperatorToken::random().unwrap();
        let (other_token, other_text) = OperatorToken::random().unwrap();
        assert!(token.is_equal_to(text.as_bytes()) && other_token.is_equal_to(other_text.as_bytes()));
        assert!(!token.is_equal_to(other_text.as_bytes()));
    }

    #[test]
    fn text_of_a_random_token_is_an_operator_token() {
        let (_, text) = OperatorToken::random().unwrap();
        assert!(OperatorToken::new(text.clone()).unwrap().is_equal_to(text.as_bytes()));
    }

    #[test]
    fn token_with_a_comma_is_rejected() {
        assert!(error_of(&format!("{FIRST},0")).contains("no comma"));
    }

    #[test]
    fn token_equals_its_text_without_white_space_only() {
        let token = OperatorToken::new(format!(" {FIRST}\n")).unwrap();
        assert!(token.is_equal_to(FIRST.as_bytes()));
        for other in
            ["", SECOND, &FIRST[1..], &FIRST.to_uppercase(), &format!("{FIRST}0"), &format!("{FIRST}\n")]
        {
            assert!(!token.is_equal_to(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn text_that_is_no_token_is_rejected_and_not_repeated() {
        assert_eq!(FIRST.len(), MIN_LEN);
        let remedy = "openssl rand -hex 32";
        for (text, expected) in [
            ("", "not an operator token"),
            (&FIRST[1..], "at least 32 bytes"),
            (&FIRST.replace('-', " "), "one word of visible ASCII"),
            (&FIRST.replace('-', "é"), "one word of visible ASCII"),
        ] {
            assert!(error_of(text).contains(expected), "{text}");
        }
        assert!(error_of(&FIRST[1..]).contains(remedy) && error_of(mint().unwrap().key()).contains(remedy));
    }

    #[test]
    fn proxy_key_is_rejected_as_a_token() {
        assert!(error_of(mint().unwrap().key()).contains("but a proxy key"));
    }

    #[test]
    fn digests_that_differ_in_one_bit_are_not_equal() {
        let digest = TokenDigest::of(FIRST.as_bytes());
        for bit in 0..256 {
            let mut other = TokenDigest(digest.0);
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!digest.is_equal_to(&other), "{bit}");
        }
    }

    #[test]
    fn token_in_a_file_is_replaced_unless_the_new_content_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, FIRST).unwrap();
        let token = OperatorToken::from_file(&path).unwrap();
        let clone = token.clone();
        drop(token);
        assert!(clone.is_equal_to(FIRST.as_bytes()));
        fs::write(&path, "short").unwrap();
        fs::write(folder.path().join("next"), SECOND).unwrap();
        fs::rename(folder.path().join("next"), &path).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !clone.is_equal_to(SECOND.as_bytes()) {
            assert!(Instant::now() < deadline, "the token is not replaced");
            assert!(!clone.is_equal_to(b"short"));
            std::thread::yield_now();
        }
        assert!(!clone.is_equal_to(FIRST.as_bytes()));
    }

    #[test]
    fn file_without_a_token_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let error = OperatorToken::from_file(&path).unwrap_err();
        assert!(error.to_string().contains("the operator token cannot be read"), "{error}");
        fs::write(&path, "short").unwrap();
        let error = OperatorToken::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("token: an operator token has at least 32 bytes"), "{error}");
        assert!(!error.contains("short"), "{error}");
    }

    #[test]
    fn debug_output_contains_no_part_of_the_token() {
        assert_eq!(format!("{:?}", OperatorToken::new(FIRST.to_owned()).unwrap()), "OperatorToken(…)");
    }
}
