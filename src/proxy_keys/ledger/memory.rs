//! A store in memory, for tests and trials: a restart loses it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::call::{OpenCall, UsageRow};
use super::counter::{Counter, CounterKey};
use super::store::{LedgerChanges, LedgerStore, StoreError, SumVisitor, UsageReader};
use super::sums::{CallSums, SumKey, hours_by_owner, sum_rows};
use crate::proxy_keys::keys::Window;

/// The state of a ledger in maps.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    counters: HashMap<CounterKey, Counter>,
    open_calls: BTreeMap<u64, Arc<OpenCall>>,
    usage_rows: BTreeMap<u64, UsageRow>,
    /// The sums of all settled calls by hour.
    hours: BTreeMap<SumKey, CallSums>,
    /// See [`UsageReader::rows_from`].
    rows_from: i64,
}

impl LedgerStore for MemoryStore {
    fn begin(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn counter(&mut self, key: &CounterKey) -> Result<Counter, StoreError> {
        Ok(self.counters.get(key).copied().unwrap_or_default())
    }

    fn commit(&mut self, changes: &LedgerChanges) -> Result<(), StoreError> {
        for (key, counter) in &changes.counters {
            self.counters.insert(key.clone(), *counter);
        }
        for call in &changes.admitted {
            self.open_calls.insert(call.id, call.clone());
        }
        for row in &changes.settled {
            self.open_calls.remove(&row.id);
            self.usage_rows.insert(row.id, row.clone());
        }
        for (hour, sums) in sum_rows(&changes.settled) {
            self.hours.entry(hour).or_default().add(&sums);
        }
        Ok(())
    }

    fn cancel(&mut self) {}

    #[cfg(any(test, feature = "sqlite"))]
    fn open_calls(&mut self) -> Result<Vec<Arc<OpenCall>>, StoreError> {
        Ok(self.open_calls.values().cloned().collect())
    }

    fn last_id(&mut self) -> Result<u64, StoreError> {
        let last_open = self.open_calls.last_key_value().map_or(0, |(id, _)| *id);
        let last_settled = self.usage_rows.last_key_value().map_or(0, |(id, _)| *id);
        Ok(last_open.max(last_settled))
    }

    #[cfg(test)]
    fn usage_rows(&mut self) -> Result<Vec<UsageRow>, StoreError> {
        Ok(self.usage_rows.values().cloned().collect())
    }

    fn delete_old_rows(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut old_rows = Vec::new();
        let last_id = self.last_id()?;
        for row in self.usage_rows.values() {
            if row.admitted_at < before && row.id < last_id && old_rows.len() < limit {
                old_rows.push(row.clone());
            }
        }
        for row in &old_rows {
            self.usage_rows.remove(&row.id);
        }
        self.rows_from = self.rows_from.max(before.as_second());
        let owners = hours_by_owner(&old_rows);
        self.counters.retain(|key, counter| {
            let is_short = matches!(key.window, Window::Minute | Window::Hour);
            let hour = key.start - key.start.rem_euclid(3_600);
            let is_old = is_short && owners.contains(&(key.owner.clone(), hour));
            !is_old || counter.reserved.requests > 0
        });
        Ok(old_rows.len())
    }
}

impl UsageReader for MemoryStore {
    fn visit_hours(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError> {
        for (hour, sums) in &self.hours {
            if period.contains(&hour.start) {
                visit(hour, sums);
            }
        }
        Ok(())
    }

    fn visit_calls(&mut self, period: Range<i64>, visit: &mut SumVisitor<'_>) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for row in self.usage_rows.values() {
            if period.contains(&row.admitted_at.as_second()) {
                rows.push(row);
            }
        }
        rows.sort_by_key(|row| row.admitted_at);
        for row in rows {
            visit(&SumKey::of_row(row, Window::Minute), &CallSums::of_row(row));
        }
        Ok(())
    }

    fn rows_from(&mut self) -> Result<i64, StoreError> {
        Ok(self.rows_from)
    }
}
