//! Watched files: reading and comparing, without a clock, a watcher or a thread.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::parse::{Parse, parse_file};
use super::{WatchError, WatchErrorKind};

/// The greatest size of a file, in bytes: enough for over 100,000 long entries. Without a limit, a wrong path could
/// exhaust the memory.
pub(crate) const MAX_FILE: u64 = 64 << 20;

/// A file and its last valid content.
pub(crate) struct WatchedFile<P: Parse> {
    /// The path for messages, as it was passed in.
    pub(crate) path: PathBuf,
    /// Absolute, so that a change of the working directory has no effect.
    pub(super) absolute_path: PathBuf,
    /// The last valid content. It is compared, because the time and the size do not show every edit.
    content: Vec<u8>,
    parser: P,
    /// The parsed form of the last valid content.
    pub(crate) parsed: Arc<P::Parsed>,
    /// The error of the last reading.
    pub(super) error: Option<WatchError>,
}

/// Reads the file at `path`. Returns `None` if there is no such file. Errors contain the path `shown`, and `what` the file
/// contains.
pub(crate) fn read_file(path: &Path, shown: &Path, what: &str) -> Result<Option<Vec<u8>>, WatchError> {
    // The metadata are read first, because opening a pipe would wait for its writer.
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(shown, error)),
    };
    if !metadata.is_file() {
        let message = ": is not a file; a directory or a pipe cannot be watched";
        return Err(WatchError::in_file(WatchErrorKind::NotAFile, shown, message));
    }
    if metadata.len() > MAX_FILE {
        return Err(too_large(shown, what));
    }
    let mut content = Vec::with_capacity(metadata.len() as usize + 1);
    // The file may grow while it is read.
    let reading = fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut content));
    match reading {
        Ok(len) if len as u64 > MAX_FILE => Err(too_large(shown, what)),
        Ok(_) => Ok(Some(content)),
        Err(error) => Err(unreadable(shown, error)),
    }
}

/// Reads a file as [`read_file`] does, except that a missing file is an error.
fn read_existing(path: &Path, shown: &Path, what: &str) -> Result<Vec<u8>, WatchError> {
    match read_file(path, shown, what)? {
        Some(content) => Ok(content),
        None => Err(WatchError::in_file(WatchErrorKind::NotFound, shown, ": there is no such file")),
    }
}

fn too_large(path: &Path, what: &str) -> WatchError {
    let message = format_args!(": is over {} MiB long, too long for a file of {what}", MAX_FILE >> 20);
    WatchError::in_file(WatchErrorKind::TooLarge, path, message)
}

fn unreadable(path: &Path, error: io::Error) -> WatchError {
    WatchError::in_file(WatchErrorKind::Io, path, format_args!(": cannot be read: {error}")).caused_by(error)
}

impl<P: Parse> WatchedFile<P> {
    /// Reads these files for the first time. Returns the errors of all invalid files as one error.
    pub(crate) fn open_all(paths: &[PathBuf], parser: &P) -> Result<Vec<Self>, WatchError> {
        let mut files = Vec::new();
        let mut errors = Vec::new();
        for path in paths {
            match Self::open(path, parser) {
                Ok(file) => files.push(file),
                Err(error) => errors.push(error),
            }
        }
        match WatchError::join(errors.iter()) {
            Some(error) => Err(error),
            None => Ok(files),
        }
    }

    /// Reads a file for the first time. Returns an error if it is missing or invalid.
    pub(crate) fn open(path: &Path, parser: &P) -> Result<Self, WatchError> {
        let absolute_path = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
        let content = read_existing(&absolute_path, path, P::WHAT)?;
        let parsed = Arc::new(parse_file(path, &content, parser)?);
        let path = path.to_path_buf();
        Ok(Self { path, absolute_path, content, parser: parser.clone(), parsed, error: None })
    }

    /// Reads the file again. Returns true if it has a new valid content. An invalid file keeps its last valid content, and
    /// its error is stored. The first of several errors is logged, and the next success.
    pub(super) fn reload(&mut self) -> bool {
        match self.try_reload() {
            Ok(is_changed) => {
                #[cfg(feature = "tracing")]
                if self.error.is_some() {
                    tracing::info!("{}: valid again", crate::secret::display_path(&self.path));
                }
                self.error = None;
                is_changed
            }
            Err(error) => {
                #[cfg(feature = "tracing")]
                if self.error.is_none() {
                    tracing::warn!("{error}; the last valid {} stay in use", P::WHAT);
                }
                self.error = Some(error);
                false
            }
        }
    }

    /// Reads the file again. Returns true if the content has changed, and an error if the file is missing or invalid.
    fn try_reload(&mut self) -> Result<bool, WatchError> {
        let content = read_existing(&self.absolute_path, &self.path, P::WHAT)?;
        if self.content == content {
            return Ok(false);
        }
        self.parsed = Arc::new(parse_file(&self.path, &content, &self.parser)?);
        self.content = content;
        Ok(true)
    }
}
