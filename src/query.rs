//! The query string of a request: names in it are replaced by ids.
//!
//! [`rewrite`] splits the query into `pair`s, whose parameters are in a `list_form`. `group_by` replaces a dimension such
//! as `api_key_name` by `api_key_id`. `filter` replaces a `list_parameter` such as `api_key_names` by `api_key_ids`, with
//! the ids that `lookup` finds. Then the pairs are joined again. A query is never encoded anew: bytes outside the replaced
//! tokens and pairs stay as they are.
//!
//! `parameters` decodes the query of an endpoint that this crate serves itself, with the same list forms.
//!
//! ```text
//! query ─▶ pair ─┬─▶ group_by ───────────────────────────┬─▶ RewrittenQuery
//!                └─▶ list_parameter ─▶ filter ─▶ lookup ─┘
//! ```

mod filter;
mod group_by;
mod list_form;
mod list_parameter;
mod lookup;
mod pair;
#[cfg(feature = "proxy-keys")]
mod parameters;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::filter::Filter;
use self::group_by::Dimensions;
use self::pair::{Pair, Parameter};
#[cfg(feature = "proxy-keys")]
pub(crate) use self::parameters::{QueryParameter, UnknownParameter, parse_parameters};
use crate::KeyNames;
use crate::names::{Label, LabelSet, Labels, Provider};

/// The names that the query of one request may contain, and the limits of its translation.
#[derive(Clone, Copy)]
pub struct QueryNames<'a> {
    pub labels: &'a Labels,
    /// The labels whose names are translated. The parameters of the others stay as they are.
    pub active: LabelSet,
    pub map: &'a KeyNames,
    /// A name is replaced only by ids that this provider may own. `None` for the ids of all providers.
    pub provider: Option<Provider>,
    /// True if a name is accepted in place of an id: `api_key_ids=checkout`.
    pub accepts_names_as_ids: bool,
    /// The maximum length of the rewritten query, in bytes.
    pub max_length: usize,
}

/// A query with ids in place of names.
#[derive(Debug, PartialEq, Eq)]
pub struct RewrittenQuery {
    pub query: String,
    /// The labels whose names the query contained.
    pub labels: LabelSet,
    /// The text that is sent in place of the names: `group_by=api_key_id` for a dimension, `api_key_ids=12 ids` for a
    /// filter.
    pub sent: Vec<String>,
}

/// The error of a filter by name that cannot be translated. The request must not be sent without its filter, because the
/// API would return the usage of all keys.
#[derive(Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The index of the filter's label.
    pub label: u8,
    pub kind: FilterErrorKind,
}

/// The reason why a filter by name cannot be translated.
#[derive(Debug, PartialEq, Eq)]
pub enum FilterErrorKind {
    /// The parameter has no known list form (`api_key_names[x]`), or is a misspelling of `api_key_names`.
    InvalidParameter,
    /// One of the names is empty.
    EmptyName,
    /// No id of the provider has this name.
    UnknownName {
        name: String,
        /// True if the value that contained the name contains a comma.
        has_comma: bool,
    },
    /// The rewritten query would be longer than permitted.
    TooLong,
}

/// Rewrites a query, or returns `None` if it contains no name.
///
/// Without a filter by name, the result is longer than `query` only if a label's id member is longer than its name
/// member.
pub fn rewrite(query: &str, names: &QueryNames<'_>) -> Result<Option<RewrittenQuery>, FilterError> {
    // Most queries contain no name: they are not copied.
    if !pair::parse(query, names).any(|pair| names.may_translate(&pair)) {
        return Ok(None);
    }
    let pairs: Vec<Pair<'_>> = pair::parse(query, names).collect();
    let mut translation = Translation::new(&pairs, names)?;
    let new_query = translation.join_new_pairs(&pairs);
    let rewritten = translation.describe(new_query);
    if rewritten.labels.is_empty() {
        return Ok(None);
    }
    if rewritten.query.len() > names.max_length {
        return Err(FilterError { label: translation.first_filter(), kind: FilterErrorKind::TooLong });
    }
    Ok(Some(rewritten))
}

