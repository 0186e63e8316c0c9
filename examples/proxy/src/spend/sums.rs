//! Exact sums of costs by day, group and currency.
//!
//! The rows of a page are summed in [`PageSums`], which are added to [`PeriodSums`] when the page has ended. A page that is
//! read again after a failure counts once. Each text is stored once, in [`Texts`].
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use indexmap::{IndexMap, IndexSet};
use jiff::civil::Date;

use super::amount::Amount;
use super::query::Dimension;
use super::row::{CostRow, GroupValue};

/// The index of a text in [`Texts`].
type TextIndex = u32;

/// The texts of all rows.
#[derive(Clone, Debug, Default)]
pub struct Texts(IndexSet<Box<str>>);

/// The values of all dimensions, with a currency.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Group {
    pub values: Box<[GroupValue<TextIndex>]>,
    pub currency: TextIndex,
}

/// A sum for each group, with the ids of its API keys.
#[derive(Clone, Debug)]
pub struct GroupedSums<G> {
    amounts: IndexMap<G, Amount>,
    /// The pairs of a group's index in `amounts` and the id of a key of one of its rows.
    key_ids: HashSet<(u32, TextIndex)>,
}

/// The sums of one day.
pub type DaySums = GroupedSums<Group>;

/// The sums of all periods. The date is the first day of a period.
pub type PeriodSums = GroupedSums<(Date, Group)>;

/// The sums of one page, by day.
#[derive(Clone, Debug, Default)]
pub struct PageSums {
    pub days: BTreeMap<Date, DaySums>,
    pub rows_without_amount: u64,
}

impl Texts {
    /// Returns the index of a text, which is added if it is new.
    pub fn intern(&mut self, text: &str) -> TextIndex {
        let index = match self.0.get_index_of(text) {
            Some(index) => index,
            None => self.0.insert_full(text.into()).0,
        };
        // 4 billion texts need more memory than any machine has.
        u32::try_from(index).expect("fewer than 2^32 texts")
    }

    /// Returns the text at an index.
    pub fn text(&self, index: TextIndex) -> &str {
        self.0.get_index(index as usize).map_or("", |text| text)
    }
}

impl<G> Default for GroupedSums<G> {
    fn default() -> Self {
        Self { amounts: IndexMap::new(), key_ids: HashSet::new() }
    }
}

impl<G: Eq + Hash> GroupedSums<G> {
    /// Adds an amount to a group, and returns the index of the group.
    fn add(&mut self, group: G, amount: &Amount) -> u32 {
        let entry = self.amounts.entry(group);
        let index = entry.index() as u32;
        entry.or_default().add(amount);
        index
    }

    /// Adds other sums. `key_ids` contains pairs of an index in `amounts` and a key id.
    fn merge<A: Borrow<Amount>>(
        &mut self,
        amounts: impl Iterator<Item = (G, A)>,
        key_ids: &HashSet<(u32, TextIndex)>,
    ) {
        let mut new_indices = Vec::with_capacity(amounts.size_hint().0);
        for (group, amount) in amounts {
            new_indices.push(self.add(group, amount.borrow()));
        }
        for (index, key_id) in key_ids {
            self.key_ids.insert((new_indices[*index as usize], *key_id));
        }
    }

    /// Returns the number of groups.
    pub fn group_count(&self) -> usize {
        self.amounts.len()
    }

    /// Returns the number of keys of each group.
    pub fn key_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.amounts.len()];
        for (index, _) in &self.key_ids {
            counts[*index as usize] += 1;
        }
        counts
    }
}

impl DaySums {
    /// Adds the amount of a row to its group. The currency is stored in upper case.
    pub fn add_row(&mut self, row: &CostRow<'_>, dimensions: &[Dimension], texts: &mut Texts) {
        let mut values = Vec::with_capacity(dimensions.len());
        for dimension in dimensions {
            values.push(row.value(*dimension).map(|text| texts.intern(text)));
        }
        let currency = texts.intern(&row.currency.to_ascii_uppercase());
        let index = self.add(Group { values: values.into(), currency }, &row.amount);
        if let Some(id) = row.key_id() {
            self.key_ids.insert((index, texts.intern(id)));
        }
    }

    /// Adds other sums of the same day.
    pub fn add_sums(&mut self, other: Self) {
        self.merge(other.amounts.into_iter(), &other.key_ids);
    }
}

impl PeriodSums {
    /// Adds the sums of a complete page. `period_first` returns the first day of the period of a day.
    pub fn add_page(&mut self, page: PageSums, period_first: impl Fn(Date) -> Date) {
        for (day, sums) in page.days {
            let first = period_first(day);
            let amounts = sums.amounts.into_iter().map(|(group, amount)| ((first, group), amount));
            self.merge(amounts, &sums.key_ids);
        }
    }

    /// Returns the sums grouped by the values at `positions` only, and by the periods of `period_first`.
    pub fn roll_up(&self, positions: &[usize], period_first: impl Fn(Date) -> Date) -> Self {
        let amounts = self.amounts.iter().map(|((first, group), amount)| {
            let values = positions.iter().map(|position| group.values[*position]).collect();
            let currency = group.currency;
            ((period_first(*first), Group { values, currency }), amount)
        });
        let mut sums = Self::default();
        sums.merge(amounts, &self.key_ids);
        sums
    }

    /// Returns the sum at an index: the first day of its period, its group and its amount.
    pub fn sum(&self, index: usize) -> (Date, &Group, &Amount) {
        let ((first, group), amount) =
            self.amounts.get_index(index).expect("an index below the number of groups");
        (*first, group, amount)
    }
}
