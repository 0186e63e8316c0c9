//! JSON → `KeyNames`. serde_json parses; the words and the places of what is wrong are ours,
//! since a parser's own message can echo what it read.

use super::error::{Fault, KeyNamesError, Place, Side};
use super::{KeyNames, looks_like_secret};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What is read of a JSON text, with member names in order and repeated ones kept: a
/// `serde_json::Value` would let the last one win. A text without escapes stays where it stands.
enum Value<'de> {
    Object(Vec<Member<'de>>),
    Array(Vec<Value<'de>>),
    Text(Cow<'de, str>),
    True,
    Other(&'static str),
}

type Member<'de> = (Cow<'de, str>, Value<'de>);

pub(super) fn read(json: &[u8]) -> Result<KeyNames, KeyNamesError> {
    let text = text(json)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Part::Whole.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    let value = value.map_err(|error| syntax(text, &error))?;
    let Value::Object(members) = value else {
        let start = text.len() - text.trim_start().len();
        return Err(Fault::NotAMap { kind: value.kind() }.at(place(text, start)));
    };
    // Nothing but the API's list can have an array where a name should stand.
    let is_list = |(name, value): &(_, _)| name == "data" && matches!(value, Value::Array(_));
    if members.iter().any(is_list) { Ok(saved(members)) } else { written(text, &members) }
}

/// The bytes as text, unless one can see already that it is no map.
fn text(json: &[u8]) -> Result<&str, KeyNamesError> {
    // RFC 8259 §8.1: a parser may ignore a byte order mark. Some editors still write one.
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    if json.starts_with(b"\xFF\xFE") || json.starts_with(b"\xFE\xFF") {
        return Err(Fault::Utf16.at(Place::Whole));
    }
    let text = match str::from_utf8(json) {
        Ok(text) => text,
        Err(error) => {
            let (good, _) = json.split_at(error.valid_up_to());
            let good = str::from_utf8(good).unwrap_or_default();
            return Err(Fault::NotUtf8.at(place(good, good.len())));
        }
    };
    let bare = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    if text.trim().is_empty() {
        Err(Fault::Empty.at(Place::Whole))
    } else if !bare.starts_with(['{', '[']) && looks_like_secret(bare) {
        Err(Fault::WholeSecret.at(Place::Whole))
    } else {
        Ok(text)
    }
}

/// A map that somebody wrote: every entry counts, so every fault is theirs to hear of.
fn written(text: &str, members: &[Member<'_>]) -> Result<KeyNames, KeyNamesError> {
    let mut names = KeyNames::default();
    for (nth, (id, value)) in members.iter().enumerate() {
        let added = match value {
            Value::Text(name) => names.add(id, name),
            Value::Object(_) if id == "error" => Err(Fault::ErrorAnswer),
            other => Err(Fault::NotAName { kind: other.kind() }),
        };
        added.map_err(|fault| {
            let on_id = matches!(fault, Fault::Label(Side::Id, _) | Fault::Twice | Fault::ErrorAnswer);
            let start = start_of(text, 2 * nth + usize::from(!on_id));
            fault.at(place(text, start))
        })?;
    }
    Ok(names.sealed())
}

/// A list page that the API wrote: what cannot be used is counted, not refused.
fn saved(members: Vec<Member<'_>>) -> KeyNames {
    let mut names = KeyNames::default();
    for (name, value) in members {
        match value {
            Value::Array(items) if name == "data" => {
                for item in &items {
                    match item.id_and_name() {
                        Some((id, name)) => match names.add(id, name) {
                            // The same again loses nothing.
                            Err(Fault::Twice) if names.name(id) == Some(name) => {}
                            Err(_) => names.left_out += 1,
                            Ok(()) => {}
                        },
                        None => names.left_out += 1,
                    }
                }
            }
            Value::True if name == "has_more" => names.partial = true,
            _ => {}
        }
    }
    names.sealed()
}

// === impl Value ===

impl Value<'_> {
    /// A list item's two labels. With either of them given twice it is anyone's guess which counts.
    fn id_and_name(&self) -> Option<(&str, &str)> {
        let Self::Object(members) = self else {
            return None;
        };
        let only = |wanted: &str| {
            let mut found = members.iter().filter(|(name, _)| name == wanted);
            match (found.next(), found.next()) {
                (Some((_, Self::Text(text))), None) => Some(&**text),
                _ => None,
            }
        };
        Some((only("id")?, only("name")?))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Object(_) => "an object",
            Self::Array(_) => "an array",
            Self::Text(_) => "text",
            Self::True => "true",
            Self::Other(kind) => kind,
        }
    }
}

/// How deep a part of the text is read. What lies deeper is passed over: a wrong file may be large, and what nobody
/// reads need not make sense to a parser (a number beyond all range, half a surrogate pair).
#[derive(Clone, Copy)]
enum Part {
    /// Its members.
    Whole,
    /// `data`: its items.
    Items,
    /// An item: its `id` and `name`.
    Item,
    /// Text, or what else it is.
    Label,
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Other("null"))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(if value { Value::True } else { Value::Other("false") })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.into())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Self::Items = self else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Other("an array"));
        };
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self::Item)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (Self::Whole | Self::Item) = self else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Object(Vec::new()));
        };
        let mut object = Vec::new();
        // A member's name is text.
        while let Some(Value::Text(name)) = members.next_key_seed(Self::Label)? {
            let part = match (self, &*name) {
                (Self::Whole, "data") => Self::Items,
                (Self::Whole, _) | (Self::Item, "id" | "name") => Self::Label,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            object.push((name, members.next_value_seed(part)?));
        }
        Ok(Value::Object(object))
    }
}

// === Places ===

/// Line and column of a byte. Columns count characters, as editors do.
fn place(text: &str, at: usize) -> Place {
    let is_boundary = |&at: &usize| text.is_char_boundary(at);
    let before = &text[..(0..=at).rev().find(is_boundary).unwrap_or(0)];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place::Text { line: 1 + before.matches('\n').count(), column: 1 + before[start..].chars().count() }
}

/// serde_json names the byte at which it gave up, as a line from 1 and a column that counts
/// bytes. Inside a bare word, such as `nul`, the fault is the word.
fn syntax(text: &str, error: &serde_json::Error) -> KeyNamesError {
    if error.is_eof() {
        return Fault::EndsEarly.at(place(text, text.trim_end().len()));
    }
    let lines = text.split_inclusive('\n').map(str::len);
    let line: usize = lines.take(error.line().saturating_sub(1)).sum();
    let at = (line + error.column()).saturating_sub(1).min(text.len());
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    let word = |bytes: &[u8]| bytes.iter().rev().take_while(|byte| is_word(byte)).count();
    let inside = text.as_bytes().get(at).is_some_and(is_word);
    let back = if inside { word(&text.as_bytes()[..at]) } else { 0 };
    Fault::NotJson.at(place(text, at - back))
}

/// Where the `nth` token directly within the outermost object begins, from 0, its members' names
/// and values both counted. The text is known to be valid JSON.
fn start_of(text: &str, nth: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut seen) = (0, 0, 0);
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
            if seen == nth {
                return start;
            }
            seen += 1;
        }
        depth += usize::from(matches!(byte, b'{' | b'['));
    }
    0
}

/// The length of a string from behind its first quote up to and with its last.
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
