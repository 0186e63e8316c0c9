//! The maps that a handle merges: those of its files, and the learned one.

use std::sync::Arc;

use super::KeyNames;
#[cfg(feature = "directory")]
use super::learned::LearnedMap;

/// The maps of a handle, in order of precedence.
pub(crate) struct Sources {
    /// The paths of the files, for the status.
    description: String,
    files: Vec<Arc<KeyNames>>,
    #[cfg(feature = "directory")]
    learned: Option<LearnedMap>,
    /// The map that the program has put in place of all others, until one of them changes.
    replacement: Option<Arc<KeyNames>>,
}

/// The description of a map that the program has passed in.
const MEMORY: &str = "memory";

impl Sources {
    /// One map that the program has passed in.
    pub(super) fn in_memory(names: Arc<KeyNames>) -> Self {
        Self { replacement: Some(names), ..Self::of_files(String::new(), Vec::new()) }
    }

    /// The maps of these files. `description` contains their paths.
    pub(super) fn of_files(description: String, files: Vec<Arc<KeyNames>>) -> Self {
        Self {
            description,
            files,
            #[cfg(feature = "directory")]
            learned: None,
            replacement: None,
        }
    }

    pub(super) fn replace(&mut self, names: Arc<KeyNames>) {
        self.replacement = Some(names);
    }

    #[cfg(feature = "watch")]
    pub(super) fn set_files(&mut self, files: Vec<Arc<KeyNames>>) {
        self.files = files;
        self.replacement = None;
    }

    pub(super) fn description(&self) -> &str {
        if self.replacement.is_some() { MEMORY } else { &self.description }
    }

    /// Returns one map of all. The first map that contains an id names it.
    pub(super) fn merge(&self) -> Arc<KeyNames> {
        if let Some(names) = &self.replacement {
            return names.clone();
        }
        let maps = self.maps();
        match maps[..] {
            [only] => only.clone(),
            _ => Arc::new(KeyNames::merged(maps.into_iter().map(Arc::as_ref))),
        }
    }
}

#[cfg(not(feature = "directory"))]
impl Sources {
    fn maps(&self) -> Vec<&Arc<KeyNames>> {
        self.files.iter().collect()
    }

    /// True if `names`, the current map, is known to lack names.
    pub(super) fn is_partial(&self, names: &KeyNames) -> bool {
        names.is_partial()
    }

    /// True if a name that is absent from `names`, the current map, belongs to no key.
    pub(super) fn is_complete(&self, names: &KeyNames, generation: u64) -> bool {
        !names.is_partial() && (generation > 1 || !names.is_empty())
    }
}

#[cfg(feature = "directory")]
impl Sources {
    pub(super) fn with_learned(self, learned: LearnedMap) -> Self {
        Self { learned: Some(learned), ..self }
    }

    /// Stores the learned names and returns true if they differ from those before.
    pub(super) fn set_learned(&mut self, names: Arc<KeyNames>, is_complete: bool) -> bool {
        let is_new = self.learned.as_mut().is_some_and(|learned| learned.set(names, is_complete));
        if is_new {
            self.replacement = None;
        }
        is_new
    }

    /// Ends the wait for a complete listing.
    pub(super) fn abandon_learned(&mut self) {
        if let Some(learned) = &mut self.learned {
            learned.abandon();
        }
    }

    fn maps(&self) -> Vec<&Arc<KeyNames>> {
        let mut maps: Vec<_> = self.files.iter().collect();
        if let Some(learned) = &self.learned
            && let Some(names) = learned.names()
        {
            maps.insert(learned.position().min(maps.len()), names);
        }
        maps
    }

    /// True if `names`, the current map, is known to lack names.
    pub(super) fn is_partial(&self, names: &KeyNames) -> bool {
        let has_none_yet = |learned: &LearnedMap| learned.is_awaited() && learned.names().is_none();
        names.is_partial() || self.learned.as_ref().is_some_and(has_none_yet)
    }

    /// True if a name that is absent from `names`, the current map, belongs to no key.
    pub(super) fn is_complete(&self, names: &KeyNames, generation: u64) -> bool {
        let has_names = generation > 1 || !names.is_empty();
        let has_all = self
            .learned
            .as_ref()
            .map_or(has_names, |learned| learned.is_complete() || has_names && !learned.is_awaited());
        has_all && !names.is_partial()
    }
}
