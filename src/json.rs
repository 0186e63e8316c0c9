//! Work on bytes, pure: no HTTP, no runtime, no clock, no log.
//!
//! `prefilter` finds out whether a body can hold an id at all;
//! `scan` reads JSON as it comes, `amend` says by the `rules` which bytes to insert or replace, `edit` queues
//! them, `splice` writes them into the bytes; `json_path` says where in a document a byte stands. `text` and `wide`
//! are what they stand on: what a string says, and how far a run of bytes goes.

pub mod amend;
pub mod edit;
#[cfg(any(feature = "tracing", test))]
pub mod json_path;
pub mod prefilter;
pub mod rules;
pub mod scan;
pub mod splice;
mod text;
