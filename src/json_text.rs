//! The text of a JSON file that a person writes: its decoding, its raw members, and the positions of its defects.
//!
//! serde_json parses. The errors and their positions are made here, because the messages of a parser may repeat the input.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::secret::looks_like_secret;

/// The members of an object, in order. Repeated names are kept, and values are parsed only if they are used: a wrong
/// file may be large, or contain numbers that no type can represent.
pub(crate) struct RawObject<'a>(pub(crate) Vec<RawMember<'a>>);

/// A member of an object: its name and its value.
pub(crate) type RawMember<'a> = (&'a RawValue, &'a RawValue);

/// The reason why a text is no JSON, and the line and column of the defect, from 1. The position is absent if the defect
/// concerns the whole text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextDefect {
    pub(crate) kind: TextDefectKind,
    pub(crate) position: Option<(usize, usize)>,
}

/// The kind of a [`TextDefect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextDefectKind {
    /// The text is empty or blank.
    Empty,
    /// The text is UTF-16.
    Utf16,
    /// The text is not UTF-8.
    NotUtf8,
    /// The JSON ends too early.
    Truncated,
    /// The text is not JSON.
    Syntax,
    /// The text contains only an API key.
    Secret,
}

// The texts of errors: the defect and a remedy.
pub(crate) const UTF16: &str =
    "this is UTF-16; save it as UTF-8 (PowerShell's > writes UTF-16: use curl.exe -o)";
pub(crate) const NOT_UTF8: &str = "this is not UTF-8; save it as UTF-8";
pub(crate) const TRUNCATED: &str =
    "the JSON ends too early; it may be half-written, or a quote or brace is missing";
pub(crate) const SYNTAX: &str =
    "this is not JSON; look for a quote, comma, colon or brace that is missing or too many";

impl TextDefect {
    /// The defect of a whole text.
    fn of_text(kind: TextDefectKind) -> Self {
        Self { kind, position: None }
    }
}

/// Decodes the bytes as text, without a byte order mark. Rejects a blank text, and one that contains only an API key.
pub(crate) fn decode(json: &[u8]) -> Result<&str, TextDefect> {
    let bytes = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(TextDefect::of_text(TextDefectKind::Utf16));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let valid = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        TextDefect { kind: TextDefectKind::NotUtf8, position: Some(position(valid, valid.len())) }
    })?;
    if text.trim().is_empty() {
        return Err(TextDefect::of_text(TextDefectKind::Empty));
    }
    let unquoted = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    let is_container = unquoted.starts_with(['{', '[']);
    if !is_container && looks_like_secret(unquoted) {
        return Err(TextDefect::of_text(TextDefectKind::Secret));
    }
    Ok(text)
}

/// Parses a whole text. Only the position of serde_json's error is used: its message may repeat the input.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, TextDefect> {
    serde_json::from_str(text).map_err(|error| syntax_error(text, &error))
}

/// Returns the unescaped text of a JSON string, and `None` for another value or an invalid escape.
pub(crate) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let content = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if content.contains('\\') {
        serde_json::from_str(value.get()).ok().map(Cow::Owned)
    } else {
        Some(content.into())
    }
}

/// The kind of a value, for messages.
pub(crate) fn kind_of(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "text",
        Some(b't') => "true",
        Some(b'f') => "false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Returns the line and column of a part of the text, which must be a slice of it.
pub(crate) fn position_of(text: &str, part: &RawValue) -> (usize, usize) {
    position(text, part.get().as_ptr() as usize - text.as_ptr() as usize)
}

/// Returns the line and column of a byte, from 1. Columns count characters, as editors do.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let char_start = (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..char_start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    (line, column)
}

/// Translates a syntax error of serde_json, which reports the byte at which it stopped.
fn syntax_error(text: &str, error: &serde_json::Error) -> TextDefect {
    if error.is_eof() {
        let end = text.trim_end().len();
        return TextDefect { kind: TextDefectKind::Truncated, position: Some(position(text, end)) };
    }
    // serde_json reports a line from 1 and a column in bytes.
    let earlier_lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line_start: usize = earlier_lines.map(str::len).sum();
    let stop = (line_start + error.column()).saturating_sub(1).min(text.len());
    let token_start = word_start(text.as_bytes(), stop);
    TextDefect { kind: TextDefectKind::Syntax, position: Some(position(text, token_start)) }
}

/// Returns the start of the bare word, such as `nul`, around an offset. Outside a word, returns the offset itself.
fn word_start(text: &[u8], offset: usize) -> usize {
    let is_word_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    match text.get(offset) {
        Some(byte) if is_word_byte(byte) => {
            offset - text[..offset].iter().rev().take_while(|byte| is_word_byte(byte)).count()
        }
        _ => offset,
    }
}

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for RawObject<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(member) = map.next_entry()? {
            self.0.push(member);
        }
        Ok(self)
    }
}
