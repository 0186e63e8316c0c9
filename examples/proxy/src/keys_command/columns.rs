//! A table of aligned columns.
use std::io::{self, Write};

use crate::text_width::{pad, width};

/// The spaces between two columns.
const GAP: &str = "  ";

/// Writes rows whose cells have the width of the widest cell in their column.
pub(super) fn write_columns<R: AsRef<[String]>>(rows: &[R], out: &mut impl Write) -> io::Result<()> {
    let column_count = rows.first().map_or(0, |row| row.as_ref().len());
    let mut widths = vec![0; column_count];
    for row in rows {
        for (column_width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *column_width = width(cell).max(*column_width);
        }
    }
    for row in rows {
        let padded = row.as_ref().iter().zip(&widths);
        let cells: Vec<String> = padded.map(|(cell, columns)| pad(cell, *columns)).collect();
        writeln!(out, "{}", cells.join(GAP).trim_end())?;
    }
    Ok(())
}
