//! `SharedKeyNames`: the handle that a service asks and a feeder feeds.
//!
//! The only home of `ArcSwap`: one load a request, and what it gives stays whole for as long as
//! the request lives.

#[cfg(test)]
mod tests;

use crate::KeyNames;
use crate::names::looks_like_secret;
use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::{Notify, watch};

/// A handle to the current map. All clones share one map; replacing it in one replaces it in all.
///
/// Made from a map, it holds that map until [`replace`](Self::replace) is called. Made by
/// `SharedKeyNames::watch` (feature `watch`), it also follows a file, for as long as any clone of
/// it lives: what feeds it is kept inside, so that nobody can drop it by accident.
///
/// ```
/// use tower_api_key_name::{KeyNames, SharedKeyNames};
///
/// let names = SharedKeyNames::new(KeyNames::new([("key_abc", "billing")])?);
/// let before = names.snapshot();
/// names.replace(KeyNames::new([("key_abc", "search")])?);
///
/// assert_eq!(before.name("key_abc"), Some("billing"));
/// assert_eq!(names.snapshot().name("key_abc"), Some("search"));
/// # Ok::<(), tower_api_key_name::KeyNamesError>(())
/// ```
#[derive(Clone)]
pub struct SharedKeyNames {
    board: Arc<Board>,
    /// Kept alive, never looked at. It holds `board` weakly, so there is no circle, and hears
    /// that the last handle is gone by being dropped.
    feeder: Option<Arc<dyn Send + Sync>>,
}

/// The map of one moment: it never changes, whatever is replaced meanwhile.
///
/// Cheap to clone, and may be kept across an `await`. It reads like the [`KeyNames`] that it is.
#[derive(Clone)]
pub struct Snapshot(Arc<Numbered>);

/// What a handle holds now, where that comes from, and what went wrong last.
///
/// Nothing in it repeats what stands in a map: it may be shown on a health page.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// 1 for the first map, one more for each that replaced it.
    pub generation: u64,
    /// How many ids have a name.
    pub entries: usize,
    /// When this generation came.
    pub changed_at: SystemTime,
    /// Where this generation came from: the watched files, with commas between them, or `memory`.
    pub source: String,
    /// Why the last reload of a watched file failed, as `names.json:3:7: …`; the last good map is
    /// still in use. Of several files, one after another with `; ` between them. `None` once all are
    /// good again, and where none is watched.
    pub last_error: Option<String>,
    /// What works less well than it should: the system's file events cannot be had, so changes are
    /// found only by looking every few seconds. `None` if all is well.
    pub warning: Option<String>,
    /// See [`KeyNames::left_out`].
    pub left_out: usize,
    /// See [`KeyNames::is_partial`].
    pub partial: bool,
}

/// What all clones of a handle share, and a feeder knows weakly.
pub(crate) struct Board {
    current: ArcSwap<Numbered>,
    status: watch::Sender<Status>,
    unmatched: Mutex<Unmatched>,
    heard: Notify,
    fetching: Arc<Mutex<Fetching>>,
}

struct Numbered {
    generation: u64,
    names: KeyNames,
    fetching: Arc<Mutex<Fetching>>,
}

/// Whether names are still to come.
#[derive(Default)]
#[cfg_attr(not(feature = "directory"), allow(dead_code))]
enum Fetching {
    /// Nobody fetches any, or all that were fetched are here.
    #[default]
    Done,
    /// Somebody does, and has not got them all yet.
    Begun,
    /// These are all; they may still be on their way here.
    Sent(Arc<KeyNames>),
}

/// Somebody who fetches names. Dropped before they were sent, they are not to come.
#[cfg(feature = "directory")]
pub(crate) struct Fetcher(Arc<Mutex<Fetching>>);

/// The ids asked for in vain in one generation.
struct Unmatched {
    generation: u64,
    seen: HashSet<Box<str>, RandomState>,
    fresh: Vec<String>,
}

// === impl SharedKeyNames ===

impl SharedKeyNames {
    /// How many unmatched ids are remembered in one generation. Upstream decides which ids come,
    /// so there is a bound; at the longest ids it is 256 KiB.
    pub(crate) const MAX_UNMATCHED: usize = 1024;

