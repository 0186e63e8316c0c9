//! The filter of a query: `api_key_names[]=checkout` becomes `api_key_ids[]=…`, with the ids of all keys of that name.
//!
//! The API expects one list of ids. If the query contains `api_key_ids`, the new ids are added to it in its form.
//! Otherwise they have the form of the names. If names are accepted as ids, those in `api_key_ids` are replaced first.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::vec;

use super::list_form::ListForm;
use super::list_parameter::{ListPair, ListParameter, NewForm};
use super::lookup::{Lookup, decode};
use super::pair::{Pair, comma, items};
use super::{FilterErrorKind, QueryNames};
use crate::names::Label;

/// The pairs in place of one pair of the query.
type NewPairs<'a> = Vec<Cow<'a, str>>;

/// The ids of one label that replace its names.
pub(super) struct Filter<'a> {
    /// Pairs to be inserted in place of the first name.
    pub(super) new_pairs: NewPairs<'a>,
    /// The pairs in place of each pair of ids, in the order of the query.
    pub(super) id_pairs: vec::IntoIter<NewPairs<'a>>,
    /// The number of ids with the requested names. `None` if no name is requested.
    pub(super) id_count: Option<usize>,
}

impl<'a> Filter<'a> {
    /// Looks up all requested names of the label with this index, and forms the pairs of their ids. Returns an error if a
    /// name cannot be translated. In `api_key_ids=key_1&api_key_names=checkout`, `checkout` is requested, and `key_1` is
    /// present already.
    pub(super) fn new(
        index: u8,
        label: &Label,
        pairs: &[Pair<'a>],
        names: &QueryNames<'a>,
    ) -> Result<Self, FilterErrorKind> {
        let requested_names = ListParameter::of_names(index, pairs)?;
        let mut present_ids = ListParameter::of_ids(index, pairs);
        let mut lookup = Lookup::new(label, names);
        if names.accepts_names_as_ids {
            present_ids.join_if(|value| lookup.is_id(value) || lookup.is_name(value));
        }
        for value in present_ids.values() {
            lookup.add_sent_id(decode(value));
        }
        let mut new_form = NewForm::new(&label.id, &present_ids);
        let mut id_pairs = if names.accepts_names_as_ids {
            replace_names(&present_ids, &mut lookup, &mut new_form)?
        } else {
            present_ids.pairs.iter().map(|list_pair| vec![list_pair.pair.text.into()]).collect()
        };
        let mut new_pairs = Vec::new();
        if let Some(mut requested) = requested_names {
            requested.join_if(|value| lookup.is_name(value));
            let ids = look_up_names(&requested, &mut lookup)?;
            new_pairs = place_ids(&ids, &requested, &present_ids, &mut new_form, &mut id_pairs);
        }
        Ok(Self { new_pairs, id_pairs: id_pairs.into_iter(), id_count: lookup.id_count })
    }
}

/// Returns the ids of all requested names, without those that the query contains already. Returns an error if a name is
/// empty or has no id.
fn look_up_names(
    requested: &ListParameter<'_>,
    lookup: &mut Lookup<'_>,
) -> Result<Vec<String>, FilterErrorKind> {
    let mut all_ids = Vec::new();
    for value in requested.values() {
        let name = decode(value);
        if name.is_empty() {
            return Err(FilterErrorKind::EmptyName);
        }
        let Some(mut ids_of_name) = lookup.take_ids(name)? else {
            let has_comma = requested.comma.is_some() || comma(value).is_some();
            return Err(FilterErrorKind::UnknownName { name: decode(value), has_comma });
        };
        all_ids.append(&mut ids_of_name);
    }
    Ok(all_ids)
}

/// Appends ids to the comma-separated list in `id_pairs`, if the query has one, and returns no pairs. Otherwise returns
/// a pair for each id, in the form of the present ids. If no ids are present, the new ones have the form of the
/// requested names: one list with commas, or a pair for each id.
fn place_ids<'a>(
    ids: &[String],
    requested: &ListParameter<'_>,
    present: &ListParameter<'_>,
    new_form: &mut NewForm<'_>,
    id_pairs: &mut [NewPairs<'_>],
) -> NewPairs<'a> {
    if let Some(comma) = present.comma {
        let list = id_pairs[0][0].to_mut();
        for id in ids {
            list.push_str(comma);
            list.push_str(id);
        }
        return Vec::new();
    }
    if let Some(first_present) = present.pairs.first() {
        return new_form.pairs(first_present.form, ids);
    }
    match requested.comma {
        Some(comma) => new_form.pairs(ListForm::Plain, &[ids.join(comma)]),
        None => new_form.pairs(requested.pairs[0].form, ids),
    }
}

/// Returns the pairs in place of each pair of ids, with ids in place of names. A value that is neither stays as it is.
/// If `checkout` has two ids, `api_key_ids[3]=checkout` becomes `api_key_ids[3]=key_1` and `api_key_ids[0]=key_2`.
fn replace_names<'a>(
    present: &ListParameter<'a>,
    lookup: &mut Lookup<'_>,
    new_form: &mut NewForm<'_>,
) -> Result<Vec<NewPairs<'a>>, FilterErrorKind> {
    if let Some(comma) = present.comma {
        let list = replace_names_in_list(&present.pairs[0].pair, comma, lookup)?;
        return Ok(vec![vec![list.into()]]);
    }
    let mut id_pairs = Vec::with_capacity(present.pairs.len());
    for ListPair { form, pair } in &present.pairs {
        let Some(ids) = ids_in_place_of(pair.value, lookup)? else {
            id_pairs.push(vec![pair.text.into()]);
            continue;
        };
        let mut new_pairs = Vec::with_capacity(ids.len());
        // The first id keeps the parameter with its index.
        if let Some((first_id, other_ids)) = ids.split_first() {
            new_pairs.push(format!("{}{first_id}", pair.text_before_value()).into());
            new_pairs.append(&mut new_form.pairs(*form, other_ids));
        }
        id_pairs.push(new_pairs);
    }
    Ok(id_pairs)
}

/// Returns the text of a pair with a comma-separated list, with ids in place of names. `comma` separates the ids of one
/// name.
fn replace_names_in_list(
    pair: &Pair<'_>,
    comma: &str,
    lookup: &mut Lookup<'_>,
) -> Result<String, FilterErrorKind> {
    let mut text = pair.text_before_value().to_owned();
    let mut is_empty = true;
    for item in items(pair.value) {
        let ids = ids_in_place_of(item.text, lookup)?;
        let new_values = ids.unwrap_or_else(|| vec![item.text.to_owned()]);
        // The first item has no comma before it.
        let separator = if item.comma.is_empty() { comma } else { item.comma };
        for value in new_values {
            if !is_empty {
                text += separator;
            }
            text += &value;
            is_empty = false;
        }
    }
    Ok(text)
}

/// Returns the ids in place of a value that is a name. Returns `None` if the value is an id of the map or unknown.
fn ids_in_place_of(value: &str, lookup: &mut Lookup<'_>) -> Result<Option<Vec<String>>, FilterErrorKind> {
    let text = decode(value);
    if lookup.is_id(&text) { Ok(None) } else { lookup.take_ids(text) }
}
