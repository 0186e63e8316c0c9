//! The follower: lists the keys regularly, and soon after an id without a name is seen.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::blocking::run_blocking;
use super::cache::save;
use super::error::DirectoryError;
use super::lister::Lister;
use super::listing::{Listing, Synced};
use crate::KeyNames;
use crate::names::{LearnedNames, UnmatchedReceiver};

/// The most ids that are remembered as not found. The upstream decides which ids occur. If the set is full, it is
/// cleared, which costs one listing.
const MAX_NOT_FOUND: usize = 10_000;

/// Keeps the names of one handle current. [`Directory::watch`](super::Directory::watch) returns it with the handle.
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
    pub(super) interval: Duration,
    /// The shorter time for an id without a name.
    pub(super) min_interval: Duration,
}

/// An event of a [`Follower`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FollowerEvent {
    /// A listing ended, and its names are in the handle.
    Listed(Synced),
    /// The cache file could not be updated. The names are in the handle, and the next listing tries again.
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
            // A key that was first used during the listing may be on a page that was read before. These ids are
            // received now, because publishing discards them.
            let late_ids = self.unmatched.try_recv();
            self.store(&listing, &mut on_event).await;
            ids.remove_listed(&self.known, &listing);
            ids.add(late_ids.into_iter().filter(|id| self.known.name(id).is_none()));
            self.wait_until_due(&mut ids).await;
        }
    }

    /// Publishes the names, writes the cache file, and reports both.
    async fn store(&mut self, listing: &Arc<Listing>, on_event: &mut impl FnMut(FollowerEvent)) {
        let (names, changes) = listing.merge_into(&self.known);
        self.publish(names, listing);
        let path = self.cache.clone();
        let published = self.known.clone();
        let is_complete = listing.is_complete();
        let result = run_blocking(move || save(&path, &published, is_complete)).await;

        let mut synced =
            Synced { listing: listing.clone(), names: self.known.clone(), changes, written: false };
        match result {
            Ok(saved) => {
                // The file may contain more names, which another process has written.
                self.publish(saved.names, listing);
                synced.names = self.known.clone();
                synced.written = saved.written;
                on_event(FollowerEvent::Listed(synced));
            }
            Err(error) => {
                on_event(FollowerEvent::Listed(synced));
                on_event(FollowerEvent::CacheFailed(error));
            }
        }
    }

    fn publish(&mut self, names: KeyNames, listing: &Listing) {
        self.known = Arc::new(names);
        self.learned.publish(self.known.clone(), listing.is_final());
    }

    /// Waits until the next listing is due, and collects unmatched ids meanwhile. A pending id shortens the wait.
    async fn wait_until_due(&mut self, ids: &mut PendingIds) {
        let now = Instant::now();
        let regular = now + self.schedule.interval;
        let early = regular.min(now + self.schedule.min_interval);
        loop {
            let due = if ids.pending.is_empty() { regular } else { early };
            match timeout_at(due, self.unmatched.recv()).await {
                Ok(unmatched_ids) => ids.add(unmatched_ids),
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

impl PendingIds {
    /// Adds ids without a name, except those that a listing did not find.
    fn add(&mut self, ids: impl IntoIterator<Item = String>) {
        self.pending.extend(ids.into_iter().filter(|id| !self.not_found.contains(id)));
    }

    /// Removes the pending ids that need no further listing: those that have a name now, and after a final listing
    /// those that are in no list.
    fn remove_listed(&mut self, known: &KeyNames, listing: &Listing) {
        self.pending.retain(|id| known.name(id).is_none());
        if !listing.is_final() {
            return;
        }
        // The remaining ids are in no list.
        if self.not_found.len() + self.pending.len() > MAX_NOT_FOUND {
            self.not_found.clear();
        }
        self.not_found.extend(self.pending.drain());
    }
}
