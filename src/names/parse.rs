//! Parses a map from JSON. serde_json parses; the errors and their positions are made here, because the messages of a
//! parser may repeat the input.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::map::MapText;
use super::error::{KeyNamesError, KeyNamesErrorKind as Kind};
use super::{KEYS, KeyNames, Labels, Provider};
use crate::secret::looks_like_secret;

mod map;

#[cfg(test)]
mod tests;

/// The members of an object, in order. Repeated names are kept, and values are parsed only if they are used: a wrong
/// file may be large, or contain numbers that no type can represent.
struct RawObject<'a>(Vec<(&'a RawValue, &'a RawValue)>);

/// Parses a map in one of the forms of [`MapReader::read`](super::MapReader::read).
pub(super) fn parse(
    json: &[u8],
    labels: &Labels,
    provider: Option<Provider>,
) -> Result<KeyNames, KeyNamesError> {
    let text = decode(json)?;
    let value: &RawValue = serde_json::from_str(text).map_err(|error| syntax_error(text, &error))?;
    if !value.get().starts_with('{') {
        let start = text.len() - text.trim_start().len();
        return Err(KeyNamesError::new(Kind::NotAMap, kind_of(value)).at(position(text, start)));
    }
    let RawObject(members) = serde_json::from_str(text).map_err(|error| syntax_error(text, &error))?;
    // In a map written by hand, an array is an error, so an array in `data` means a list page.
    let mut arrays = members.iter().filter(|(_, value)| value.get().starts_with('['));
    let is_page = arrays.any(|(name, _)| string(name).as_deref() == Some("data"));
    let mut names =
        if is_page { from_page(&members) } else { MapText { text, labels, provider }.parse(&members)? };
    names.entries.finish();
    Ok(names)
}

/// Decodes the bytes as text. Rejects a blank text, and one that contains only an API key.
fn decode(json: &[u8]) -> Result<&str, KeyNamesError> {
    let bytes = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(KeyNamesError::new(Kind::Utf16, ""));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let valid = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        KeyNamesError::new(Kind::NotUtf8, "").at(position(valid, valid.len()))
    })?;
    if text.trim().is_empty() {
        return Err(KeyNamesError::new(Kind::Empty, ""));
    }
    let unquoted = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    let is_container = unquoted.starts_with(['{', '[']);
    if !is_container && looks_like_secret(unquoted) {
        return Err(KeyNamesError::new(Kind::Secret, ""));
    }
    Ok(text)
}

/// Builds the map of a list page. Unusable items are counted.
fn from_page(members: &[(&RawValue, &RawValue)]) -> KeyNames {
    let mut names = KeyNames::default();
    for (name, value) in members {
        match string(name).as_deref() {
            Some("data") => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                for item in items {
                    let is_usable = add_item(&mut names, item);
                    names.left_out += usize::from(!is_usable);
                }
            }
            Some("has_more") if value.get() == "true" => names.entries.set_partial(KEYS, true),
            _ => {}
        }
    }
    names
}

/// Adds a list item to the map. Returns false if the item is unusable.
fn add_item(names: &mut KeyNames, item: &RawValue) -> bool {
    let Ok(RawObject(members)) = serde_json::from_str(item.get()) else { return false };
    let (Some(id), Some(name)) = (unique_string(&members, "id"), unique_string(&members, "name")) else {
        return false;
    };
    match names.add(KEYS, &id, &name) {
        Ok(()) => true,
        // An item that repeats an earlier one loses nothing.
        Err(error) => error.kind() == Kind::DuplicateId && names.name(&id) == Some(&*name),
    }
}

/// Returns the string in the member with this name, unless the member is absent, occurs twice or is no string.
fn unique_string<'a>(members: &[(&'a RawValue, &'a RawValue)], wanted: &str) -> Option<Cow<'a, str>> {
    let mut found = members.iter().filter(|(name, _)| string(name).as_deref() == Some(wanted));
    let (_, value) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    string(value)
}

/// Returns the unescaped text of a JSON string, and `None` for another value or an invalid escape.
fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let content = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if content.contains('\\') {
        serde_json::from_str(value.get()).ok().map(Cow::Owned)
    } else {
        Some(content.into())
    }
}

/// The kind of a value, for messages.
fn kind_of(value: &RawValue) -> &'static str {
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

/// Translates a syntax error of serde_json. Only its position is used: its message may repeat the input.
fn syntax_error(text: &str, error: &serde_json::Error) -> KeyNamesError {
    if error.is_eof() {
        let end = text.trim_end().len();
        return KeyNamesError::new(Kind::Truncated, "").at(position(text, end));
    }
    // serde_json reports the byte at which it stopped, as a line from 1 and a column in bytes.
    let earlier_lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line_start: usize = earlier_lines.map(str::len).sum();
    let stop = (line_start + error.column()).saturating_sub(1).min(text.len());
    KeyNamesError::new(Kind::Syntax, "").at(position(text, word_start(text.as_bytes(), stop)))
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

/// Returns the line and column of a byte, from 1. Columns count characters, as editors do.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let char_start = (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..char_start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    (line, column)
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
