//! The dimensions of a query: `group_by=api_key_name` becomes `group_by=api_key_id`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::QueryNames;
use super::pair::{Pair, Parameter, decodes_to, items};
use crate::names::{Label, LabelSet};

/// Replaces the name of each label by its id, once in a query. If the id is requested as well, the name is removed with
/// one separator, because the API would count the id as two dimensions.
pub(super) struct Dimensions<'a> {
    names: &'a QueryNames<'a>,
    /// The labels whose id the query requests, or whose name was replaced by it.
    with_id: LabelSet,
    /// The labels whose name was replaced or removed.
    pub(super) replaced: LabelSet,
}

/// True if the query groups by a name in this pair.
pub(super) fn contains_name(pair: &Pair<'_>, names: &QueryNames<'_>) -> bool {
    items(pair.value).any(|item| label_of_name(item.text, names).is_some())
}

impl<'a> Dimensions<'a> {
    /// Finds the labels whose id is a dimension of the query.
    pub(super) fn new(pairs: &[Pair<'_>], names: &'a QueryNames<'a>) -> Self {
        let mut with_id = LabelSet::default();
        let group_by_pairs = pairs.iter().filter(|pair| matches!(pair.parameter, Parameter::GroupBy));
        for dimension in group_by_pairs.flat_map(|pair| items(pair.value)) {
            for (index, label) in names.active_labels() {
                if decodes_to(dimension.text, &label.id) {
                    with_id.insert(index);
                }
            }
        }
        Self { names, with_id, replaced: LabelSet::default() }
    }

    /// Returns the text of a pair with ids in place of names, or `None` if no dimension remains.
    pub(super) fn rewrite<'p>(&mut self, pair: &Pair<'p>) -> Option<Cow<'p, str>> {
        if !contains_name(pair, self.names) {
            return Some(pair.text.into());
        }
        let mut text = pair.text_before_value().to_owned();
        let mut is_empty = true;
        for item in items(pair.value) {
            let Some(dimension) = self.translate(item.text) else { continue };
            if !is_empty {
                text += item.comma;
            }
            text += dimension;
            is_empty = false;
        }
        if is_empty { None } else { Some(text.into()) }
    }

    /// Returns the dimension that is sent: the id of a label in place of its name, and any other dimension as it is.
    /// Returns `None` for a name whose id is a dimension of the query already.
    fn translate<'d>(&mut self, dimension: &'d str) -> Option<&'d str>
    where
        'a: 'd,
    {
        let Some((index, label)) = label_of_name(dimension, self.names) else { return Some(dimension) };
        self.replaced.insert(index);
        if self.with_id.contains(index) {
            return None;
        }
        self.with_id.insert(index);
        Some(&label.id)
    }
}

/// Returns the active label whose name is this dimension.
fn label_of_name<'a>(dimension: &str, names: &QueryNames<'a>) -> Option<(u8, &'a Label)> {
    names.active_labels().find(|(_, label)| decodes_to(dimension, &label.name))
}
