//! The options of a ledger file.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::Ledger;
use super::error::LedgerError;
use super::sqlite::SqliteStore;
use super::upkeep::DEFAULT_KEEP_ROWS;
use super::writer::{Clock, Writer};

/// The options with which a ledger file is opened.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    keep_rows: Duration,
}

impl LedgerOptions {
    /// Returns the default options.
    pub fn new() -> Self {
        Self { keep_rows: DEFAULT_KEEP_ROWS }
    }

    /// Sets the time for which the ledger keeps one row for each call. Default: 90 days. A time below one day is one day.
    ///
    /// While the ledger is open, older rows are deleted. The sums for each hour, key, group, endpoint and model are kept for
    /// ever, so no amount is lost, and no limit changes.
    #[must_use]
    pub fn keep_rows(mut self, keep_rows: Duration) -> Self {
        self.keep_rows = keep_rows;
        self
    }

    /// Opens or creates a ledger in a SQLite file, as its only writer. See [`Ledger::open`].
    ///
    /// # Errors
    ///
    /// If another process writes the ledger, or if the file cannot be read or written, is no ledger, or is that of a newer
    /// program.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Ledger, LedgerError> {
        self.open_with_clock(path.as_ref(), Box::new(Timestamp::now))
    }

    pub(crate) fn open_with_clock(&self, path: &Path, clock: Clock) -> Result<Ledger, LedgerError> {
        let opened = SqliteStore::open(path);
        match opened.and_then(|store| Writer::recover(Box::new(store), clock)) {
            Ok(writer) => Ok(Ledger::start(writer.with_keep_rows(self.keep_rows)).with_file(path)),
            Err(reason) => Err(LedgerError::new("open", path, reason)),
        }
    }
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self::new()
    }
}
