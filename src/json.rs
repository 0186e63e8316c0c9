//! Work on bytes, pure: no HTTP, no runtime, no clock, no log.
//!
//! `lookout` sees whether a body can hold an id at all;
//! `scan` reads JSON as it comes, `amend` says by the `rules` which bytes to insert or replace, `edit` queues
//! them, `splice` writes them into the bytes; `place` says where in a document a byte stands. `text` and `wide`
//! are what they stand on: what a string says, and how far a run of bytes goes.

pub mod amend;
pub mod edit;
pub mod lookout;
#[cfg(any(feature = "tracing", test))]
pub mod place;
pub mod rules;
pub mod scan;
pub mod splice;
mod text;
pub mod wide;
