//! The follower: lists the keys regularly, and soon after an id without a name is seen.

use super::blocking::run_blocking;
use super::cache::save;
use super::error::DirectoryError;
use super::lister::Lister;
use super::listing::Listing;
use super::synced::Synced;
use crate::names::learned::LearnedNames;
use crate::{KeyNames, UnmatchedReceiver};
use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most ids that are remembered as not found. The upstream decides which ids occur. If the set is full, it is
/// cleared, which costs one listing.
const MAX_NOT_FOUND: usize = 10_000;

/// Keeps the names of one handle current, as long as [`run`](Self::run) is polled.
///
/// [`Directory::watch`](super::Directory::watch) returns it with the handle.
#[must_use = "names are learned only while `run` is polled"]
pub struct Follower {
    pub(super) lister: Lister,
    pub(super) schedule: Schedule,
    pub(super) cache: PathBuf,
    pub(super) known: Arc<KeyNames>,
    pub(super) learned: LearnedNames,
    pub(super) unmatched: UnmatchedReceiver,
}

/// The times between two listings.
#[derive(Clone, Copy)]
pub(super) struct Schedule {
    /// From one listing to the next in any case.
    pub(super) interval: Duration,
    /// From one listing to the next for an id without a name.
    pub(super) min_interval: Duration,
}

/// An event of a [`Follower`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FollowerEvent {
    /// A listing ended, and its names are in the handle.
    Listed(Synced),
    /// The names of the listing could not be written to the cache file. They are in the handle, and the next listing
    /// tries to write them again.
    CacheFailed(DirectoryError),
}

/// The ids that were seen in use and have no name.
#[derive(Default)]
struct PendingIds {
    /// Ids that the next listing is for.
    pending: HashSet<String>,
    /// Ids that a listing did not find. They wait for the regular listing.
    not_found: HashSet<String>,
}

// === impl Follower ===

impl Follower {
    /// Lists the keys at once, then after each [`interval`](super::Directory::interval), and after
    /// [`min_interval`](super::Directory::min_interval) if a response contained an id without a name.
    ///
    /// An id that a listing did not find waits for the regular listing. `on_event` is called after each listing, in
    /// this task: it must not block. A listing that fails changes no name.
    ///
    /// The future never ends. Drop it to stop: the handle keeps its names, and the cache file is complete at any time.
    pub async fn run(mut self, mut on_event: impl FnMut(FollowerEvent)) -> Infallible {
        let mut ids = PendingIds::default();
        loop {
            ids.add(self.unmatched.try_recv());
            let listing = self.lister.list().await;
            // A key that was used during the listing may be on a page that was read before. The next generation would
            // discard these ids.
            let late = self.unmatched.try_recv();
            self.store(&listing, &mut on_event).await;
            ids.remove_listed(&self.known, &listing);
            ids.add(late.into_iter().filter(|id| self.known.name(id).is_none()));
            self.wait(&mut ids).await;
        }
    }

    /// Publishes the names, and then writes the cache file.
    async fn store(&mut self, listing: &Arc<Listing>, on_event: &mut impl FnMut(FollowerEvent)) {
        let (names, changes) = listing.merge_into(&self.known);
        self.publish(Arc::new(names), listing);
        let (path, names, is_complete) = (self.cache.clone(), self.known.clone(), listing.is_complete());
        let saved = run_blocking(move || save(&path, &names, is_complete)).await;
        let (written, error) = match saved {
            Ok(saved) => {
                // The file may contain more names, which another process has written.
                self.publish(Arc::new(saved.names), listing);
                (saved.written, None)
            }
            Err(error) => (false, Some(error)),
        };
        let listing = listing.clone();
        on_event(FollowerEvent::Listed(Synced { listing, names: self.known.clone(), changes, written }));
        if let Some(error) = error {
            on_event(FollowerEvent::CacheFailed(error));
        }
    }

    fn publish(&mut self, names: Arc<KeyNames>, listing: &Listing) {
        self.learned.publish(names.clone(), listing.is_final());
        self.known = names;
    }

    /// Waits until the next listing is due, and collects unmatched ids meanwhile.
    async fn wait(&mut self, ids: &mut PendingIds) {
        let ended = Instant::now();
        let regular = ended + self.schedule.interval;
        loop {
            let due = match ids.pending.is_empty() {
                true => regular,
                false => regular.min(ended + self.schedule.min_interval),
            };
            match timeout_at(due, self.unmatched.recv()).await {
                Ok(unmatched) => ids.add(unmatched),
                Err(_) => return,
            }
        }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("known", &self.known).finish_non_exhaustive()
    }
}

// === impl PendingIds ===

impl PendingIds {
    fn add(&mut self, ids: impl IntoIterator<Item = String>) {
        self.pending.extend(ids.into_iter().filter(|id| !self.not_found.contains(id)));
    }

    /// Removes the pending ids that need no further listing: those that have a name now, and after a final listing
    /// those that are in no list.
    fn remove_listed(&mut self, known: &KeyNames, listing: &Listing) {
        self.pending.retain(|id| known.name(id).is_none());
        if listing.is_final() {
            if self.not_found.len() + self.pending.len() > MAX_NOT_FOUND {
                self.not_found.clear();
            }
            self.not_found.extend(self.pending.drain());
        }
    }
}
