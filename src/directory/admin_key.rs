//! The admin key and its sources.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

use http::HeaderMap;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::blocking::run_blocking;
use super::error::{DirectoryError, DirectoryErrorKind};
use crate::names::Provider;
use crate::secret::{HIDDEN, display_path};

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
        parse(&Zeroizing::new(key)).map(|key| Self(KeySource::Text(key)))
    }

    /// Creates a key from a file that contains only the key. It is read now, and again for each listing.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or does not contain a key.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        read_key(&path)?;
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
        if let Some(value) = non_empty_variable(variable) {
            let key = value.into_string().unwrap_or_default();
            return Self::new(key).map_err(|error| error.in_context(variable));
        }
        let file_variable = format!("{variable}_FILE");
        if let Some(path) = non_empty_variable(&file_variable) {
            return Self::from_file(path).map_err(|error| error.in_context(&file_variable));
        }
        let message = format!(
            "{variable} is not set; set it to an admin key, or {file_variable} to the file with the key"
        );
        Err(DirectoryError::new(DirectoryErrorKind::AdminKeyNotSet, message))
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
        run_blocking(move || read_key(&path)).await
    }
}

/// Returns the value of an environment variable, or `None` if it is not set or empty.
fn non_empty_variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Reads a key from its file. Returns an error with the path if the file cannot be read, or does not contain a key.
fn read_key(path: &Path) -> Result<SecretString, DirectoryError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(cause) => {
            let message = format!("the admin key cannot be read: {cause}");
            let error = DirectoryError::new(DirectoryErrorKind::AdminKey, message).caused_by(cause);
            return Err(add_path(error, path));
        }
    };
    let text = str::from_utf8(&bytes).unwrap_or_default();
    parse(text).map_err(|error| add_path(error, path))
}

/// Adds the path of a key's file to an error, unless the path may be the key itself.
///
/// A user may give a key in place of its file. Not every key looks like a key, but a path with a folder is no key.
fn add_path(error: DirectoryError, path: &Path) -> DirectoryError {
    let shown = display_path(path);
    if shown == HIDDEN {
        error.in_context(HIDDEN)
    } else if path.components().count() < 2 {
        error.in_context("(a path without a folder)")
    } else {
        error.in_context(&shown).at(path)
    }
}

/// Parses a key: one word of visible ASCII, with white space around it.
fn parse(text: &str) -> Result<SecretString, DirectoryError> {
    let key = text.trim();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_key {
        let message = "not an admin key; a key is one word of visible ASCII";
        return Err(DirectoryError::new(DirectoryErrorKind::AdminKey, message));
    }
    Ok(SecretString::from(key))
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

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
