//! The ids without a name: responses note them, one receiver takes them.

use std::collections::HashSet;
use std::fmt;

use foldhash::fast::RandomState;
use tokio::sync::watch;

use super::{KeyNames, looks_like_secret};

/// The greatest number of ids kept for one generation. With ids of the greatest length they take 256 KiB.
pub(super) const MAX_UNMATCHED: usize = 1024;

/// The ids that were looked up without success in the current generation.
#[derive(Default)]
pub(super) struct UnmatchedQueue(watch::Sender<UnmatchedState>);

#[derive(Default)]
struct UnmatchedState {
    generation: u64,
    seen: HashSet<Box<str>, RandomState>,
    unread: Vec<String>,
    is_receiver_taken: bool,
}

/// The receiver of the ids that were looked up in vain, from
/// [`SharedKeyNames::unmatched_ids`](crate::SharedKeyNames::unmatched_ids).
///
/// An id arrives once per generation of the map, and at most 1,024 ids arrive per generation, because the upstream
/// decides which ids occur. Ids that are longer than 256 bytes or look like a secret never arrive. A new generation
/// discards the ids that have not been received yet.
pub struct UnmatchedReceiver(watch::Sender<UnmatchedState>);

// === impl UnmatchedQueue ===

impl UnmatchedQueue {
    /// Notes an id and returns true if it is new in this generation and there is room for it.
    ///
    /// Ids of an older generation are ignored, as are those that are too long for a map or look like a secret.
    pub(super) fn note(&self, generation: u64, id: &str) -> bool {
        self.0.send_if_modified(|state| {
            // The cheapest checks come first: most unmatched ids have been seen before.
            let is_new = state.generation == generation
                && id.len() <= KeyNames::MAX_LEN
                && !state.seen.contains(id)
                && state.seen.len() < MAX_UNMATCHED
                && !looks_like_secret(id);
            if is_new {
                state.seen.insert(id.into());
                state.unread.push(id.into());
            }
            is_new
        })
    }

    /// Forgets all ids and accepts those of this generation only.
    pub(super) fn restart(&self, generation: u64) {
        self.0.send_modify(|state| {
            let is_receiver_taken = state.is_receiver_taken;
            *state = UnmatchedState { generation, is_receiver_taken, ..Default::default() };
        });
    }

    /// Returns the receiver on the first call, and `None` afterwards.
    pub(super) fn take_receiver(&self) -> Option<UnmatchedReceiver> {
        let is_first =
            self.0.send_if_modified(|state| !std::mem::replace(&mut state.is_receiver_taken, true));
        is_first.then(|| UnmatchedReceiver(self.0.clone()))
    }
}

// === impl UnmatchedReceiver ===

impl UnmatchedReceiver {
    /// Waits for unmatched ids and returns all that have arrived, in their order. Never returns an empty list.
    /// Dropping the future loses no id.
    pub async fn recv(&mut self) -> Vec<String> {
        let mut changes = self.0.subscribe();
        loop {
            let unread = self.try_recv();
            // `changed` cannot fail: `self` keeps a sender.
            if !unread.is_empty() || changes.changed().await.is_err() {
                return unread;
            }
        }
    }

    /// Returns the unmatched ids that have arrived, in their order, without waiting.
    pub fn try_recv(&mut self) -> Vec<String> {
        let mut unread = Vec::new();
        self.0.send_if_modified(|state| {
            unread = std::mem::take(&mut state.unread);
            false
        });
        unread
    }
}

impl fmt::Debug for UnmatchedReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnmatchedReceiver").field("unread", &self.0.borrow().unread.len()).finish()
    }
}
