//! Error responses of the proxy itself, in the form of the API whose path was requested, so that its SDKs parse them.
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

/// The error format of an API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorForm {
    OpenAi,
    Anthropic,
}

impl ErrorForm {
    /// Returns the form of the API that a path belongs to; OpenAI's for a path of neither.
    pub fn for_path(path: &str) -> Self {
        if path.starts_with("/v1/organizations/") { Self::Anthropic } else { Self::OpenAi }
    }

    /// The header with which the upstream's support finds a call.
    pub(super) fn request_id_header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::OpenAi => "x-request-id",
            Self::Anthropic => "request-id",
        })
    }

    fn body(self, status: StatusCode, code: &str, message: &str, request_id: Option<&HeaderValue>) -> String {
        let message = serde_json::Value::from(message);
        match self {
            // The SDK's model requires all four members.
            Self::OpenAi => format!(
                r#"{{"error":{{"message":{message},"type":"proxy_error","param":null,"code":"{code}"}}}}"#
            ),
            Self::Anthropic => {
                let request_id = serde_json::Value::from(request_id.and_then(|id| id.to_str().ok()));
                let kind = anthropic_error_type(status);
                format!(
                    r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}},"request_id":{request_id}}}"#
                )
            }
        }
    }

    pub(super) fn response(
        self,
        status: StatusCode,
        code: &str,
        message: &str,
        request_id: Option<HeaderValue>,
    ) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.body(status, code, message, request_id.as_ref())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::LOOP_DETECTED {
            // The SDKs retry every 5xx without this header. A retry of a loop would double it.
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        if let Some(id) = request_id {
            headers.insert(self.request_id_header(), id);
        }
        response
    }
}

/// Returns the error type of Anthropic's API that is closest to a status.
fn anthropic_error_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "api_error",
    }
}

/// Returns an error response of the proxy itself.
pub fn proxy_error(
    form: ErrorForm,
    status: StatusCode,
    code: &'static str,
    message: &str,
) -> Response<Full<Bytes>> {
    form.response(status, code, message, None)
}

/// Returns the response to a call that exceeds the limit on calls in flight.
pub fn overloaded(form: ErrorForm) -> Response<Full<Bytes>> {
    let message = "Too many calls are in flight (--max-in-flight); retry in one second.";
    let mut response = proxy_error(form, StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
    // The SDKs retry after this number of seconds.
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
