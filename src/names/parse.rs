//! Parses a map from JSON. serde_json parses; the errors and their positions are made here, because the messages of a
//! parser may repeat the input.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{ID, KeyNamesError, KeyNamesErrorKind};
use super::position;
use super::{KeyNames, looks_like_secret};

#[cfg(test)]
mod tests;

/// The members of an object, in order. Repeated names are kept, and values are parsed only if they are used: a wrong
/// file may be large, or contain numbers that no type can represent.
struct RawObject<'a>(Vec<(&'a RawValue, &'a RawValue)>);

/// Parses a map that was written by hand, or a saved list page.
pub(super) fn parse(json: &[u8]) -> Result<KeyNames, KeyNamesError> {
    let text = decode(json)?;
    let syntax_error = |error| position::syntax_error(text, &error);
    let value: &RawValue = serde_json::from_str(text).map_err(syntax_error)?;
    if !value.get().starts_with('{') {
        let error = KeyNamesError::new(KeyNamesErrorKind::NotAMap, kind(value));
        return Err(error.at(position::of_part(text, value.get())));
    }
    let RawObject(members) = serde_json::from_str(text).map_err(syntax_error)?;
    // In a map written by hand, an array is an error, so an array in `data` means a list page.
    let is_list = |(name, value): &(&RawValue, &RawValue)| {
        value.get().starts_with('[') && string(name).is_some_and(|name| name == "data")
    };
    if members.iter().any(is_list) { Ok(from_page(&members)) } else { from_map(text, &members) }
}

/// Decodes the bytes as text, and rejects texts that are no JSON at first sight.
fn decode(json: &[u8]) -> Result<&str, KeyNamesError> {
    let error = |kind| Err(KeyNamesError::new(kind, ""));
    // RFC 8259 §8.1: a parser may ignore a byte order mark. Some editors still write one.
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    if json.starts_with(b"\xFF\xFE") || json.starts_with(b"\xFE\xFF") {
        return error(KeyNamesErrorKind::Utf16);
    }
    let text = match str::from_utf8(json) {
        Ok(text) => text,
        Err(utf8_error) => {
            let valid = str::from_utf8(&json[..utf8_error.valid_up_to()]).unwrap_or_default();
            let end = position::of_offset(valid, valid.len());
            return Err(KeyNamesError::new(KeyNamesErrorKind::NotUtf8, "").at(end));
        }
    };
    let unquoted = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    if text.trim().is_empty() {
        error(KeyNamesErrorKind::Empty)
    } else if !unquoted.starts_with(['{', '[']) && looks_like_secret(unquoted) {
        error(KeyNamesErrorKind::Secret)
    } else {
        Ok(text)
    }
}

/// Builds the map of a text written by hand. Every entry must be valid.
fn from_map(text: &str, members: &[(&RawValue, &RawValue)]) -> Result<KeyNames, KeyNamesError> {
    let mut names = KeyNames::default();
    for (id, value) in members {
        let added = match (string(id), string(value)) {
            (Some(id), Some(name)) => names.add(&id, &name),
            (Some(id), None) if id == "error" && value.get().starts_with('{') => {
                Err(KeyNamesError::new(KeyNamesErrorKind::ErrorResponse, ID))
            }
            (None, _) => Err(KeyNamesError::new(KeyNamesErrorKind::Syntax, ID)),
            (_, None) if value.get().starts_with('"') => {
                Err(KeyNamesError::new(KeyNamesErrorKind::Syntax, ""))
            }
            (_, None) => Err(KeyNamesError::new(KeyNamesErrorKind::NotAName, kind(value))),
        };
        added.map_err(|error| {
            let part = if error.is_in_id() { id } else { value };
            error.at(position::of_part(text, part.get()))
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
                items.iter().for_each(|item| add_item(&mut names, item));
            }
            Some("has_more") => names.partial |= value.get() == "true",
            _ => {}
        }
    }
    names
}

fn add_item(names: &mut KeyNames, item: &RawValue) {
    let is_used = id_and_name(item).is_some_and(|(id, name)| match names.add(&id, &name) {
        Ok(()) => true,
        // An item that repeats an earlier one loses nothing.
        Err(error) => error.kind() == KeyNamesErrorKind::DuplicateId && names.name(&id) == Some(&*name),
    });
    names.left_out += usize::from(!is_used);
}

/// Returns the id and the name of a list item, if each occurs once and is a string.
fn id_and_name(item: &RawValue) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let RawObject(members) = serde_json::from_str(item.get()).ok()?;
    let only = |wanted: &str| {
        let mut found = members.iter().filter(|(name, _)| string(name).is_some_and(|name| name == wanted));
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

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawObject(members))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}
