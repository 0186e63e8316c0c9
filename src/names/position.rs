//! Positions in the text of a map, for errors.

use super::error::{KeyNamesError, KeyNamesErrorKind, Position};

/// Returns the line and column of a part of the text.
pub(super) fn of_part(text: &str, part: &str) -> Position {
    of_offset(text, part.as_ptr() as usize - text.as_ptr() as usize)
}

/// Returns the line and column of a byte. Columns count characters, as editors do.
pub(super) fn of_offset(text: &str, offset: usize) -> Position {
    let is_boundary = |&at: &usize| text.is_char_boundary(at);
    let before = &text[..(0..=offset).rev().find(is_boundary).unwrap_or(0)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position::At(1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}

/// Translates a syntax error. Only its position is used: its message may repeat the input.
///
/// serde_json reports the byte at which it stopped, as a line from 1 and a column in bytes. If that is inside a bare
/// word, such as `nul`, the position is the start of the word.
pub(super) fn syntax_error(text: &str, error: &serde_json::Error) -> KeyNamesError {
    if error.is_eof() {
        let end = of_offset(text, text.trim_end().len());
        return KeyNamesError::new(KeyNamesErrorKind::Truncated, "").at(end);
    }
    let lines = text.split_inclusive('\n').map(str::len);
    let line_start: usize = lines.take(error.line().saturating_sub(1)).sum();
    let offset = (line_start + error.column()).saturating_sub(1).min(text.len());
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    let is_inside_word = text.as_bytes().get(offset).is_some_and(is_word);
    let before = text.as_bytes()[..offset].iter().rev();
    let word_len = if is_inside_word { before.take_while(|byte| is_word(byte)).count() } else { 0 };
    KeyNamesError::new(KeyNamesErrorKind::Syntax, "").at(of_offset(text, offset - word_len))
}
