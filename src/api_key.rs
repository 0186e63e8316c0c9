//! The text of a provider's API key, and the places from which it is read: an environment variable or a file.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fmt, fs};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::secret::{HIDDEN, display_path};

/// The name of a kind of key in messages, behind the article "an".
pub(crate) type KeyNoun = &'static str;

/// A missing or malformed API key, or a file from which no key can be read.
///
/// `Display` writes one line with the cause and the remedy. Neither it nor the sources repeat a key.
#[derive(Clone)]
pub struct ApiKeyError {
    is_not_set: bool,
    message: String,
    path: Option<PathBuf>,
    source: Option<Arc<std::io::Error>>,
}

impl ApiKeyError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { is_not_set: false, message: message.into(), path: None, source: None }
    }

    /// Creates the error that no variable is set.
    pub(crate) fn not_set(message: impl Into<String>) -> Self {
        Self { is_not_set: true, ..Self::new(message) }
    }

    /// True if neither the environment variable of the key nor that of its file is set.
    pub fn is_not_set(&self) -> bool {
        self.is_not_set
    }

    /// The path of the key's file. `None` if there is no file, if its path has no folder, or if the path looks like a key.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The error of the system, if the file cannot be read.
    #[cfg(feature = "directory")]
    pub(crate) fn io_error(&self) -> Option<Arc<std::io::Error>> {
        self.source.clone()
    }

    /// Puts `context` before the message.
    pub(crate) fn in_context(self, context: &str) -> Self {
        Self { message: format!("{context}: {}", self.message), ..self }
    }

    /// Adds the path of a key's file, unless the path may be the key itself.
    ///
    /// A user may give a key in place of its file. Not every key looks like a key, but a path with a folder is no key.
    fn in_file(self, path: &Path) -> Self {
        let shown = display_path(path);
        if shown == HIDDEN {
            self.in_context(HIDDEN)
        } else if path.components().count() < 2 {
            self.in_context("(a path without a folder)")
        } else {
            Self { path: Some(path.to_path_buf()), ..self.in_context(&shown) }
        }
    }
}

impl fmt::Display for ApiKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ApiKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyError").field("message", &self.message).finish_non_exhaustive()
    }
}

impl Error for ApiKeyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// The environment variable in which a key was found.
pub(crate) enum KeyVariable {
    /// The variable contains the key.
    Text(SecretString),
    /// The variable of this name contains the path of the key's file.
    File(String, PathBuf),
}

/// Finds a key in an environment variable, or the path of its file in `{variable}_FILE`. An empty variable counts as one
/// that is not set. Returns an error if neither variable is set, or if the first one contains no key.
pub(crate) fn find_in_environment(variable: &str, noun: KeyNoun) -> Result<KeyVariable, ApiKeyError> {
    if let Some(value) = non_empty_variable(variable) {
        let text = Zeroizing::new(value.into_string().unwrap_or_default());
        let key = parse_key(&text, noun).map_err(|error| error.in_context(variable))?;
        return Ok(KeyVariable::Text(key));
    }
    let file_variable = format!("{variable}_FILE");
    if let Some(path) = non_empty_variable(&file_variable) {
        return Ok(KeyVariable::File(file_variable, path.into()));
    }
    let message =
        format!("{variable} is not set; set it to an {noun}, or {file_variable} to the file with the key");
    Err(ApiKeyError::not_set(message))
}

/// Returns the value of an environment variable, or `None` if it is not set or empty.
fn non_empty_variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Reads a key from its file. Returns an error with the path if the file cannot be read, or does not contain a key.
#[cfg(feature = "directory")]
pub(crate) fn read_key_file(path: &Path, noun: KeyNoun) -> Result<SecretString, ApiKeyError> {
    read_secret_file(path, noun, |text| parse_key(text, noun))
}

/// Reads a secret from its file. Returns an error with the path if the file cannot be read, or `parse` rejects its text.
pub(crate) fn read_secret_file<T>(
    path: &Path,
    noun: KeyNoun,
    parse: impl FnOnce(&str) -> Result<T, ApiKeyError>,
) -> Result<T, ApiKeyError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(cause) => {
            let mut error = ApiKeyError::new(format!("the {noun} cannot be read: {cause}"));
            error.source = Some(Arc::new(cause));
            return Err(error.in_file(path));
        }
    };
    let text = str::from_utf8(&bytes).unwrap_or_default();
    parse(text).map_err(|error| error.in_file(path))
}

/// Parses a key: one word of visible ASCII, with white space around it.
pub(crate) fn parse_key(text: &str, noun: KeyNoun) -> Result<SecretString, ApiKeyError> {
    let key = text.trim();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_key {
        return Err(ApiKeyError::new(format!("not an {noun}, which is one word of visible ASCII")));
    }
    Ok(SecretString::from(key))
}
