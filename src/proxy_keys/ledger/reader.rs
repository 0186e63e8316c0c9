//! A reader of a ledger file, beside its writer or without one.

use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction};

use super::counter::{CounterKey, Owner};
use super::error::LedgerError;
use super::sqlite::{
    check_current_version, check_version, find_counter, read_rows_from, visit_calls, visit_hours,
};
use super::store::{StoreError, SumVisitor, UsageReader};
use super::usage::{LedgerUsage, OwnerUsage, WindowUsage};
use crate::proxy_keys::keys::Window;

/// The bytes that are escaped in the path of a URI.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// The mode of each connection of a reader. It is used by one thread at a time.
const READ_ONLY: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A reader of a ledger file. It works while a process writes the file, and while none does.
///
/// It takes no lock that a writer waits for, changes no counter, and settles no call. In a folder that the user may write,
/// SQLite can leave an empty log beside the file.
pub struct LedgerReader {
    connection: Connection,
    path: PathBuf,
    /// True if SQLite reads the file without a look at locks and logs.
    is_immutable: bool,
}

impl LedgerReader {
    /// Opens a ledger file read-only.
    ///
    /// # Errors
    ///
    /// If the file does not exist, cannot be read, is no ledger, or is that of a newer program.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        Self::open_checked(path).map_err(|reason| LedgerError::new("open", path, reason))
    }

    /// Opens a ledger file of the current version, for queries of its usage.
    pub(crate) fn open_current(path: &Path) -> Result<Self, StoreError> {
        let reader = Self::open_checked(path)?;
        check_current_version(&reader.connection)?;
        Ok(reader)
    }

    /// Opens a file, and checks that it is a ledger.
    fn open_checked(path: &Path) -> Result<Self, StoreError> {
        // SQLite reports a missing file without its reason.
        std::fs::metadata(path)?;
        let connection = Connection::open_with_flags(path, READ_ONLY)?;
        let mut reader = Self { connection, path: path.to_owned(), is_immutable: false };
        match read_table_count(&reader.connection) {
            Ok(_) => {}
            Err(error) if is_wal_refused(&error) => reader.reopen_without_wal()?,
            Err(error) => return Err(error.into()),
        }
        if check_version(&reader.connection)? == 0 {
            return Err(StoreError::new(&"it is empty: no ledger was created in it"));
        }
        Ok(reader)
    }

    /// Opens the file as one that no process changes, because SQLite cannot create a log in its folder. Fails if there is a
    /// log, which contains a part of the ledger.
    fn reopen_without_wal(&mut self) -> Result<(), StoreError> {
        if self.has_wal() {
            let reason =
                "its last writer was killed, and its log is read only with the right to write the folder";
            return Err(StoreError::new(&reason));
        }
        let uri = immutable_uri(&self.path)?;
        self.connection = Connection::open_with_flags(uri, READ_ONLY | OpenFlags::SQLITE_OPEN_URI)?;
        self.is_immutable = true;
        Ok(())
    }

    /// Returns the path with which the file was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// True if the reader does not see the changes of a later writer.
    pub(crate) fn is_immutable(&self) -> bool {
        self.is_immutable
    }

    /// Runs a query on one state of the file, which a short read transaction keeps.
    pub(crate) fn run_query(&self, query: FileQuery) {
        match self.connection.unchecked_transaction() {
            Ok(transaction) => query(Ok(&mut FileUsage { reader: self, transaction })),
            Err(error) => query(Err(error.into())),
        }
    }

    /// Returns the use of each key and group in the current windows, all at one instant.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn usage(&self) -> Result<LedgerUsage, LedgerError> {
        self.usage_at(Timestamp::now())
    }

    /// Returns the use in the windows that contain an instant.
    pub(crate) fn usage_at(&self, instant: Timestamp) -> Result<LedgerUsage, LedgerError> {
        self.read_usage(instant).map_err(|reason| LedgerError::new("read", &self.path, reason))
    }

    /// Copies the ledger to a file that is empty or does not exist, while the writer continues.
    ///
    /// The copy is the state at one instant, and is itself a ledger. Its calls in flight are settled as estimates when a
    /// writer opens it. The copy is not synced to the disk. After an error, it is incomplete.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read, or if the target cannot be written or is not empty.
    pub fn backup(&self, target: impl AsRef<Path>) -> Result<(), LedgerError> {
        self.copy_to(target.as_ref()).map_err(|reason| LedgerError::new("copy", &self.path, reason))
    }

    fn copy_to(&self, target: &Path) -> Result<(), StoreError> {
        let Some(target_text) = target.to_str() else {
            return Err(StoreError::new(&"the path of the copy is not UTF-8"));
        };
        // SQLite reports a text file here as "not a database", without its path.
        if std::fs::metadata(target).is_ok_and(|metadata| metadata.len() > 0) {
            return Err(StoreError::new(&format_args!("{target_text} is not empty: choose another path")));
        }
        // The command copies the version of the schema too, and reads one state of the file.
        self.connection.execute("VACUUM INTO ?", [target_text])?;
        self.check_unchanged()
    }

    fn read_usage(&self, instant: Timestamp) -> Result<LedgerUsage, StoreError> {
        // A transaction reads one state of the file.
        let transaction = self.connection.unchecked_transaction()?;
        let mut usage = LedgerUsage::default();
        let mut last_owner = None;
        while let Some(owner) = find_next_owner(&transaction, last_owner.as_ref())? {
            let owner_usage = read_owner(&transaction, &owner, instant)?;
            let owners = match &owner {
                Owner::Key(_) => &mut usage.keys,
                Owner::Group(_) => &mut usage.groups,
            };
            owners.insert(owner.id().to_owned(), owner_usage);
            last_owner = Some(owner);
        }
        self.check_unchanged()?;
        Ok(usage)
    }

    /// Fails if a writer may have changed an immutable file while it was read.
    fn check_unchanged(&self) -> Result<(), StoreError> {
        if self.is_immutable && self.has_wal() {
            return Err(StoreError::new(&"a writer was started at the same time: try again"));
        }
        Ok(())
    }

    /// True if the file has a write-ahead log, as while a process writes it.
    fn has_wal(&self) -> bool {
        self.wal_path().exists()
    }

    /// Returns the size of the write-ahead log in bytes, or 0 without one.
    pub(crate) fn wal_size(&self) -> u64 {
        match std::fs::metadata(self.wal_path()) {
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        }
    }

    /// Returns the path of the write-ahead log. It is beside the file itself, also if the reader was opened with a symbolic link.
    fn wal_path(&self) -> PathBuf {
        let mut wal = match self.connection.path() {
            Some(resolved) => OsString::from(resolved),
            None => OsString::from(&self.path),
        };
        wal.push("-wal");
        wal.into()
    }
}

