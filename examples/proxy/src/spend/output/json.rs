//! A report as JSON, written row by row.
use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::spend::amount::Amount;
use crate::spend::query::Dimension;
use crate::spend::report::{SpendReport, SpendRow};
use crate::spend::row::GroupValue;

/// A report as a JSON object. Amounts are strings with all digits.
///
/// The member of a dimension is null if the costs belong to no key, project or user. It is left out if the API's row
/// lacks the member. `totals` is empty for a report without all costs. `missing` contains a sentence for each missing part.
/// `keys` is null if the costs are not grouped by key.
pub struct JsonReport<'a>(pub &'a SpendReport);

/// The rows of a report as an array.
struct JsonRows<'a>(&'a SpendReport);

struct JsonRow<'a> {
    row: SpendRow<'a>,
    dimensions: &'a [Dimension],
}

#[derive(Serialize)]
struct JsonTotal<'a> {
    currency: &'a str,
    amount: Amount,
}

/// Writes one object and a line feed.
pub(super) fn write(report: &SpendReport, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &JsonReport(report))?;
    out.write_all(b"\n")
}

impl Serialize for JsonReport<'_> {
    /// Writes the members of the query, the missing parts, the rows and the totals.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.0;
        let query = &report.query;
        let names: Vec<&str> = query.dimensions.iter().map(|dimension| dimension.name()).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("from", &query.days.first.to_string())?;
        map.serialize_entry("to", &query.days.last.to_string())?;
        map.serialize_entry("by", &names)?;
        map.serialize_entry("complete", &report.is_complete())?;
        map.serialize_entry("missing", &report.missing_sentences().collect::<Vec<_>>())?;
        if report.rows_without_amount > 0 {
            map.serialize_entry("rows_without_amount", &report.rows_without_amount)?;
        }
        map.serialize_entry("rows", &JsonRows(report))?;
        map.serialize_entry("totals", &totals(report))?;
        map.end()
    }
}

/// Returns the total of each currency. Empty for an incomplete report.
fn totals(report: &SpendReport) -> Vec<JsonTotal<'_>> {
    if !report.has_all_costs() {
        return Vec::new();
    }
    let sums = report.sums_by_currency();
    sums.into_iter().map(|(currency, amount)| JsonTotal { currency, amount }).collect()
}

impl Serialize for JsonRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let dimensions = &self.0.query.dimensions;
        serializer.collect_seq(self.0.rows().map(|row| JsonRow { row, dimensions }))
    }
}

impl Serialize for JsonRow<'_> {
    /// Writes the start of the period, the dimensions, the number of keys, the amount, and the marks that are true.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = &self.row;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("start", &row.period.first.to_string())?;
        for (dimension, value) in self.dimensions.iter().zip(&row.values) {
            // A null value has no text: its member is null.
            if *value != GroupValue::Absent {
                map.serialize_entry(dimension.name(), &value.text())?;
            }
        }
        map.serialize_entry("keys", &row.key_count)?;
        map.serialize_entry("currency", row.currency)?;
        map.serialize_entry("amount", row.amount)?;
        if row.period.is_clipped {
            map.serialize_entry("clipped", &true)?;
        }
        if row.is_provisional {
            map.serialize_entry("provisional", &true)?;
        }
        map.end()
    }
}
