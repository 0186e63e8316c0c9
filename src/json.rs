//! JSON as bytes: no HTTP, no runtime, no clock and no log.
//!
//! `prefilter` finds out whether a body can contain an id at all. `scan` is an incremental scanner that sends the
//! members of interest to a sink. `amend` is such a sink: by the `rules`, it inserts and replaces members, and adds up
//! the `counts`. `json_path` finds the path of a byte in a document, for log lines. `text` removes the escapes of a
//! string.

pub(crate) mod amend;
pub(crate) mod counts;
#[cfg(any(feature = "tracing", test))]
pub(crate) mod json_path;
pub mod prefilter;
pub mod rules;
pub mod scan;
pub(crate) mod text;
