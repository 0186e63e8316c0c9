//! The log of the feature `tracing`. It contains no credential, digest, query or body.

use bytes::Bytes;
use http::Response;
#[cfg(feature = "tracing")]
use http::StatusCode;
#[cfg(feature = "tracing")]
use tracing::{debug, warn};

#[cfg(feature = "tracing")]
use super::gate::PermittedHead;
use super::gate::Refusal;
#[cfg(feature = "tracing")]
use super::ledger::{AdmissionError, StoreError};
#[cfg(feature = "tracing")]
use super::token_usage::TokenUsage;
use crate::names::Provider;

/// Logs a refusal, and returns its response in the error form of a provider. `key_id` is `None` if the credential is not that
/// of a proxy key.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
pub(super) fn log_and_respond(refusal: &Refusal, form: Provider, key_id: Option<&str>) -> Response<Bytes> {
    #[cfg(feature = "tracing")]
    debug!(key = key_id, provider = form.as_str(), kind = ?refusal.kind, "refused");
    refusal.response(form)
}

/// Logs a call after its end.
#[cfg(feature = "tracing")]
pub(super) fn log_call(head: &PermittedHead, status: Option<StatusCode>, usage: Option<&TokenUsage>) {
    debug!(
        key = head.key.id,
        provider = head.endpoint.provider.as_str(),
        path = head.endpoint.path,
        status = status.map(|status| status.as_u16()),
        input_tokens = usage.and_then(|usage| usage.input_tokens),
        output_tokens = usage.and_then(|usage| usage.output_tokens),
        "call"
    );
}

/// Logs the cause of a refusal by the ledger. A ledger that cannot be written needs its operator.
#[cfg(feature = "tracing")]
pub(super) fn log_not_admitted(head: &PermittedHead, error: &AdmissionError) {
    let key = &head.key.id;
    match error {
        AdmissionError::Unavailable(_) => warn!(key, "{error}"),
        AdmissionError::Exhausted { .. } | AdmissionError::Busy { .. } => debug!(key, "{error}"),
    }
}

/// Logs the cause of a usage response that fails. `key_id` is `None` for an operator. A ledger that cannot be read needs the
/// attention of a person.
#[cfg(feature = "tracing")]
pub(super) fn log_unread_usage(key_id: Option<&str>, error: &StoreError) {
    warn!(key = key_id, "the usage cannot be read: {error}");
}
