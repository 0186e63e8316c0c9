//! A report as a table for people, in 80 columns.
use std::io::{self, Write};

use jiff::civil::Date;

use super::text_columns::{
    GAP, SHARE_WIDTH, TABLE_WIDTH, TextColumns, amount_cell, bar_cell, keys_cell, name_cells, share_cell,
};
use crate::spend::amount::Amount;
use crate::spend::periods::Every;
use crate::spend::report::{SpendReport, SpendRow};
use crate::text_width::{escape, pad, shorten, width, wrap};

/// The codes of colours on a terminal.
const BOLD: &str = "\x1b[1m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

/// The width of a currency, which is untrusted text.
const CURRENCY_WIDTH: usize = 12;

/// The marks of periods that occur in the table.
#[derive(Default)]
struct PeriodMarks {
    has_clipped: bool,
    has_provisional: bool,
}

/// The labels of a sum.
struct SumLabels {
    /// The label if all costs were read.
    total: &'static str,
    /// The label in an incomplete report.
    partial: &'static str,
}

struct TextWriter<'a, W> {
    report: &'a SpendReport,
    columns: TextColumns<'a>,
    has_color: bool,
    out: &'a mut W,
}

/// Writes one section for each period and currency, then the totals of all periods, and notes.
///
/// Amounts of rows have two decimals, sums have all digits. A sum of an incomplete report is not called a total.
pub(super) fn write(report: &SpendReport, has_color: bool, out: &mut impl Write) -> io::Result<()> {
    let columns = TextColumns::measure(report);
    let mut writer = TextWriter { report, columns, has_color, out };
    writer.write_title()?;
    let marks = writer.write_sections()?;
    if report.query.every != Every::Total {
        writer.write_sums_of_all_periods()?;
    }
    writer.write_notes(&marks)?;
    writer.write_missing()
}

