//! The thread that writes the ledger. It applies all waiting operations in one commit.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use jiff::Timestamp;

use super::admission::AdmissionError;
use super::batch::Batch;
#[cfg(any(test, feature = "sqlite"))]
use super::call::Settlement;
use super::operation::{AdmissionResult, Operation};
use super::status::WriterState;
use super::store::{LedgerChanges, LedgerStore, StoreError};
use super::upkeep::{DEFAULT_KEEP_ROWS, Upkeep};

/// The clock of a store.
pub(crate) type Clock = Box<dyn Fn() -> Timestamp + Send>;

/// The greatest number of operations in one commit, so that the first of them does not wait for long.
const MAX_BATCH: usize = 1_024;

/// The pause before a store that could not write is tried again, if no operation arrives earlier.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The only writer of a store.
pub(crate) struct Writer {
    store: Box<dyn LedgerStore>,
    clock: Clock,
    /// The id of the last admitted call.
    last_id: u64,
    /// Settlements that could not be written. They are the first operations of the next batch, so each admission sees
    /// their charges, and is refused as long as they cannot be written.
    unwritten: Vec<Operation>,
    upkeep: Upkeep,
    state: Arc<WriterState>,
}

impl Writer {
    /// Returns the writer of an empty store.
    pub(crate) fn new(store: Box<dyn LedgerStore>, clock: Clock) -> Self {
        let upkeep = Upkeep::new(DEFAULT_KEEP_ROWS, clock());
        Self { store, clock, last_id: 0, unwritten: Vec::new(), upkeep, state: Arc::default() }
    }

    /// Returns the state that the writer updates.
    pub(crate) fn state(&self) -> Arc<WriterState> {
        self.state.clone()
    }

    /// Sets the time for which usage rows are kept.
    #[cfg(feature = "sqlite")]
    pub(crate) fn with_keep_rows(mut self, keep_rows: Duration) -> Self {
        self.upkeep = Upkeep::new(keep_rows, (self.clock)());
        self
    }

    /// Settles the calls of a process that has ended, as estimates in the windows of their admission, and returns the
    /// writer. Fails if the store cannot be read or written.
    #[cfg(any(test, feature = "sqlite"))]
    pub(crate) fn recover(mut store: Box<dyn LedgerStore>, clock: Clock) -> Result<Self, StoreError> {
        let open_calls = store.open_calls()?;
        let last_id = store.last_id()?;
        let mut batch = Batch::begin(&mut *store, clock())?;
        for call in &open_calls {
            if let Err(error) = batch.settle(call, &Settlement::of_unknown_end(call)) {
                batch.cancel();
                return Err(error);
            }
        }
        batch.commit()?;
        Ok(Self { last_id, ..Self::new(store, clock) })
    }

    /// Applies operations until the last handle and the last reservation are dropped.
    pub(crate) fn run(mut self, operations: &Receiver<Operation>) {
        while let Some(waiting) = self.receive(operations) {
            let now = (self.clock)();
            let was_applied = self.apply(waiting);
            if was_applied {
                self.retry_if_failed();
            }
            self.upkeep.run_if_due(&mut *self.store, now);
        }
        // The last attempt to write settlements that were kept.
        self.apply(Vec::new());
    }

    /// Waits for an operation, and returns it with all others that wait. Returns no operation if it is time to retry
    /// a store that could not write, or to delete old rows, and `None` if there will be no operation.
    fn receive(&self, operations: &Receiver<Operation>) -> Option<Vec<Operation>> {
        let mut timeout = self.upkeep.wait((self.clock)());
        if self.state.has_failed() {
            timeout = timeout.min(RETRY_INTERVAL);
        }
        let first = match operations.recv_timeout(timeout) {
            Ok(operation) => operation,
            Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let mut waiting = vec![first];
        waiting.extend(operations.try_iter().take(MAX_BATCH - 1));
        Some(waiting)
    }

    /// Writes the unwritten settlements and these operations in one commit, and replies to each caller. If the commit
    /// fails, no call is admitted and the settlements are kept. Returns false then.
    fn apply(&mut self, operations: Vec<Operation>) -> bool {
        let mut all = std::mem::take(&mut self.unwritten);
        all.extend(operations);
        if all.is_empty() {
            return true;
        }
        match self.write(&all) {
            Ok(admissions) => {
                self.reply(all, admissions);
                true
            }
            Err(error) => {
                self.state.record_failure();
                self.reply_with_error(all, &error);
                false
            }
        }
    }

    /// Tries a commit without changes if an earlier write has failed and no settlement waits, whose commit would be the try.
    ///
    /// It is not called right after a failed write: a second attempt on a file that another process has locked would delay the
    /// next operations by the same time again.
    fn retry_if_failed(&mut self) {
        if !self.state.has_failed() || !self.unwritten.is_empty() {
            return;
        }
        let begun = self.store.begin();
        match begun.and_then(|()| self.store.commit(&LedgerChanges::default())) {
            Ok(()) => self.state.record_commit(),
            Err(_) => self.state.record_failure(),
        }
    }

    /// Applies operations in their order and commits them. Returns the results of the admissions.
    fn write(&mut self, operations: &[Operation]) -> Result<Vec<AdmissionResult>, StoreError> {
        let mut admissions = Vec::new();
        let mut batch = Batch::begin(&mut *self.store, (self.clock)())?;
        for operation in operations {
            let applied = match operation {
                Operation::Admit(request, _) => {
                    self.last_id += 1;
                    batch.admit(self.last_id, request).map(|result| admissions.push(result))
                }
                Operation::Settle(request) => batch.settle(&request.call, &request.settlement),
                Operation::Flush(_) => Ok(()),
                Operation::Read(_) => Ok(()),
            };
            if let Err(error) = applied {
                batch.cancel();
                return Err(error);
            }
        }
        let was_written = batch.commit()?;
        if was_written {
            self.state.record_commit();
        }
        Ok(admissions)
    }

    /// Replies to the callers of operations that are committed. The results are those of the admissions, in order.
    fn reply(&mut self, operations: Vec<Operation>, admissions: Vec<AdmissionResult>) {
        let mut admissions = admissions.into_iter();
        for operation in operations {
            match operation {
                Operation::Admit(_, reply) => {
                    let result = admissions.next().expect("each admission has a result");
                    if result.is_ok() {
                        self.state.add_call();
                    }
                    reply.send(result);
                }
                Operation::Settle(mut request) => {
                    self.state.remove_call();
                    request.reply(Ok(()));
                }
                Operation::Flush(reply) => drop(reply.send(())),
                Operation::Read(query) => query(&mut *self.store),
            }
        }
    }

    /// Replies to the callers of operations that are not committed, and keeps the settlements.
    fn reply_with_error(&mut self, operations: Vec<Operation>, error: &StoreError) {
        for operation in operations {
            match operation {
                Operation::Admit(_, reply) => reply.send(Err(AdmissionError::Unavailable(error.clone()))),
                Operation::Settle(mut request) => {
                    request.reply(Err(error.clone()));
                    self.unwritten.push(Operation::Settle(request));
                }
                Operation::Flush(reply) => drop(reply.send(())),
                Operation::Read(query) => query(&mut *self.store),
            }
        }
    }
}
