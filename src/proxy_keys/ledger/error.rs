//! The error of a ledger file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::store::StoreError;

/// A ledger file that cannot be opened, read or copied. The message contains the path, the reason, and the remedy if there
/// is one.
#[derive(Debug)]
pub struct LedgerError {
    /// The action that failed, such as `open`.
    action: &'static str,
    path: PathBuf,
    reason: StoreError,
}

impl LedgerError {
    pub(crate) fn new(action: &'static str, path: &Path, reason: StoreError) -> Self {
        Self { action, path: path.to_owned(), reason }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} the ledger {}: {}", self.action, self.path.display(), self.reason)
    }
}

impl std::error::Error for LedgerError {}
