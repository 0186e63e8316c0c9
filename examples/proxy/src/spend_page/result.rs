//! The last line of a run: the result as one JSON object. The browser adds no amounts, because its numbers are floats.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::spend::output::chart::{CurrencyChart, build_charts};
use crate::spend::output::{self, OutputFormat};
use crate::spend::{Amount, Dimension, Every, GroupValue, SpendReport, SpendRow};

/// The members of a result that are small enough to be built in memory.
#[derive(Serialize)]
struct ResultHead<'a> {
    from: String,
    to: String,
    by: Vec<&'static str>,
    complete: bool,
    missing: &'a [String],
    missing_names: &'a [String],
    rows_without_amount: u64,
    provisional_from: Option<String>,
    totals: Vec<CurrencySum<'a>>,
    charts: Vec<ChartWithSums>,
}

/// The sum of a currency over the range.
#[derive(Serialize)]
struct CurrencySum<'a> {
    currency: &'a str,
    amount: &'a Amount,
}

/// A chart with the sums of its days and of its names.
#[derive(Serialize)]
struct ChartWithSums {
    #[serde(flatten)]
    chart: CurrencyChart,
    day_sums: Vec<Amount>,
    name_sums: Vec<Amount>,
}

/// The sum of a group over the range.
#[derive(Serialize)]
struct ResultRow<'a> {
    values: Vec<ResultValue<'a>>,
    keys: Option<u32>,
    currency: &'a str,
    amount: &'a Amount,
    /// The part of the currency's sum, from 0 to 1.
    share: f64,
}

/// A value with its kind, so that an id without a name differs from a name.
#[derive(Serialize)]
struct ResultValue<'a> {
    kind: &'static str,
    value: Option<&'a str>,
}

/// A writer that escapes its bytes for a JSON string (RFC 8259 §7). A write may end within a character of UTF-8.
struct JsonStringWriter<'a, W>(&'a mut W);

/// Writes the line of a report by day. `by` are the dimensions of the table, the chart and the CSV file.
pub(super) fn write_result(
    report: &SpendReport,
    by: &[Dimension],
    wants_focus_file: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    // Without a FOCUS file, the report has no other dimensions.
    let by_day =
        if wants_focus_file { Cow::Owned(report.roll_up(by, Every::Day)) } else { Cow::Borrowed(report) };
    let sums = report.sums_by_currency();
    let mut head = serde_json::to_vec(&result_head(report, &by_day, &sums))?;
    // Removes the closing brace: the rows and files are members of the same object.
    head.pop();

    out.write_all(b"{\"result\":")?;
    out.write_all(&head)?;
    out.write_all(b",\"rows\":")?;
    let by_range = report.roll_up(by, Every::Total);
    let rows = by_range.rows().map(|row| result_row(row, &sums));
    serde_json::Serializer::new(&mut *out).collect_seq(rows)?;
    out.write_all(b",\"csv\":")?;
    write_as_json_string(&by_day, OutputFormat::Csv, out)?;
    out.write_all(b",\"focus\":")?;
    if wants_focus_file {
        let focus_report = report.roll_up(&Dimension::FOCUS, Every::Day);
        write_as_json_string(&focus_report, OutputFormat::Focus, out)?;
    } else {
        out.write_all(b"null")?;
    }
    out.write_all(b"}}\n")?;
    out.flush()
}

/// Returns the small members of a result. `by_day` has the dimensions of the table, and `sums` are those of `report`.
fn result_head<'a>(
    report: &'a SpendReport,
    by_day: &SpendReport,
    sums: &'a BTreeMap<&str, Amount>,
) -> ResultHead<'a> {
    let totals = sums.iter().map(|(currency, amount)| CurrencySum { currency, amount }).collect();
    ResultHead {
        from: report.query.days.first.to_string(),
        to: report.query.days.last.to_string(),
        by: by_day.query.dimensions.iter().map(|dimension| dimension.name()).collect(),
        complete: report.is_complete(),
        missing: &report.missing_costs,
        missing_names: &report.missing_names,
        rows_without_amount: report.rows_without_amount,
        provisional_from: first_provisional_costs_day(by_day),
        totals,
        charts: charts_with_sums(by_day),
    }
}

/// Writes a report in a format as a JSON string, without holding the whole file in memory.
fn write_as_json_string(report: &SpendReport, format: OutputFormat, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    output::write(report, format, false, &mut JsonStringWriter(out))?;
    out.write_all(b"\"")
}

/// Returns the first day with costs that may still change, or `None` if there is none.
fn first_provisional_costs_day(by_day: &SpendReport) -> Option<String> {
    let provisional_rows = by_day.unordered_rows().filter(|row| row.is_provisional);
    let first_day = provisional_rows.map(|row| row.period.first).min()?;
    Some(first_day.to_string())
}

/// Returns the charts of a report by day, with the sum of each day and of each name.
fn charts_with_sums(by_day: &SpendReport) -> Vec<ChartWithSums> {
    let mut charts = Vec::new();
    for currency_chart in build_charts(by_day) {
        let mut day_sums = vec![Amount::default(); currency_chart.days.len()];
        let mut name_sums = vec![Amount::default(); currency_chart.names.len()];
        for (day, day_sum) in currency_chart.days.iter().zip(&mut day_sums) {
            for (amount, name_sum) in day.amounts.iter().zip(&mut name_sums) {
                day_sum.add(amount);
                name_sum.add(amount);
            }
        }
        charts.push(ChartWithSums { chart: currency_chart, day_sums, name_sums });
    }
    charts
}

/// Returns a row with its share of the sum of its currency.
fn result_row<'a>(row: SpendRow<'a>, sums: &BTreeMap<&str, Amount>) -> ResultRow<'a> {
    let values = row.values.iter().map(|value| result_value(*value)).collect();
    let share = sums.get(row.currency).map_or(0.0, |sum| row.amount.share_of(sum));
    ResultRow { values, keys: row.key_count, currency: row.currency, amount: row.amount, share }
}

fn result_value(value: GroupValue<&str>) -> ResultValue<'_> {
    ResultValue { kind: value.kind(), value: value.text() }
}

impl<W: Write> Write for JsonStringWriter<'_, W> {
    /// Writes all bytes, and escapes those that a JSON string must not contain.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_escaped = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
        // A piece ends with at most one escaped byte, and contains no other.
        for piece in bytes.split_inclusive(is_escaped) {
            match piece.split_last() {
                Some((byte, plain)) if is_escaped(byte) => {
                    self.0.write_all(plain)?;
                    write!(self.0, "\\u{byte:04x}")?;
                }
                _ => self.0.write_all(piece)?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_any_pieces_is_one_json_string() {
        let text = "a,\"b\"\r\n\\\t\u{1}ü€😀\u{2028}";
        for length in 1..text.len() {
            let mut escaped = b"\"".to_vec();
            for piece in text.as_bytes().chunks(length) {
                JsonStringWriter(&mut escaped).write_all(piece).unwrap();
            }
            escaped.push(b'"');
            assert_eq!(serde_json::from_slice::<String>(&escaped).unwrap(), text);
        }
    }
}
