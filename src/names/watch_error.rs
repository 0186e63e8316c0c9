//! The error of a watched file.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::KeyNamesError;
use super::secret::display_path;

/// The reason why files cannot be watched, or why a file was not reloaded.
///
/// Its text contains the path, the line and column, the defect and a remedy. It never repeats the
/// content of the file, which may be a secret.
#[derive(Clone, Debug)]
pub struct WatchError(Cause);

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
    /// The file contains no valid map.
    InvalidMap,
    /// The thread that watches the files cannot be started.
    Thread,
    /// Several files have an error: see [`WatchError::errors`].
    Several,
}

#[derive(Clone, Debug)]
enum Cause {
    NoFiles,
    Thread(Arc<io::Error>),
    File { path: FilePath, defect: FileDefect },
    Several(Vec<WatchError>),
}

/// The path of a file, and its text for messages.
#[derive(Clone)]
pub(crate) struct FilePath {
    path: PathBuf,
    text: Arc<str>,
}

/// The defect of one file.
#[derive(Clone, Debug)]
pub(crate) enum FileDefect {
    NotFound,
    NotAFile,
    TooLarge { limit: u64 },
    Io(Arc<io::Error>),
    InvalidMap(KeyNamesError),
}

// === impl WatchError ===

impl WatchError {
    pub(super) fn no_files() -> Self {
        Self(Cause::NoFiles)
    }

    pub(super) fn thread(error: io::Error) -> Self {
        Self(Cause::Thread(Arc::new(error)))
    }

    pub(crate) fn file(path: &FilePath, defect: FileDefect) -> Self {
        Self(Cause::File { path: path.clone(), defect })
    }

    /// One error of all, or `None` if there is none.
    pub(super) fn of_all(mut errors: Vec<Self>) -> Option<Self> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self(Cause::Several(errors))),
        }
    }

    /// The kind of the error.
    pub fn kind(&self) -> WatchErrorKind {
        match &self.0 {
            Cause::NoFiles => WatchErrorKind::NoFiles,
            Cause::Thread(_) => WatchErrorKind::Thread,
            Cause::Several(_) => WatchErrorKind::Several,
            Cause::File { defect, .. } => match defect {
                FileDefect::NotFound => WatchErrorKind::NotFound,
                FileDefect::NotAFile => WatchErrorKind::NotAFile,
                FileDefect::TooLarge { .. } => WatchErrorKind::TooLarge,
                FileDefect::Io(_) => WatchErrorKind::Io,
                FileDefect::InvalidMap(_) => WatchErrorKind::InvalidMap,
            },
        }
    }

    /// The path of the file. `None` if the error concerns no single file, or the path looks like an API key.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Cause::File { path, .. } => path.public(),
            _ => None,
        }
    }

    /// The defect of the map, with line and column, if a file contains no valid map.
    pub fn invalid_map(&self) -> Option<&KeyNamesError> {
        match &self.0 {
            Cause::File { defect: FileDefect::InvalidMap(error), .. } => Some(error),
            _ => None,
        }
    }

    /// The errors of the single files: this error, unless several files have one.
    pub fn errors(&self) -> &[WatchError] {
        match &self.0 {
            Cause::Several(errors) => errors,
            _ => std::slice::from_ref(self),
        }
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::NoFiles => f.write_str("no file to watch; name at least one"),
            Cause::Thread(error) => write!(f, "no thread can be started to watch files: {error}"),
            Cause::Several(errors) => {
                let texts: Vec<_> = errors.iter().map(Self::to_string).collect();
                f.write_str(&texts.join("; "))
            }
            Cause::File { path, defect } => match defect {
                FileDefect::NotFound => write!(f, "{path}: there is no such file"),
                FileDefect::NotAFile => {
                    write!(f, "{path}: is not a file; a directory or a pipe cannot be watched")
                }
                FileDefect::TooLarge { limit } => {
                    write!(f, "{path}: is over {} MiB long, too long for a map of names", limit >> 20)
                }
                FileDefect::Io(error) => write!(f, "{path}: cannot be read: {error}"),
                FileDefect::InvalidMap(error) => f.write_str(&error.in_file(path.as_str())),
            },
        }
    }
}

impl Error for WatchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Cause::Thread(error) => Some(&**error),
            Cause::File { defect: FileDefect::Io(error), .. } => Some(&**error),
            Cause::File { defect: FileDefect::InvalidMap(error), .. } => Some(error),
            _ => None,
        }
    }
}

impl PartialEq for WatchError {
    /// Compares the texts, which contain all that a user can act on.
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for WatchError {}

// === impl FilePath ===

impl FilePath {
    /// A path as it is written in the settings.
    pub(crate) fn new(path: &Path) -> Self {
        let text = if path.as_os_str().is_empty() { "\"\"".into() } else { display_path(path) };
        Self { path: path.into(), text: text.into() }
    }

    /// The text for messages.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn public(&self) -> Option<&Path> {
        (self.path.to_string_lossy() == *self.text).then_some(&self.path)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
