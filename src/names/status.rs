//! The state of a handle, for health checks and logs.

use std::time::SystemTime;

use super::KeyNames;

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
    /// Why the last reload of a watched file failed, as `names.json:3:7: …`; the last valid map
    /// stays in use. The errors of several files are separated by `; `. `None` if all files are
    /// valid or no file is watched.
    pub last_error: Option<String>,
    /// A restriction of the watcher: file events are unavailable, so that changes are found only
    /// by reading the files every few seconds. `None` if file events work.
    pub warning: Option<String>,
    /// The number of unusable list items: see [`KeyNames::left_out`].
    pub left_out: usize,
    /// True if names are known to be missing: see [`KeyNames::is_partial`]. Also true until the
    /// first names are learned, if a directory is to deliver them.
    pub partial: bool,
}

impl Status {
    /// The status of a handle whose first map this is.
    pub(super) fn new(names: &KeyNames, source: &str, partial: bool) -> Self {
        Self {
            generation: 1,
            entries: names.len(),
            changed_at: SystemTime::now(),
            source: source.into(),
            last_error: None,
            warning: None,
            left_out: names.left_out(),
            partial,
        }
    }

    /// Describes the next generation.
    pub(super) fn advance(&mut self, names: &KeyNames, source: &str, partial: bool) {
        let Self { last_error, warning, generation, .. } = self;
        *self = Self {
            generation: *generation + 1,
            last_error: last_error.take(),
            warning: warning.take(),
            ..Self::new(names, source, partial)
        };
    }
}
