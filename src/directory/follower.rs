//! The follower: lists the names regularly, and soon after an id without a name is seen.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::blocking::run_blocking;
use super::cache::{CacheFile, Saved};
use super::error::{DirectoryError, DirectoryErrorKind};
use super::lister::Lister;
use super::listing::{Listing, Synced};
use crate::names::{KEY_ID, LearnedNames, MapReader, UnmatchedReceiver};
use crate::{KeyNames, SharedKeyNames};

/// The most ids that are remembered as not found. The upstream decides which ids occur. If the set is full, it is
/// cleared, which costs one listing.
const MAX_NOT_FOUND: usize = 10_000;

/// Keeps the names of one handle current. [`Directory::watch`](super::Directory::watch) returns it with the handle.
#[must_use = "names are learned only while `run` is polled"]
pub struct Follower {
    lister: Lister,
    schedule: Schedule,
    cache: CacheFile,
    /// The names of all listings and of the cache file. A section that no listing has completed is partial.
    learned_names: Arc<KeyNames>,
    /// Puts the learned names into the handle.
    publisher: LearnedNames,
    /// Receives the ids in responses for which the handle has no name.
    unmatched: UnmatchedReceiver,
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

/// The ids in responses that have no name.
#[derive(Default)]
struct UnnamedIds {
    /// Ids that the next listing may find. They make it due earlier.
    pending: HashSet<String>,
    /// Ids that a listing did not find. They wait for the regular listing.
    not_found: HashSet<String>,
}

impl Follower {
    /// Creates a handle with the names of `files` and of the cache, and its follower. Returns an error if a file is
    /// unusable.
    pub(super) fn start(
        lister: Lister,
        schedule: Schedule,
        cache: CacheFile,
        files: &[PathBuf],
    ) -> Result<(SharedKeyNames, Self), DirectoryError> {
        let cached_names = cache.load()?;
        let has_cache = cached_names.is_some();
        let mut learned_names = cached_names.unwrap_or_default();
        for id_member in cache.provider.listed_members(&cache.labels) {
            // Ids that are not in the cache may be learned. The publisher waits for the listing of keys.
            learned_names.set_partial(id_member, id_member != KEY_ID);
        }
        let mut first_names = learned_names.clone();
        first_names.set_partial(KEY_ID, !has_cache);
        let mut reader = MapReader::default().labels(cache.labels.clone());
        if cache.by_provider {
            reader = reader.provider(cache.provider);
        }
        let watched = LearnedNames::with_handle(files, &reader, &cache.path, first_names);
        let (publisher, handle) = watched.map_err(|cause| {
            DirectoryError::new(DirectoryErrorKind::Watch, cause.to_string()).caused_by(cause)
        })?;
        let unmatched = handle.unmatched_ids().expect("the receiver of a new handle was not taken");
        let learned_names = Arc::new(learned_names);
        Ok((handle, Self { lister, schedule, cache, learned_names, publisher, unmatched }))
    }

    /// Lists the names at once, then after each [`interval`](super::Directory::interval), and after
    /// [`min_interval`](super::Directory::min_interval) if a response contained an id without a name.
    ///
    /// An id that a listing did not find waits for the regular listing. `on_event` is called after each listing, in
    /// this task: it must not block. A listing that fails changes no name.
    ///
    /// The future never ends. Drop it to stop: the handle keeps its names, and the cache file is complete at any time.
    pub async fn run(mut self, mut on_event: impl FnMut(FollowerEvent)) -> Infallible {
        let mut unnamed_ids = UnnamedIds::default();
        loop {
            unnamed_ids.add(self.unmatched.try_recv());
            let listing = self.lister.list().await;
            // The listing may lack a key that was created after its page was read, so the ids that arrived during the
            // listing wait for the next one. They are received before the names are published, because publishing
            // discards unread ids.
            let mut late_ids = self.unmatched.try_recv();
            self.store(&listing, &mut on_event).await;
            unnamed_ids.update(&self.learned_names, &listing);
            late_ids.retain(|id| !has_name(&self.learned_names, id));
            unnamed_ids.add(late_ids);
            self.wait_until_due(&mut unnamed_ids).await;
        }
    }

    /// Publishes the names of a listing, writes them to the cache file, and reports the listing.
    ///
    /// The names are published before the file is written, because the file may be slow. A file that cannot be written
    /// is reported in a second event.
    async fn store(&mut self, listing: &Arc<Listing>, on_event: &mut impl FnMut(FollowerEvent)) {
        let (names, changes) = listing.merge_into(&self.learned_names);
        self.publish(names, listing);
        let mut written = false;
        let mut cache_error = None;
        match self.write_cache(listing.is_complete()).await {
            Ok(saved) => {
                // The file may contain more names, which another process has written.
                self.publish(saved.names, listing);
                written = saved.written;
            }
            Err(error) => cache_error = Some(error),
        }
        let names = self.learned_names.clone();
        on_event(FollowerEvent::Listed(Synced { listing: listing.clone(), names, changes, written }));
        if let Some(error) = cache_error {
            on_event(FollowerEvent::CacheFailed(error));
        }
    }

