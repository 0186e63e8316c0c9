//! The responses of the gate itself, in the error form of the provider.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::names::Provider;

/// The header with which the official SDKs of both providers decide if they repeat a request.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The kind of a refusal, which decides its status and codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// There is no credential, or it is not a valid proxy key.
    InvalidCredential,
    /// The path is in no row of the endpoint table.
    UnknownEndpoint,
    /// The endpoint has another method.
    MethodNotAllowed,
    /// The request contains something that is not accepted.
    InvalidRequest,
    /// A parameter of the query is missing or has a value that is not accepted.
    InvalidValue,
    /// The key may not call the model.
    ModelNotPermitted,
    /// The body has a content coding, or its media type is not JSON.
    UnsupportedMediaType,
    /// The body is longer than the limit.
    BodyTooLarge,
    /// The body did not arrive in time.
    UploadTimeout,
    /// The bodies in flight take all memory that is set aside for them.
    Overloaded,
    /// The key or its group has used up a limit.
    QuotaExhausted,
    /// The calls in flight may use up a limit of the key or its group.
    QuotaBusy,
    /// The caller has the permitted number of usage responses in flight.
    UsageBusy,
    /// The ledger cannot record the call, or cannot be read.
    LedgerUnavailable,
    /// The upstream refused the real key, or sent a response that must not pass.
    UpstreamFailed,
    /// The upstream refused the call of the real key.
    UpstreamForbidden,
    /// The account of the real key cannot pay for the call.
    UpstreamUnpaid,
    /// The upstream limits the rate of the real key.
    UpstreamBusy,
}

impl RefusalKind {
    /// Returns the status and the codes of the kind.
    fn codes(self) -> ErrorCodes {
        const REQUEST: &str = "invalid_request_error";
        const SERVER: &str = "server_error";
        const RATE: &str = "rate_limit_error";
        let (status, openai_type, openai_code, anthropic_type) = match self {
            Self::InvalidCredential => (401, REQUEST, "invalid_api_key", "authentication_error"),
            Self::UnknownEndpoint => (404, REQUEST, "unknown_url", "not_found_error"),
            Self::MethodNotAllowed => (405, REQUEST, "method_not_supported", REQUEST),
            Self::InvalidRequest => (400, REQUEST, "invalid_request", REQUEST),
            Self::InvalidValue => (400, REQUEST, "invalid_value", REQUEST),
            Self::ModelNotPermitted => (404, REQUEST, "model_not_found", "not_found_error"),
            Self::UnsupportedMediaType => (415, REQUEST, "unsupported_media_type", REQUEST),
            Self::BodyTooLarge => (413, REQUEST, "request_too_large", "request_too_large"),
            Self::UploadTimeout => (408, REQUEST, "upload_timeout", REQUEST),
            Self::Overloaded => (503, SERVER, "overloaded", "overloaded_error"),
            Self::QuotaExhausted => (429, "insufficient_quota", "insufficient_quota", RATE),
            Self::QuotaBusy => (429, "requests", "rate_limit_exceeded", RATE),
            Self::UsageBusy => (429, "requests", "rate_limit_exceeded", RATE),
            Self::LedgerUnavailable => (503, SERVER, "ledger_unavailable", "api_error"),
            Self::UpstreamFailed => (502, SERVER, "upstream_failed", "api_error"),
            Self::UpstreamForbidden => (403, REQUEST, "upstream_forbidden", "permission_error"),
            Self::UpstreamUnpaid => (402, REQUEST, "upstream_unpaid", "billing_error"),
            Self::UpstreamBusy => (429, "requests", "rate_limit_exceeded", RATE),
        };
        let status = StatusCode::from_u16(status).expect("the statuses are valid");
        ErrorCodes { status, openai_type, openai_code, anthropic_type }
    }
}

/// The status of a refusal, and its type and code in the form of each provider.
struct ErrorCodes {
    status: StatusCode,
    openai_type: &'static str,
    openai_code: &'static str,
    anthropic_type: &'static str,
}

