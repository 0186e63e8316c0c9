#![allow(missing_docs, missing_debug_implementations, clippy::unwrap_used)]
//! Test code that several packages of the workspace use: the table of cases, generators, oracles and the laws.

pub mod cases;
mod documents;
pub mod laws;
#[cfg(feature = "organization")]
pub mod organization;
pub mod service;
pub mod shown;
pub mod unstructured;

use std::sync::Arc;

use bytes::Bytes;

use tower_api_key_name::_internal::rules::Rules;
use tower_api_key_name::_internal::{self, DEFAULT_LIMIT, LabelTemplates};
use tower_api_key_name::Snapshot;
use tower_api_key_name::outcome::Counts;

/// The rules of a layer with the default settings.
pub fn default_rules() -> Rules {
    Rules::new(DEFAULT_LIMIT as u64)
}

/// Amends one body by the default rules and passes the output to `write`. Returns the counts, and true if the body is
/// JSON.
pub fn amend(
    frames: impl IntoIterator<Item = Bytes>,
    names: &Snapshot,
    streams: bool,
    write: impl FnMut(Bytes),
) -> (Counts, bool) {
    let templates = Arc::<LabelTemplates>::default();
    let (counts, error) = _internal::amend(&default_rules(), names, &templates, frames, streams, write);
    (counts, error.is_none())
}