    /// Replaces the learned names, in the handle too.
    fn publish(&mut self, names: KeyNames, listing: &Listing) {
        self.learned_names = Arc::new(names);
        self.publisher.publish(self.learned_names.clone(), listing.has_reachable_keys());
    }

    /// Merges the learned names into the cache file, on a thread for blocking calls. Returns the names in the file.
    async fn write_cache(&self, is_complete: bool) -> Result<Saved, DirectoryError> {
        let cache = self.cache.clone();
        let names = self.learned_names.clone();
        run_blocking(move || cache.save(&names, is_complete)).await
    }

    /// Waits until the next listing is due, and collects unmatched ids meanwhile.
    ///
    /// The listing is due after the regular interval, or after the shorter one if an id is pending.
    async fn wait_until_due(&mut self, unnamed_ids: &mut UnnamedIds) {
        let now = Instant::now();
        let regular_time = now + self.schedule.interval;
        let early_time = regular_time.min(now + self.schedule.min_interval);
        loop {
            let due_time = if unnamed_ids.pending.is_empty() { regular_time } else { early_time };
            match timeout_at(due_time, self.unmatched.recv()).await {
                Ok(ids) => unnamed_ids.add(ids),
                Err(_) => return,
            }
        }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("learned_names", &self.learned_names).finish_non_exhaustive()
    }
}

/// True if one of the sections contains the id. An unmatched id may belong to any label.
fn has_name(names: &KeyNames, id: &str) -> bool {
    let mut sections = names.section_names().filter_map(|id_member| names.section(id_member));
    sections.any(|section| section.name(id).is_some())
}

impl UnnamedIds {
    /// Makes these ids pending, except those that a listing did not find.
    fn add(&mut self, ids: Vec<String>) {
        for id in ids {
            if !self.not_found.contains(&id) {
                self.pending.insert(id);
            }
        }
    }

    /// Removes the pending ids that have a name after this listing. If the listing is exhaustive, the others were not
    /// found; otherwise they stay pending.
    fn update(&mut self, names: &KeyNames, listing: &Listing) {
        self.pending.retain(|id| !has_name(names, id));
        if !listing.is_exhaustive() {
            return;
        }
        if self.not_found.len() + self.pending.len() > MAX_NOT_FOUND {
            self.not_found.clear();
        }
        self.not_found.extend(self.pending.drain());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fs;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Empty;
    use tower::service_fn;

    use crate::directory::{AdminKey, Directory};
    use crate::names::{KEY_ID, Labels};

    /// Returns true for a label whose section is complete, before and after a listing whose list of users has this status.
    async fn completeness(id_member: &str, user_status: u16) -> (bool, bool) {
        let service = service_fn(move |request: Request<Empty<Bytes>>| {
            let is_user_list = request.uri().path().ends_with("/users");
            let status = if is_user_list { user_status } else { 200 };
            let page = r#"{"data":[{"id":"id_1","name":"one"}]}"#.to_owned();
            async move { Ok::<_, Infallible>(Response::builder().status(status).body(page).unwrap()) }
        });
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("names.json");
        fs::write(&cache, r#"{"api_key_id":{"key_a":"a"},"user_id":{"user_a":"Ana"}}"#).unwrap();
        let labels = Labels::default().with("user_id", "user_name").unwrap();
        let key = AdminKey::new("let-me-in".into()).unwrap();
        let directory = Directory::openai(service, key).labels(labels);
        let (names, follower) = directory.watch([] as [&str; 0], cache).unwrap();
        let before = names.snapshot().is_complete_for(id_member);
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(follower.run(move |event| drop(sender.send(event))));
        events.recv().await;
        let after = names.snapshot().is_complete_for(id_member);
        task.abort();
        (before, after)
    }

    #[tokio::test(start_paused = true)]
    async fn section_from_the_cache_is_incomplete_until_its_list_is_read() {
        assert_eq!(completeness("user_id", 200).await, (false, true));
        assert_eq!(completeness("user_id", 403).await, (false, false));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_complete_without_the_list_of_another_label() {
        assert_eq!(completeness(KEY_ID, 403).await, (false, true));
        assert_eq!(completeness(KEY_ID, 500).await, (false, true));
    }
}
