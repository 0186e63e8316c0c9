//! The error of a watched file.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::secret::display_path;

/// The reason why files cannot be watched, or why a file was not reloaded.
///
/// Its text contains the path, the line and column, the defect and a remedy. It never repeats the content of the
/// file, which may be a secret. If several files have an error, the text contains all errors, and the kind, path and
/// source are those of the first.
#[derive(Clone, Debug)]
pub struct WatchError {
    kind: WatchErrorKind,
    message: String,
    path: Option<PathBuf>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kind of a [`WatchError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchErrorKind {
    /// The list of files is empty.
    NoFiles,
    /// The file does not exist.
    NotFound,
    /// The path leads to a directory, a pipe or a device.
    NotAFile,
    /// The file is larger than 64 MiB.
    TooLarge,
    /// The file cannot be read, or its path is invalid.
    Io,
    /// The content of the file is invalid.
    InvalidContent,
    /// The thread that watches the files cannot be started.
    Thread,
}

impl WatchError {
    /// The kind of the error.
    pub fn kind(&self) -> WatchErrorKind {
        self.kind
    }

    /// The path of the file. `None` if the error concerns no single file, or the path looks like an API key.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(crate) fn new(kind: WatchErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, source: None }
    }

    /// The error of one file. `message` follows the path and begins with a colon.
    pub(super) fn in_file(kind: WatchErrorKind, path: &Path, message: impl fmt::Display) -> Self {
        let shown = display_path(path);
        let path = if shown == path.to_string_lossy() { Some(path.to_path_buf()) } else { None };
        Self { path, ..Self::new(kind, format!("{shown}{message}")) }
    }

    /// Returns these errors as one: all texts, and the kind, path and source of the first. `None` if there is no error.
    pub(super) fn join<'a>(mut errors: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let mut joined = errors.next()?.clone();
        for error in errors {
            joined.message += &format!("; {}", error.message);
        }
        Some(joined)
    }

    pub(super) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for WatchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl PartialEq for WatchError {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.message == other.message
    }
}

impl Eq for WatchError {}
