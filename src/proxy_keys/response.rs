//! The decision about a response of the upstream, by its status and headers.

mod account_text;
mod headers;
mod model_list;
mod own_error;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode, response};

pub(super) use self::account_text::may_describe_account;
pub(super) use self::headers::{BodyLength, permitted_headers};
pub(super) use self::model_list::filter_models;
pub(super) use self::own_error::own_error;
use super::gate::{Refusal, RefusalKind};
use super::meter::BodyForm;

/// The longest error body that passes. The providers send less than 1 KiB.
pub(super) const MAX_ERROR: usize = 64 * 1024;

/// The longest list of models that is filtered. OpenAI sends about 10 KiB.
pub(super) const MAX_MODEL_LIST: usize = 4 * 1024 * 1024;

/// The treatment of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ResponsePlan {
    /// The response is replaced.
    Replace(Refusal),
    /// The body passes while it is metered.
    Stream(BodyForm),
    /// The body is read whole.
    Buffer(BufferedKind),
}

/// The kind of a response that is read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BufferedKind {
    /// A list of models, which is filtered.
    ModelList,
    /// An error, which passes if it contains no part of the real key and no text about its account.
    Error,
}

/// Decides the treatment of a response from its status and headers.
pub(super) fn plan_response(parts: &response::Parts, is_model_list: bool) -> ResponsePlan {
    let status = parts.status;
    if let Some(refusal) = replace_status(status, &parts.headers) {
        return ResponsePlan::Replace(refusal);
    }
    if !status.is_success() {
        return ResponsePlan::Buffer(BufferedKind::Error);
    }
    if is_encoded(&parts.headers) {
        // The encoded bytes can be neither metered nor checked.
        return replace("The provider sent a compressed response, which this service cannot read.");
    }
    match body_form(&parts.headers) {
        Some(BodyForm::Json) if is_model_list => ResponsePlan::Buffer(BufferedKind::ModelList),
        Some(form) if !is_model_list => ResponsePlan::Stream(form),
        _ => replace("The provider sent a response of an unexpected media type."),
    }
}

/// Replaces a response by a 502 with this message.
fn replace(message: &'static str) -> ResponsePlan {
    ResponsePlan::Replace(Refusal::new(RefusalKind::UpstreamFailed, message))
}

/// Returns the refusal that replaces a response with this status, or `None` if the status passes.
///
/// A 401, 402, 403 and 429 concern the real key. Their bodies contain its end, or the id and limits of its organization.
fn replace_status(status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
    let refusal = match status.as_u16() {
        200..=299 => return None,
        300..=399 => Refusal::new(
            RefusalKind::UpstreamFailed,
            "The provider sent a redirect, which this service does not follow.",
        ),
        401 => Refusal::new(RefusalKind::UpstreamFailed, "The provider rejected the key of this service."),
        402 => Refusal::new(
            RefusalKind::UpstreamUnpaid,
            "The provider does not permit this call because of the account of this service.",
        ),
        403 => Refusal::new(
            RefusalKind::UpstreamForbidden,
            "The provider does not permit this call to the key of this service.",
        ),
        429 => {
            let message = "The provider limits the rate of this service. Repeat the request later.";
            Refusal::new(RefusalKind::UpstreamBusy, message).retry_after(retry_after(headers))
        }
        400..=599 => return None,
        _ => {
            Refusal::new(RefusalKind::UpstreamFailed, "The provider sent a response of an unexpected status.")
        }
    };
    Some(refusal)
}

/// Returns the seconds of the upstream's `Retry-After`, but at least 1 and at most 3,600. Returns 1 if it is absent, or no number
/// of seconds.
fn retry_after(headers: &HeaderMap) -> u64 {
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 1;
    }
    // A number that is too large for the type is larger than the limit.
    digits.parse().unwrap_or(u64::MAX).clamp(1, 3600)
}

/// True if the body has a content coding. A header that is not text counts as a coding.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let is_identity = |line: &str| {
        line.split(',').map(str::trim).all(|name| name.is_empty() || name.eq_ignore_ascii_case("identity"))
    };
    !headers.get_all(CONTENT_ENCODING).iter().all(|line| line.to_str().is_ok_and(is_identity))
}

/// Returns the form of a body, or `None` if its media type is absent, ambiguous, or neither JSON nor SSE.
fn body_form(headers: &HeaderMap) -> Option<BodyForm> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    BodyForm::of_content_type(value.to_str().ok()?)
}

#[cfg(test)]
mod tests;
