//! Positions in the text of a map, for errors.

use super::error::{Defect, KeyNamesError, Position};

/// Returns the line and column of a byte. Columns count characters, as editors do.
pub(super) fn at(text: &str, offset: usize) -> Position {
    let is_boundary = |&at: &usize| text.is_char_boundary(at);
    let before = &text[..(0..=offset).rev().find(is_boundary).unwrap_or(0)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position::At { line: 1 + before.matches('\n').count(), column: 1 + before[line_start..].chars().count() }
}

/// Translates a syntax error. Only its position is used: its message may repeat the input.
///
/// serde_json reports the byte at which it stopped, as a line from 1 and a column in bytes. If that
/// is inside a bare word, such as `nul`, the position is the start of the word.
pub(super) fn syntax_error(text: &str, error: &serde_json::Error) -> KeyNamesError {
    if error.is_eof() {
        return Defect::Truncated.at(at(text, text.trim_end().len()));
    }
    let lines = text.split_inclusive('\n').map(str::len);
    let line_start: usize = lines.take(error.line().saturating_sub(1)).sum();
    let offset = (line_start + error.column()).saturating_sub(1).min(text.len());
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    let is_inside_word = text.as_bytes().get(offset).is_some_and(is_word);
    let before = text.as_bytes()[..offset].iter().rev();
    let word_len = if is_inside_word { before.take_while(|byte| is_word(byte)).count() } else { 0 };
    Defect::Syntax.at(at(text, offset - word_len))
}

/// Returns the offset of a token directly inside the outermost object. `index` counts the member
/// names and values from 0. The text must be valid JSON.
pub(super) fn token_start(text: &str, index: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut tokens) = (0, 0, 0);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b':' | b',' => continue,
            b'}' | b']' => {
                depth -= 1;
                continue;
            }
            b'"' => at += string_len(&bytes[at..]),
            b'{' | b'[' => {}
            _ => at += bytes[at..].iter().take_while(|b| !b",]} \t\r\n".contains(b)).count(),
        }
        if depth == 1 {
            if tokens == index {
                return start;
            }
            tokens += 1;
        }
        depth += usize::from(matches!(byte, b'{' | b'['));
    }
    0
}

/// Returns the length of a string after its opening quote, with its closing quote.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => at += 1,
            _ => {}
        }
    }
    at
}
