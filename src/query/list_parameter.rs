//! The pairs of one list parameter, and new pairs of its form.

use std::borrow::Cow;
use std::collections::HashSet;

use super::FilterErrorKind;
use super::list_form::ListForm;
use super::lookup::decode;
use super::pair::{Pair, Parameter, comma, items};

/// The pairs of one list parameter.
pub(super) struct ListParameter<'a> {
    pub(super) pairs: Vec<ListPair<'a>>,
    /// The comma of a list in one pair. Only a single pair without brackets is split at commas, because a name may
    /// contain commas.
    pub(super) comma: Option<&'a str>,
}

/// A pair with the form of its parameter.
pub(super) struct ListPair<'a> {
    pub(super) form: ListForm<'a>,
    pub(super) pair: Pair<'a>,
}

impl<'a> ListParameter<'a> {
    pub(super) fn new(pairs: Vec<ListPair<'a>>) -> Self {
        let comma = match &pairs[..] {
            [ListPair { form: ListForm::Plain, pair }] => comma(pair.value),
            _ => None,
        };
        Self { pairs, comma }
    }

    /// Returns the parameter with the requested names of the label with this index, or `None` if the query requests none.
    /// Returns an error if the parameter has no known form.
    pub(super) fn of_names(index: u8, pairs: &[Pair<'a>]) -> Result<Option<Self>, FilterErrorKind> {
        let mut found = Vec::new();
        for pair in pairs {
            if let Parameter::Names { label, form } = pair.parameter
                && label == index
            {
                let Some(form) = form else { return Err(FilterErrorKind::InvalidParameter) };
                found.push(ListPair { form, pair: *pair });
            }
        }
        Ok(if found.is_empty() { None } else { Some(Self::new(found)) })
    }

    /// Collects the pairs of a label's id parameter, such as all pairs `api_key_ids[]=…`. `index` is that of the label. The
    /// result has no pairs if the query does not filter by ids.
    pub(super) fn of_ids(index: u8, pairs: &[Pair<'a>]) -> Self {
        let mut found = Vec::new();
        for pair in pairs {
            if let Parameter::Ids { label, form } = pair.parameter
                && label == index
            {
                found.push(ListPair { form, pair: *pair });
            }
        }
        Self::new(found)
    }

    /// Treats a list with commas as one value if the whole list is a text of the map.
    pub(super) fn join_if(&mut self, is_in_map: impl Fn(&str) -> bool) {
        if self.comma.is_some() && is_in_map(&decode(self.pairs[0].pair.value)) {
            self.comma = None;
        }
    }

    /// Returns the names or ids as the client wrote them.
    pub(super) fn values(&self) -> Vec<&'a str> {
        if self.comma.is_some() {
            return items(self.pairs[0].pair.value).map(|item| item.text).collect();
        }
        self.pairs.iter().map(|list_pair| list_pair.pair.value).collect()
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
    /// Creates the form of new ids beside the `present` ones, whose indexes are not used again.
    pub(super) fn new(id_member: &'a str, present: &ListParameter<'_>) -> Self {
        let mut used_indexes = HashSet::new();
        for list_pair in &present.pairs {
            if let ListForm::Brackets { index: Some(index), .. } = list_pair.form {
                used_indexes.insert(index);
            }
        }
        Self { id_member, used_indexes, next_index: 0 }
    }

    /// Returns a pair of this form for each value, such as `api_key_ids[2]=key_1`, with an index of its own.
    pub(super) fn pairs<'p>(&mut self, form: ListForm<'_>, values: &[String]) -> Vec<Cow<'p, str>> {
        let mut pairs = Vec::with_capacity(values.len());
        for value in values {
            let id_member = self.id_member;
            let pair = match form {
                ListForm::Plain => format!("{id_member}s={value}"),
                ListForm::Brackets { open, index: None, close } => {
                    format!("{id_member}s{open}{close}={value}")
                }
                ListForm::Brackets { open, index: Some(_), close } => {
                    let new_index = self.take_index();
                    format!("{id_member}s{open}{new_index}{close}={value}")
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
