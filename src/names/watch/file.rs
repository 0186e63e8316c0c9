//! Files with maps, without a clock, a watcher or a thread.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::names::secret::display_path;
use crate::names::{KeyNames, WatchError, WatchErrorKind};

/// The greatest size of a file, in bytes: enough for over 100,000 entries with the longest ids and names. Without a
/// limit, a wrong path could exhaust the memory.
pub(crate) const MAX_FILE: u64 = 64 << 20;

/// A file and the map of its last valid content.
pub(super) struct MapFile {
    /// The path for messages, as it was passed in.
    path: PathBuf,
    /// Absolute, so that a change of the working directory has no effect.
    pub(super) absolute_path: PathBuf,
    /// The last valid content. It is compared, because the time and the size do not show every edit.
    content: Option<Vec<u8>>,
    pub(super) names: Arc<KeyNames>,
    /// The place of the map in the order of precedence.
    pub(super) place: usize,
    /// The error of the last reading.
    pub(super) error: Option<WatchError>,
}

/// Reads a file. Returns `None` if there is no such file.
#[cfg(feature = "directory")]
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, WatchError> {
    read(path, path)
}

/// Parses the content of a file.
pub(crate) fn parse_file(path: &Path, content: &[u8]) -> Result<KeyNames, WatchError> {
    KeyNames::from_json(content).map_err(|error| WatchError::invalid_map(path, error))
}

/// Reads the file at `path`. Errors contain the path `shown`.
fn read(path: &Path, shown: &Path) -> Result<Option<Vec<u8>>, WatchError> {
    let error = |kind, message: &str| Err(WatchError::in_file(kind, shown, message));
    let too_large = || {
        let message = format!("is over {} MiB long, too long for a map of names", MAX_FILE >> 20);
        error(WatchErrorKind::TooLarge, &message)
    };
    // The metadata are read first, because opening a pipe would wait for its writer.
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(|error| unreadable(shown, error))?,
    };
    if !metadata.is_file() {
        return error(WatchErrorKind::NotAFile, "is not a file; a directory or a pipe cannot be watched");
    }
    if metadata.len() > MAX_FILE {
        return too_large();
    }
    let mut content = Vec::with_capacity(metadata.len() as usize + 1);
    let reading = fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut content));
    match reading.map_err(|error| unreadable(shown, error))? as u64 {
        0..=MAX_FILE => Ok(Some(content)),
        _ => too_large(),
    }
}

fn unreadable(path: &Path, error: io::Error) -> WatchError {
    let message = format!("cannot be read: {error}");
    WatchError::in_file(WatchErrorKind::Io, path, &message).caused_by(error)
}

// === impl MapFile ===

impl MapFile {
    /// Reads these files for the first time. All must be valid.
    pub(super) fn open_all(paths: &[PathBuf]) -> Result<Vec<Self>, WatchError> {
        let mut files = Vec::new();
        for (place, path) in paths.iter().enumerate() {
            let mut file = Self::new(path, place)?;
            file.reload();
            files.push(file);
        }
        match Self::error_of(&files) {
            None => Ok(files),
            Some(error) => Err(error),
        }
    }

    fn new(path: &Path, place: usize) -> Result<Self, WatchError> {
        let absolute_path = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
        let path = path.to_path_buf();
        Ok(Self { path, absolute_path, content: None, names: Arc::default(), place, error: None })
    }

    /// The errors of these files as one.
    pub(super) fn error_of(files: &[Self]) -> Option<WatchError> {
        WatchError::of_all(files.iter().filter_map(|file| file.error.clone()))
    }

    /// The path for messages.
    pub(super) fn path(&self) -> String {
        display_path(&self.path)
    }

    /// Reads the file again and returns true if it has a new valid content. An invalid file keeps its last valid map.
    pub(super) fn reload(&mut self) -> bool {
        let result = self.try_reload();
        self.error = result.as_ref().err().cloned();
        result.unwrap_or(false)
    }

    fn try_reload(&mut self) -> Result<bool, WatchError> {
        let not_found = || WatchError::in_file(WatchErrorKind::NotFound, &self.path, "there is no such file");
        let content = read(&self.absolute_path, &self.path)?.ok_or_else(not_found)?;
        if self.content.as_ref() == Some(&content) {
            return Ok(false);
        }
        self.names = Arc::new(parse_file(&self.path, &content)?);
        self.content = Some(content);
        Ok(true)
    }
}
