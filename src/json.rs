//! Work on bytes: no HTTP, no runtime, no clock, no log.
//!
//! The `prefilter` finds out whether a body can contain an id at all. If it can, `scan` reads the JSON chunk by chunk.
//! `amend` receives its events, and decides by the `rules` which bytes to insert or replace; `edit` queues these
//! edits, and `splice` applies them to the chunks. `json_path` finds the path of an offset, and `text` decodes strings.

pub mod amend;
pub mod edit;
#[cfg(any(feature = "tracing", test))]
pub mod json_path;
pub mod prefilter;
pub mod rules;
pub mod scan;
pub mod splice;
mod text;
