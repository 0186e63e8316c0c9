//! A [Tower] layer that inserts `api_key_name` beside every `api_key_id` in the usage and cost responses of the
//! organization APIs of OpenAI and Anthropic.
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
//!     .layer(DecompressionLayer::new()) // the API compresses; the layer reads plain bytes
//!     .service(hyper_util_client);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "watch"))]
//! # fn main() {}
//! ```
//!
//! Where the upstream sends `"api_key_id":"key_Hq3vT9zLm2Xw7BcD"`, the client receives
//!
//! ```json
//! {"amount":{"value":0.003627500000000000000000000000000000},"api_key_id":"key_Hq3vT9zLm2Xw7BcD","api_key_name":"checkout-production"}
//! ```
//!
//! Every other byte is unchanged: the member is inserted into the original bytes, which are not printed again.
//!
//! # How it works
//!
//! ```text
//!  request   client ─▶ ApiKeyName (service) ─▶ query rewriting ─▶ inner service ─▶ upstream
//!  response  client ◀─ ResponseBody ◀─ amender (bytes only) ◀─ ResponseFuture ◀─ inner service
//!  names     file(s), directory ─▶ SharedKeyNames ─▶ one Snapshot per request
//! ```
//!
//! - [`KeyNames`] is an immutable map. [`SharedKeyNames`] is a handle to the current map, which can be replaced at any
//!   time. Each request uses one [`Snapshot`] of it, taken without a lock, from its query to its last byte.
//! - A body is buffered until it ends or is longer than the [limit](ApiKeyNameLayer::limit). A buffered body gets an
//!   exact `Content-Length`. A longer body is amended while it is streamed, in bounded memory.
//! - A response that cannot be amended passes unchanged. Its [`ResponseState`](outcome::ResponseState) contains the
//!   reason, and [`on_outcome`](ApiKeyNameLayer::on_outcome) reports the final result of each response.
//!
//! [`ApiKeyNameLayer`] documents the settings, and [`docs`] explains the design.
//!
//! # Queries by name
//!
//! `group_by=api_key_name` is sent to the API as `group_by=api_key_id`. The filter `api_key_names[]=checkout` is sent as
//! `api_key_ids[]=…`, with the ids of all keys of that name. The list forms of the official clients are supported:
//! `a[]=1`, `a[0]=1`, `a=1&a=2` and `a=1,2`. A single value without brackets is split at its commas, unless the whole
//! value is a name. If the query contains `api_key_ids` too, the ids are added to that list. An empty `api_key_ids[]=`,
//! which selects usage without a key at Anthropic, stays in it.
//!
//! The members of each [label](ApiKeyNameLayer::labels) are translated in the same way: `project_name` to `project_id`,
//! and `project_names` to `project_ids`. A name is replaced only by ids of its label, and only by ids that the provider of
//! the path may own: `key_…` is the id of a key of OpenAI (`/organization/`), `apikey_…` of Anthropic
//! (`/organizations/`), and other ids may belong to both. With
//! [`NamePosition::Replace`](settings::NamePosition::Replace), a name is also accepted in place of an id:
//! `api_key_ids[]=checkout`.
//!
//! The response to a request with names has the header [`api-key-name-sent`](outcome::API_KEY_NAME_SENT), which contains the text
//! that was sent in their place. An error of the API about `api_key_id` can thus be understood.
//!
//! A filter that cannot be translated is rejected, because dropping it would widen the query. The layer sends an error
//! response and does not call the inner service: see [`Refusal`](outcome::Refusal).
//!
//! # Position in a stack
//!
//! - *Above* a decompressing layer. The layer removes the client's `Accept-Encoding` from a request in scope, so that
//!   the layer below can request a coding that it decodes. An absent `Accept-Encoding` does not mean "identity" (RFC
//!   9110 §12.5.3). Without a decompressing layer, set `Accept-Encoding: identity` below this one; a compressed response
//!   passes unchanged, as [`Skip::ContentEncoding`](outcome::Skip::ContentEncoding).
//! - *Below* a compressing layer, which then compresses the names too.
//! - A timeout *above* this layer has to include the time for the body up to the limit, because the response headers
//!   wait for it.
//!
//! # Non-goals
//!
//! - [`ApiKeyNameLayer`] uses no network and no disk in the request path. The module `directory` requests names outside of it,
//!   and the ledger of `proxy_keys` writes a file.
//! - Requests and responses outside its [scope](ApiKeyNameLayer::scope) are unchanged.
//! - Headers are changed only if they would be wrong. A request in scope loses `Accept-Encoding`; a `GET` or `HEAD` also
//!   loses `If-None-Match`, `If-Modified-Since`, `Range` and `If-Range`. A changed response loses `ETag`,
//!   `Last-Modified`, `Accept-Ranges` and digests, also in trailers.
//! - The layer adds no error type: the errors of the service and of the body are those of the inner service.
//! - Responses are not cached.
//!
//! # Features
//!
//! - `watch` (default): `SharedKeyNames::watch`, which reloads one or several files.
//! - `directory`: the module `directory`, which lists the keys of an organization and learns their names.
//! - `proxy-keys`: the module `proxy_keys`, with two further layers: one replaces proxy keys by a real key and meters the
//!   calls, the other serves their usage. Reading a request body requires a Tokio runtime with its clock.
//! - `sqlite`: stores the ledger of proxy keys in a SQLite file. Cargo compiles SQLite with the crate.
//! - `tracing`: an event for each response in scope, and a warning for each id without a name.
//!
//! [Tower]: https://docs.rs/tower

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(feature = "_internal"), allow(unreachable_pub))]
#![cfg_attr(feature = "_internal", allow(missing_docs, missing_debug_implementations, private_interfaces))]