/// The ids that replace the names of all labels in one query.
struct Translation<'a> {
    names: &'a QueryNames<'a>,
    dimensions: Dimensions<'a>,
    /// One filter for each label. It is empty if the label is not active.
    filters: Vec<Filter<'a>>,
}

impl<'a> Translation<'a> {
    /// Looks up the names in all filters. Returns the error of the first filter that cannot be translated.
    fn new(pairs: &[Pair<'a>], names: &'a QueryNames<'a>) -> Result<Self, FilterError> {
        let mut filters = Vec::new();
        for (index, label) in (0..).zip(names.labels.list()) {
            let filter = Filter::new(index, label, pairs, names);
            filters.push(filter.map_err(|kind| FilterError { label: index, kind })?);
        }
        Ok(Self { names, dimensions: Dimensions::new(pairs, names), filters })
    }

    /// Returns the query with ids in place of names. The pairs of the filters are moved into it.
    fn join_new_pairs(&mut self, pairs: &[Pair<'a>]) -> String {
        let mut new_pairs: Vec<Cow<'_, str>> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match pair.parameter {
                // If no dimension remains, no pair is added.
                Parameter::GroupBy => new_pairs.extend(self.dimensions.rewrite(pair)),
                // The first pair of names is replaced by all new pairs. Then none are left for the other pairs of names.
                Parameter::Names { label, .. } => {
                    new_pairs.append(&mut self.filters[usize::from(label)].new_pairs)
                }
                Parameter::Ids { label, .. } => {
                    let next_id_pairs = self.filters[usize::from(label)].id_pairs.next();
                    new_pairs.extend(next_id_pairs.unwrap_or_default());
                }
                Parameter::Other => new_pairs.push(pair.text.into()),
            }
        }
        new_pairs.join("&")
    }

    /// Returns the new query with the labels whose names were replaced, and the text that is sent in their place.
    fn describe(&self, new_query: String) -> RewrittenQuery {
        let mut rewritten =
            RewrittenQuery { query: new_query, labels: self.dimensions.replaced, sent: Vec::new() };
        for (index, label) in self.names.active_labels() {
            if self.dimensions.replaced.contains(index) {
                rewritten.sent.push(format!("group_by={}", label.id));
            }
        }
        for (index, label) in (0..).zip(self.names.labels.list()) {
            if let Some(id_count) = self.filters[usize::from(index)].id_count {
                rewritten.labels.insert(index);
                rewritten.sent.push(format!("{}s={id_count} ids", label.id));
            }
        }
        rewritten
    }

    /// The index of the first label with a filter by name, or 0 if there is none.
    fn first_filter(&self) -> u8 {
        let first = self.filters.iter().position(|filter| filter.id_count.is_some());
        first.unwrap_or(0) as u8
    }
}

impl<'a> QueryNames<'a> {
    /// The names of all labels and providers, in `group_by` and in filters by name.
    pub fn new(labels: &'a Labels, map: &'a KeyNames, max_length: usize) -> Self {
        Self { labels, active: labels.all(), map, provider: None, accepts_names_as_ids: false, max_length }
    }

    /// The active labels with their indexes.
    fn active_labels(&self) -> impl Iterator<Item = (u8, &'a Label)> {
        let active = self.active;
        (0..).zip(self.labels.list()).filter(move |(index, _)| active.contains(*index))
    }

    /// True if the pair groups or filters by a name, or contains a value that may be a name.
    fn may_translate(&self, pair: &Pair<'_>) -> bool {
        match pair.parameter {
            Parameter::GroupBy => group_by::contains_name(pair, self),
            Parameter::Names { .. } => true,
            Parameter::Ids { .. } => self.accepts_names_as_ids,
            Parameter::Other => false,
        }
    }
}
