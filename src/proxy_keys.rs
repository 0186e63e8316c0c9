//! The token usage of calls to OpenAI and Anthropic, read from the responses while they stream.
//!
//! A [`UsageMeter`] receives the chunks of a response body and returns its [`TokenUsage`]. It needs no layer and no runtime.
//! The example `meter` in the repository meters a response of each kind.
//!
//! ```text
//! chunk ─▶ meter ─▶ wire/events ─▶ wire/usage ─▶ json/scan
//!            └─▶ sent_usage ─▶ token_usage
//! ```
//!
//! `wire/events` splits a stream of server-sent events into the data of its events, and `wire/usage` finds the usage in the
//! JSON of a body or event. `sent_usage` combines the usage objects of a body and converts them to one form.

mod gate;
mod keys;
mod ledger;
mod meter;
mod mint;
mod sent_usage;
mod token_usage;
mod upstream;
mod wire;

pub use self::keys::{ProxyKeys, ProxyKeysError, ProxyKeysErrorKind};
pub use self::ledger::Ledger;
#[cfg(feature = "sqlite")]
pub use self::ledger::{
    LedgerError, LedgerOptions, LedgerReader, LedgerUsage, OwnerUsage, Picodollars, UsageAmounts, WindowUsage,
};
pub use self::meter::{BodyForm, UsageMeter};
pub use self::mint::{MintedKey, mint};
pub use self::token_usage::TokenUsage;
pub use self::upstream::{Upstream, UpstreamError, UpstreamKey, Upstreams};
pub use crate::api_key::ApiKeyError;
pub use crate::base_url::{BaseUrl, BaseUrlError};

#[cfg(feature = "_internal")]
pub use self::gate::{PermittedRequest, check_request};

/// For the law of the meter: returns the counts of a body by the names of their fields, and its model. `None` in place of
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
