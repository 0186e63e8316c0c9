//! The deletion of old usage rows. The sums of their hours stay.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{USAGE_COLUMNS, read_rows_from, read_usage_row};
use crate::proxy_keys::ledger::call::UsageRow;
use crate::proxy_keys::ledger::counter::Owner;
use crate::proxy_keys::ledger::sums::hours_by_owner;

/// Deletes the oldest rows in one transaction. See `LedgerStore::delete_old_rows`.
pub(super) fn delete_old_rows(
    connection: &mut Connection,
    before: Timestamp,
    last_id: u64,
    limit: usize,
) -> rusqlite::Result<usize> {
    let transaction = connection.transaction()?;
    let rows = read_old_rows(&transaction, before, last_id, limit)?;
    let rows_from = before.as_second();
    if rows.is_empty() && read_rows_from(&transaction)? >= rows_from {
        return Ok(0);
    }
    for row in &rows {
        transaction.prepare_cached("DELETE FROM usage WHERE id = ?")?.execute([row.id])?;
    }
    let raise = "UPDATE kept_rows SET rows_from = max(rows_from, ?)";
    transaction.prepare_cached(raise)?.execute([rows_from])?;
    for (owner, start) in hours_by_owner(&rows) {
        delete_counters(&transaction, &owner, start)?;
    }
    transaction.commit()?;
    Ok(rows.len())
}

/// Reads the oldest rows, without that of the last call.
fn read_old_rows(
    connection: &Connection,
    before: Timestamp,
    last_id: u64,
    limit: usize,
) -> rusqlite::Result<Vec<UsageRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {USAGE_COLUMNS} FROM usage
         WHERE admitted_at < ? AND id < ? ORDER BY admitted_at LIMIT ?"
    ))?;
    let mut rows = Vec::new();
    for row in statement.query_map(params![before.as_millisecond(), last_id, limit], read_usage_row)? {
        rows.push(row?);
    }
    Ok(rows)
}

/// Deletes the counters of the minutes and the hour of an owner, except those with calls in flight.
fn delete_counters(connection: &Connection, owner: &Owner, hour_start: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM counters WHERE owner_kind = ? AND owner_id = ? AND window IN ('minute', 'hour')
         AND start >= ? AND start < ? + 3600 AND reserved_requests = 0",
    )?;
    statement.execute(params![owner.kind(), owner.id(), hour_start, hour_start])?;
    Ok(())
}
