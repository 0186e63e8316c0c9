//! Work on bytes, pure: no HTTP, no runtime, no clock, no log.
//!
//! `query` turns a name into an id in a query string. `lookout` sees whether a body can hold an id at all;
//! `scan` reads JSON as it comes, `amend` says by the `rules` which bytes to insert or replace, `edit` queues
//! them, `splice` writes them into the bytes; `place` says where in a document a byte stands. `text` and `wide`
//! are what they stand on: what a string says, and how far a run of bytes goes.

pub(crate) mod amend;
pub(crate) mod edit;
pub(crate) mod lookout;
#[cfg(any(feature = "tracing", test))]
pub(crate) mod place;
pub(crate) mod query;
pub(crate) mod rules;
pub(crate) mod scan;
pub(crate) mod splice;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod wide;
