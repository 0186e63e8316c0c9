//! The maps that are merged into one: those of the watched files and the learned one.

use std::sync::Arc;

use super::KeyNames;

/// The maps of a handle, in order of precedence.
#[derive(Default)]
pub(crate) struct Sources {
    description: String,
    files: Vec<Arc<KeyNames>>,
    learned: Option<LearnedMap>,
}

/// The map that a directory fills.
pub(crate) struct LearnedMap {
    /// The number of files that have precedence over it.
    position: usize,
    /// `None` until there is a first list.
    names: Option<Arc<KeyNames>>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The publisher has not published a complete listing yet.
    Awaited,
    /// A complete listing was published.
    Complete,
    /// The publisher was dropped before a complete listing.
    Abandoned,
}

// === impl Sources ===

impl Sources {
    /// The maps of these files. `description` contains the paths, for the status.
    pub(crate) fn new(description: String, files: Vec<Arc<KeyNames>>) -> Self {
        Self { description, files, learned: None }
    }

    /// Adds a map that is learned. The first `position` files have precedence over it.
    pub(crate) fn with_learned(mut self, position: usize, names: Option<Arc<KeyNames>>) -> Self {
        self.learned = Some(LearnedMap { position, names, progress: Progress::Awaited });
        self
    }

    pub(super) fn description(&self) -> &str {
        &self.description
    }

    pub(super) fn set_files(&mut self, files: Vec<Arc<KeyNames>>) {
        self.files = files;
    }

    /// Stores the learned map and returns true if it differs from the one before.
    pub(super) fn set_learned(&mut self, names: Arc<KeyNames>, is_complete: bool) -> bool {
        let Some(learned) = &mut self.learned else { return false };
        if is_complete {
            learned.progress = Progress::Complete;
        }
        let is_new = learned.names.as_ref().is_none_or(|before| !before.has_same_pairs(&names));
        learned.names = Some(names);
        is_new
    }

    /// Ends the wait for a complete listing.
    pub(super) fn abandon_learned(&mut self) {
        if let Some(learned) = &mut self.learned
            && learned.progress == Progress::Awaited
        {
            learned.progress = Progress::Abandoned;
        }
    }

    /// One map of all. The first map that contains an id names it.
    pub(super) fn merge(&self) -> Arc<KeyNames> {
        let mut maps: Vec<_> = self.files.iter().collect();
        if let Some(LearnedMap { position, names: Some(names), .. }) = &self.learned {
            maps.insert((*position).min(maps.len()), names);
        }
        match maps[..] {
            [only] => only.clone(),
            _ => Arc::new(KeyNames::merged(maps.into_iter().map(Arc::as_ref))),
        }
    }

    /// True if `names`, the current map, is known to lack names.
    pub(super) fn is_partial(&self, names: &KeyNames) -> bool {
        let is_awaited =
            |learned: &LearnedMap| learned.names.is_none() && learned.progress == Progress::Awaited;
        names.is_partial() || self.learned.as_ref().is_some_and(is_awaited)
    }

    /// True if a name that is absent from `names`, the current map, belongs to no key.
    pub(super) fn is_complete(&self, names: &KeyNames, generation: u64) -> bool {
        let has_begun = generation > 1 || !names.is_empty();
        let has_all = match self.learned.as_ref().map(|learned| learned.progress) {
            Some(Progress::Awaited) => false,
            Some(Progress::Complete) => true,
            Some(Progress::Abandoned) | None => has_begun,
        };
        has_all && !names.is_partial()
    }
}
