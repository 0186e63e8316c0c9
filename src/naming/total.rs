//! What all answers of a layer hold together, and the most that it may be.
//!
//! A counter, and shares in it: no lock, and nobody waits.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The most that all shares may hold together, and what they do.
#[derive(Debug)]
pub(crate) struct Total {
    limit: u64,
    held: AtomicU64,
}

/// What one body holds of a total, if there is one. Dropped, it gives all of it back.
#[derive(Debug, Default)]
pub(crate) struct Share {
    total: Option<Arc<Total>>,
    held: u64,
}

impl Total {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, held: AtomicU64::new(0) }
    }
}

// === impl Share ===

impl Share {
    /// Holds nothing yet.
    pub(crate) fn new(total: Option<Arc<Total>>) -> Self {
        Self { total, held: 0 }
    }

    /// Holds `wanted` bytes, if it does not hold more already; or as many as the total has left for it.
    pub(crate) fn grow(&mut self, wanted: u64) {
        let Some(total) = &self.total else { return };
        let more = wanted.saturating_sub(self.held);
        let free = |held| more.min(total.limit.saturating_sub(held));
        // It gives the value before, whatever that was.
        let Ok(before) = total.held.fetch_update(Relaxed, Relaxed, |held| Some(held + free(held))) else {
            return;
        };
        self.held += free(before);
    }

    /// The most that may be held with that.
    pub(crate) fn allowed(&self) -> u64 {
        if self.total.is_some() { self.held } else { u64::MAX }
    }

    /// Holds exactly so much from now on: without asking, where that is more.
    pub(crate) fn set(&mut self, held: u64) {
        let Some(total) = &self.total else { return };
        // The difference wraps, and so does the sum.
        total.held.fetch_add(held.wrapping_sub(self.held), Relaxed);
        self.held = held;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