/// A refused request, with a message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    /// One or two sentences: the reason, and the remedy. They contain no credential.
    message: Cow<'static, str>,
    /// The member or parameter with the defect.
    parameter: Option<String>,
    /// The member `details` of the error in Anthropic's form.
    anthropic_details: Option<&'static Value>,
    /// The seconds after which a repeated request may succeed.
    retry_after: Option<u64>,
    /// True if the SDKs must not repeat the request by themselves, although `retry_after` may be known.
    forbids_retry: bool,
    /// The methods of the endpoint, if the request has another one (RFC 9110 §15.5.6).
    allow: Option<HeaderValue>,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            parameter: None,
            anthropic_details: None,
            retry_after: None,
            forbids_retry: false,
            allow: None,
        }
    }

    /// Names the member or parameter with the defect.
    pub(crate) fn about(self, parameter: impl Into<String>) -> Self {
        Self { parameter: Some(parameter.into()), ..self }
    }

    /// Adds details for Anthropic's SDKs.
    pub(crate) fn details(self, details: Option<&'static Value>) -> Self {
        Self { anthropic_details: details, ..self }
    }

    /// Requests a repetition after this time.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Forbids the SDKs to repeat the request, also after the stated time.
    pub(crate) fn forbid_retry(self) -> Self {
        Self { forbids_retry: true, ..self }
    }

    /// Lists the methods of the endpoint.
    pub(crate) fn allow(self, methods: &'static str) -> Self {
        Self { allow: Some(HeaderValue::from_static(methods)), ..self }
    }

    /// The message for the client.
    #[cfg(any(test, feature = "_internal"))]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Creates the response in the error form of this provider.
    pub(crate) fn response(&self, form: Provider) -> Response<Bytes> {
        let ErrorCodes { status, openai_type, openai_code: code_of_kind, anthropic_type } = self.kind.codes();
        let is_about_parameter = self.kind == RefusalKind::InvalidRequest && self.parameter.is_some();
        let openai_code = if is_about_parameter { "unsupported_parameter" } else { code_of_kind };
        let message = Value::from(&*self.message);
        let parameter = Value::from(self.parameter.as_deref());
        // The models of OpenAI's clients require all four members.
        let body = match form {
            Provider::OpenAi => format!(
                r#"{{"error":{{"message":{message},"type":"{openai_type}","param":{parameter},"code":"{openai_code}"}}}}"#
            ),
            Provider::Anthropic => {
                let details = self.anthropic_details.map(|details| format!(r#","details":{details}"#));
                let details = details.unwrap_or_default();
                format!(
                    r#"{{"type":"error","error":{{"type":"{anthropic_type}","message":{message}{details}}}}}"#
                )
            }
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let length = HeaderValue::from(response.body().len());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1: a 401 contains a challenge.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(methods) = &self.allow {
            headers.insert(ALLOW, methods.clone());
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.forbids_retry || self.retry_after.is_none() {
            // The SDKs repeat a 408, a 429 and every 5xx, unless this header forbids it.
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn refusal_of_openai_has_all_four_members() {
        let refusal = Refusal::new(RefusalKind::InvalidRequest, "No \"store\".").about("store");
        let response = refusal.response(Provider::OpenAi);
        assert_eq!(response.status(), 400);
        let expected = serde_json::json!({"error": {
            "message": "No \"store\".", "type": "invalid_request_error",
            "param": "store", "code": "unsupported_parameter",
        }});
        assert_eq!(parse(&response), expected);
        assert_eq!(response.headers()[CONTENT_LENGTH], response.body().len().to_string());
    }

    #[test]
    fn refusal_that_concerns_no_parameter_has_a_general_code() {
        let response = Refusal::new(RefusalKind::InvalidRequest, "No.").response(Provider::OpenAi);
        let error = &parse(&response)["error"];
        assert_eq!((&error["param"], &error["code"]), (&Value::Null, &Value::from("invalid_request")));
    }

    #[test]
    fn refusal_of_anthropic_has_its_type() {
        let refusal = Refusal::new(RefusalKind::BodyTooLarge, "Too long.");
        let response = refusal.response(Provider::Anthropic);
        assert_eq!(response.status(), 413);
        let expected = serde_json::json!({
            "type": "error", "error": {"type": "request_too_large", "message": "Too long."},
        });
        assert_eq!(parse(&response), expected);
    }

    #[test]
    fn refused_credential_has_a_challenge() {
        let response = Refusal::new(RefusalKind::InvalidCredential, "No key.").response(Provider::OpenAi);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn refusal_is_repeated_only_after_a_stated_time() {
        let permanent = Refusal::new(RefusalKind::UpstreamFailed, "Down.").response(Provider::OpenAi);
        assert_eq!(permanent.headers()[X_SHOULD_RETRY], "false");
        assert!(!permanent.headers().contains_key(RETRY_AFTER));
        let refusal = Refusal::new(RefusalKind::Overloaded, "Busy.").retry_after(1);
        let temporary = refusal.response(Provider::OpenAi);
        assert_eq!(temporary.headers()[RETRY_AFTER], "1");
        assert!(!temporary.headers().contains_key(X_SHOULD_RETRY));
    }
}
