//! A report as CSV for spreadsheets.
use std::borrow::Cow;
use std::io::{self, Write};

use crate::spend::query::Dimension;
use crate::spend::report::{SpendReport, SpendRow};
use crate::spend::row::GroupValue;

/// Writes a header and one line for each row. Cells of text that a spreadsheet would run as a formula begin with `'`.
pub(super) fn write(report: &SpendReport, out: &mut impl Write) -> io::Result<()> {
    let dimensions = &report.query.dimensions;
    let mut writer = csv::Writer::from_writer(out);
    let mut header = vec!["start"];
    header.extend(dimensions.iter().map(|dimension| dimension.name()));
    header.extend(["keys", "currency", "amount", "note"]);
    writer.write_record(&header)?;
    for row in report.rows() {
        writer.write_field(row.period.first.to_string())?;
        for value in &row.values {
            let text = value.text().unwrap_or_default();
            writer.write_field(neutralize(text).as_ref())?;
        }
        writer.write_field(row.key_count.map_or_else(String::new, |count| count.to_string()))?;
        writer.write_field(neutralize(row.currency).as_ref())?;
        writer.write_field(row.amount.to_string())?;
        writer.write_field(note(&row, dimensions, report.has_all_costs()))?;
        // Ends the line.
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}

/// Puts `'` before a text that begins as a formula, also with the wide characters of East Asian keyboards.
fn neutralize(text: &str) -> Cow<'_, str> {
    const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if text.starts_with(FORMULA_STARTS) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Returns the properties of a row, separated by semicolons.
fn note(row: &SpendRow<'_>, dimensions: &[Dimension], has_all_costs: bool) -> String {
    let mut notes = Vec::new();
    if row.period.is_clipped {
        notes.push("clipped".to_owned());
    }
    if row.is_provisional {
        notes.push("provisional".to_owned());
    }
    if !has_all_costs {
        notes.push("incomplete".to_owned());
    }
    for (dimension, value) in dimensions.iter().zip(&row.values) {
        if *value == GroupValue::Absent {
            notes.push(format!("{} not grouped", dimension.name()));
        }
    }
    notes.join("; ")
}
