//! A store in a SQLite file.
//!
//! The file has a write-ahead log, and each commit is synced to the disk before it returns (`synchronous=FULL`). An
//! operating-system lock on a file beside it admits one writer. Readers open the file read-only at any time.

mod file;
mod schema;
mod sums;
mod upkeep;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

#[cfg(test)]
pub(super) use self::schema::APPLICATION_ID;
pub(super) use self::schema::{check_current_version, check_version};
pub(super) use self::sums::{read_rows_from, visit_calls, visit_hours};

use self::file::{create_file, lock_file};
use self::schema::{MIGRATIONS, migrate};
use super::call::{CallInfo, OpenCall, UsageRow};
use super::counter::{Amounts, Charge, Counter, CounterKey};
use super::counts::CountSums;
use super::store::{LedgerChanges, LedgerStore, StoreError, SumVisitor, UsageReader};

/// The size to which the write-ahead log is cut after a checkpoint, in bytes. A long reader can make it larger.
pub(super) const LOG_LIMIT: u32 = 16 << 20;

/// The columns of a usage row, in the order of `read_usage_row`.
const USAGE_COLUMNS: &str =
    "id, admitted_at, key_id, group_id, provider, endpoint, model, tokens, picodollars,
    settled_at, status, estimated, unpriced, counts";

/// The writer's connection to a ledger file.
pub(crate) struct SqliteStore {
    pub(super) connection: Connection,
    /// Never read. Its lock ends when it is dropped, after the connection.
    _lock: File,
}

impl SqliteStore {
    /// Opens or creates a ledger file as its only writer, and migrates it to the current schema.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock_file(path)?;
        create_file(path)?;
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        // On macOS, only this reaches the disk. Other systems ignore it.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
        migrate(&mut connection)?;
        Ok(Self { connection, _lock: lock })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(&error)
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::new(&error)
    }
}

impl LedgerStore for SqliteStore {
    fn begin(&mut self) -> Result<(), StoreError> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    fn counter(&mut self, key: &CounterKey) -> Result<Counter, StoreError> {
        Ok(find_counter(&self.connection, key)?)
    }

    fn commit(&mut self, changes: &LedgerChanges) -> Result<(), StoreError> {
        let written = write_changes(&self.connection, changes);
        if written.is_err() {
            self.cancel();
        }
        Ok(written?)
    }

    fn cancel(&mut self) {
        // After some errors, SQLite has ended the transaction itself. Then this fails without effect.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    fn open_calls(&mut self) -> Result<Vec<Arc<OpenCall>>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT id, admitted_at, key_id, group_id, provider, endpoint, model, tokens, picodollars
             FROM reservations ORDER BY id",
        )?;
        let mut calls = Vec::new();
        for call in statement.query_map([], read_open_call)? {
            calls.push(Arc::new(call?));
        }
        Ok(calls)
    }

    fn last_id(&mut self) -> Result<u64, StoreError> {
        let query = "SELECT max((SELECT ifnull(max(id), 0) FROM reservations), (SELECT ifnull(max(id), 0) FROM usage))";
        Ok(self.connection.query_row(query, [], |row| row.get(0))?)
    }

    #[cfg(test)]
    fn usage_rows(&mut self) -> Result<Vec<UsageRow>, StoreError> {
        let query = format!("SELECT {USAGE_COLUMNS} FROM usage ORDER BY id");
        let mut statement = self.connection.prepare(&query)?;
        let mut rows = Vec::new();
        for row in statement.query_map([], read_usage_row)? {
            rows.push(row?);
        }
        Ok(rows)
    }

    fn delete_old_rows(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let last_id = self.last_id()?;
        Ok(upkeep::delete_old_rows(&mut self.connection, before, last_id, limit)?)
    }
}

