//! Files with maps: reading, parsing and comparing, without a clock, a watcher or a thread.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::names::{KeyNames, MapReader, WatchError, WatchErrorKind};

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
    reader: MapReader,
    pub(super) names: Arc<KeyNames>,
    /// The place of the map in the order of precedence.
    pub(crate) place: usize,
    /// The error of the last reading.
    pub(super) error: Option<WatchError>,
}

/// Parses the content of a file. An error begins with the path and the position, in the form that compilers use.
pub(crate) fn parse_file(path: &Path, content: &[u8], reader: &MapReader) -> Result<KeyNames, WatchError> {
    reader.read(content).map_err(|error| {
        let message = match error.position {
            Some((line, column)) => format!(":{line}:{column}: {}", error.text()),
            None => format!(": {}", error.text()),
        };
        WatchError::in_file(WatchErrorKind::InvalidMap, path, message).caused_by(error)
    })
}

/// Reads the file at `path`. Returns `None` if there is no such file. Errors contain the path `shown`.
pub(crate) fn read_file(path: &Path, shown: &Path) -> Result<Option<Vec<u8>>, WatchError> {
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
        return Err(too_large(shown));
    }
    let mut content = Vec::with_capacity(metadata.len() as usize + 1);
    // The file may grow while it is read.
    let reading = fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut content));
    match reading {
        Ok(len) if len as u64 > MAX_FILE => Err(too_large(shown)),
        Ok(_) => Ok(Some(content)),
        Err(error) => Err(unreadable(shown, error)),
    }
}

fn too_large(path: &Path) -> WatchError {
    let message = format_args!(": is over {} MiB long, too long for a map of names", MAX_FILE >> 20);
    WatchError::in_file(WatchErrorKind::TooLarge, path, message)
}

fn unreadable(path: &Path, error: io::Error) -> WatchError {
    WatchError::in_file(WatchErrorKind::Io, path, format_args!(": cannot be read: {error}")).caused_by(error)
}

impl MapFile {
    /// Reads these files for the first time. Returns the errors of all invalid files as one error.
    pub(crate) fn open_all(paths: &[PathBuf], reader: &MapReader) -> Result<Vec<Self>, WatchError> {
        let mut files = Vec::new();
        for (place, path) in paths.iter().enumerate() {
            let mut file = Self {
                path: path.clone(),
                absolute_path: std::path::absolute(path).map_err(|error| unreadable(path, error))?,
                content: None,
                reader: reader.clone(),
                names: Arc::default(),
                place,
                error: None,
            };
            file.error = file.try_reload().err();
            files.push(file);
        }
        match Self::joined_error(&files) {
            Some(error) => Err(error),
            None => Ok(files),
        }
    }

    /// Returns the errors of these files as one error, or `None` if all files are valid.
    pub(super) fn joined_error(files: &[Self]) -> Option<WatchError> {
        let mut errors = files.iter().filter_map(|file| file.error.as_ref());
        let mut joined = errors.next()?.clone();
        for error in errors {
            joined.message += &format!("; {}", error.message);
        }
        Some(joined)
    }

    /// Reads the file again. Returns true if it has a new valid content. An invalid file keeps its last valid map, and its
    /// error is stored. The first of several errors is logged, and the next success.
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
                    tracing::warn!("{error}; the last valid map stays in use");
                }
                self.error = Some(error);
                false
            }
        }
    }

    /// Reads the file again. Returns true if the content has changed, and an error if the file is missing or invalid.
    fn try_reload(&mut self) -> Result<bool, WatchError> {
        let Some(content) = read_file(&self.absolute_path, &self.path)? else {
            return Err(WatchError::in_file(WatchErrorKind::NotFound, &self.path, ": there is no such file"));
        };
        if self.content.as_ref() == Some(&content) {
            return Ok(false);
        }
        self.names = Arc::new(parse_file(&self.path, &content, &self.reader)?);
        self.content = Some(content);
        Ok(true)
    }
}
