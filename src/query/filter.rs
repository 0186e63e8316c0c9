//! The filter of a query: `api_key_names[]=checkout` becomes `api_key_ids[]=…`, with the ids of all keys of that name.
//!
//! The API expects one list of ids. If the query contains `api_key_ids`, the new ids are added to it in its form.
//! Otherwise they have the form of the names.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::FilterError;
use super::pair::{self, IDS, ListForm, Pair, Parameter, comma};
use crate::KeyNames;

/// All characters except the unreserved ones (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The ids that replace the names.
#[derive(Default)]
pub(super) struct Filter {
    /// Pairs to be inserted in place of the first name.
    pub(super) new_pairs: Vec<String>,
    /// Text to be appended to the only pair of ids, if that is a comma-separated list.
    suffix: String,
}

impl Filter {
    /// Looks up all requested names and forms the pairs of their ids. The result is empty if no name is requested.
    pub(super) fn new(pairs: &[Pair<'_>], names: &KeyNames, max_length: usize) -> Result<Self, FilterError> {
        let Some(mut requested) = ListParameter::of_names(pairs)? else { return Ok(Self::default()) };
        let (requested_form, first_value) = requested.pairs[0];
        // The whole first value, including its commas, may be a name.
        if names.ids(&decode(first_value)).next().is_some() {
            requested.comma = None;
        }
        let present = ListParameter::of_ids(pairs);
        let ids = look_up(&requested, &present, names, max_length)?;
        let mut filter = Self::default();
        if let Some(comma) = present.comma {
            filter.suffix = ids.iter().flat_map(|id| [comma, id]).collect();
        } else if let Some((present_form, _)) = present.pairs.first() {
            filter.new_pairs = new_pairs(&ids, *present_form, &present);
        } else if let Some(comma) = requested.comma {
            filter.new_pairs = vec![format!("{IDS}={}", ids.join(comma))];
        } else {
            filter.new_pairs = new_pairs(&ids, requested_form, &present);
        }
        Ok(filter)
    }

    /// Returns a pair of ids, extended if it is the only one and a comma-separated list.
    pub(super) fn extend_list<'a>(&self, pair: &Pair<'a>) -> Cow<'a, str> {
        if self.suffix.is_empty() { pair.text.into() } else { format!("{}{}", pair.text, self.suffix).into() }
    }
}

/// The pairs of one list parameter.
struct ListParameter<'a> {
    /// The form and the value of each pair.
    pairs: Vec<(ListForm<'a>, &'a str)>,
    /// The comma of a list in one pair. Only a single pair without brackets is split at commas, because a name may
    /// contain commas.
    comma: Option<&'a str>,
}

impl<'a> ListParameter<'a> {
    fn new(pairs: Vec<(ListForm<'a>, &'a str)>) -> Self {
        let comma = match pairs[..] {
            [(ListForm::Plain, value)] => comma(value),
            _ => None,
        };
        Self { pairs, comma }
    }

    /// Returns the requested names, or `None` if there is no such parameter. An unknown form is an error.
    fn of_names(pairs: &[Pair<'a>]) -> Result<Option<Self>, FilterError> {
        let mut found = Vec::new();
        for pair in pairs {
            if let Parameter::KeyNames(form) = pair.parameter {
                let known_form = form.ok_or(FilterError::InvalidParameter)?;
                found.push((known_form, pair.value));
            }
        }
        Ok(if found.is_empty() { None } else { Some(Self::new(found)) })
    }

    /// Returns the ids that the query contains already.
    fn of_ids(pairs: &[Pair<'a>]) -> Self {
        let found = pairs.iter().filter_map(|pair| match pair.parameter {
            Parameter::KeyIds(form) => Some((form, pair.value)),
            _ => None,
        });
        Self::new(found.collect())
    }

    fn values(&self) -> Vec<&'a str> {
        match self.comma {
            Some(_) => pair::items(self.pairs[0].1).map(|item| item.text).collect(),
            None => self.pairs.iter().map(|(_, value)| *value).collect(),
        }
    }
}

/// Returns the percent-encoded ids of all requested keys, without those that are present already.
fn look_up(
    requested: &ListParameter<'_>,
    present: &ListParameter<'_>,
    names: &KeyNames,
    max_length: usize,
) -> Result<Vec<String>, FilterError> {
    let present_ids: HashSet<String> = present.values().into_iter().map(decode).collect();
    let mut seen_names = HashSet::new();
    let mut found = Vec::new();
    let mut found_length = 0;
    for value in requested.values() {
        let name = decode(value);
        if seen_names.contains(&name) {
            continue;
        }
        if name.is_empty() {
            return Err(FilterError::EmptyName);
        }
        let mut ids = names.ids(&name).peekable();
        if ids.peek().is_none() {
            let has_comma = requested.comma.is_some() || comma(value).is_some();
            return Err(FilterError::UnknownName { name, has_comma });
        }
        for id in ids.filter(|id| !present_ids.contains(*id)) {
            found.push(utf8_percent_encode(id, RESERVED).to_string());
            // Any number of keys may have the same name, so the loop ends as soon as the result is too long.
            found_length += id.len();
            if found_length > max_length {
                return Err(FilterError::TooLong);
            }
        }
        seen_names.insert(name);
    }
    Ok(found)
}

/// Returns a pair of this form for each id. Indexed pairs get the lowest indexes that no present pair has.
fn new_pairs(ids: &[String], form: ListForm<'_>, present: &ListParameter<'_>) -> Vec<String> {
    let mut used_indexes = HashSet::new();
    for (present_form, _) in &present.pairs {
        if let ListForm::Brackets { index: Some(index), .. } = present_form {
            used_indexes.insert(*index);
        }
    }
    let free_indexes = (0..).filter(|index| !used_indexes.contains(index));
    let pairs = ids.iter().zip(free_indexes).map(|(id, free_index)| match form {
        ListForm::Brackets { open, index: Some(_), close } => format!("{IDS}{open}{free_index}{close}={id}"),
        ListForm::Brackets { open, index: None, close } => format!("{IDS}{open}{close}={id}"),
        ListForm::Plain => format!("{IDS}={id}"),
    });
    pairs.collect()
}

/// Decodes a value. `+` is a space, as in forms.
fn decode(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}
