//! Parses a map from JSON. serde_json parses; the errors and their positions are made here, because the messages of a
//! parser may repeat the input.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{ID, KeyNamesError, KeyNamesErrorKind as Kind};
use super::{KeyNames, looks_like_secret};

#[cfg(test)]
mod tests;

/// The members of an object, in order. Repeated names are kept, and values are parsed only if they are used: a wrong
/// file may be large, or contain numbers that no type can represent.
struct RawObject<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl KeyNames {
    /// Parses a map from JSON in UTF-8, in one of two forms. A byte order mark is ignored (RFC 8259 §8.1).
    ///
    /// **A map written by hand**, `{"id": "name", …}`. Every entry must keep the rules of [`KeyNames`].
    ///
    /// **A list page** of the API, as saved by `curl`: an object whose `data` is an array. Only the `id` and `name`
    /// of each item are read. The user did not write the page, so an unusable item is no error: see
    /// [`KeyNames::left_out`]. If an id occurs more than once, the first item counts.
    ///
    /// # Errors
    ///
    /// Returns the defect, its line and column, and a remedy. The error never repeats the input.
    ///
    /// ```
    /// # use tower_api_key_name::KeyNames;
    /// let saved = br#"{"data": [{"id": "key_abc", "name": "billing"}], "has_more": false}"#;
    /// assert_eq!(KeyNames::from_json(saved)?.name("key_abc"), Some("billing"));
    ///
    /// let error = KeyNames::from_json(b"{\n  \"key_abc\": 7\n}").unwrap_err();
    /// assert_eq!((error.line(), error.column()), (Some(2), Some(14)));
    /// # Ok::<(), tower_api_key_name::KeyNamesError>(())
    /// ```
    pub fn from_json(json: &[u8]) -> Result<Self, KeyNamesError> {
        let mut names = parse(json)?;
        names.entries.finish();
        Ok(names)
    }
}

/// Parses a map that was written by hand, or a saved list page.
fn parse(json: &[u8]) -> Result<KeyNames, KeyNamesError> {
    let text = decode(json)?;
    let syntax_error = |error| syntax_error(text, &error);
    let value: &RawValue = serde_json::from_str(text).map_err(syntax_error)?;
    if !value.get().starts_with('{') {
        let error = KeyNamesError::new(Kind::NotAMap, kind(value));
        return Err(error.at(position(text, text.len() - text.trim_start().len())));
    }
    let RawObject(members) = serde_json::from_str(text).map_err(syntax_error)?;
    // In a map written by hand, an array is an error, so an array in `data` means a list page.
    let mut arrays = members.iter().filter(|(_, value)| value.get().starts_with('['));
    let is_page = arrays.any(|(name, _)| string(name).as_deref() == Some("data"));
    if is_page { Ok(from_page(&members)) } else { from_map(text, &members) }
}

/// Decodes the bytes as text. Rejects a blank text, and one that contains only an API key.
fn decode(json: &[u8]) -> Result<&str, KeyNamesError> {
    let error = |kind| KeyNamesError::new(kind, "");
    // RFC 8259 §8.1: a parser may ignore a byte order mark. Some editors still write one.
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    if json.starts_with(b"\xFF\xFE") || json.starts_with(b"\xFE\xFF") {
        return Err(error(Kind::Utf16));
    }
    let text = str::from_utf8(json).map_err(|utf8_error| {
        let valid = str::from_utf8(&json[..utf8_error.valid_up_to()]).unwrap_or_default();
        error(Kind::NotUtf8).at(position(valid, valid.len()))
    })?;
    let unquoted = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    if text.trim().is_empty() {
        Err(error(Kind::Empty))
    } else if !unquoted.starts_with(['{', '[']) && looks_like_secret(unquoted) {
        Err(error(Kind::Secret))
    } else {
        Ok(text)
    }
}

/// Builds the map of a text written by hand. Every entry must be valid.
fn from_map(text: &str, members: &[(&RawValue, &RawValue)]) -> Result<KeyNames, KeyNamesError> {
    let error = |kind, subject| Err(KeyNamesError::new(kind, subject));
    let mut names = KeyNames::default();
    for (id, value) in members {
        let added = match (string(id), string(value)) {
            (Some(id), Some(name)) => names.add(&id, &name),
            (None, _) => error(Kind::Syntax, ID),
            (Some(id), _) if id == "error" && value.get().starts_with('{') => error(Kind::ErrorResponse, ID),
            (_, None) if value.get().starts_with('"') => error(Kind::Syntax, ""),
            (_, None) => error(Kind::NotAName, kind(value)),
        };
        added.map_err(|error| {
            let part = if error.subject == ID { id } else { value };
            error.at(position(text, part.get().as_ptr() as usize - text.as_ptr() as usize))
        })?;
    }
    Ok(names)
}

/// Builds the map of a list page. Unusable items are counted.
fn from_page(members: &[(&RawValue, &RawValue)]) -> KeyNames {
    let mut names = KeyNames::default();
    for (name, value) in members {
        match string(name).as_deref() {
            Some("data") => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                names.left_out += items.iter().filter(|item| !add_item(&mut names, item)).count();
            }
            Some("has_more") => names.partial |= value.get() == "true",
            _ => {}
        }
    }
    names
}

/// Adds a list item to the map. Returns false if the item is unusable.
fn add_item(names: &mut KeyNames, item: &RawValue) -> bool {
    id_and_name(item).is_some_and(|(id, name)| match names.add(&id, &name) {
        Ok(()) => true,
        // An item that repeats an earlier one loses nothing.
        Err(error) => error.kind() == Kind::DuplicateId && names.name(&id) == Some(&*name),
    })
}

/// Returns the id and the name of a list item, if each occurs once and is a string.
fn id_and_name(item: &RawValue) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let RawObject(members) = serde_json::from_str(item.get()).ok()?;
    let only = |wanted: &str| {
        let mut found = members.iter().filter(|(name, _)| string(name).as_deref() == Some(wanted));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => string(value),
            _ => None,
        }
    };
    Some((only("id")?, only("name")?))
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
fn kind(value: &RawValue) -> &'static str {
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

/// Translates a syntax error. Only its position is used: its message may repeat the input.
///
/// serde_json reports the byte at which it stopped, as a line from 1 and a column in bytes. If that is inside a bare
/// word, such as `nul`, the position is the start of the word.
fn syntax_error(text: &str, error: &serde_json::Error) -> KeyNamesError {
    if error.is_eof() {
        let end = position(text, text.trim_end().len());
        return KeyNamesError::new(Kind::Truncated, "").at(end);
    }
    let lines = text.split_inclusive('\n').map(str::len);
    let line_start: usize = lines.take(error.line().saturating_sub(1)).sum();
    let offset = (line_start + error.column()).saturating_sub(1).min(text.len());
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    let (before, after) = text.as_bytes().split_at(offset);
    let is_inside_word = after.first().is_some_and(is_word);
    let word_len = before.iter().rev().take_while(|byte| is_inside_word && is_word(byte)).count();
    KeyNamesError::new(Kind::Syntax, "").at(position(text, offset - word_len))
}

/// Returns the line and column of a byte, from 1. Columns count characters, as editors do.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let char_start = (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..char_start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}

// === impl RawObject ===

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
