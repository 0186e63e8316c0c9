//! The interface of the stores.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::call::{OpenCall, UsageRow};
use super::counter::{Counter, CounterKey};
use super::sums::{CallSums, SumKey};

/// The durable state of a ledger: counters, open calls, usage rows and the sums of settled calls by hour.
///
/// A store contains no rule of the ledger. One thread uses it: it begins a batch, reads counters, and commits all changes
/// of the batch or none.
pub(crate) trait LedgerStore: UsageReader + Send {
    /// Begins a batch. Fails if the store cannot write.
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Returns a counter, which is zero if it does not exist.
    fn counter(&mut self, key: &CounterKey) -> Result<Counter, StoreError>;

    /// Writes the changes durably, adds the settled calls to the sums of their hours, and ends the batch. If it fails, nothing
    /// is changed and the batch has ended. Without changes, it writes too, so its success shows that the store can write.
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

    /// Deletes usage rows in one commit, and returns their number. Deletes also the counters of their minutes and hours,
    /// except those with calls in flight. The sums of their hours stay.
    ///
    /// The rows are the oldest of the calls that were admitted before the start of an hour, and `limit` of them at most. The row
    /// of the last call stays, so that its id is not used again. From then on, [`UsageReader::rows_from`] is not before that
    /// start, also without a deleted row: it would show a caller the hours in which other keys have calls.
    fn delete_old_rows(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;
}

/// The settled calls of a ledger at one instant.
pub(crate) trait UsageReader {
    /// Calls `visit` once for each stored sum whose hour starts in a period, in the order of the hours. An hour has one sum for
    /// each key, group, provider, endpoint and model. The period is in seconds since 1970.
    fn visit_hours(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError>;

    /// Calls `visit` with the sums of each single call that was admitted in a period, in the order of the admissions. The
    /// start in each [`SumKey`] is that of a minute.
    ///
    /// Old calls are missing: see [`rows_from`](Self::rows_from).
    fn visit_calls(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError>;

    /// Returns a second from which the rows of all calls exist, or 0 before the first deletion. It depends on no call.
    fn rows_from(&mut self) -> Result<i64, StoreError>;
}

/// The function that receives the sums of a query.
pub(crate) type SumVisitor<'a> = dyn FnMut(&SumKey, &CallSums) + 'a;

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

    /// Returns the error of a query after the end of its thread.
    pub(crate) fn thread_ended() -> Self {
        Self::new(&"the thread that reads the ledger has ended")
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}
