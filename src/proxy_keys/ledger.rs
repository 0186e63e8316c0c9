//! The ledger: the use of each key and group, and a row for each call.
//!
//! ```text
//! admit / settle ─▶ Ledger ─▶ queue of operations ─▶ writer (one thread) ─▶ batch (rules) ─▶ store: memory or sqlite
//! query of usage ─▶ UsageSource ─▶ queue of queries ─▶ file_queries (one thread) ─▶ reader of the file
//! ```
//!
//! An admission checks all limits of a key and its group, and reserves an estimate. The settlement replaces the
//! reservation by the actual charge, exactly once. The writer applies all waiting operations in one batch and commits them
//! together before it replies, so no call is made without a durable reservation. There is no timer between an operation
//! and its commit.
//!
//! A limit `L` permits a call if `spent + reserved < L`. It needs no room for the call itself, so a key with any room left
//! gets a response, and a settlement may exceed the limit. Sequential calls exceed a limit by less than one call.
//! Concurrent calls add at most the amounts by which they exceed their reservations.
//!
//! A settlement adds a row for the call, and adds the call to the sums of its hour. The sums are kept for ever, and equal the
//! counters of all time. The row is kept for 90 days by default. Then the writer deletes it with the counters of its minute and hour, in
//! small commits between those of calls.
//!
//! A `UsageSource` reads the sums, and the rows that exist. The queries of a file run in a thread of their own, and those of a
//! ledger in memory run in the writer, between batches.
//!
//! If the store cannot write, no call is admitted. A settlement that cannot be written is kept and written first. After a
//! crash, the calls that were open are settled as estimates when the ledger is opened again.

mod admission;
mod batch;
mod calendar;
mod call;
mod counter;
mod counts;
#[cfg(feature = "sqlite")]
mod error;
#[cfg(feature = "sqlite")]
mod file_queries;
mod memory;
mod operation;
#[cfg(feature = "sqlite")]
mod options;
#[cfg(feature = "sqlite")]
mod reader;
#[cfg(feature = "sqlite")]
mod sqlite;
mod status;
mod store;
mod sums;
#[cfg(test)]
pub(crate) mod tests;
mod upkeep;
#[cfg(feature = "sqlite")]
mod usage;
mod usage_source;
mod writer;

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use jiff::Timestamp;
use tokio::sync::oneshot;

pub(crate) use self::admission::{AdmissionError, AdmissionRequest, FailedLimit, LimitKind};
pub(crate) use self::call::{CallInfo, Settlement};
pub(crate) use self::counter::{Charge, Owner};
#[cfg(feature = "sqlite")]
pub use self::error::LedgerError;
pub(crate) use self::operation::CallReservation;
#[cfg(feature = "sqlite")]
pub use self::options::LedgerOptions;
#[cfg(feature = "sqlite")]
pub use self::reader::LedgerReader;
pub use self::status::LedgerStatus;
pub(crate) use self::store::{StoreError, UsageReader};
pub(crate) use self::sums::{CallSums, SumKey};
#[cfg(feature = "sqlite")]
pub use self::usage::{LedgerUsage, OwnerUsage, UsageAmounts, WindowUsage};
pub use self::usage_source::UsageSource;
#[cfg(test)]
pub(crate) use self::{call::UsageRow, counter::Counter, store::LedgerStore};

use self::memory::MemoryStore;
use self::operation::{AdmissionReply, Operation};
use self::status::{WriterEnd, WriterState};
use self::writer::Writer;

/// A handle to a ledger. Its clones use the same ledger, which ends with the last handle and the last call.
#[derive(Clone)]
pub struct Ledger {
    operations: Sender<Operation>,
    usage: UsageSource,
    state: Arc<WriterState>,
}

impl Ledger {
    /// Creates a ledger in memory, for tests and trials. All use is lost with the process.
    pub fn memory() -> Self {
        let store = Box::new(MemoryStore::default());
        Self::start(Writer::new(store, Box::new(Timestamp::now)))
    }

    /// Opens or creates a ledger in a SQLite file, as its only writer. Settles the calls that the last process left open.
    ///
    /// A call is durable on the disk before it is made, and its settlement before the caller continues. Other processes
    /// may read the file at the same time. The file `<path>.lock` beside it contains the lock of the writer, and stays.
    ///
    /// # Errors
    ///
    /// If another process writes the ledger, or if the file cannot be read or written, is no ledger, or is that of a newer
    /// program.
    #[cfg(feature = "sqlite")]
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        LedgerOptions::new().open(path)
    }

    /// Starts the thread of a writer. If the system starts no thread, the ledger admits no call.
    fn start(writer: Writer) -> Self {
        let (operations, receiver) = mpsc::channel();
        let state = writer.state();
        let end = WriterEnd(state.clone());
        let thread = thread::Builder::new().name("proxy-key-ledger".to_owned());
        // Without the thread, the receiver is dropped, and each operation fails.
        let _ = thread.spawn(move || {
            let _end = end;
            writer.run(&receiver);
        });
        let usage = UsageSource::of_writer(operations.clone());
        Self { operations, usage, state }
    }

    /// Sets the file whose usage is read beside the writer.
    #[cfg(feature = "sqlite")]
    fn with_file(mut self, path: &Path) -> Self {
        self.usage = UsageSource::of_file(path);
        self
    }

    /// Returns the state of the ledger, without waiting. The writer updates it with each commit.
    pub fn status(&self) -> LedgerStatus {
        self.state.status()
    }

    /// Waits until everything that was queued before is written, or cannot be written. It blocks its thread.
    ///
    /// A program calls it before it ends, when all calls have ended. A call whose settlement is not written is settled as an
    /// estimate when the ledger is opened again.
    pub fn flush(&self) {
        let (reply, result) = mpsc::channel();
        let _ = self.operations.send(Operation::Flush(reply));
        // An error means that the writer has ended.
        let _ = result.recv();
    }

    /// Queues an admission, and returns a future of the reservation, which is durable.
    ///
    /// If the future is dropped, a reservation that was made is released, and only the request is counted.
    pub(crate) fn admit(
        &self,
        request: AdmissionRequest,
    ) -> impl Future<Output = Result<CallReservation, AdmissionError>> + Send + use<> {
        let (reply, result) = oneshot::channel();
        let reply = AdmissionReply { reply, operations: self.operations.clone() };
        // If the writer has ended, the reply is dropped.
        let _ = self.operations.send(Operation::Admit(request, reply));
        async move {
            match result.await {
                Ok(result) => result.map(CallReservation::delivered),
                Err(_) => Err(AdmissionError::Unavailable(StoreError::writer_ended())),
            }
        }
    }

    /// Queues a query of the store, and returns a future of its result. It sees all operations that were queued before.
    /// No other operation runs during the query, so it has to be short.
    #[cfg(test)]
    pub(crate) fn read<T: Send + 'static, Q: FnOnce(&mut dyn LedgerStore) -> T + Send + 'static>(
        &self,
        query: Q,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, Q> {
        let (reply, result) = oneshot::channel();
        let query = Operation::Read(Box::new(move |store| {
            let _ = reply.send(query(store));
        }));
        let _ = self.operations.send(query);
        async move { result.await.map_err(|_| StoreError::writer_ended()) }
    }
}

/// Prints no content of the ledger.
impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}
