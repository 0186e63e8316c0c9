//! The thread that runs the queries of a ledger file.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use super::reader::{FileQuery, LedgerReader};
use super::sqlite::LOG_LIMIT;
use super::store::StoreError;

/// The pause before a query while the log is larger than its limit and grows.
///
/// The writer can begin the log anew only at a commit without a reader. Queries without a pause between them would leave no
/// such commit, and the log would grow until the disk is full.
const PAUSE: Duration = Duration::from_millis(50);

/// The queue of a thread that reads a ledger file. The thread starts at the first query, and ends with the queue.
pub(crate) struct FileQueries {
    path: PathBuf,
    /// Set at the first query.
    queue: OnceLock<Sender<FileQuery>>,
}

impl FileQueries {
    /// Returns the queue of a file, which is not opened yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), queue: OnceLock::new() }
    }

    /// Queues a query. It is dropped if the system starts no thread.
    pub(crate) fn send(&self, query: FileQuery) {
        let queue = self.queue.get_or_init(|| start_thread(self.path.clone()));
        let _ = queue.send(query);
    }
}

/// Starts the thread, and returns its queue.
fn start_thread(path: PathBuf) -> Sender<FileQuery> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().name("proxy-key-usage".to_owned());
    // Without the thread, the receiver is dropped, and each query fails.
    let _ = thread.spawn(move || run_queries(&path, &receiver));
    sender
}

/// Runs queries until the queue is dropped. The file stays open between them.
fn run_queries(path: &Path, queries: &Receiver<FileQuery>) {
    let mut reader = None;
    // The size of the log at the last pause. A log of the same size has no writer that waits.
    let mut paused_size = 0;
    while let Ok(query) = queries.recv() {
        match get_or_open(&mut reader, path) {
            Ok(opened) => {
                let size = opened.wal_size();
                if size > LOG_LIMIT.into() && size != paused_size {
                    thread::sleep(PAUSE);
                    paused_size = size;
                }
                opened.run_query(query);
            }
            Err(error) => query(Err(error)),
        }
        // A file without a log may get a writer, whose changes only a new reader sees.
        if reader.as_ref().is_some_and(LedgerReader::is_immutable) {
            reader = None;
        }
    }
}

/// Returns the open reader, or opens the file. After an error, the next query tries again.
fn get_or_open<'a>(
    reader: &'a mut Option<LedgerReader>,
    path: &Path,
) -> Result<&'a LedgerReader, StoreError> {
    match reader {
        Some(opened) => Ok(opened),
        None => Ok(reader.insert(LedgerReader::open_current(path)?)),
    }
}
