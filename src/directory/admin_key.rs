//! The admin key and its sources.

use std::fmt;
use std::path::PathBuf;

use http::HeaderMap;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::blocking::run_blocking;
use super::error::{DirectoryError, DirectoryErrorKind};
use crate::api_key::{ApiKeyError, KeyVariable, find_in_environment, parse_key, read_key_file};
use crate::names::Provider;

/// The secret that may list the keys of an organization.
///
/// It is wiped from memory when it is dropped, `Debug` does not show it, and its header is marked sensitive. Copies made
/// by the HTTP client are not wiped.
#[derive(Clone)]
pub struct AdminKey(KeySource);

#[derive(Clone)]
enum KeySource {
    Text(SecretString),
    /// Read again for each listing, because a mounted secret is replaced when it is rotated.
    File(PathBuf),
}

impl AdminKey {
    /// Creates a key from its text, without the white space around it.
    ///
    /// # Errors
    ///
    /// If the text is not one word of visible ASCII.
    pub fn new(key: String) -> Result<Self, DirectoryError> {
        Ok(Self(KeySource::Text(parse_key(&Zeroizing::new(key), NOUN)?)))
    }

    /// Creates a key from a file that contains only the key. It is read now, and again for each listing.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or does not contain a key.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        read_key_file(&path, NOUN)?;
        Ok(Self(KeySource::File(path)))
    }

    /// Reads the key from an environment variable, or from the file that `{variable}_FILE` names.
    ///
    /// There is no constructor for a command line, because each process on the machine may read that.
    ///
    /// # Errors
    ///
    /// If neither variable is set, or the value is not a key. An empty variable counts as one that is not set.
    ///
    /// ```
    /// use tower_api_key_name::directory::AdminKey;
    ///
    /// let error = AdminKey::from_env("NOT_SET").unwrap_err();
    /// assert!(error.to_string().starts_with("NOT_SET is not set"));
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, DirectoryError> {
        match find_in_environment(variable, NOUN)? {
            KeyVariable::Text(key) => Ok(Self(KeySource::Text(key))),
            KeyVariable::File(file_variable, path) => {
                Self::from_file(path).map_err(|error| error.in_context(&file_variable))
            }
        }
    }

    /// Returns the headers with which a provider's API expects the key, marked sensitive. Reads the file again if the key
    /// is in a file.
    ///
    /// # Errors
    ///
    /// If the file can no longer be read, or does not contain a key.
    pub async fn headers(&self, provider: Provider) -> Result<HeaderMap, DirectoryError> {
        Ok(provider.headers(&self.read().await?))
    }

    /// Returns the text of the key, which is visible ASCII. Reads the file again if the key is in a file.
    pub(super) async fn read(&self) -> Result<SecretString, DirectoryError> {
        let path = match &self.0 {
            KeySource::Text(key) => return Ok(key.clone()),
            KeySource::File(path) => path.clone(),
        };
        let key = run_blocking(move || read_key_file(&path, NOUN)).await?;
        Ok(key)
    }
}

/// The name of the key in messages.
const NOUN: &str = "admin key";

impl From<ApiKeyError> for DirectoryError {
    fn from(error: ApiKeyError) -> Self {
        let is_not_set = error.is_not_set();
        let kind = if is_not_set { DirectoryErrorKind::AdminKeyNotSet } else { DirectoryErrorKind::AdminKey };
        let mut directory_error = DirectoryError::new(kind, error.to_string());
        if let Some(path) = error.path() {
            directory_error = directory_error.at(path);
        }
        match error.io_error() {
            Some(cause) => directory_error.caused_by(cause),
            None => directory_error,
        }
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::secret::HIDDEN;

    #[tokio::test]
    async fn key_from_text_is_trimmed_and_never_shown() {
        let key = AdminKey::new(" let-me-in\n".into()).unwrap();
        assert_eq!(key.read().await.unwrap().expose_secret(), "let-me-in");
        assert_eq!(format!("{key:?}"), "AdminKey(…)");
    }

    #[test]
    fn text_that_is_no_key_is_rejected() {
        for bad in ["", "  ", "two words", "line\nbreak", "ключ"] {
            let error = AdminKey::new(bad.into()).unwrap_err();
            assert_eq!(error.kind(), DirectoryErrorKind::AdminKey);
            assert!(error.to_string().starts_with("not an admin key"), "{bad}: {error}");
        }
    }

    #[tokio::test]
    async fn key_file_that_changes_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "one\n").unwrap();
        let key = AdminKey::from_file(&path).unwrap();
        fs::write(&path, "two\n").unwrap();
        assert_eq!(key.read().await.unwrap().expose_secret(), "two");
        fs::write(&path, "not a\nkey").unwrap();
        let error = key.read().await.unwrap_err();
        assert_eq!(error.path(), Some(path.as_path()));
        assert!(error.to_string().contains("not an admin key") && !error.to_string().contains("not a\nkey"));
    }

    #[test]
    fn key_given_in_place_of_its_file_is_not_repeated() {
        for (path, shown) in [("sk-proj-abcdefgh", HIDDEN), ("let-me-in", "(a path without a folder)")] {
            let error = AdminKey::from_file(path).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("{shown}: the admin key cannot be read: ")),
                "{error}"
            );
            assert!(error.path().is_none() && !format!("{error:?}").contains(path));
            assert!(std::error::Error::source(&error).is_some());
        }
    }
}
