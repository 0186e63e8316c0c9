//! Edits of the text of a keys file that change nothing else: not the order, the indentation, or the spaces.
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::{NewEntry, UNEXPECTED_FORM, unexpected_form};

mod style;

use style::EntryStyle;

/// A byte range of a text, and the text that replaces it.
#[derive(Debug)]
pub(super) struct TextEdit {
    pub(super) range: Range<usize>,
    pub(super) replacement: String,
}

/// The result of a search for the digests of a key.
#[derive(Debug)]
pub(super) enum Revocation {
    /// The edit that removes the digests.
    Edit(TextEdit),
    AlreadyRevoked,
    UnknownId,
}

/// The array of keys in a text.
struct KeyArray<'a> {
    /// The text of the array, with its brackets.
    array: &'a str,
    entries: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct FileMembers<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct EntryMembers<'a> {
    id: String,
    #[serde(borrow)]
    hashes: &'a RawValue,
}

impl TextEdit {
    /// Returns the edited text.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut edited = text.to_owned();
        edited.replace_range(self.range.clone(), &self.replacement);
        edited
    }
}

impl<'a> KeyArray<'a> {
    /// Finds the array in the text of a keys file.
    fn find(text: &'a str) -> Result<Self, String> {
        let without_mark = text.strip_prefix('\u{feff}').unwrap_or(text);
        let members: FileMembers<'a> = serde_json::from_str(without_mark).map_err(|e| unexpected_form(&e))?;
        let array = members.data.get();
        let entries = serde_json::from_str(array).map_err(|_| UNEXPECTED_FORM)?;
        Ok(Self { array, entries })
    }
}

/// Returns the edit that adds an entry after the last one, with its indentation.
pub(super) fn append_entry(text: &str, entry: &NewEntry) -> Result<TextEdit, String> {
    let KeyArray { array, entries } = KeyArray::find(text)?;
    let array_start = offset_in(text, array);
    let (last, separator) = match entries.as_slice() {
        [] => return Ok(insert_first(text, array_start, entry)),
        [only] => {
            let white_space = &text[array_start + 1..offset_in(text, only.get())];
            (only.get(), format!(",{white_space}"))
        }
        [.., previous, last] => {
            let separator = &text[range_in(text, previous.get()).end..offset_in(text, last.get())];
            (last.get(), separator.to_owned())
        }
    };
    let last_range = range_in(text, last);
    let style = EntryStyle::of_entry(text, last_range.clone());
    let replacement = separator + &style.write(entry);
    Ok(TextEdit { range: last_range.end..last_range.end, replacement })
}

/// Returns the edit that adds an entry to an empty array.
fn insert_first(text: &str, array_start: usize, entry: &NewEntry) -> TextEdit {
    let entry_start = array_start + 1;
    let style = EntryStyle::of_empty_array(text, array_start);
    let has_line_break = text[entry_start..].trim_start_matches([' ', '\t']).starts_with(['\r', '\n']);
    let mut replacement = style.line_break_before().to_owned() + &style.write(entry);
    if !has_line_break {
        replacement += style.line_break_after();
    }
    TextEdit { range: entry_start..entry_start, replacement }
}

/// Returns the edit that empties the digests of the key with this id.
pub(super) fn revoke_entry(text: &str, id: &str) -> Result<Revocation, String> {
    for entry in KeyArray::find(text)?.entries {
        let members: EntryMembers<'_> = serde_json::from_str(entry.get()).map_err(|_| UNEXPECTED_FORM)?;
        if members.id != id {
            continue;
        }
        let hashes = members.hashes.get();
        let is_empty = hashes[1..].trim_start().starts_with(']');
        if is_empty {
            return Ok(Revocation::AlreadyRevoked);
        }
        let range = range_in(text, hashes);
        return Ok(Revocation::Edit(TextEdit { range, replacement: "[]".to_owned() }));
    }
    Ok(Revocation::UnknownId)
}

/// Returns the offset of a part of a text. The part must borrow from the text.
fn offset_in(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// Returns the range of a part of a text. The part must borrow from the text.
fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = offset_in(text, part);
    start..start + part.len()
}

#[cfg(test)]
mod tests;
