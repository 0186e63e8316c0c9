//! Sums of calls with the same period, key, group, provider, endpoint and model. The ledger stores those of each hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::call::UsageRow;
use super::counter::{Amounts, Owner, add_amount};
use super::counts::CountSums;
use crate::proxy_keys::keys::Window;

/// The period and the properties that the calls of one sum have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SumKey {
    /// The start of the hour or minute in which the calls were admitted, in seconds since 1970.
    pub(crate) start: i64,
    pub(crate) key_id: Arc<str>,
    /// Empty if the calls have no group.
    pub(crate) group_id: Arc<str>,
    pub(crate) provider: Arc<str>,
    pub(crate) endpoint: Arc<str>,
    pub(crate) model: Arc<str>,
}

/// The sums of some calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallSums {
    pub(crate) amounts: Amounts,
    /// The number of calls whose charge is an estimate.
    pub(crate) estimated: u64,
    /// The number of calls whose charge contains a counter without a price.
    pub(crate) unpriced: u64,
    pub(crate) counts: CountSums,
}

impl SumKey {
    /// Returns the identity of the sum that contains a call, for the minute or the hour of its admission.
    pub(crate) fn of_row(row: &UsageRow, window: Window) -> Self {
        Self {
            start: window.start_at(row.admitted_at),
            key_id: row.key_id.clone(),
            group_id: row.group_id.clone().unwrap_or_default(),
            provider: Arc::from(&*row.info.provider),
            endpoint: Arc::from(&*row.info.endpoint),
            model: Arc::from(&*row.info.model),
        }
    }
}

impl CallSums {
    /// Returns the sums of one call.
    pub(crate) fn of_row(row: &UsageRow) -> Self {
        Self {
            amounts: Amounts::of_call(row.charge),
            estimated: u64::from(row.is_estimated),
            unpriced: u64::from(row.has_unpriced_counter),
            counts: row.counts.clone(),
        }
    }

    /// Adds the sums of other calls.
    pub(crate) fn add(&mut self, other: &Self) {
        self.amounts = self.amounts.plus(other.amounts);
        self.estimated = add_amount(self.estimated, other.estimated);
        self.unpriced = add_amount(self.unpriced, other.unpriced);
        self.counts.add(&other.counts);
    }
}

/// Returns the sums of calls by hour and properties.
pub(crate) fn sum_rows(rows: &[UsageRow]) -> BTreeMap<SumKey, CallSums> {
    let mut hours: BTreeMap<SumKey, CallSums> = BTreeMap::new();
    for row in rows {
        hours.entry(SumKey::of_row(row, Window::Hour)).or_default().add(&CallSums::of_row(row));
    }
    hours
}

/// Returns the keys and groups of calls, each with the starts of the hours in which it has calls.
pub(crate) fn hours_by_owner(rows: &[UsageRow]) -> BTreeSet<(Owner, i64)> {
    let mut owners = BTreeSet::new();
    for row in rows {
        let start = Window::Hour.start_at(row.admitted_at);
        owners.insert((Owner::Key(row.key_id.clone()), start));
        if let Some(group_id) = &row.group_id {
            owners.insert((Owner::Group(group_id.clone()), start));
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::CallSums;

    #[test]
    fn sum_of_a_damaged_file_does_not_overflow() {
        let largest = i64::MAX as u64;
        let damaged = CallSums { estimated: largest, unpriced: largest, ..CallSums::default() };
        let mut sums = CallSums::default();
        for _ in 0..3 {
            sums.add(&damaged);
        }
        assert_eq!((sums.estimated, sums.unpriced), (largest, largest));
    }
}
