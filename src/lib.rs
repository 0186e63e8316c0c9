//! A [Tower] middleware that puts `api_key_name` beside every `api_key_id` in the answers of the
//! organization endpoints of OpenAI and Anthropic, and changes nothing else.
//!
//! ```no_run
//! # #[cfg(feature = "watch")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let hyper_util_client = tower::service_fn(|_: http::Request<()>| async {
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
//! # });
//! use tower::ServiceBuilder;
//! use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};
//! use tower_http::decompression::DecompressionLayer;
//!
//! let names = SharedKeyNames::watch("names.json")?; // id → name, reloaded when the file changes
//! let service = ServiceBuilder::new()
//!     .layer(ApiKeyNameLayer::new(names))
//!     .layer(DecompressionLayer::new()) // the API answers compressed; the layer reads plain bytes
//!     .service(hyper_util_client);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "watch"))]
//! # fn main() {}
//! ```
//!
//! A request for `/v1/organization/costs?group_by=api_key_name` reaches the API as
//! `group_by=api_key_id`, the dimension it knows; and of its answer
//!
//! ```json
//! {"amount":{"value":0.003627500000000000000000000000000000},"api_key_id":"key_Hq3vT9zLm2Xw7BcD"}
//! ```
//!
//! the caller reads
//!
//! ```json
//! {"amount":{"value":0.003627500000000000000000000000000000},"api_key_id":"key_Hq3vT9zLm2Xw7BcD","api_key_name":"checkout-production"}
//! ```
//!
//! with every other byte as it came: the member is spliced in, nothing is parsed and printed.
//!
//! # How it works
//!
//! ```text
//!  data:     names.json ─▶ watch ─▶ SharedKeyNames
//!                                      │ one snapshot a request
//!  request  ─▶ service ─▶ query ───────┼──▶ inner service ─▶ upstream      (or a refusal)
//!  response ◀─ body ◀─ amender (bytes) ◀┴── future ◀──────── upstream
//! ```
//!
//! - [`KeyNames`] is an immutable map, valid by construction. [`SharedKeyNames`] is a handle to the current map,
//!   which can be replaced at any time. Each request takes one [`Snapshot`] of it, without a lock, and keeps it to its
//!   last byte.
//! - A body is held until it ends or is longer than the [limit](ApiKeyNameLayer::limit). One that ended goes
//!   out amended, with an exact `Content-Length`; a longer one is amended as it streams, in bounded memory.
//! - A response that cannot be amended passes unchanged, and its [`Outcome`](outcome::Outcome) contains the reason.
//!
//! [`ApiKeyNameLayer`] has the settings; [`docs`] has the reasons.
//!
//! # Asking by name
//!
//! `api_key_names` joins the filters that the API knows: `api_key_names[]=checkout-production` reaches it as
//! `api_key_ids[]=…`, with the ids of all keys of that name. Every array form of the clients is understood and kept:
//! `api_key_names[]=a`, `api_key_names[0]=a`, `api_key_names=a&api_key_names=b` and `api_key_names=a,b`. Only the last,
//! one pair without brackets, is cut at its commas, and only if no key has the whole value as its name. Where
//! `api_key_ids` stand beside them, the ids are added to those, in their form.
//!
//! A question that cannot be put so is never put without its filter, which would make it a larger one. The layer
//! answers it, in OpenAI's error form, and does not call the service below: see [`Refusal`](outcome::Refusal).
//!
//! # Where to put it in a stack
//!
//! *Above* a decompressing layer: on a request in scope the client's `Accept-Encoding` is taken off, so that
//! the layer below asks for what it can decode. An absent `Accept-Encoding` does not mean "identity"
//! (RFC 9110 §12.5.3): without such a layer, set `Accept-Encoding: identity` below this one, or answers
//! that are compressed all the same pass unnamed, as [`Skip::ContentEncoding`](outcome::Skip::ContentEncoding). *Below* a compressing layer,
//! which then compresses names too. A timeout above this layer has to allow for the whole body, up to the
//! limit: until then the head waits.
//!
//! # What it does not do
//!
//! - The layer asks no network for names, and waits for no disk. (`Directory` does, beside it.)
//! - It touches no request and no answer outside of its [scope](ApiKeyNameLayer::scope).
//! - It does not rename, reorder, reformat or drop a member of an answer, and rounds no number.
//! - It changes headers only where they would be wrong. A request in scope loses `Accept-Encoding`; a `GET` or `HEAD`
//!   also `If-None-Match`, `If-Modified-Since`, `Range` and `If-Range`. An answer whose bytes change loses `ETag`,
//!   `Last-Modified`, `Accept-Ranges` and digests, among trailers too; its `Content-Length` is exact, or absent where
//!   it streams.
//! - It adds no error: `Error` is the inner service's, and so is the body's. A [`Refusal`](outcome::Refusal) is a response.
//!
//! # Features
//!
//! - `watch` (default): `SharedKeyNames::watch`, which follows a file, or several.
//! - `directory`: `Directory`, which learns the names from the lists of the API itself and keeps such a file.
//! - `tracing`: an event for each response in scope, and a warning for each id without a name.
//!
//! [Tower]: https://docs.rs/tower

#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(unreachable_pub)] // `_internal` re-exports `pub` types of private modules.
#![cfg_attr(feature = "_internal", allow(missing_docs, missing_debug_implementations, private_interfaces))]

#[cfg(feature = "directory")]
pub mod directory;
pub mod docs;
mod json;
pub mod names;
mod naming;
mod query;

pub use json::rules::Unmatched;
#[cfg(feature = "watch")]
pub use names::WatchError;
pub use names::{KeyNames, KeyNamesError, SharedKeyNames, Snapshot, Status};
pub use naming::body::ResponseBody;
pub use naming::future::ResponseFuture;
pub use naming::layer::ApiKeyNameLayer;
pub use naming::outcome;
pub use naming::service::ApiKeyName;

/// For this crate's own tests, benches and fuzz targets. No promise is made for its contents.
#[cfg(feature = "_internal")]
#[doc(hidden)]
pub mod _internal {
    #[cfg(feature = "directory")]
    pub use crate::directory::read_page;
    pub use crate::json::{amend, edit, lookout, rules, scan, splice, wide};
    pub use crate::naming::settings::{DEFAULT_LIMIT, MEMBERS};
    pub mod query {
        pub use crate::query::{names, rewrite};
    }
}
