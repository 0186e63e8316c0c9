//! A store in memory, for tests and trials: a restart loses it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::call::{OpenCall, UsageRow};
use super::counter::{Counter, CounterKey};
use super::hours::{HourKey, HourSums, hours_by_owner, sum_rows};
use super::store::{LedgerChanges, LedgerStore, StoreError};
use crate::proxy_keys::keys::Window;

/// The state of a ledger in maps.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    counters: HashMap<CounterKey, Counter>,
    open_calls: BTreeMap<u64, Arc<OpenCall>>,
    usage_rows: BTreeMap<u64, UsageRow>,
    hours: BTreeMap<HourKey, HourSums>,
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

    fn roll_up(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut old_rows = Vec::new();
        let last_id = self.last_id()?;
        for row in self.usage_rows.values() {
            if row.admitted_at < before && row.id < last_id && old_rows.len() < limit {
                old_rows.push(row.clone());
            }
        }
        let added = sum_rows(&old_rows);
        for (hour, sums) in &added {
            self.hours.entry(hour.clone()).or_default().add(sums);
        }
        for row in &old_rows {
            self.usage_rows.remove(&row.id);
        }
        let owners = hours_by_owner(added.keys());
        self.counters.retain(|key, counter| {
            let is_short = matches!(key.window, Window::Minute | Window::Hour);
            let hour = key.start - key.start.rem_euclid(3_600);
            let is_old = is_short && owners.contains(&(key.owner.clone(), hour));
            !is_old || counter.reserved.requests > 0
        });
        Ok(old_rows.len())
    }

    #[cfg(test)]
    fn hours(&mut self) -> Result<BTreeMap<HourKey, HourSums>, StoreError> {
        Ok(self.hours.clone())
    }
}
