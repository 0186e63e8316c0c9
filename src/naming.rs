//! The Tower layer: settings, service, response future, response body and headers.
//!
//! A request in scope passes through `service`, which takes a snapshot of the names and calls `request_headers` to
//! rewrite the query and the headers. If a filter cannot be translated, `refusal` creates the response, with the words of
//! `message` and the `suggestions` of similar names. Otherwise `future` waits for the response, `response_headers` decides whether it may
//! be amended, and `body` is buffered until it is complete or over the limit. `report` sends the final `outcome` to the
//! callback and, with the feature `tracing`, to `events`. `name_sent` is the header with the text in place of names.
//!
//! ```text
//! layer + settings ─▶ service ─▶ request_headers ─▶ inner service ─▶ future ─▶ response_headers ─▶ body ─▶ client
//!                        │                                                                          │
//!                        └─▶ refusal ─▶ client                                                      └─▶ report
//! ```

pub(crate) mod body;
#[cfg(feature = "tracing")]
mod events;
pub(crate) mod future;
pub(crate) mod layer;
mod message;
pub(crate) mod name_sent;
pub mod outcome;
mod refusal;
pub(crate) mod report;
mod request_headers;
pub(crate) mod response_headers;
pub(crate) mod service;
pub(crate) mod settings;
mod suggestions;
