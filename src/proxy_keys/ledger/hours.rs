//! The sums of old calls by hour, which replace their usage rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::call::UsageRow;
use super::counter::{Amounts, Owner};
use crate::proxy_keys::keys::Window;

/// The calls that one row of sums contains.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HourKey {
    /// The start of the hour in which the calls were admitted, in seconds since 1970.
    pub(crate) start: i64,
    pub(crate) key_id: Arc<str>,
    /// Empty if the calls have no group.
    pub(crate) group_id: Arc<str>,
    pub(crate) provider: String,
    pub(crate) endpoint: String,
    pub(crate) model: String,
}

/// The sums of the calls of one key, group, endpoint and model in an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HourSums {
    pub(crate) amounts: Amounts,
    /// The number of calls whose charge is an estimate.
    pub(crate) estimated: u64,
    /// The number of calls whose charge contains a counter without a price.
    pub(crate) unpriced: u64,
    /// The sums of the counts by their names.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl HourKey {
    /// Returns the identity of the sums that contain a call.
    fn of_row(row: &UsageRow) -> Self {
        Self {
            start: Window::Hour.start_at(row.admitted_at),
            key_id: row.key_id.clone(),
            group_id: row.group_id.clone().unwrap_or_default(),
            provider: row.info.provider.clone().into_owned(),
            endpoint: row.info.endpoint.clone().into_owned(),
            model: row.info.model.clone(),
        }
    }
}

impl HourSums {
    /// Adds one call.
    fn add_row(&mut self, row: &UsageRow) {
        self.amounts = self.amounts.plus(Amounts::of_call(row.charge));
        self.estimated += u64::from(row.is_estimated);
        self.unpriced += u64::from(row.has_unpriced_counter);
        // The text was written by this module's sibling `call`. Another text has no counts.
        let counts: BTreeMap<String, u64> = serde_json::from_str(&row.counts).unwrap_or_default();
        self.add_counts(&counts);
    }

    /// Adds the sums of other calls.
    pub(crate) fn add(&mut self, other: &Self) {
        self.amounts = self.amounts.plus(other.amounts);
        self.estimated += other.estimated;
        self.unpriced += other.unpriced;
        self.add_counts(&other.counts);
    }

    fn add_counts(&mut self, counts: &BTreeMap<String, u64>) {
        for (name, count) in counts {
            let sum = self.counts.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

/// Returns the sums of calls.
pub(crate) fn sum_rows(rows: &[UsageRow]) -> BTreeMap<HourKey, HourSums> {
    let mut hours: BTreeMap<HourKey, HourSums> = BTreeMap::new();
    for row in rows {
        hours.entry(HourKey::of_row(row)).or_default().add_row(row);
    }
    hours
}

/// Returns the keys and groups of calls, each with the starts of the hours in which it has calls.
pub(crate) fn hours_by_owner<'a>(hours: impl Iterator<Item = &'a HourKey>) -> BTreeSet<(Owner, i64)> {
    let mut owners = BTreeSet::new();
    for hour in hours {
        owners.insert((Owner::Key(hour.key_id.clone()), hour.start));
        if !hour.group_id.is_empty() {
            owners.insert((Owner::Group(hour.group_id.clone()), hour.start));
        }
    }
    owners
}
