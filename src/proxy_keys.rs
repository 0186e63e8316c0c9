//! Proxy keys: one real key of OpenAI or Anthropic serves many callers, each with a key of its own.
//!
//! [`ProxyKeyLayer`] accepts a request with a proxy key, checks it, and sends it on with the real key. It meters the
//! response. A [`Ledger`] admits each call within the limits of its key, and stores its charge. [`ProxyKeys`] contains the
//! permitted keys, which [`mint`] creates, and [`Upstreams`] the real keys.
//!
//! [`UsageLayer`] serves the usage in a ledger to the holders of the keys, in the form of OpenAI's usage API.
//!
//! [`UsageMeter`] is usable alone: it receives the chunks of a response body and returns its [`TokenUsage`], without a layer
//! and a runtime. The example `meter` in the repository meters a response of each kind.
//!
//! ```text
//! request   client ─▶ service ─▶ gate ─▶ upload ─▶ send ─▶ gate ─▶ ledger ─▶ inner service ─▶ upstream
//!                        └─▶ log ─▶ client  │     (check the body) (admit)
//!                                           └─▶ budget, key_share
//! response  client ◀─ body ◀─ future ◀─ response (headers) ◀─ inner service
//!                      ├─▶ meter ─▶ wire/events ─▶ wire/usage ─▶ json/scan
//!                      │     └─▶ sent_usage ─▶ token_usage
//!                      ├─▶ wire/usage_event
//!                      └─▶ call ─▶ admitted_call ─▶ ledger (settle)
//! usage     client ◀─ usage_api ◀─ visibility, ledger (UsageSource)
//! ```
//!
//! `gate` checks the head of a request, and `upload` reads its body within the budget and the share of its key. `send` checks
//! the body and creates the request to the `upstream`. `log` logs a refusal and creates its response. `estimate` is the amount
//! that an admission reserves, and `quota_refusal` describes the limit that prevents one.
//!
//! `response` decides if a response is streamed, `buffered` or replaced, and `call` reports its usage. `admitted_call`
//! calculates the charge at each end of a call. `body` holds the end of a response until the settlement is durable, and
//! drains a body whose client has disconnected.
//!
//! `visibility` decides which usage rows and names the caller of a request may see: those of its key, of its group, or all with
//! an [`OperatorToken`]. [`ProxyKeys::names`] is the handle that gives a layer these names.
//!
//! `wire/events` splits a stream of server-sent events into the data of its events. `wire/usage` finds the usage, and the texts
//! of errors, in the JSON of a body or event. `sent_usage` combines the usage objects of a body and converts them to one form.
//! `wire/usage_event` removes the event with nothing but usage.

mod admitted_call;
mod body;
mod buffered;
mod call;
mod estimate;
mod future;
mod gate;
mod key_share;
mod keys;
mod layer;
mod ledger;
mod log;
mod meter;
mod metered_call;
mod mint;
mod operator_token;
mod picodollars;
mod quota_refusal;
mod random_digits;
mod response;
mod send;
mod sent_usage;
mod service;
mod settings;
mod shared_secret;
#[cfg(test)]
mod tests;
mod token_usage;
mod upload;
mod upstream;
mod usage_api;
mod visibility;
mod wire;

pub use self::body::ProxyKeyBody;
pub use self::future::ProxyKeyFuture;
pub use self::keys::{ProxyKeys, ProxyKeysError, ProxyKeysErrorKind};
pub use self::layer::ProxyKeyLayer;
pub use self::ledger::{Ledger, LedgerStatus, UsageSource};
#[cfg(feature = "sqlite")]
pub use self::ledger::{
    LedgerError, LedgerOptions, LedgerReader, LedgerUsage, OwnerUsage, UsageAmounts, WindowUsage,
};
pub use self::meter::{BodyForm, UsageMeter};
pub use self::metered_call::MeteredCall;
pub use self::mint::{MintedKey, mint};
pub use self::operator_token::OperatorToken;
pub use self::picodollars::Picodollars;
pub use self::service::ProxyKeyService;
pub use self::token_usage::TokenUsage;
pub use self::upstream::{Upstream, UpstreamError, UpstreamKey, Upstreams};
pub use self::usage_api::{UsageBody, UsageFuture, UsageLayer, UsageService};
pub use crate::api_key::ApiKeyError;
pub use crate::base_url::{BaseUrl, BaseUrlError};

#[cfg(feature = "_internal")]
pub use self::gate::{PermittedRequest, check_request};

/// For the property test and the fuzz target `events`: returns the counts of a body by the names of their fields, and its model. `None` in place of
/// the counts means that there is no usage. The duration is in nanoseconds.
#[cfg(feature = "_internal")]
pub fn meter_body(
    provider: crate::names::Provider,
    form: BodyForm,
    chunks: &[&[u8]],
) -> (Option<std::collections::BTreeMap<&'static str, u64>>, Option<String>) {
    let mut meter = UsageMeter::new(provider, form);
    for chunk in chunks {
        meter.feed(chunk);
    }
    (meter.usage().map(|usage| usage.by_field()), meter.model().map(str::to_owned))
}
