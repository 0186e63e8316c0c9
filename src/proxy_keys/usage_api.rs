//! The usage API: the use of the keys in the shapes of OpenAI's organization API.
//!
//! ```text
//! request   client ─▶ service ─▶ endpoint, query ─▶ parameters, page_cursor, row_filter, grouping
//!                        └─▶ slots
//! response  client ◀─ body ◀─ page ◀─ bucket_reader (result_sums, result) ◀─ ledger
//! ```
//!
//! `page` reads one bucket of the ledger at a time, when the body is polled. `bucket_reader` adds the rows that `row_filter`
//! includes to the sums of their result. `grouping` decides which result that is.

mod body;
mod bucket;
mod bucket_reader;
mod endpoint;
mod future;
mod grouping;
mod layer;
mod page;
mod page_cursor;
mod parameters;
mod query;
mod result;
mod result_sums;
mod row_filter;
mod service;
mod slots;
#[cfg(test)]
mod tests;

pub use self::body::UsageBody;
pub use self::future::UsageFuture;
pub use self::layer::UsageLayer;
pub use self::service::UsageService;
