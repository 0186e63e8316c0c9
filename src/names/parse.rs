//! Parses a map from JSON. serde_json parses; the errors and their positions are made here, because
//! the messages of a parser may repeat the input.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{Defect, Half, KeyNamesError, Position};
use super::position;
use super::{KeyNames, looks_like_secret};

#[cfg(test)]
mod tests;

/// The parts of a JSON text that are needed for a map.
///
/// A `serde_json::Value` would keep only the last of two equal members, and copy every string.
enum MapValue<'de> {
    Object(Vec<Member<'de>>),
    Array(Vec<MapValue<'de>>),
    String(Cow<'de, str>),
    True,
    /// Another value, as its name in messages.
    Other(&'static str),
}

type Member<'de> = (Cow<'de, str>, MapValue<'de>);

/// Parses a map that was written by hand, or a saved list page.
pub(super) fn parse(json: &[u8]) -> Result<KeyNames, KeyNamesError> {
    let text = decode(json)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Level::Document.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    let value = value.map_err(|error| position::syntax_error(text, &error))?;
    let MapValue::Object(members) = value else {
        let start = text.len() - text.trim_start().len();
        return Err(Defect::NotAMap { found: value.kind() }.at(position::at(text, start)));
    };
    // In a map written by hand, an array is an error, so an array in `data` means a list page.
    let is_list = |(name, value): &(_, _)| name == "data" && matches!(value, MapValue::Array(_));
    if members.iter().any(is_list) { Ok(from_page(members)) } else { from_map(text, &members) }
}

/// Decodes the bytes as text, and rejects texts that are no JSON at first sight.
fn decode(json: &[u8]) -> Result<&str, KeyNamesError> {
    // RFC 8259 §8.1: a parser may ignore a byte order mark. Some editors still write one.
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    if json.starts_with(b"\xFF\xFE") || json.starts_with(b"\xFE\xFF") {
        return Err(Defect::Utf16.at(Position::WholeText));
    }
    let text = match str::from_utf8(json) {
        Ok(text) => text,
        Err(error) => {
            let (valid, _) = json.split_at(error.valid_up_to());
            let valid = str::from_utf8(valid).unwrap_or_default();
            return Err(Defect::NotUtf8.at(position::at(valid, valid.len())));
        }
    };
    let unquoted = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    if text.trim().is_empty() {
        Err(Defect::Empty.at(Position::WholeText))
    } else if !unquoted.starts_with(['{', '[']) && looks_like_secret(unquoted) {
        Err(Defect::OnlyASecret.at(Position::WholeText))
    } else {
        Ok(text)
    }
}

/// Builds the map of a text written by hand. Every entry must be valid.
fn from_map(text: &str, members: &[Member<'_>]) -> Result<KeyNames, KeyNamesError> {
    let mut names = KeyNames::default();
    for (index, (id, value)) in members.iter().enumerate() {
        let added = match value {
            MapValue::String(name) => names.add(id, name),
            MapValue::Object(_) if id == "error" => Err(Defect::ErrorResponse),
            other => Err(Defect::NotAName { found: other.kind() }),
        };
        added.map_err(|defect| {
            let token = 2 * index + usize::from(!is_at_id(defect));
            defect.at(position::at(text, position::token_start(text, token)))
        })?;
    }
    Ok(names)
}

/// True if the defect of a member is in its name, which is the id.
fn is_at_id(defect: Defect) -> bool {
    match defect {
        Defect::Blank(half) | Defect::ControlCharacter(half) | Defect::Secret(half) => half == Half::Id,
        Defect::TooLong { half, .. } => half == Half::Id,
        other => matches!(other, Defect::DuplicateId | Defect::ErrorResponse),
    }
}

/// Builds the map of a list page. Unusable items are counted.
fn from_page(members: Vec<Member<'_>>) -> KeyNames {
    let mut names = KeyNames::default();
    for (name, value) in members {
        match value {
            MapValue::Array(items) if name == "data" => {
                items.iter().for_each(|item| add_item(&mut names, item))
            }
            MapValue::True if name == "has_more" => names.partial = true,
            _ => {}
        }
    }
    names
}

fn add_item(names: &mut KeyNames, item: &MapValue<'_>) {
    let is_used = item.id_and_name().is_some_and(|(id, name)| match names.add(id, name) {
        Ok(()) => true,
        // An equal item loses nothing.
        Err(defect) => defect == Defect::DuplicateId && names.name(id) == Some(name),
    });
    names.left_out += usize::from(!is_used);
}

// === impl MapValue ===

impl MapValue<'_> {
    /// Returns the id and the name of a list item, if each occurs once and is a string.
    fn id_and_name(&self) -> Option<(&str, &str)> {
        let Self::Object(members) = self else {
            return None;
        };
        let only = |wanted: &str| {
            let mut found = members.iter().filter(|(name, _)| name == wanted);
            match (found.next(), found.next()) {
                (Some((_, Self::String(text))), None) => Some(&**text),
                _ => None,
            }
        };
        Some((only("id")?, only("name")?))
    }

    /// The kind of the value, for messages.
    fn kind(&self) -> &'static str {
        match self {
            Self::Object(_) => "an object",
            Self::Array(_) => "an array",
            Self::String(_) => "text",
            Self::True => "true",
            Self::Other(kind) => kind,
        }
    }
}

/// The level of a value in the document.
///
/// Deeper values are skipped with `IgnoredAny`. A wrong file may be large, and an unused value may
/// be one that a parser rejects, such as a number out of range or half a surrogate pair.
#[derive(Clone, Copy)]
enum Level {
    /// The outermost value. All members of an object are read.
    Document,
    /// The value of `data`. All items of an array are read.
    Data,
    /// An item of `data`. Its `id` and `name` are read.
    Item,
    /// An id, a name, or a value in their place. Only a string is read.
    Leaf,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = MapValue<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = MapValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(MapValue::Other("null"))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(if value { MapValue::True } else { MapValue::Other("false") })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(MapValue::Other("a number"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(MapValue::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(MapValue::Other("a number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(MapValue::String(Cow::Owned(text.into())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(MapValue::String(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Self::Data = self else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(MapValue::Other("an array"));
        };
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self::Item)? {
            array.push(item);
        }
        Ok(MapValue::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (Self::Document | Self::Item) = self else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(MapValue::Object(Vec::new()));
        };
        let mut object = Vec::new();
        // The name of a member is always a string.
        while let Some(MapValue::String(name)) = members.next_key_seed(Self::Leaf)? {
            let level = match (self, &*name) {
                (Self::Document, "data") => Self::Data,
                (Self::Document, _) | (Self::Item, "id" | "name") => Self::Leaf,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            object.push((name, members.next_value_seed(level)?));
        }
        Ok(MapValue::Object(object))
    }
}
