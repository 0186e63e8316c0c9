//! Parses a map from JSON.

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::map::MapText;
use super::error::{KeyNamesError, KeyNamesErrorKind as Kind};
use super::{KEYS, KeyNames, Labels, Provider};
use crate::json_text::{self, RawMember, RawObject, decode, kind_of, position, string};

mod map;

#[cfg(test)]
mod tests;

/// Parses a map in one of the forms of [`MapReader::read`](super::MapReader::read).
pub(super) fn parse(
    json: &[u8],
    labels: &Labels,
    provider: Option<Provider>,
) -> Result<KeyNames, KeyNamesError> {
    let text = decode(json)?;
    let value: &RawValue = json_text::parse(text)?;
    if !value.get().starts_with('{') {
        let start = text.len() - text.trim_start().len();
        return Err(KeyNamesError::new(Kind::NotAMap, kind_of(value)).at(position(text, start)));
    }
    let RawObject(members) = json_text::parse(text)?;
    // In a map written by hand, an array is an error, so an array in `data` means a list page.
    let mut arrays = members.iter().filter(|(_, value)| value.get().starts_with('['));
    let is_page = arrays.any(|(name, _)| string(name).as_deref() == Some("data"));
    let mut names =
        if is_page { from_page(&members) } else { MapText { text, labels, provider }.parse(&members)? };
    names.entries.finish();
    Ok(names)
}

/// Builds the map of a list page. Unusable items are counted.
fn from_page(members: &[RawMember<'_>]) -> KeyNames {
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
fn unique_string<'a>(members: &[RawMember<'a>], wanted: &str) -> Option<Cow<'a, str>> {
    let mut found = members.iter().filter(|(name, _)| string(name).as_deref() == Some(wanted));
    let (_, value) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    string(value)
}
