//! The line breaks and the indentation of a new entry.
use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// The indentation of a file without any.
const DEFAULT_INDENTATION: &str = "  ";

/// The line breaks of an entry. Each one is a line feed, or CR LF, with the indentation of the next line.
#[derive(Debug, Default)]
pub(super) struct EntryStyle {
    before_entry: String,
    before_member: String,
    before_end: String,
    after_entry: String,
}

impl EntryStyle {
    /// Returns the style of an entry at this range of the text: a line for each member, or one line.
    pub(super) fn of_entry(text: &str, entry: Range<usize>) -> Self {
        let Some(before_member) = first_line_break(&text[entry.clone()]) else { return Self::default() };
        let indentation = line_indentation(&text[..entry.start]);
        let before_end = format!("{}{indentation}", newline(text));
        Self { before_member, before_end, ..Self::default() }
    }

    /// Returns the style of the first entry of an array: one line if the text before the array has only one.
    pub(super) fn of_empty_array(text: &str, array_start: usize) -> Self {
        let text_before = &text[..array_start];
        if !text_before.contains('\n') {
            return Self::default();
        }
        let newline = newline(text);
        let array_indentation = line_indentation(text_before);
        // The array is a member of the top-level object.
        let unit = if array_indentation.is_empty() { DEFAULT_INDENTATION } else { array_indentation };
        Self {
            before_entry: format!("{newline}{array_indentation}{unit}"),
            before_member: format!("{newline}{array_indentation}{unit}{unit}"),
            before_end: format!("{newline}{array_indentation}{unit}"),
            after_entry: format!("{newline}{array_indentation}"),
        }
    }

    /// The line break between the bracket of an empty array and its first entry.
    pub(super) fn line_break_before(&self) -> &str {
        &self.before_entry
    }

    /// The line break between the only entry of an array and its closing bracket.
    pub(super) fn line_break_after(&self) -> &str {
        &self.after_entry
    }

    /// Returns an entry as JSON.
    pub(super) fn write(&self, entry: &impl Serialize) -> String {
        let mut bytes = Vec::new();
        let formatter = EntryFormatter { style: self, depth: 0 };
        let written = entry.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
        written.expect("strings and numbers are written to memory");
        String::from_utf8(bytes).expect("serde_json writes UTF-8")
    }
}

/// Returns the first line break of a text with the indentation after it, or `None` if the text is one line.
fn first_line_break(text: &str) -> Option<String> {
    let (first_line, rest) = text.split_once('\n')?;
    let white_space_len = rest.len() - rest.trim_start().len();
    let white_space = &rest[..white_space_len];
    // White space can contain empty lines.
    let indentation = white_space.rsplit('\n').next().unwrap_or_default();
    let newline = if first_line.ends_with('\r') { "\r\n" } else { "\n" };
    Some(format!("{newline}{indentation}"))
}

/// Returns the white space at the start of the last line of a text.
fn line_indentation(text: &str) -> &str {
    let line = text.rsplit('\n').next().unwrap_or_default();
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Returns the line ending of a text.
fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Writes line breaks between the members of the outer object, and one space after each other comma and colon.
struct EntryFormatter<'a> {
    style: &'a EntryStyle,
    depth: usize,
}

impl EntryFormatter<'_> {
    /// True between the members of an entry that has a line for each.
    fn is_before_line(&self) -> bool {
        self.depth == 1 && !self.style.before_member.is_empty()
    }
}

impl Formatter for EntryFormatter<'_> {
    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        out.write_all(b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        if self.is_before_line() {
            out.write_all(self.style.before_end.as_bytes())?;
        }
        self.depth -= 1;
        out.write_all(b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if self.is_before_line() {
            out.write_all(if first { b"" } else { b"," })?;
            return out.write_all(self.style.before_member.as_bytes());
        }
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }
}
