//! The formats of a report: a table for people, CSV, JSON and FOCUS 1.0, and the data of a chart.
//!
//! The value of a dimension is null (no key, project or user) or absent (the row lacks the member of the dimension):
//!
//! | format | null | absent | id without a name |
//! |---|---|---|---|
//! | text | `(no key)`, `(no project)`, … | `(not grouped)` | the id |
//! | CSV | an empty cell | an empty cell, and `api_key_name not grouped` in `note` | the id |
//! | JSON | `null` | the row has no such member | the id |
//! | FOCUS | an empty cell | an empty cell | an empty name beside its id |
use std::env;
use std::io::{self, BufWriter, IsTerminal, Write};

use super::report::SpendReport;

pub mod chart;
mod csv;
mod file;
mod focus;
mod json;
mod label;
mod text;
mod text_columns;

pub use file::OutputFile;
pub use json::JsonReport;

/// The format of a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum OutputFormat {
    /// A table for people.
    Text,
    Csv,
    Json,
    /// Version 1.0 of the FinOps Open Cost and Usage Specification, as CSV.
    Focus,
}

/// Writes a report in a format.
///
/// The error kind is `InvalidInput` if the format is FOCUS, and the query was not created with `SpendQuery::focus`.
pub fn write(
    report: &SpendReport,
    format: OutputFormat,
    has_color: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut buffered = BufWriter::new(out);
    match format {
        OutputFormat::Text => text::write(report, has_color, &mut buffered)?,
        OutputFormat::Csv => csv::write(report, &mut buffered)?,
        OutputFormat::Json => json::write(report, &mut buffered)?,
        OutputFormat::Focus => focus::write(report, &mut buffered)?,
    }
    buffered.flush()
}

/// Converts the error of a reader, such as `head`, that closed the pipe early, to a success.
pub fn ignore_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// True if text for this stream may contain colours.
///
/// The stream must be a terminal, and the environment variable `NO_COLOR` must be empty or not set.
pub fn is_colored(stream: &impl IsTerminal) -> bool {
    let is_disabled = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_disabled
}

#[cfg(test)]
mod tests;