#[cfg(any(feature = "directory", feature = "proxy-keys"))]
mod api_key;
#[cfg(any(feature = "directory", feature = "proxy-keys"))]
mod base_url;
mod budget;
#[cfg(feature = "directory")]
pub mod directory;
pub mod docs;
mod json;
mod json_text;
pub mod names;
mod naming;
#[cfg(feature = "proxy-keys")]
pub mod proxy_keys;
mod query;
mod secret;
pub mod settings;
#[cfg(feature = "watch")]
mod watch;

pub use names::{KeyNames, KeyNamesError, SharedKeyNames, Snapshot, Status};
pub use naming::body::ResponseBody;
pub use naming::future::ResponseFuture;
pub use naming::layer::ApiKeyNameLayer;
pub use naming::outcome;
pub use naming::service::ApiKeyName;
#[cfg(feature = "watch")]
pub use watch::{WatchError, WatchErrorKind};

/// Internals for the tests, benches and fuzz targets of this crate. They are not part of the public API.
#[cfg(feature = "_internal")]
#[doc(hidden)]
pub mod _internal {
    #[cfg(feature = "directory")]
    pub use crate::directory::read_page;
    pub use crate::json::amend::{Amender, LabelTemplates};
    pub use crate::json::{prefilter, rules, scan};
    pub use crate::naming::settings::DEFAULT_LIMIT;
    #[cfg(feature = "proxy-keys")]
    pub use crate::proxy_keys::{PermittedRequest, check_request, meter_body};
    pub mod query {
        pub use crate::query::{FilterError, FilterErrorKind, QueryNames, RewrittenQuery, rewrite};
    }

    /// Amends one body and passes the output to `write`. An invalid body is unchanged, unless it `streams`.
    pub fn amend(
        rules: &rules::Rules,
        snapshot: &crate::Snapshot,
        templates: &std::sync::Arc<LabelTemplates>,
        frames: impl IntoIterator<Item = bytes::Bytes>,
        streams: bool,
        mut write: impl FnMut(bytes::Bytes),
    ) -> (crate::outcome::Counts, Option<scan::ScanError>) {
        let mut amender = Amender::new(rules.clone(), snapshot.clone(), templates.clone());
        amender.disable_prefilter();
        for frame in frames {
            amender.push(frame);
            while (streams || amender.has_batch()) && amender.scan_batch() {
                std::iter::from_fn(|| if streams { amender.next_chunk() } else { None }).for_each(&mut write);
            }
            let buffered = amender.held() - amender.edit_charge();
            debug_assert!(!streams || amender.error().is_some() || buffered <= rules.window);
        }
        while amender.scan_batch() {}
        amender.finish();
        if amender.error().is_some() && !streams {
            amender.discard_edits();
        }
        let result = (amender.counts(), amender.error());
        std::iter::from_fn(|| amender.next_chunk()).for_each(write);
        debug_assert_eq!(amender.output_len(), 0, "the growth is that of the written edits");
        result
    }
}
