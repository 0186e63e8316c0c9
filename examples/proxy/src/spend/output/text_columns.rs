//! The columns of the table: widths, the sum of each section, and the cells of a row.
use std::collections::BTreeMap;
use std::num::NonZeroU64;

use bigdecimal::{BigDecimal, RoundingMode};
use jiff::civil::Date;

use super::label::label;
use crate::spend::amount::Amount;
use crate::spend::query::Dimension;
use crate::spend::report::{SpendReport, SpendRow};
use crate::text_width::{escape, shorten, width};

/// The width of the table.
pub(super) const TABLE_WIDTH: usize = 80;

/// The spaces between two columns.
pub(super) const GAP: &str = "  ";

/// The width of a share, for example `100.0%`.
pub(super) const SHARE_WIDTH: usize = 6;

/// The width of a bar.
pub(super) const BAR_WIDTH: usize = 10;

/// The largest width of the column of amounts. A longer amount has an exponent.
const MAX_AMOUNT_WIDTH: usize = 24;

/// The number of digits of an amount with an exponent.
const EXPONENT_DIGITS: NonZeroU64 = NonZeroU64::new(3).unwrap();

/// The widths of the columns, and the sums of the sections. A section contains the rows of one period and currency.
pub(super) struct TextColumns<'a> {
    pub(super) name_widths: Vec<usize>,
    /// 0 if no row has several keys.
    pub(super) keys_width: usize,
    pub(super) amount_width: usize,
    /// False for an incomplete report: a share of a partial sum is misleading.
    pub(super) has_shares: bool,
    section_sums: BTreeMap<(Date, &'a str), Amount>,
}

impl<'a> TextColumns<'a> {
    /// Measures all rows of a report.
    pub(super) fn measure(report: &'a SpendReport) -> Self {
        let dimensions = &report.query.dimensions;
        let mut columns = Self {
            name_widths: dimensions.iter().map(|dimension| dimension.name().len()).collect(),
            keys_width: 0,
            amount_width: "amount".len(),
            has_shares: report.has_all_costs(),
            section_sums: BTreeMap::new(),
        };
        for row in report.unordered_rows() {
            columns.add_row(&row, dimensions);
        }
        columns.limit_names();
        columns
    }

    /// Widens the columns for a row, and adds its amount to the sum of its section.
    fn add_row(&mut self, row: &SpendRow<'a>, dimensions: &[Dimension]) {
        for (index, name) in name_cells(row, dimensions).iter().enumerate() {
            self.name_widths[index] = self.name_widths[index].max(width(name));
        }
        self.keys_width = self.keys_width.max(keys_cell(row).len());
        self.amount_width = self.amount_width.max(amount_cell(row.amount).len());
        let section_sum = self.section_sums.entry((row.period.first, row.currency)).or_default();
        section_sum.add(row.amount);
    }

    /// Returns the sum of the rows of one period and currency.
    pub(super) fn section_sum(&self, first: Date, currency: &str) -> Amount {
        self.section_sums.get(&(first, currency)).cloned().unwrap_or_default()
    }

    /// Makes the widest columns of names narrower until the table fits.
    fn limit_names(&mut self) {
        let mut other_width = GAP.len() + self.amount_width;
        if self.keys_width > 0 {
            other_width += GAP.len() + self.keys_width;
        }
        if self.has_shares {
            other_width += GAP.len() + SHARE_WIDTH + GAP.len() + BAR_WIDTH;
        }
        let gaps = GAP.len() * self.name_widths.len().saturating_sub(1);
        let available = TABLE_WIDTH.saturating_sub(other_width + gaps);
        while self.name_widths.iter().sum::<usize>() > available {
            let Some(widest) = self.name_widths.iter_mut().max() else { return };
            *widest -= 1;
        }
    }
}

/// Returns the text of each dimension of a row, at most as wide as the table.
pub(super) fn name_cells(row: &SpendRow<'_>, dimensions: &[Dimension]) -> Vec<String> {
    let mut cells = Vec::with_capacity(dimensions.len());
    for (dimension, value) in dimensions.iter().zip(&row.values) {
        let text = escape(label(*dimension, *value));
        cells.push(shorten(&text, TABLE_WIDTH));
    }
    cells
}

/// Returns the number of keys if there are several.
pub(super) fn keys_cell(row: &SpendRow<'_>) -> String {
    match row.key_count {
        Some(count) if count > 1 => format!("{count} keys"),
        _ => String::new(),
    }
}

/// Returns an amount with two decimals. An amount below one cent that is not zero is `<0.01` or `>-0.01`. An amount that is
/// too wide for its column has an exponent, such as `1.23e24`.
pub(super) fn amount_cell(amount: &Amount) -> String {
    let zero = Amount::default();
    let is_below_cent = *amount != zero && amount.abs() < Amount::cent();
    if !is_below_cent {
        let plain = format!("{amount:.2}");
        return if plain.len() > MAX_AMOUNT_WIDTH { exponent_cell(amount) } else { plain };
    }
    let text = if *amount > zero { "<0.01" } else { ">-0.01" };
    text.to_owned()
}

/// Returns the first digits of an amount, rounded half to even, with an exponent.
fn exponent_cell(amount: &Amount) -> String {
    let exact = amount.to_string();
    let Ok(number) = exact.parse::<BigDecimal>() else { return exact };
    number.with_precision_round(EXPONENT_DIGITS, RoundingMode::HalfEven).normalized().to_scientific_notation()
}

/// Returns the text of a share.
///
/// A share can exceed 100 %, because negative amounts make the sum smaller. If it is too wide, the text is a limit.
pub(super) fn share_cell(tenths_of_percent: i64) -> String {
    let text = format!("{:.1}%", tenths_of_percent as f64 / 10.0);
    if text.len() <= SHARE_WIDTH {
        return text;
    }
    let limit = if tenths_of_percent > 0 { ">999%" } else { "<-99%" };
    limit.to_owned()
}

/// Returns a bar whose length is a share between 0 % and 100 %, in eighths of a column.
pub(super) fn bar_cell(tenths_of_percent: i64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = (tenths_of_percent as f64 / 1000.0).clamp(0.0, 1.0);
    let eighths = (share * (BAR_WIDTH * 8) as f64).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}
