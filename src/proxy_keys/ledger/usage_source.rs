//! The queries of the usage in a ledger.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use super::Ledger;
#[cfg(feature = "sqlite")]
use super::file_queries::FileQueries;
use super::operation::Operation;
#[cfg(feature = "sqlite")]
use super::reader::LedgerReader;
use super::store::{StoreError, UsageReader};

/// The usage in a ledger, as a handle for queries. Its clones use the same queue.
///
/// The queries of a ledger file run one after another in a thread of their own, beside the writer. A ledger in memory runs
/// them between its batches.
#[derive(Clone)]
pub struct UsageSource(Queue);

#[derive(Clone)]
enum Queue {
    /// The queue of a writer.
    Writer(Sender<Operation>),
    #[cfg(feature = "sqlite")]
    File(Arc<FileQueries>),
}

impl UsageSource {
    /// Returns a source whose queries run in the thread of a writer.
    pub(crate) fn of_writer(operations: Sender<Operation>) -> Self {
        Self(Queue::Writer(operations))
    }

    /// Returns a source whose queries run in a thread of their own, which opens the file at the first query.
    #[cfg(feature = "sqlite")]
    pub(crate) fn of_file(path: &std::path::Path) -> Self {
        Self(Queue::File(Arc::new(FileQueries::new(path))))
    }

    /// Queues a query, and returns a future of its result. The query sees all settlements that were durable before.
    ///
    /// The result is an error if the query fails, if the file cannot be read, or if the thread has ended. A query whose
    /// future was dropped before its turn is skipped. Each query delays all later ones, so it has to be short.
    pub(crate) fn run<T, Q>(&self, query: Q) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, Q>
    where
        T: Send + 'static,
        Q: FnOnce(&mut dyn UsageReader) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        match &self.0 {
            Queue::Writer(operations) => {
                let read = Operation::Read(Box::new(move |store| {
                    if !reply.is_closed() {
                        let _ = reply.send(query(store));
                    }
                }));
                // If the writer has ended, the reply is dropped.
                let _ = operations.send(read);
            }
            #[cfg(feature = "sqlite")]
            Queue::File(queries) => queries.send(Box::new(move |opened| {
                if !reply.is_closed() {
                    let _ = reply.send(opened.and_then(query));
                }
            })),
        }
        async move { result.await.unwrap_or_else(|_| Err(StoreError::thread_ended())) }
    }
}

impl From<&Ledger> for UsageSource {
    fn from(ledger: &Ledger) -> Self {
        ledger.usage.clone()
    }
}

impl From<Ledger> for UsageSource {
    fn from(ledger: Ledger) -> Self {
        ledger.usage
    }
}

/// Opens the file again at the first query, and drops the reader. If an earlier version wrote the file, each query fails until a
/// writer has migrated it.
#[cfg(feature = "sqlite")]
impl From<LedgerReader> for UsageSource {
    fn from(reader: LedgerReader) -> Self {
        Self::of_file(reader.path())
    }
}

/// Prints no content of the ledger.
impl fmt::Debug for UsageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageSource").finish_non_exhaustive()
    }
}
