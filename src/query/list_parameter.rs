//! The pairs of one list parameter, and new pairs of its form.

use std::borrow::Cow;
use std::collections::HashSet;

use super::FilterErrorKind;
use super::list_form::ListForm;
use super::lookup::decode;
use super::pair::{Pair, Parameter, comma, items};

/// The pairs of one list parameter.
pub(super) struct ListParameter<'a> {
    pub(super) pairs: Vec<(ListForm<'a>, Pair<'a>)>,
    /// The comma of a list in one pair. Only a single pair without brackets is split at commas, because a name may
    /// contain commas.
    pub(super) comma: Option<&'a str>,
}

impl<'a> ListParameter<'a> {
    fn new(pairs: Vec<(ListForm<'a>, Pair<'a>)>) -> Self {
        let comma = match &pairs[..] {
            [(ListForm::Plain, pair)] => comma(pair.value),
            _ => None,
        };
        Self { pairs, comma }
    }

    /// Returns the requested names of a label, or `None` if there is no such parameter. An unknown form is an error.
    pub(super) fn of_names(index: u8, pairs: &[Pair<'a>]) -> Result<Option<Self>, FilterErrorKind> {
        let mut found = Vec::new();
        for pair in pairs {
            if let Parameter::Names { label, form } = pair.parameter
                && label == index
            {
                found.push((form.ok_or(FilterErrorKind::InvalidParameter)?, *pair));
            }
        }
        Ok(if found.is_empty() { None } else { Some(Self::new(found)) })
    }

    /// Returns the ids of a label that the query contains already.
    pub(super) fn of_ids(index: u8, pairs: &[Pair<'a>]) -> Self {
        let mut found = Vec::new();
        for pair in pairs {
            if let Parameter::Ids { label, form } = pair.parameter
                && label == index
            {
                found.push((form, *pair));
            }
        }
        Self::new(found)
    }

    /// Ends the splitting at commas if the whole value is a text of the map.
    pub(super) fn join_if(&mut self, is_in_map: impl Fn(&str) -> bool) {
        if self.comma.is_some() && is_in_map(&decode(self.pairs[0].1.value)) {
            self.comma = None;
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &'a str> {
        let list = self.comma.map(|_| items(self.pairs[0].1.value).map(|item| item.text));
        let whole_values = if list.is_some() { &[] } else { &self.pairs[..] };
        list.into_iter().flatten().chain(whole_values.iter().map(|(_, pair)| pair.value))
    }
}

/// The form of new pairs. Indexed pairs get the lowest indexes that no pair of the query has.
pub(super) struct NewForm<'a> {
    /// The id member, of which the parameter is the plural.
    id_member: &'a str,
    used_indexes: HashSet<u64>,
    next_index: u64,
}

impl<'a> NewForm<'a> {
    pub(super) fn new(id_member: &'a str, present: &ListParameter<'_>) -> Self {
        let mut used_indexes = HashSet::new();
        for (form, _) in &present.pairs {
            if let ListForm::Brackets { index: Some(index), .. } = form {
                used_indexes.insert(*index);
            }
        }
        Self { id_member, used_indexes, next_index: 0 }
    }

    /// Returns a pair of this form for each value.
    pub(super) fn pairs<'p>(&mut self, form: ListForm<'_>, values: &[String]) -> Vec<Cow<'p, str>> {
        let mut pairs = Vec::with_capacity(values.len());
        for value in values {
            let parameter = self.id_member;
            let pair = match form {
                ListForm::Plain => format!("{parameter}s={value}"),
                ListForm::Brackets { open, index: None, close } => {
                    format!("{parameter}s{open}{close}={value}")
                }
                ListForm::Brackets { open, index: Some(_), close } => {
                    format!("{parameter}s{open}{}{close}={value}", self.take_index())
                }
            };
            pairs.push(pair.into());
        }
        pairs
    }

    /// Returns the lowest index that is not used.
    fn take_index(&mut self) -> u64 {
        while self.used_indexes.contains(&self.next_index) {
            self.next_index += 1;
        }
        self.next_index += 1;
        self.next_index - 1
    }
}