impl<W: Write> TextWriter<'_, W> {
    fn write_title(&mut self) -> io::Result<()> {
        let query = &self.report.query;
        let names: Vec<&str> = query.dimensions.iter().map(|dimension| dimension.name()).collect();
        self.write_colored_line(BOLD, &format!("Costs by {}", names.join(", ")))?;
        writeln!(self.out, "{} to {} (UTC)", query.days.first, query.days.last)
    }

    /// Writes all rows, with a heading and a sum for each section. Returns the marks that occur.
    fn write_sections(&mut self) -> io::Result<PeriodMarks> {
        let report = self.report;
        let mut marks = PeriodMarks::default();
        let mut open_section = None;
        for row in report.rows() {
            let section = (row.period.first, row.currency);
            if open_section != Some(section) {
                self.write_section_sum(open_section)?;
                self.write_heading(&row)?;
                self.write_column_names()?;
                open_section = Some(section);
            }
            marks.has_clipped |= row.period.is_clipped;
            marks.has_provisional |= row.is_provisional;
            self.write_row(&row)?;
        }
        self.write_section_sum(open_section)?;
        if open_section.is_none() && report.has_all_costs() {
            writeln!(self.out, "\nNo costs in this range.")?;
        }
        Ok(marks)
    }

    /// Writes the sum at the end of a section. Does nothing without a section.
    fn write_section_sum(&mut self, section: Option<(Date, &str)>) -> io::Result<()> {
        let Some((first, currency)) = section else { return Ok(()) };
        let sum = self.columns.section_sum(first, currency);
        let labels = SumLabels { total: "total", partial: "sum of these rows, without the missing parts" };
        self.write_sum(&labels, &sum, currency)
    }

    /// Writes the period and the currency of a section.
    fn write_heading(&mut self, row: &SpendRow<'_>) -> io::Result<()> {
        let period = row.period;
        let mut heading = match self.report.query.every {
            Every::Total => String::new(),
            Every::Day => format!("{}, ", period.first),
            Every::Week | Every::Month => format!("{} to {}, ", period.first, period.last),
        };
        heading.push_str(&currency_cell(row.currency));
        heading.push_str(match (period.is_clipped, row.is_provisional) {
            (false, false) => "",
            (true, false) => " (clipped)",
            (false, true) => " (provisional)",
            (true, true) => " (clipped, provisional)",
        });
        writeln!(self.out)?;
        self.write_colored_line(BOLD, &heading)
    }

    /// Writes the names of the columns.
    fn write_column_names(&mut self) -> io::Result<()> {
        let dimensions = &self.report.query.dimensions;
        let names: Vec<String> = dimensions.iter().map(|dimension| dimension.name().to_owned()).collect();
        let line = self.join_cells(&names, "", "amount", "share");
        writeln!(self.out, "{}", line.trim_end())
    }

    /// Writes the cells of a row. A share and a bar are parts of the sum of the section.
    fn write_row(&mut self, row: &SpendRow<'_>) -> io::Result<()> {
        let names = name_cells(row, &self.report.query.dimensions);
        let amount = amount_cell(row.amount);
        let mut share = String::new();
        let mut bar = String::new();
        if self.columns.has_shares {
            let section_sum = self.columns.section_sum(row.period.first, row.currency);
            // A share of a sum that is not positive has no meaning.
            if let Some(tenths_of_percent) = row.amount.tenths_of_percent(&section_sum) {
                share = share_cell(tenths_of_percent);
                bar = bar_cell(tenths_of_percent);
            }
        }
        let line = self.join_cells(&names, &keys_cell(row), &amount, &share);
        if bar.is_empty() {
            return writeln!(self.out, "{}", line.trim_end());
        }
        write!(self.out, "{line}{GAP}")?;
        self.write_colored_line(CYAN, &bar)
    }

    /// Returns a line of the table without its bar. The numbers are on the right of their columns.
    fn join_cells(&self, names: &[String], keys: &str, amount: &str, share: &str) -> String {
        let TextColumns { name_widths, keys_width, amount_width, has_shares, .. } = &self.columns;
        let mut cells = Vec::with_capacity(names.len() + 3);
        for (name, name_width) in names.iter().zip(name_widths) {
            cells.push(pad(&shorten(name, *name_width), *name_width));
        }
        if *keys_width > 0 {
            cells.push(format!("{keys:>keys_width$}"));
        }
        cells.push(format!("{amount:>amount_width$}"));
        if *has_shares {
            cells.push(format!("{share:>SHARE_WIDTH$}"));
        }
        cells.join(GAP)
    }

    /// Writes the sum of all periods for each currency.
    fn write_sums_of_all_periods(&mut self) -> io::Result<()> {
        let sums = self.report.sums_by_currency();
        if !sums.is_empty() {
            writeln!(self.out)?;
        }
        let labels = SumLabels {
            total: "total of all periods",
            partial: "sum of all rows, without the missing parts",
        };
        for (currency, sum) in sums {
            self.write_sum(&labels, &sum, currency)?;
        }
        Ok(())
    }

    /// Writes an exact sum with its label, in several lines if one line would be too long.
    fn write_sum(&mut self, labels: &SumLabels, sum: &Amount, currency: &str) -> io::Result<()> {
        let label = if self.report.has_all_costs() { labels.total } else { labels.partial };
        let currency_text = currency_cell(currency);
        let amount = format!("{sum} {currency_text}");
        if width(label) + 2 + width(&amount) <= TABLE_WIDTH {
            return self.write_colored_line(BOLD, &format!("{label}: {amount}"));
        }
        self.write_colored_line(BOLD, &format!("{label}:"))?;
        for line in split_sum(sum, &currency_text) {
            self.write_colored_line(BOLD, &line)?;
        }
        Ok(())
    }

    /// Writes the notes about rounding, about the marks that occur, and those of the report.
    fn write_notes(&mut self, marks: &PeriodMarks) -> io::Result<()> {
        writeln!(self.out)?;
        self.write_wrapped(
            "",
            "Amounts of rows are rounded to 2 decimals; CSV and JSON contain all digits.",
        )?;
        if marks.has_clipped {
            self.write_wrapped("", "clipped: the range begins or ends within this period.")?;
        }
        if marks.has_provisional {
            let note = "provisional: the costs may still change; the API reports them up to 3 hours late.";
            self.write_wrapped("", note)?;
        }
        for note in self.report.notes() {
            self.write_wrapped("", &format!("{note}."))?;
        }
        Ok(())
    }

    /// Writes each missing part. Does nothing for a complete report.
    fn write_missing(&mut self) -> io::Result<()> {
        if self.report.is_complete() {
            return Ok(());
        }
        writeln!(self.out)?;
        self.write_colored_line(YELLOW, "Incomplete. These parts are missing:")?;
        for sentence in self.report.missing_sentences() {
            self.write_wrapped("- ", sentence)?;
        }
        Ok(())
    }

    /// Writes a text in several lines. The first one begins with `bullet`, the others with spaces.
    fn write_wrapped(&mut self, bullet: &str, text: &str) -> io::Result<()> {
        let indent = " ".repeat(bullet.len());
        for (index, line) in wrap(text, TABLE_WIDTH - bullet.len()).iter().enumerate() {
            let start = if index == 0 { bullet } else { &indent };
            writeln!(self.out, "{start}{line}")?;
        }
        Ok(())
    }

    /// Writes a line in a colour, or without one if `has_color` is false.
    fn write_colored_line(&mut self, color: &str, line: &str) -> io::Result<()> {
        if self.has_color { writeln!(self.out, "{color}{line}{RESET}") } else { writeln!(self.out, "{line}") }
    }
}

/// Returns the digits of a sum in lines of the width of the table. The currency is in the last line.
fn split_sum(sum: &Amount, currency: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for digit in sum.to_string().chars() {
        if line.len() == TABLE_WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        line.push(digit);
    }
    if line.len() + 1 + width(currency) > TABLE_WIDTH {
        lines.push(std::mem::take(&mut line));
    } else {
        line.push(' ');
    }
    line.push_str(currency);
    lines.push(line);
    lines
}

fn currency_cell(currency: &str) -> String {
    shorten(&escape(currency), CURRENCY_WIDTH)
}