    /// A handle to this map, as generation 1, from `memory`.
    pub fn new(names: KeyNames) -> Self {
        Self { board: Arc::new(Board::new(names, MEMORY)), feeder: None }
    }

    /// A handle whose feeder lives exactly as long as any clone of it.
    #[cfg(feature = "watch")]
    pub(crate) fn fed(board: Arc<Board>, feeder: Arc<dyn Send + Sync>) -> Self {
        Self { board, feeder: Some(feeder) }
    }

    /// The map of this moment. One atomic load, without waiting: take one for each request, and
    /// use it to the request's end.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.board.current.load_full())
    }

    /// Puts this map in place of the one before, as the next generation, in every clone.
    ///
    /// An equal map is a new generation too.
    /// On a handle that watches files the map holds until their *content* next changes.
    pub fn replace(&self, names: KeyNames) {
        self.board.put(names, MEMORY, |_| {});
    }

    /// What it holds now, from where, and what went wrong last.
    pub fn status(&self) -> Status {
        self.board.status.borrow().clone()
    }

    /// Waits until the status fulfils `condition`, and gives that status; at once if it already
    /// does. Of statuses that follow each other quickly it may see only the last.
    ///
    /// A status is never ahead of the map: once a generation is seen here,
    /// [`snapshot`](Self::snapshot) gives it or a later one.
    ///
    /// ```
    /// # use tower_api_key_name::{KeyNames, SharedKeyNames};
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let names = SharedKeyNames::default();
    /// names.replace(KeyNames::new([("key_abc", "billing")])?);
    /// assert_eq!(names.wait_for(|status| status.generation > 1).await.entries, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn wait_for(&self, mut condition: impl FnMut(&Status) -> bool) -> Status {
        let mut statuses = self.board.status.subscribe();
        loop {
            // A clone, so that `condition` may call this handle: no lock is held meanwhile.
            let status = statuses.borrow_and_update().clone();
            // The sender lives in the board that `self` holds: it cannot be gone.
            if condition(&status) || statuses.changed().await.is_err() {
                return status;
            }
        }
    }

    /// Notes that a request with a snapshot of this generation met an id without a name. True the
    /// first time in this generation, while there is room: then the caller may log it.
    ///
    /// Late news of an older generation counts for nothing. What could not stand in a map, as too
    /// long or looking like a secret, is neither kept nor to be logged.
    pub(crate) fn note_unmatched(&self, generation: u64, id: &str) -> bool {
        if id.len() > KeyNames::MAX_ID {
            return false;
        }
        let mut unmatched = self.board.unmatched();
        // By what takes least: an id without a name is in every answer, and was seen before.
        if unmatched.generation != generation
            || unmatched.seen.contains(id)
            || unmatched.seen.len() == Self::MAX_UNMATCHED
            || looks_like_secret(id)
        {
            return false;
        }
        unmatched.seen.insert(id.into());
        unmatched.fresh.push(id.into());
        drop(unmatched);
        self.board.heard.notify_waiters();
        true
    }

    /// Takes the ids that were looked up in vain in this generation and were not taken before, in
    /// the order in which they came: for what can find their names.
    ///
    /// Each id comes once a generation, at most 1,024 of them, for the upstream decides which come.
    /// One of over 256 bytes, or one that looks like a secret, never does.
    pub fn drain_unmatched(&self) -> Vec<String> {
        std::mem::take(&mut self.board.unmatched().fresh)
    }

    /// Says that somebody fetches names from now on.
    #[cfg(feature = "directory")]
    pub(crate) fn begin_fetching(&self) -> Fetcher {
        let fetcher = Fetcher(self.board.fetching.clone());
        *fetcher.state() = Fetching::Begun;
        fetcher
    }

    /// Waits until there are such ids, and takes them: see
    /// [`drain_unmatched`](Self::drain_unmatched). Never empty. Dropping the future loses none.
    pub async fn next_unmatched(&self) -> Vec<String> {
        loop {
            // Listen before looking (it counts from here): what comes between is not missed.
            let heard = self.board.heard.notified();
            let ids = self.drain_unmatched();
            if !ids.is_empty() {
                return ids;
            }
            heard.await;
        }
    }
}

