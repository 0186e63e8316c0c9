//! The state of a ledger for health pages and metrics. It contains no key, no id and no amount.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The state of a ledger, as [`Ledger::status`](super::Ledger::status) returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerStatus {
    /// True if the last write succeeded. After a failure, the writer tries again after one second, also without calls. False
    /// for ever if the thread of the writer has ended.
    pub is_writable: bool,
    /// The number of commits of calls, and of successful retries, since the ledger was opened. Deletions of old rows are not
    /// counted.
    pub commits: u64,
    /// The number of failed writes since then, with the retries.
    pub failed_commits: u64,
    /// The number of calls that are admitted and not settled.
    pub calls_in_flight: u64,
}

/// The state that the writer updates and the handles read.
#[derive(Debug, Default)]
pub(crate) struct WriterState {
    has_failed: AtomicBool,
    commits: AtomicU64,
    failed_commits: AtomicU64,
    calls_in_flight: AtomicU64,
}

impl WriterState {
    pub(crate) fn status(&self) -> LedgerStatus {
        LedgerStatus {
            is_writable: !self.has_failed(),
            commits: self.commits.load(Relaxed),
            failed_commits: self.failed_commits.load(Relaxed),
            calls_in_flight: self.calls_in_flight.load(Relaxed),
        }
    }

    /// True if the last write has failed, or if the writer has ended.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Relaxed)
    }

    pub(crate) fn record_commit(&self) {
        self.commits.fetch_add(1, Relaxed);
        self.has_failed.store(false, Relaxed);
    }

    pub(crate) fn record_failure(&self) {
        self.failed_commits.fetch_add(1, Relaxed);
        self.has_failed.store(true, Relaxed);
    }

    pub(crate) fn add_call(&self) {
        self.calls_in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn remove_call(&self) {
        self.calls_in_flight.fetch_sub(1, Relaxed);
    }
}

/// Marks the ledger as not writable when the thread of the writer ends or cannot be started.
pub(crate) struct WriterEnd(pub(crate) Arc<WriterState>);

impl Drop for WriterEnd {
    fn drop(&mut self) {
        self.0.has_failed.store(true, Relaxed);
    }
}
