//! The data of a chart by day: the ten largest names of each currency, and the rest.
use std::collections::{BTreeMap, HashMap};

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;

use super::label::label;
use crate::spend::amount::Amount;
use crate::spend::periods::{DayRange, Every};
use crate::spend::query::Dimension;
use crate::spend::report::SpendReport;
use crate::spend::row::GroupValue;

/// The number of names in a chart, without the rest.
const NAME_COUNT: usize = 10;

/// The separator between the values of several dimensions.
const SEPARATOR: &str = " · ";

/// The chart of one currency.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CurrencyChart {
    pub currency: String,
    /// The names with the largest sums, the largest first. The last one is the rest, if there are more names.
    pub names: Vec<ChartName>,
    /// All days of the range, also those without costs.
    pub days: Vec<ChartDay>,
}

/// A name in a chart.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ChartName {
    /// The name, or the values of several dimensions with ` · ` between them. A null is for example `(no key)`.
    #[serde(rename = "value")]
    pub label: String,
    /// The kind of the value, `text` for several dimensions, or `rest` for the sum of all other names.
    pub kind: &'static str,
}

/// A day of a chart.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ChartDay {
    pub start: String,
    /// One amount for each name, with all digits.
    pub amounts: Vec<Amount>,
}

/// Builds the chart of one currency: first its names, then its amounts.
#[derive(Default)]
struct ChartBuilder<'a> {
    names: Vec<ChartName>,
    /// The indices of the names, without the rest.
    name_indices: HashMap<Vec<GroupValue<&'a str>>, usize>,
    /// One amount for each name on each day with costs.
    days: BTreeMap<Date, Vec<Amount>>,
}

/// Returns a chart for each currency of a report by day.
pub fn build_charts(report_by_day: &SpendReport) -> Vec<CurrencyChart> {
    let query = &report_by_day.query;
    let totals = report_by_day.roll_up(&query.dimensions, Every::Total);
    let mut builders: BTreeMap<&str, ChartBuilder<'_>> = BTreeMap::new();
    // The rows of a currency are sorted by amount, the largest first.
    for row in totals.rows() {
        builders.entry(row.currency).or_default().add_name(&query.dimensions, row.values);
    }
    for row in report_by_day.unordered_rows() {
        if let Some(builder) = builders.get_mut(row.currency) {
            builder.add_amount(row.period.first, &row.values, row.amount);
        }
    }
    let mut charts = Vec::new();
    for (currency, builder) in builders {
        charts.push(builder.finish(currency, query.days));
    }
    charts
}

impl<'a> ChartBuilder<'a> {
    /// Adds the name with the next largest sum. After the first names, adds only the rest.
    fn add_name(&mut self, dimensions: &[Dimension], values: Vec<GroupValue<&'a str>>) {
        if self.names.len() < NAME_COUNT {
            let name = ChartName::new(dimensions, &values);
            self.name_indices.insert(values, self.names.len());
            self.names.push(name);
        } else if self.names.len() == NAME_COUNT {
            self.names.push(ChartName { label: "rest".to_owned(), kind: "rest" });
        }
    }

    /// Adds an amount to its name, or to the rest, on a day.
    fn add_amount(&mut self, day: Date, values: &[GroupValue<&str>], amount: &Amount) {
        let index = self.name_indices.get(values).copied().unwrap_or(NAME_COUNT);
        let amounts = self.days.entry(day).or_default();
        amounts.resize(self.names.len(), Amount::default());
        amounts[index].add(amount);
    }

    /// Returns the chart, with an amount of zero for each name on a day without costs.
    fn finish(mut self, currency: &str, range: DayRange) -> CurrencyChart {
        let mut days = Vec::new();
        let dates = range.first.series(1.day()).take_while(|day| *day <= range.last);
        for day in dates {
            let mut amounts = self.days.remove(&day).unwrap_or_default();
            amounts.resize(self.names.len(), Amount::default());
            days.push(ChartDay { start: day.to_string(), amounts });
        }
        CurrencyChart { currency: currency.to_owned(), names: self.names, days }
    }
}

impl ChartName {
    /// Joins the labels of the values of all dimensions.
    fn new(dimensions: &[Dimension], values: &[GroupValue<&str>]) -> Self {
        let mut labels = Vec::new();
        for (dimension, value) in dimensions.iter().zip(values) {
            labels.push(label(*dimension, *value));
        }
        let kind = match values {
            [value] => value.kind(),
            _ => "text",
        };
        Self { label: labels.join(SEPARATOR), kind }
    }
}
