//! The tables of usage in a file: the sums by hour, and the rows of calls.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{USAGE_COLUMNS, read_counts, read_usage_row};
use crate::proxy_keys::keys::Window;
use crate::proxy_keys::ledger::call::UsageRow;
use crate::proxy_keys::ledger::counter::Amounts;
use crate::proxy_keys::ledger::store::SumVisitor;
use crate::proxy_keys::ledger::sums::{CallSums, SumKey, sum_rows};

/// The columns of the table `hours`, in the order of `read_key` and `read_sums`.
const HOUR_COLUMNS: &str = "start, key_id, group_id, provider, endpoint, model,
    requests, tokens, picodollars, estimated, unpriced, counts";

/// The number of rows that a migration adds at once, which limits its memory.
const ROWS_AT_ONCE: usize = 10_000;

/// Adds calls to the sums of their hours.
pub(super) fn add_rows(connection: &Connection, rows: &[UsageRow]) -> rusqlite::Result<()> {
    for (hour, sums) in sum_rows(rows) {
        add_to_hour(connection, &hour, sums)?;
    }
    Ok(())
}

/// Adds all rows of the file to the sums of their hours.
pub(super) fn add_all_rows(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare(&format!("SELECT {USAGE_COLUMNS} FROM usage WHERE id > ? ORDER BY id LIMIT ?"))?;
    let mut last_id = 0;
    loop {
        let mut rows = Vec::new();
        for row in statement.query_map(params![last_id, ROWS_AT_ONCE], read_usage_row)? {
            rows.push(row?);
        }
        let Some(last_row) = rows.last() else { return Ok(()) };
        last_id = last_row.id;
        add_rows(connection, &rows)?;
    }
}

/// Adds sums to a row of the table `hours`, which may not exist.
fn add_to_hour(connection: &Connection, hour: &SumKey, mut sums: CallSums) -> rusqlite::Result<()> {
    let mut find = connection.prepare_cached(&format!(
        "SELECT {HOUR_COLUMNS} FROM hours
         WHERE start = ? AND key_id = ? AND group_id = ? AND provider = ? AND endpoint = ? AND model = ?",
    ))?;
    let SumKey { start, key_id, group_id, provider, endpoint, model } = hour;
    let identity = params![start, key_id, group_id, provider, endpoint, model];
    if let Some(existing) = find.query_row(identity, read_sums).optional()? {
        sums.add(&existing);
    }
    let mut write = connection
        .prepare_cached("INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    write.execute(params![
        start,
        key_id,
        group_id,
        provider,
        endpoint,
        model,
        sums.amounts.requests,
        sums.amounts.tokens,
        sums.amounts.picodollars,
        sums.estimated,
        sums.unpriced,
        sums.counts.to_json(),
    ])?;
    Ok(())
}

/// Visits the sums of the hours that start in a period. See `UsageReader::visit_hours`.
pub(in crate::proxy_keys::ledger) fn visit_hours(
    connection: &Connection,
    period: Range<i64>,
    visit: &mut SumVisitor<'_>,
) -> rusqlite::Result<()> {
    let query = format!("SELECT {HOUR_COLUMNS} FROM hours WHERE start >= ? AND start < ? ORDER BY start");
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query([period.start, period.end])?;
    let mut key = SumKey::default();
    while let Some(row) = rows.next()? {
        read_key(row, &mut key)?;
        visit(&key, &read_sums(row)?);
    }
    Ok(())
}

/// Visits the calls that were admitted in a period. See `UsageReader::visit_calls`.
pub(in crate::proxy_keys::ledger) fn visit_calls(
    connection: &Connection,
    period: Range<i64>,
    visit: &mut SumVisitor<'_>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {USAGE_COLUMNS} FROM usage
         WHERE admitted_at >= ? AND admitted_at < ? ORDER BY admitted_at, id"
    ))?;
    let milliseconds = [period.start.saturating_mul(1_000), period.end.saturating_mul(1_000)];
    for row in statement.query_map(milliseconds, read_usage_row)? {
        let row = row?;
        visit(&SumKey::of_row(&row, Window::Minute), &CallSums::of_row(&row));
    }
    Ok(())
}

/// Reads the first second from which the rows of all calls exist.
pub(in crate::proxy_keys::ledger) fn read_rows_from(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT rows_from FROM kept_rows")?.query_row([], |row| row.get(0))
}

/// Reads the key of a row of the table `hours`. Keeps the texts that are equal in the row before, as most of them are.
fn read_key(row: &Row<'_>, key: &mut SumKey) -> rusqlite::Result<()> {
    key.start = row.get(0)?;
    let texts = [&mut key.key_id, &mut key.group_id, &mut key.provider, &mut key.endpoint, &mut key.model];
    for (index, text) in texts.into_iter().enumerate() {
        let column = row.get_ref(index + 1)?.as_str()?;
        if **text != *column {
            *text = column.into();
        }
    }
    Ok(())
}

/// Reads the sums of a row of the table `hours`.
fn read_sums(row: &Row<'_>) -> rusqlite::Result<CallSums> {
    Ok(CallSums {
        amounts: Amounts { requests: row.get(6)?, tokens: row.get(7)?, picodollars: row.get(8)? },
        estimated: row.get(9)?,
        unpriced: row.get(10)?,
        counts: read_counts(row, 11)?,
    })
}
