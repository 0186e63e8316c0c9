//! The ids without a name: responses note them, one receiver takes them.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::Notify;

use super::KeyNames;
use crate::secret::looks_like_secret;

/// The greatest number of ids kept for one generation. With ids of the greatest length they take 256 KiB.
pub(super) const MAX_UNMATCHED: usize = 1024;

/// The ids that were looked up without success in the current generation.
#[derive(Default)]
pub(super) struct UnmatchedQueue {
    state: Mutex<UnmatchedState>,
    /// Wakes the receiver after an id was added.
    id_added: Notify,
    is_receiver_taken: AtomicBool,
}

#[derive(Default)]
struct UnmatchedState {
    generation: u64,
    /// All ids of this generation, received or not.
    seen: HashSet<Box<str>, RandomState>,
    unread: Vec<String>,
}

/// The receiver of the ids that were looked up in vain, from
/// [`SharedKeyNames::unmatched_ids`](crate::SharedKeyNames::unmatched_ids).
///
/// An id arrives once per generation of the map, and at most 1,024 ids arrive per generation, because the upstream
/// decides which ids occur. Ids that are longer than 256 bytes or look like a secret never arrive. A new generation
/// discards the ids that have not been received yet.
pub struct UnmatchedReceiver(Arc<UnmatchedQueue>);

impl UnmatchedQueue {
    /// Adds an id and wakes the receiver. Returns false if the id is ignored.
    pub(super) fn note(&self, generation: u64, id: &str) -> bool {
        let mut state = self.lock();
        // The cheapest checks come first: most unmatched ids have been seen before.
        let is_accepted = state.generation == generation
            && id.len() <= KeyNames::MAX_LEN
            && !state.seen.contains(id)
            && state.seen.len() < MAX_UNMATCHED
            && !looks_like_secret(id);
        if is_accepted {
            state.seen.insert(id.into());
            state.unread.push(id.into());
            self.id_added.notify_one();
        }
        is_accepted
    }

    /// Discards all ids and accepts those of this generation only.
    pub(super) fn restart(&self, generation: u64) {
        *self.lock() = UnmatchedState { generation, ..UnmatchedState::default() };
    }

    /// Returns the receiver on the first call, and `None` afterwards.
    pub(super) fn take_receiver(self: &Arc<Self>) -> Option<UnmatchedReceiver> {
        let was_taken = self.is_receiver_taken.swap(true, Ordering::Relaxed);
        if was_taken { None } else { Some(UnmatchedReceiver(self.clone())) }
    }

    fn lock(&self) -> MutexGuard<'_, UnmatchedState> {
        // The state is consistent even if another thread panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnmatchedReceiver {
    /// Waits for unmatched ids and returns all that have arrived, in their order. Never returns an empty list.
    /// Dropping the future loses no id.
    pub async fn recv(&mut self) -> Vec<String> {
        loop {
            let ids = self.try_recv();
            if !ids.is_empty() {
                return ids;
            }
            // `notified` completes at once if an id was added after `try_recv`.
            self.0.id_added.notified().await;
        }
    }

    /// Returns the unmatched ids that have arrived, in their order, without waiting.
    pub fn try_recv(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unread)
    }
}

impl fmt::Debug for UnmatchedReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnmatchedReceiver").field("unread", &self.0.lock().unread.len()).finish()
    }
}
