//! The state of a handle, for health checks and logs.

use std::time::SystemTime;

use super::KeyNames;
#[cfg(feature = "watch")]
use super::watch_error::WatchError;

/// The state of a [`SharedKeyNames`](crate::SharedKeyNames): its generation, source and errors.
///
/// It contains no id and no name, so a health page may show it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The number of the current generation: 1 for the first map, one more for each replacement.
    pub generation: u64,
    /// The number of ids with a name.
    pub entries: usize,
    /// The time at which the current generation began.
    pub changed_at: SystemTime,
    /// The origin of the current generation: the files, separated by commas, or `memory`.
    pub source: String,
    /// The error of the last reload. The last valid map of the file stays in use. `None` if all files are valid, or
    /// none is watched.
    #[cfg(feature = "watch")]
    pub last_error: Option<WatchError>,
    /// A restriction of the watcher: file events are unavailable, so changes are found only by reading the files
    /// every few seconds. `None` if file events work, or no file is watched.
    #[cfg(feature = "watch")]
    pub warning: Option<String>,
    /// The number of unusable list items: see [`KeyNames::left_out`].
    pub left_out: usize,
    /// True if names are known to be missing: see [`KeyNames::is_partial`]. Also true until the first names are
    /// learned, if a directory is to deliver them.
    pub partial: bool,
}

impl Status {
    /// The status of a generation, without an error.
    pub(super) fn new(generation: u64, names: &KeyNames, source: &str) -> Self {
        Self {
            generation,
            entries: names.len(),
            changed_at: SystemTime::now(),
            source: source.into(),
            #[cfg(feature = "watch")]
            last_error: None,
            #[cfg(feature = "watch")]
            warning: None,
            left_out: names.left_out(),
            partial: names.is_partial(),
        }
    }

    /// Describes the next generation. The error and the warning stay.
    pub(super) fn advance(&mut self, names: &KeyNames, source: &str) {
        *self = Self {
            #[cfg(feature = "watch")]
            last_error: self.last_error.take(),
            #[cfg(feature = "watch")]
            warning: self.warning.take(),
            ..Self::new(self.generation + 1, names, source)
        };
    }
}