impl Default for SharedKeyNames {
    /// A handle to an empty map: every id is unmatched until [`replace`](Self::replace).
    fn default() -> Self {
        Self::new(KeyNames::default())
    }
}

impl From<KeyNames> for SharedKeyNames {
    fn from(names: KeyNames) -> Self {
        Self::new(names)
    }
}

impl fmt::Debug for SharedKeyNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeyNames")
            .field("status", &self.status())
            .field("fed", &self.feeder.is_some())
            .finish()
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Which generation of the handle's maps this is, from 1.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Whether a name that is not here is one that no key has, as far as anybody knows: not before the first names
    /// have come, nor in a map that is known to be a part, nor while names are fetched.
    pub(crate) fn is_complete(&self) -> bool {
        !self.is_partial() && (self.generation() > 1 || !self.is_empty()) && self.is_fetched()
    }

    fn is_fetched(&self) -> bool {
        let mut fetching = self.0.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Fetching::Sent(all) = &*fetching
            && all.iter().all(|(id, _)| self.name(id).is_some())
        {
            *fetching = Fetching::Done;
        }
        matches!(*fetching, Fetching::Done)
    }
}

impl Deref for Snapshot {
    type Target = KeyNames;

    fn deref(&self) -> &KeyNames {
        &self.0.names
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation())
            .field("names", &self.0.names)
            .finish_non_exhaustive()
    }
}

// === impl Fetcher ===

#[cfg(feature = "directory")]
impl Fetcher {
    /// Says that these are all; they come by the file.
    pub(crate) fn sent(&self, all: Arc<KeyNames>) {
        *self.state() = Fetching::Sent(all);
    }

    fn state(&self) -> MutexGuard<'_, Fetching> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "directory")]
impl Drop for Fetcher {
    fn drop(&mut self) {
        let mut state = self.state();
        if matches!(*state, Fetching::Begun) {
            *state = Fetching::Done;
        }
    }
}

// === impl Board ===

/// The source of a map that no file holds.
const MEMORY: &str = "memory";

impl Board {
    /// The first generation, and where it comes from.
    pub(crate) fn new(names: KeyNames, source: &str) -> Self {
        let status = Status {
            generation: 1,
            entries: names.len(),
            changed_at: SystemTime::now(),
            source: source.into(),
            last_error: None,
            warning: None,
            left_out: names.left_out(),
            partial: names.is_partial(),
        };
        let fetching = Arc::<Mutex<Fetching>>::default();
        Self {
            current: ArcSwap::from_pointee(Numbered { generation: 1, names, fetching: fetching.clone() }),
            status: watch::Sender::new(status),
            unmatched: Mutex::new(Unmatched::of(1)),
            heard: Notify::new(),
            fetching,
        }
    }

    /// Makes this map the next generation, and says which. `amend` changes what else the status
    /// says, in the same step.
    pub(crate) fn put(&self, names: KeyNames, source: &str, amend: impl FnOnce(&mut Status)) -> u64 {
        let mut generation = 0;
        // All under the status's lock: two who replace at once take turns, and whoever reads of a
        // generation finds its map.
        self.status.send_modify(|status| {
            generation = status.generation + 1;
            status.generation = generation;
            status.entries = names.len();
            status.changed_at = SystemTime::now();
            status.source = source.into();
            status.left_out = names.left_out();
            status.partial = names.is_partial();
            amend(status);
            self.current.store(Arc::new(Numbered { generation, names, fetching: self.fetching.clone() }));
            *self.unmatched() = Unmatched::of(generation);
        });
        generation
    }

    /// Changes what the status says beside the map; wakes nobody if it says so already.
    #[cfg(feature = "watch")]
    pub(crate) fn tell(&self, last_error: Option<String>, warning: Option<String>) {
        self.status.send_if_modified(|status| {
            let news = status.last_error != last_error || status.warning != warning;
            status.last_error = last_error;
            status.warning = warning;
            news
        });
    }

    fn unmatched(&self) -> MutexGuard<'_, Unmatched> {
        // Nothing that can panic happens under this lock; were it otherwise, the set would
        // still be a set.
        self.unmatched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Unmatched ===

impl Unmatched {
    fn of(generation: u64) -> Self {
        Self { generation, seen: HashSet::default(), fresh: Vec::new() }
    }
}