/// A query of a ledger file, which sends its result itself. It receives an error if the file cannot be read.
pub(crate) type FileQuery = Box<dyn FnOnce(Result<&mut dyn UsageReader, StoreError>) + Send>;

/// The usage in one state of a ledger file.
struct FileUsage<'a> {
    reader: &'a LedgerReader,
    transaction: Transaction<'a>,
}

impl UsageReader for FileUsage<'_> {
    fn visit_hours(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError> {
        visit_hours(&self.transaction, period, visit)?;
        self.reader.check_unchanged()
    }

    fn visit_calls(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError> {
        visit_calls(&self.transaction, period, visit)?;
        self.reader.check_unchanged()
    }

    fn rows_from(&mut self) -> Result<i64, StoreError> {
        let rows_from = read_rows_from(&self.transaction)?;
        self.reader.check_unchanged()?;
        Ok(rows_from)
    }
}

/// Prints the path only.
impl fmt::Debug for LedgerReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerReader").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads the schema, for which SQLite opens the log.
fn read_table_count(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

/// True if SQLite could not create or open the files of the log.
fn is_wal_refused(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
}

/// Returns the URI of a file that no process changes.
fn immutable_uri(path: &Path) -> Result<String, StoreError> {
    let absolute = path.canonicalize()?;
    let encoded = percent_encode(absolute.as_os_str().as_encoded_bytes(), ESCAPED);
    Ok(format!("file:{encoded}?immutable=1"))
}

/// Returns the first owner after another one in the order of the table, or `None` after the last one.
///
/// The table has many counters of each owner. A search in its index does not read them.
fn find_next_owner(connection: &Connection, last: Option<&Owner>) -> rusqlite::Result<Option<Owner>> {
    let mut statement = connection.prepare_cached(
        "SELECT owner_kind, owner_id FROM counters WHERE (owner_kind, owner_id) > (?, ?)
         ORDER BY owner_kind, owner_id LIMIT 1",
    )?;
    let (kind, id) = last.map_or(("", ""), |owner| (owner.kind(), owner.id()));
    let read_owner = |row: &rusqlite::Row<'_>| {
        let kind: String = row.get(0)?;
        let id = row.get(1)?;
        match kind.as_str() {
            "key" => Ok(Owner::Key(id)),
            "group" => Ok(Owner::Group(id)),
            // The search would find the same owner again, without an end.
            _ => Err(rusqlite::Error::InvalidColumnType(0, "owner_kind".to_owned(), Type::Text)),
        }
    };
    statement.query_row([kind, id], read_owner).optional()
}

/// Reads the counters of one owner in the windows that contain an instant.
fn read_owner(connection: &Connection, owner: &Owner, instant: Timestamp) -> rusqlite::Result<OwnerUsage> {
    let read = |window| -> rusqlite::Result<WindowUsage> {
        let counter = find_counter(connection, &CounterKey::at(owner, window, instant))?;
        Ok(counter.into())
    };
    Ok(OwnerUsage {
        minute: read(Window::Minute)?,
        hour: read(Window::Hour)?,
        day: read(Window::Day)?,
        month: read(Window::Month)?,
        ever: read(Window::Ever)?,
    })
}