impl UsageReader for SqliteStore {
    fn visit_hours(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError> {
        Ok(visit_hours(&self.connection, period, visit)?)
    }

    fn visit_calls(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError> {
        Ok(visit_calls(&self.connection, period, visit)?)
    }

    fn rows_from(&mut self) -> Result<i64, StoreError> {
        Ok(read_rows_from(&self.connection)?)
    }
}

/// Writes the changes of a batch and commits them. After an error, the transaction may be open.
fn write_changes(connection: &Connection, changes: &LedgerChanges) -> rusqlite::Result<()> {
    for (key, counter) in &changes.counters {
        write_counter(connection, key, counter)?;
    }
    for call in &changes.admitted {
        write_open_call(connection, call)?;
    }
    for row in &changes.settled {
        connection.prepare_cached("DELETE FROM reservations WHERE id = ?")?.execute([row.id])?;
        write_usage_row(connection, row)?;
    }
    sums::add_rows(connection, &changes.settled)?;
    if changes.is_empty() {
        // A transaction without a change would not write, and succeed on a full disk.
        connection.pragma_update(None, "user_version", MIGRATIONS.len())?;
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

fn write_counter(connection: &Connection, key: &CounterKey, counter: &Counter) -> rusqlite::Result<()> {
    let Counter { spent, reserved } = counter;
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO counters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    statement.execute(params![
        key.owner.kind(),
        key.owner.id(),
        key.window.as_str(),
        key.start,
        spent.requests,
        spent.tokens,
        spent.picodollars,
        reserved.requests,
        reserved.tokens,
        reserved.picodollars,
    ])?;
    Ok(())
}

fn write_open_call(connection: &Connection, call: &OpenCall) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    statement.execute(params![
        call.id,
        call.admitted_at.as_millisecond(),
        call.key_id,
        call.group_id,
        call.info.provider,
        call.info.endpoint,
        call.info.model,
        call.reserved.tokens,
        call.reserved.picodollars,
    ])?;
    Ok(())
}

fn write_usage_row(connection: &Connection, row: &UsageRow) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    statement.execute(params![
        row.id,
        row.admitted_at.as_millisecond(),
        row.settled_at.as_millisecond(),
        row.key_id,
        row.group_id,
        row.info.provider,
        row.info.endpoint,
        row.info.model,
        row.status,
        row.charge.tokens,
        row.charge.picodollars,
        row.is_estimated,
        row.has_unpriced_counter,
        row.counts.to_json(),
    ])?;
    Ok(())
}

/// Reads a counter, which is zero if it does not exist.
pub(super) fn find_counter(connection: &Connection, key: &CounterKey) -> rusqlite::Result<Counter> {
    let mut statement = connection.prepare_cached(
        "SELECT spent_requests, spent_tokens, spent_picodollars,
                reserved_requests, reserved_tokens, reserved_picodollars
         FROM counters WHERE owner_kind = ? AND owner_id = ? AND window = ? AND start = ?",
    )?;
    let identity = params![key.owner.kind(), key.owner.id(), key.window.as_str(), key.start];
    let counter = statement.query_row(identity, read_counter).optional()?;
    Ok(counter.unwrap_or_default())
}

fn read_counter(row: &Row<'_>) -> rusqlite::Result<Counter> {
    let spent = Amounts { requests: row.get(0)?, tokens: row.get(1)?, picodollars: row.get(2)? };
    let reserved = Amounts { requests: row.get(3)?, tokens: row.get(4)?, picodollars: row.get(5)? };
    Ok(Counter { spent, reserved })
}

/// Reads the first columns of a reservation or a usage row, which are the same.
fn read_open_call(row: &Row<'_>) -> rusqlite::Result<OpenCall> {
    let provider: String = row.get(4)?;
    let endpoint: String = row.get(5)?;
    Ok(OpenCall {
        id: row.get(0)?,
        admitted_at: read_instant(row, 1)?,
        key_id: row.get(2)?,
        group_id: row.get(3)?,
        info: CallInfo { provider: provider.into(), endpoint: endpoint.into(), model: row.get(6)? },
        reserved: Charge { tokens: row.get(7)?, picodollars: row.get(8)? },
    })
}

fn read_usage_row(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    let call = read_open_call(row)?;
    Ok(UsageRow {
        id: call.id,
        admitted_at: call.admitted_at,
        settled_at: read_instant(row, 9)?,
        key_id: call.key_id,
        group_id: call.group_id,
        info: call.info,
        status: row.get(10)?,
        charge: call.reserved,
        is_estimated: row.get(11)?,
        has_unpriced_counter: row.get(12)?,
        counts: read_counts(row, 13)?,
    })
}

/// Reads a column with the JSON form of counts.
fn read_counts(row: &Row<'_>, column: usize) -> rusqlite::Result<CountSums> {
    Ok(CountSums::from_json(row.get_ref(column)?.as_str()?))
}

/// Reads a column of milliseconds since 1970.
fn read_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let milliseconds: i64 = row.get(column)?;
    match Timestamp::from_millisecond(milliseconds) {
        Ok(instant) => Ok(instant),
        Err(_) => Err(rusqlite::Error::IntegralValueOutOfRange(column, milliseconds)),
    }
}
