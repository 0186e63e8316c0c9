//! The interface of the stores.

#[cfg(test)]
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::call::{OpenCall, UsageRow};
use super::counter::{Counter, CounterKey};
#[cfg(test)]
use super::hours::{HourKey, HourSums};

/// The durable state of a ledger: counters, open calls and usage rows.
///
/// A store contains no rule of the ledger. One thread uses it: it begins a batch, reads counters, and commits all changes
/// of the batch or none.
pub(crate) trait LedgerStore: Send {
    /// Begins a batch. Fails if the store cannot write.
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Returns a counter, which is zero if it does not exist.
    fn counter(&mut self, key: &CounterKey) -> Result<Counter, StoreError>;

    /// Writes the changes durably and ends the batch. If it fails, nothing is changed and the batch has ended.
    fn commit(&mut self, changes: &LedgerChanges) -> Result<(), StoreError>;

    /// Ends the batch without changes.
    fn cancel(&mut self);

    /// Returns all open calls.
    #[cfg(any(test, feature = "sqlite"))]
    fn open_calls(&mut self) -> Result<Vec<Arc<OpenCall>>, StoreError>;

    /// Returns the largest id of a call, open or settled, or 0.
    fn last_id(&mut self) -> Result<u64, StoreError>;

    /// Returns all usage rows by their ids.
    #[cfg(test)]
    fn usage_rows(&mut self) -> Result<Vec<UsageRow>, StoreError>;

    /// Replaces usage rows by the sums of their hours, in one commit, and returns the number of rows. Deletes the counters
    /// of their minutes and hours, except those with calls in flight.
    ///
    /// The rows are the oldest of the calls that were admitted before an instant, and `limit` of them at most. The row of
    /// the last call stays, so that its id is not used again.
    fn roll_up(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Returns the sums of the rows that were replaced.
    #[cfg(test)]
    fn hours(&mut self) -> Result<BTreeMap<HourKey, HourSums>, StoreError>;
}

/// The changes of one batch.
#[derive(Debug, Default)]
pub(crate) struct LedgerChanges {
    /// The new values of counters. Some may be the same as before.
    pub(crate) counters: HashMap<CounterKey, Counter>,
    /// The new open calls.
    pub(crate) admitted: Vec<Arc<OpenCall>>,
    /// The rows of the settled calls, which are no longer open.
    pub(crate) settled: Vec<UsageRow>,
}

impl LedgerChanges {
    /// True if no call is admitted or settled, so no counter has changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.admitted.is_empty() && self.settled.is_empty()
    }
}

/// The message of a store that cannot be read or written.
#[derive(Clone, Debug)]
pub(crate) struct StoreError(Arc<str>);

impl StoreError {
    /// Stores the message of an error.
    pub(crate) fn new(message: &dyn fmt::Display) -> Self {
        Self(message.to_string().into())
    }

    /// Returns the error of an operation after the end of the writer.
    pub(crate) fn writer_ended() -> Self {
        Self::new(&"the writer of the ledger has ended")
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}
