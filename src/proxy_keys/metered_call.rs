//! The report of a call.

use http::StatusCode;

use super::token_usage::TokenUsage;
use crate::names::Provider;

/// A call to a metered endpoint, after its settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeteredCall {
    /// The id of the proxy key.
    pub key_id: String,
    /// The group of the proxy key, if it belongs to one.
    pub group_id: Option<String>,
    /// The provider of the endpoint.
    pub provider: Provider,
    /// The status of the upstream. The client may receive another status: that of a replaced response. `None` if the upstream
    /// sent no response, or if the call was dropped before.
    pub status: Option<StatusCode>,
    /// The model in the response, which may be more exact than that of the request. `None` if there is none.
    pub model: Option<String>,
    /// The usage that the provider reports in the response so far, and the images of the call. `None` if there is none, as in
    /// an error.
    pub usage: Option<TokenUsage>,
    /// The charged tokens: input and output, or an estimate of them.
    pub tokens: u64,
    /// The charged money, in picodollars (10⁻¹² $). It is 0 if the keys file has no price for the model.
    pub picodollars: u64,
    /// True if the charge is an estimate, because the response has no usage of the whole call.
    pub is_estimated: bool,
}
