//! The query string of a request: key names in it are replaced by key ids.
//!
//! [`rewrite`] splits the query into `pair`s. `group_by` replaces the dimension `api_key_name` by `api_key_id`;
//! `filter` replaces the filter `api_key_names` by `api_key_ids`. Then the pairs are joined again. A query is never
//! encoded anew: bytes outside the replaced tokens and pairs stay as they are.

mod filter;
mod group_by;
mod pair;

use std::borrow::Cow;

use self::filter::Filter;
use self::group_by::Dimensions;
use self::pair::{Pair, Parameter};
use crate::KeyNames;

/// The reason why a filter by name cannot be translated. The request must not be sent without its filter, because the
/// API would return the usage of all keys.
#[derive(Debug, PartialEq, Eq)]
pub enum FilterError {
    /// The parameter has no known list form (`api_key_names[x]`), or is a misspelling of `api_key_names`.
    InvalidParameter,
    /// One of the names is empty.
    EmptyName,
    /// No key has this name.
    UnknownName {
        name: String,
        /// True if the value that contained the name contains a comma.
        has_comma: bool,
    },
    /// The rewritten query would be longer than permitted.
    TooLong,
}

/// Rewrites a query, or returns `None` if it contains no key name.
///
/// The result is at most `max_length` bytes long. Without a filter by name it is never longer than `query`.
pub fn rewrite(query: &str, names: &KeyNames, max_length: usize) -> Result<Option<String>, FilterError> {
    // Most queries contain no key name: they are not copied.
    if !pair::parse(query).any(|pair| pair.contains_name()) {
        return Ok(None);
    }
    let pairs: Vec<Pair<'_>> = pair::parse(query).collect();
    let mut dimensions = Dimensions::new(&pairs);
    let mut filter = Filter::new(&pairs, names, max_length)?;
    let mut rewritten: Vec<Cow<'_, str>> = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        match pair.parameter {
            // `None`, if no dimension remains, adds no pair.
            Parameter::GroupBy => rewritten.extend(dimensions.rewrite(pair)),
            // The first name is replaced by all new pairs, and the other names by nothing.
            Parameter::KeyNames(_) => rewritten.extend(filter.new_pairs.drain(..).map(Cow::from)),
            Parameter::KeyIds(_) => rewritten.push(filter.extend_list(pair)),
            Parameter::Other => rewritten.push(pair.text.into()),
        }
    }
    let new_query = rewritten.join("&");
    if new_query.len() <= max_length { Ok(Some(new_query)) } else { Err(FilterError::TooLong) }
}
