//! The dimensions of a query: `group_by=api_key_name` becomes `group_by=api_key_id`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::pair::{ID, NAME, Pair, Parameter, decodes_to, items};

/// Replaces the name by the id, once in a query. If the id is requested as well, the name is removed with one separator,
/// because the API would count the id as two dimensions.
pub(super) struct Dimensions {
    /// True if the query requests the id, or a name was replaced by it.
    has_id: bool,
}

impl Dimensions {
    pub(super) fn new(pairs: &[Pair<'_>]) -> Self {
        let mut group_by = pairs.iter().filter(|pair| matches!(pair.parameter, Parameter::GroupBy));
        Self { has_id: group_by.any(|pair| items(pair.value).any(|item| decodes_to(item.text, ID))) }
    }

    /// Returns the pair with the id in place of the name, or `None` if no dimension remains.
    pub(super) fn rewrite<'a>(&mut self, pair: &Pair<'a>) -> Option<Cow<'a, str>> {
        if !pair.contains_name() {
            return Some(pair.text.into());
        }
        // The parameter and the equals sign stay as they are.
        let value_offset = pair.text.len() - pair.value.len();
        let mut text = pair.text[..value_offset].to_owned();
        let mut is_empty = true;
        for item in items(pair.value) {
            let is_name = decodes_to(item.text, NAME);
            if is_name && self.has_id {
                continue;
            }
            if !is_empty {
                text += item.comma;
            }
            text += if is_name { ID } else { item.text };
            self.has_id |= is_name;
            is_empty = false;
        }
        if is_empty { None } else { Some(text.into()) }
    }
}
