//! The error of the directory's admin key and files.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An unusable admin key, or a file that cannot be read or written.
///
/// `Display` writes one line that includes the cause and the remedy. Neither it nor the sources repeat a key or the
/// content of a file. A list that cannot be read is no error: see [`Listing::missing`](super::Listing).
#[derive(Clone)]
pub struct DirectoryError {
    kind: DirectoryErrorKind,
    message: String,
    path: Option<PathBuf>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kind of a [`DirectoryError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DirectoryErrorKind {
    /// The admin key is malformed, or its file cannot be read.
    AdminKey,
    /// No environment variable with an admin key is set.
    AdminKeyNotSet,
    /// A file with names written by hand cannot be watched.
    Watch,
    /// The file with learned names cannot be read, or is not a map.
    ReadCache,
    /// The file with learned names cannot be written.
    WriteCache,
}

impl DirectoryError {
    /// The kind of the error.
    pub fn kind(&self) -> DirectoryErrorKind {
        self.kind
    }

    /// The path of the file. `None` if there is no file, or if its path looks like a key.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn new(kind: DirectoryErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, source: None }
    }

    pub(super) fn at(self, path: &Path) -> Self {
        Self { path: Some(path.to_path_buf()), ..self }
    }

    pub(super) fn caused_by(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Puts `context` before the message.
    pub(super) fn in_context(self, context: &str) -> Self {
        Self { message: format!("{context}: {}", self.message), ..self }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryError").field("kind", &self.kind).field("message", &self.message).finish()
    }
}

impl Error for DirectoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
