//! The limit on the memory that all bodies of a layer hold together.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The limit for all reservations together, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    reserved: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, reserved: AtomicU64::new(0) }
    }

    /// Returns the bytes of all reservations together.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved.load(Relaxed)
    }
}

/// The bytes that one body has reserved in a budget, or without a bound if there is none. They are returned when the
/// reservation is dropped.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    budget: Option<Arc<Budget>>,
    bytes: u64,
}

impl Reservation {
    pub(crate) fn new(budget: Option<Arc<Budget>>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Increases the reservation to `wanted` bytes, or by the rest of the budget if that is less.
    pub(crate) fn grow(&mut self, wanted: u64) {
        let Some(budget) = &self.budget else { return };
        let missing = wanted.saturating_sub(self.bytes);
        let granted = |reserved: u64| missing.min(budget.limit.saturating_sub(reserved));
        let update =
            budget.reserved.fetch_update(Relaxed, Relaxed, |reserved| Some(reserved + granted(reserved)));
        // The update does not fail, because its closure always returns a value.
        if let Ok(reserved_before) = update {
            self.bytes += granted(reserved_before);
        }
    }

    /// The most bytes that the body may buffer.
    pub(crate) fn allowed(&self) -> u64 {
        if self.budget.is_some() { self.bytes } else { u64::MAX }
    }

    /// Sets the reservation to `bytes`, even if the budget is exceeded.
    pub(crate) fn set(&mut self, bytes: u64) {
        let Some(budget) = &self.budget else { return };
        // Wraps around to a subtraction if the reservation shrinks.
        budget.reserved.fetch_add(bytes.wrapping_sub(self.bytes), Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.set(0);
    }
}
