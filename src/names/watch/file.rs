//! Files with maps: reading, parsing and comparing, without a clock, a watcher or a thread.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::names::{KeyNames, WatchError, WatchErrorKind};

/// The greatest size of a file, in bytes: enough for over 100,000 entries with the longest ids and names. Without a
/// limit, a wrong path could exhaust the memory.
pub(crate) const MAX_FILE: u64 = 64 << 20;

/// A file and the map of its last valid content.
pub(crate) struct MapFile {
    /// The path for messages, as it was passed in.
    pub(super) path: PathBuf,
    /// Absolute, so that a change of the working directory has no effect.
    pub(super) absolute_path: PathBuf,
    /// The last valid content. It is compared, because the time and the size do not show every edit.
    content: Option<Vec<u8>>,
    pub(super) names: Arc<KeyNames>,
    /// The place of the map in the order of precedence.
    pub(crate) place: usize,
    /// The error of the last reading.
    pub(super) error: Option<WatchError>,
}

/// Parses the content of a file.
pub(crate) fn parse_file(path: &Path, content: &[u8]) -> Result<KeyNames, WatchError> {
    KeyNames::from_json(content).map_err(|error| {
        // Compilers write positions in this form.
        let position = error.position.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        let message = format!("{position}: {}", error.text());
        WatchError::in_file(WatchErrorKind::InvalidMap, path, message).caused_by(error)
    })
}

/// Reads the file at `path`. Returns `None` if there is no such file. Errors contain the path `shown`.
pub(crate) fn read_file(path: &Path, shown: &Path) -> Result<Option<Vec<u8>>, WatchError> {
    // The metadata are read first, because opening a pipe would wait for its writer.
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(|error| unreadable(shown, error))?,
    };
    if !metadata.is_file() {
        let message = ": is not a file; a directory or a pipe cannot be watched";
        return Err(WatchError::in_file(WatchErrorKind::NotAFile, shown, message));
    }
    if metadata.len() <= MAX_FILE {
        let mut content = Vec::with_capacity(metadata.len() as usize + 1);
        let reading = fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut content));
        if reading.map_err(|error| unreadable(shown, error))? as u64 <= MAX_FILE {
            return Ok(Some(content));
        }
    }
    let message = format_args!(": is over {} MiB long, too long for a map of names", MAX_FILE >> 20);
    Err(WatchError::in_file(WatchErrorKind::TooLarge, shown, message))
}

fn unreadable(path: &Path, error: io::Error) -> WatchError {
    WatchError::in_file(WatchErrorKind::Io, path, format_args!(": cannot be read: {error}")).caused_by(error)
}

// === impl MapFile ===

impl MapFile {
    /// Reads these files for the first time. All must be valid.
    pub(crate) fn open_all(paths: &[PathBuf]) -> Result<Vec<Self>, WatchError> {
        let mut files = Vec::new();
        for (place, path) in paths.iter().enumerate() {
            let absolute_path = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
            let (path, names) = (path.clone(), Arc::default());
            let mut file = Self { path, absolute_path, content: None, names, place, error: None };
            file.error = file.try_reload().err();
            files.push(file);
        }
        Self::error_of(&files).map_or(Ok(files), Err)
    }

    /// The errors of these files as one.
    pub(super) fn error_of(files: &[Self]) -> Option<WatchError> {
        files.iter().filter_map(|file| file.error.clone()).reduce(|mut all, next| {
            all.message += &format!("; {}", next.message);
            all
        })
    }

    /// Reads the file again and returns true if it has a new valid content. An invalid file keeps its last valid map.
    pub(super) fn reload(&mut self) -> bool {
        #[cfg(feature = "tracing")]
        let was_valid = self.error.is_none();
        let result = self.try_reload();
        self.error = result.as_ref().err().cloned();
        #[cfg(feature = "tracing")]
        match (was_valid, &self.error) {
            (true, Some(error)) => tracing::warn!("{error}; the last valid map stays in use"),
            (false, None) => tracing::info!("{}: valid again", crate::names::display_path(&self.path)),
            _ => {}
        }
        result.unwrap_or(false)
    }

    fn try_reload(&mut self) -> Result<bool, WatchError> {
        let not_found =
            || WatchError::in_file(WatchErrorKind::NotFound, &self.path, ": there is no such file");
        let content = read_file(&self.absolute_path, &self.path)?.ok_or_else(not_found)?;
        if self.content.as_ref() == Some(&content) {
            return Ok(false);
        }
        self.names = Arc::new(parse_file(&self.path, &content)?);
        self.content = Some(content);
        Ok(true)
    }
}
