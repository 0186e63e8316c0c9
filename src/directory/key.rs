//! The admin key: where it comes from, and that it is shown to nobody but the API.

use super::DirectoryError;
use crate::names::looks_like_secret;
use http::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;

/// The secret that may list the keys of an organization.
///
/// It is wiped from memory when it is dropped, `Debug` does not show it, and the header that carries it is marked
/// sensitive. What a client below writes to its socket is out of reach here.
#[derive(Clone)]
pub struct AdminKey(Source);

#[derive(Clone)]
enum Source {
    Text(SecretString),
    /// Read again for every walk: a mounted secret is replaced when it is rotated.
    File(PathBuf),
}

impl AdminKey {
    /// The key itself. Space around it is taken off.
    ///
    /// # Errors
    ///
    /// If it is empty, or holds what no header can.
    pub fn new(key: String) -> Result<Self, DirectoryError> {
        checked(&Zeroizing::new(key)).map(|key| Self(Source::Text(key))).map_err(DirectoryError::new)
    }

    /// A file that holds the key and nothing else, such as a mounted secret. It is read now, before this returns, and
    /// for every walk.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or holds no key.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let key = Self(Source::File(path.into()));
        key.read().map_err(DirectoryError::new)?;
        Ok(key)
    }

    /// From the environment: the key in `variable`, or in the file that `variable` with `_FILE` behind it names.
    /// There is no way to give it on a command line, which every process on a machine may read.
    ///
    /// # Errors
    ///
    /// If neither is set, or holds no key.
    ///
    /// ```
    /// # use tower_api_key_name::directory::AdminKey;
    /// let error = AdminKey::from_env("NOT_SET").unwrap_err();
    /// assert!(error.to_string().starts_with("NOT_SET is not set"));
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, DirectoryError> {
        let file = format!("{variable}_FILE");
        match (env::var_os(variable), env::var_os(&file)) {
            (Some(key), _) => {
                let key = key.into_string().unwrap_or_default();
                checked(&Zeroizing::new(key))
                    .map(|key| Self(Source::Text(key)))
                    .map_err(|why| DirectoryError::new(format!("{variable}: {why}")))
            }
            (None, Some(path)) => {
                Self::from_file(path).map_err(|error| DirectoryError::new(format!("{file}: {error}")))
            }
            (None, None) => Err(DirectoryError::new(format!(
                "{variable} is not set; set it to an admin key, or {file} to the file that holds one"
            ))),
        }
    }

    /// Whether to read it is to wait for a disk.
    pub(super) fn is_in_file(&self) -> bool {
        matches!(self.0, Source::File(_))
    }

    /// The value of the header that carries it, behind `scheme`.
    pub(super) fn header(&self, scheme: &str) -> Result<HeaderValue, String> {
        let key = self.read()?;
        let text = Zeroizing::new(format!("{scheme}{}", key.expose_secret()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| NOT_A_KEY)?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn read(&self) -> Result<SecretString, String> {
        let path = match &self.0 {
            Source::Text(key) => return Ok(key.clone()),
            Source::File(path) => path,
        };
        // A key given in place of its file must not be printed, and it need not look like one.
        let shown = match path.display().to_string() {
            shown if looks_like_secret(&shown) => "(a path that looks like an API key)".into(),
            _ if path.components().count() < 2 => "(a path without a folder)".into(),
            shown => shown,
        };
        let text =
            fs::read(path).map_err(|error| format!("{shown}: the admin key cannot be read: {error}"))?;
        let text = Zeroizing::new(text);
        checked(str::from_utf8(&text).unwrap_or_default()).map_err(|why| format!("{shown}: {why}"))
    }
}

const NOT_A_KEY: &str = "this is no admin key; it must be one word of visible ASCII";

fn checked(text: &str) -> Result<SecretString, String> {
    let key = text.trim();
    match key.bytes().all(|byte| byte.is_ascii_graphic()) {
        true if !key.is_empty() => Ok(SecretString::from(key)),
        _ => Err(NOT_A_KEY.into()),
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_from_where_it_stands_and_shown_to_nobody() {
        let key = AdminKey::new(" let-me-in\n".into()).unwrap();
        let header = key.header("Bearer ").unwrap();
        assert_eq!(header, "Bearer let-me-in");
        assert!(header.is_sensitive());
        assert_eq!(format!("{key:?} {header:?}"), "AdminKey(…) Sensitive");
        for bad in ["", "  ", "two words", "line\nbreak", "ключ"] {
            assert_eq!(AdminKey::new(bad.into()).unwrap_err().to_string(), NOT_A_KEY);
        }
    }

    #[test]
    fn a_file_is_read_again_and_what_it_holds_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(AdminKey::from_file(&path).unwrap_err().to_string().contains("cannot be read"));
        fs::write(&path, "one\n").unwrap();
        let key = AdminKey::from_file(&path).unwrap();
        fs::write(&path, "two\n").unwrap();
        assert_eq!(key.header("").unwrap(), "two");
        fs::write(&path, "not a\nkey").unwrap();
        let error = key.header("").unwrap_err();
        assert!(error.ends_with(NOT_A_KEY) && !error.contains("not a\nkey"), "{error}");
        let error = AdminKey::from_file("sk-proj-abcdefgh").unwrap_err().to_string();
        assert!(error.starts_with("(a path that looks like an API key)"), "{error}");
        let error = AdminKey::from_file("let-me-in").unwrap_err().to_string();
        assert!(error.starts_with("(a path without a folder): the admin key cannot be read: "), "{error}");
    }
}
