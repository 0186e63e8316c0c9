//! One file with a map.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::names::KeyNames;
use crate::names::watch_error::{FileDefect, FilePath, WatchError};

/// The greatest size of a file, in bytes: enough for over 100,000 entries with the longest ids and
/// names. Without a limit, a wrong path could exhaust the memory.
pub(crate) const MAX_FILE: u64 = 64 << 20;

/// A file and the map of its last valid content.
pub(super) struct MapFile {
    path: FilePath,
    /// Absolute, so that a change of the working directory has no effect.
    absolute: PathBuf,
    /// The last valid content. It is compared, because the time and the size do not show every edit.
    content: Option<Vec<u8>>,
    names: Arc<KeyNames>,
    error: Option<WatchError>,
}

/// Reads a file that contains a map. Returns `None` if there is no such file.
#[cfg(feature = "directory")]
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, WatchError> {
    read(path).map_err(|defect| WatchError::file(&FilePath::new(path), defect))
}

/// Parses the content of a file.
#[cfg(feature = "directory")]
pub(crate) fn parse_file(path: &Path, content: &[u8]) -> Result<KeyNames, WatchError> {
    let error = |error| WatchError::file(&FilePath::new(path), FileDefect::InvalidMap(error));
    KeyNames::from_json(content).map_err(error)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FileDefect> {
    let result = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        _ => Err(FileDefect::Io(Arc::new(error))),
    };
    // The metadata are read first, because opening a pipe would wait for its writer.
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return result(error),
    };
    if !metadata.is_file() {
        return Err(FileDefect::NotAFile);
    }
    if metadata.len() > MAX_FILE {
        return Err(FileDefect::TooLarge { limit: MAX_FILE });
    }
    let mut content = Vec::with_capacity(metadata.len() as usize + 1);
    let reading = fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut content));
    match reading {
        Err(error) => result(error),
        Ok(_) if content.len() as u64 > MAX_FILE => Err(FileDefect::TooLarge { limit: MAX_FILE }),
        Ok(_) => Ok(Some(content)),
    }
}

// === impl MapFile ===

impl MapFile {
    /// A file that has not been read yet.
    pub(super) fn new(path: &Path) -> Result<Self, WatchError> {
        let shown = FilePath::new(path);
        match std::path::absolute(path) {
            Ok(absolute) => {
                Ok(Self { path: shown, absolute, content: None, names: Arc::default(), error: None })
            }
            Err(error) => Err(WatchError::file(&shown, FileDefect::Io(Arc::new(error)))),
        }
    }

    /// The path for messages.
    pub(super) fn path(&self) -> &str {
        self.path.as_str()
    }

    pub(super) fn absolute_path(&self) -> &Path {
        &self.absolute
    }

    /// The map of the last valid content.
    pub(super) fn names(&self) -> &Arc<KeyNames> {
        &self.names
    }

    /// The error of the last reading.
    pub(super) fn error(&self) -> Option<&WatchError> {
        self.error.as_ref()
    }

    /// Reads the file again and returns true if it has a new valid content.
    pub(super) fn reload(&mut self) -> bool {
        let result = self.try_reload();
        self.error = result.as_ref().err().map(|defect| WatchError::file(&self.path, defect.clone()));
        result.unwrap_or(false)
    }

    fn try_reload(&mut self) -> Result<bool, FileDefect> {
        let content = read(&self.absolute)?.ok_or(FileDefect::NotFound)?;
        if self.content.as_ref() == Some(&content) {
            return Ok(false);
        }
        self.names = Arc::new(KeyNames::from_json(&content).map_err(FileDefect::InvalidMap)?);
        self.content = Some(content);
        Ok(true)
    }
}
