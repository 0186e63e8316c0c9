//! The result of a run: rows, sums, and the parts that are missing.
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::amount::Amount;
use super::periods::{Every, Period};
use super::query::{Dimension, SpendQuery};
use super::row::GroupValue;
use super::sums::{Group, PageSums, PeriodSums, Texts};

/// The costs that a query selects, summed exactly.
#[derive(Clone, Debug)]
pub struct SpendReport {
    pub query: SpendQuery,
    sums: PeriodSums,
    /// The texts of the sums. Reports by other dimensions share them.
    texts: Arc<Texts>,
    /// One sentence for each part of the costs that could not be read.
    pub missing_costs: Vec<String>,
    /// One sentence for each list of names that could not be read. The sums are complete without these names.
    pub missing_names: Vec<String>,
    /// One sentence for each provider that has ids without a usable name.
    pub name_notes: Vec<String>,
    /// The number of rows whose amount is absent or null.
    pub rows_without_amount: u64,
    /// The first day whose costs may still change.
    first_provisional_day: Date,
}

/// One row of a report.
#[derive(Debug)]
pub struct SpendRow<'a> {
    pub period: Period,
    /// True if costs of the period may still change.
    pub is_provisional: bool,
    /// The values of the query's dimensions.
    pub values: Vec<GroupValue<&'a str>>,
    /// The number of keys in the row. `None` if the costs are not grouped by key.
    pub key_count: Option<u32>,
    pub currency: &'a str,
    pub amount: &'a Amount,
}

impl SpendReport {
    /// Creates a report without rows.
    pub fn new(query: SpendQuery, first_provisional_day: Date) -> Self {
        Self {
            query,
            sums: PeriodSums::default(),
            texts: Arc::default(),
            missing_costs: Vec::new(),
            missing_names: Vec::new(),
            name_notes: Vec::new(),
            rows_without_amount: 0,
            first_provisional_day,
        }
    }

    /// Returns the texts, to which those of a page's rows are added. The sums of the page follow with [`Self::add_page`].
    pub fn texts_mut(&mut self) -> &mut Texts {
        Arc::make_mut(&mut self.texts)
    }

    /// Adds the sums of a complete page.
    pub fn add_page(&mut self, page: PageSums) {
        self.rows_without_amount += page.rows_without_amount;
        let SpendQuery { every, days, .. } = self.query;
        self.sums.add_page(page, |day| every.period(day, days).first);
    }

    /// True if no costs and no names are missing.
    pub fn is_complete(&self) -> bool {
        self.missing_costs.is_empty() && self.missing_names.is_empty()
    }

    /// Returns a sentence for each part that is missing.
    pub fn missing_sentences(&self) -> impl Iterator<Item = &str> {
        self.missing_costs.iter().chain(&self.missing_names).map(String::as_str)
    }

    /// Returns a sentence for each fact that a reader should know, although no part is missing.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.name_notes.clone();
        match self.rows_without_amount {
            0 => {}
            1 => notes.push("1 row of the API has no amount and is in no sum".to_owned()),
            count => notes.push(format!("{count} rows of the API have no amount and are in no sum")),
        }
        notes
    }

    /// True if all costs were read, so that the sums are totals.
    pub fn has_all_costs(&self) -> bool {
        self.missing_costs.is_empty()
    }

    /// Returns the number of rows.
    pub fn row_count(&self) -> usize {
        self.sums.group_count()
    }

    /// True if the report has no rows.
    pub fn is_empty(&self) -> bool {
        self.sums.group_count() == 0
    }

    /// Returns the rows by period and currency, and then by amount, the largest first.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = SpendRow<'_>> {
        let mut order: Vec<usize> = (0..self.sums.group_count()).collect();
        order.sort_unstable_by(|left, right| self.compare(*left, *right));
        self.rows_at(order.into_iter())
    }

    /// Returns the rows in no particular order, without the time for sorting.
    pub fn unordered_rows(&self) -> impl ExactSizeIterator<Item = SpendRow<'_>> {
        self.rows_at(0..self.sums.group_count())
    }

    /// Returns the rows at indices of `sums`.
    fn rows_at(
        &self,
        indices: impl ExactSizeIterator<Item = usize>,
    ) -> impl ExactSizeIterator<Item = SpendRow<'_>> {
        let key_counts = self.sums.key_counts();
        indices.map(move |index| self.row(index, key_counts[index]))
    }

    /// Returns the order of two rows, which are given by their indices in `sums`.
    fn compare(&self, left: usize, right: usize) -> Ordering {
        let (left_first, left_group, left_amount) = self.sums.sum(left);
        let (right_first, right_group, right_amount) = self.sums.sum(right);
        let left_currency = self.texts.text(left_group.currency);
        let right_currency = self.texts.text(right_group.currency);
        left_first
            .cmp(&right_first)
            .then_with(|| left_currency.cmp(right_currency))
            .then_with(|| right_amount.cmp(left_amount))
            // Equal amounts are in an order that does not depend on the order of the pages.
            .then_with(|| self.values(left_group).cmp(&self.values(right_group)))
    }

    /// Returns the row at an index of `sums`.
    fn row(&self, index: usize, key_count: u32) -> SpendRow<'_> {
        let (first, group, amount) = self.sums.sum(index);
        let period = self.query.every.period(first, self.query.days);
        SpendRow {
            period,
            is_provisional: period.last >= self.first_provisional_day,
            values: self.values(group),
            key_count: if self.query.is_by_key() { Some(key_count) } else { None },
            currency: self.texts.text(group.currency),
            amount,
        }
    }

    fn values(&self, group: &Group) -> Vec<GroupValue<&str>> {
        group.values.iter().map(|value| value.map(|index| self.texts.text(index))).collect()
    }

    /// Returns the sum of all rows for each currency. A sum of an incomplete report is not a total.
    pub fn sums_by_currency(&self) -> BTreeMap<&str, Amount> {
        let mut sums: BTreeMap<&str, Amount> = BTreeMap::new();
        for index in 0..self.sums.group_count() {
            let (_, group, amount) = self.sums.sum(index);
            sums.entry(self.texts.text(group.currency)).or_default().add(amount);
        }
        sums
    }

    /// Returns the report by some of its dimensions and by longer periods.
    ///
    /// A dimension that the query lacks is left out. Each new period must consist of whole periods of this report.
    pub fn roll_up(&self, dimensions: &[Dimension], every: Every) -> Self {
        let mut positions = Vec::new();
        let mut kept_dimensions = Vec::new();
        for dimension in dimensions {
            if let Some(position) = self.query.dimensions.iter().position(|own| own == dimension) {
                positions.push(position);
                kept_dimensions.push(*dimension);
            }
        }
        let days = self.query.days;
        Self {
            query: SpendQuery { every, dimensions: kept_dimensions, ..self.query.clone() },
            sums: self.sums.roll_up(&positions, |day| every.period(day, days).first),
            texts: self.texts.clone(),
            missing_costs: self.missing_costs.clone(),
            missing_names: self.missing_names.clone(),
            name_notes: self.name_notes.clone(),
            ..*self
        }
    }
}
