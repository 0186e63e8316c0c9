//! The map and the status that all clones of a handle share with its watcher and its publisher.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::unmatched::UnmatchedQueue;
use super::{KEY_ID, KeyNames};

/// One generation of the map. It never changes, even if the handle's map is replaced.
///
/// A clone is cheap, and a snapshot may be kept across an `await`. It dereferences to its [`KeyNames`].
#[derive(Clone, Debug)]
pub struct Snapshot {
    generation: u64,
    names: Arc<KeyNames>,
    /// True if a name that is absent here belongs to no key. False before the first names, if a map is partial, and
    /// until the first complete listing, if names are learned.
    pub(crate) is_complete: bool,
}

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
    /// no file is watched.
    #[cfg(feature = "watch")]
    pub last_error: Option<crate::WatchError>,
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

/// The current map and its status. Readers load the map without a lock.
pub(super) struct Store {
    pub(super) current: ArcSwap<Snapshot>,
    /// Locked by each writer, before the status.
    sources: Mutex<Sources>,
    pub(super) status: watch::Sender<Status>,
    pub(super) unmatched: Arc<UnmatchedQueue>,
}

/// The maps that are merged into one.
#[derive(Default)]
pub(super) struct Sources {
    /// The path, for the status, and the map of each file, in order of precedence. One map may be learned.
    pub(super) files: Vec<(String, Arc<KeyNames>)>,
    /// The map that the program has put in place of all others, until one of them changes.
    pub(super) replacement: Option<Arc<KeyNames>>,
    /// True until a complete listing of the keys is published, if there is a publisher.
    pub(super) is_listing_awaited: bool,
}

impl Snapshot {
    /// The number of this generation of the handle's maps. The first is 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns this generation with other names, which are complete.
    pub(super) fn with_names(self, names: Arc<KeyNames>) -> Self {
        Self { names, is_complete: true, ..self }
    }

    /// True if a name that is absent in the section of this label belongs to no id.
    pub(crate) fn is_complete_for(&self, id_member: &str) -> bool {
        if id_member == KEY_ID {
            return self.is_complete;
        }
        // An empty first map, such as `{}`, means that the names have not arrived yet, for all labels.
        let have_names_arrived = self.is_complete || !self.names.entries.is_empty();
        have_names_arrived && self.names.is_section_complete(id_member)
    }
}

impl Deref for Snapshot {
    type Target = KeyNames;

    fn deref(&self) -> &KeyNames {
        &self.names
    }
}

impl Status {
    /// The status of a snapshot that was merged from these sources, without an error and a warning.
    fn new(snapshot: &Snapshot, sources: &Sources) -> Self {
        let paths: Vec<_> = sources.files.iter().map(|(path, _)| &**path).collect();
        let source = if sources.replacement.is_some() { "memory".into() } else { paths.join(", ") };
        Self {
            generation: snapshot.generation,
            entries: snapshot.len(),
            changed_at: SystemTime::now(),
            source,
            #[cfg(feature = "watch")]
            last_error: None,
            #[cfg(feature = "watch")]
            warning: None,
            left_out: snapshot.left_out(),
            partial: snapshot.is_partial(),
        }
    }
}

impl Store {
    /// Creates a store whose first generation is merged from these sources. If it has no names, it is incomplete.
    pub(super) fn new(sources: Sources) -> Arc<Self> {
        const FIRST_GENERATION: u64 = 1;
        let mut first_snapshot = sources.merge(FIRST_GENERATION);
        if first_snapshot.entries.is_empty() {
            // The names have not arrived yet.
            first_snapshot.is_complete = false;
        }
        let status = Status::new(&first_snapshot, &sources);
        let unmatched = Arc::<UnmatchedQueue>::default();
        unmatched.restart(FIRST_GENERATION);
        Arc::new(Self {
            current: ArcSwap::from_pointee(first_snapshot),
            sources: Mutex::new(sources),
            status: watch::Sender::new(status),
            unmatched,
        })
    }

    /// Changes the sources. If `change` returns true, their merged map is the next generation.
    pub(super) fn change(&self, change: impl FnOnce(&mut Sources) -> bool) {
        self.change_with_status(change, |_| false);
    }

    /// Changes the sources and the status in one step. Each closure returns true if it has changed its argument. Changed
    /// sources are merged to the next generation. Any change wakes the subscribers to the status.
    pub(super) fn change_with_status(
        &self,
        change_sources: impl FnOnce(&mut Sources) -> bool,
        change_status: impl FnOnce(&mut Status) -> bool,
    ) {
        // The sources are consistent even if another writer panics.
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if !change_sources(&mut sources) {
            self.status.send_if_modified(change_status);
            return;
        }
        let next = sources.merge(self.current.load().generation + 1);
        // The status stays locked until the map is stored, so a reader that has seen a generation in the status loads
        // that generation or a later one.
        self.status.send_modify(|status| {
            change_status(status);
            *status = Status {
                #[cfg(feature = "watch")]
                last_error: status.last_error.take(),
                #[cfg(feature = "watch")]
                warning: status.warning.take(),
                ..Status::new(&next, &sources)
            };
            self.unmatched.restart(next.generation);
            self.current.store(Arc::new(next));
        });
    }
}

impl Sources {
    /// Replaces the map at one place of the order of precedence.
    #[cfg(feature = "watch")]
    pub(super) fn set(&mut self, place: usize, names: Arc<KeyNames>) {
        self.files[place].1 = names;
        self.replacement = None;
    }

    /// Returns the replacement as the snapshot of this generation. If there is none, merges the maps of all files, of which
    /// the first that contains an id names it.
    fn merge(&self, generation: u64) -> Snapshot {
        let names = if let Some(replacement) = &self.replacement {
            replacement.clone()
        } else if let [(_, only_map)] = &self.files[..] {
            only_map.clone()
        } else {
            let maps = self.files.iter().map(|(_, map)| &**map);
            Arc::new(KeyNames::merged(maps))
        };
        let is_complete = names.is_section_complete(KEY_ID) && !self.is_listing_awaited;
        Snapshot { generation, names, is_complete }
    }
}
