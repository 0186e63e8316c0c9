//! The replacement of old usage rows by the sums of their hours.

#[cfg(test)]
use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{USAGE_COLUMNS, read_usage_row};
use crate::proxy_keys::ledger::call::UsageRow;
use crate::proxy_keys::ledger::counter::{Amounts, Owner};
use crate::proxy_keys::ledger::hours::{HourKey, HourSums, hours_by_owner, sum_rows};

/// Moves the oldest rows to the sums of their hours in one transaction. See `LedgerStore::roll_up`.
pub(super) fn roll_up(
    connection: &mut Connection,
    before: Timestamp,
    last_id: u64,
    limit: usize,
) -> rusqlite::Result<usize> {
    let transaction = connection.transaction()?;
    let rows = read_old_rows(&transaction, before, last_id, limit)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let hours = sum_rows(&rows);
    for (hour, sums) in &hours {
        add_to_hour(&transaction, hour, sums)?;
    }
    for row in &rows {
        transaction.prepare_cached("DELETE FROM usage WHERE id = ?")?.execute([row.id])?;
    }
    for (owner, start) in hours_by_owner(hours.keys()) {
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

/// Adds sums to a row of the table `hours`, which may not exist.
fn add_to_hour(connection: &Connection, hour: &HourKey, added: &HourSums) -> rusqlite::Result<()> {
    let mut find = connection.prepare_cached(
        "SELECT start, key_id, group_id, provider, endpoint, model,
                requests, tokens, picodollars, estimated, unpriced, counts
         FROM hours WHERE start = ? AND key_id = ? AND group_id = ? AND provider = ? AND endpoint = ? AND model = ?",
    )?;
    let HourKey { start, key_id, group_id, provider, endpoint, model } = hour;
    let identity = params![start, key_id, group_id, provider, endpoint, model];
    let existing = find.query_row(identity, read_hour).optional()?;
    let mut sums = existing.map_or_else(HourSums::default, |(_, sums)| sums);
    sums.add(added);
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
        serde_json::to_string(&sums.counts).expect("a map of integers has a JSON form"),
    ])?;
    Ok(())
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

/// Reads all rows of the table `hours`.
#[cfg(test)]
pub(super) fn read_hours(connection: &Connection) -> rusqlite::Result<BTreeMap<HourKey, HourSums>> {
    let mut statement = connection.prepare("SELECT * FROM hours")?;
    let mut hours = BTreeMap::new();
    for hour in statement.query_map([], read_hour)? {
        let (key, sums) = hour?;
        hours.insert(key, sums);
    }
    Ok(hours)
}

fn read_hour(row: &Row<'_>) -> rusqlite::Result<(HourKey, HourSums)> {
    let key = HourKey {
        start: row.get(0)?,
        key_id: row.get(1)?,
        group_id: row.get(2)?,
        provider: row.get(3)?,
        endpoint: row.get(4)?,
        model: row.get(5)?,
    };
    let counts: String = row.get(11)?;
    let sums = HourSums {
        amounts: Amounts { requests: row.get(6)?, tokens: row.get(7)?, picodollars: row.get(8)? },
        estimated: row.get(9)?,
        unpriced: row.get(10)?,
        counts: serde_json::from_str(&counts).unwrap_or_default(),
    };
    Ok((key, sums))
}
