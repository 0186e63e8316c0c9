//! The ids without a name: responses note them, one receiver takes them.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::Notify;

use super::{KeyNames, looks_like_secret};

/// The number of unmatched ids kept for one generation. The upstream decides which ids occur, so the set needs a
/// bound. With ids of the greatest length it takes 256 KiB.
pub(super) const MAX_UNMATCHED: usize = 1024;

/// The ids that were looked up without success in the current generation.
#[derive(Default)]
pub(super) struct UnmatchedQueue {
    state: Mutex<UnmatchedState>,
    added: Notify,
}

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
pub struct UnmatchedReceiver(Arc<UnmatchedQueue>);

// === impl UnmatchedQueue ===

impl UnmatchedQueue {
    /// Notes an id and returns true if it is new in this generation and there is room for it.
    ///
    /// Ids of an older generation are ignored, as are those that are too long for a map or look like a secret.
    pub(super) fn note(&self, generation: u64, id: &str) -> bool {
        let mut state = self.lock();
        // The cheapest checks come first: most unmatched ids have been seen before.
        let is_ignored = state.generation != generation
            || id.len() > KeyNames::MAX_LEN
            || state.seen.contains(id)
            || state.seen.len() == MAX_UNMATCHED
            || looks_like_secret(id);
        if !is_ignored {
            state.seen.insert(id.into());
            state.unread.push(id.into());
            self.added.notify_waiters();
        }
        !is_ignored
    }

    /// Forgets all ids and accepts those of this generation only.
    pub(super) fn restart(&self, generation: u64) {
        let mut state = self.lock();
        let is_receiver_taken = state.is_receiver_taken;
        *state = UnmatchedState { generation, is_receiver_taken, ..UnmatchedState::default() };
    }

    /// Returns the receiver on the first call, and `None` afterwards.
    pub(super) fn take_receiver(self: &Arc<Self>) -> Option<UnmatchedReceiver> {
        let was_taken = std::mem::replace(&mut self.lock().is_receiver_taken, true);
        (!was_taken).then(|| UnmatchedReceiver(self.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, UnmatchedState> {
        // No code under this lock leaves the set half changed, even if it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl UnmatchedReceiver ===

impl UnmatchedReceiver {
    /// Waits for unmatched ids and returns all that have arrived, in their order. Never returns an empty list.
    /// Dropping the future loses no id.
    pub async fn recv(&mut self) -> Vec<String> {
        loop {
            // `notified` counts from here, so an id that is added after the check is not missed.
            let added = self.0.added.notified();
            let unread = std::mem::take(&mut self.0.lock().unread);
            if !unread.is_empty() {
                return unread;
            }
            added.await;
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
