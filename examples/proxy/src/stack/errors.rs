//! Error responses of the proxy itself, in the form of the API whose path was requested, so that its SDKs parse them.
use std::convert::Infallible;
use std::error::Error;
use std::iter::successors;
use std::pin::pin;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Either, Full};
use serde_json::Value;
use tower::{BoxError, service_fn};
use tower_api_key_name::outcome::{API_KEY_NAME_SENT, Outcome, ResponseState, Skip};

use crate::http_service::HttpService;
use crate::upstream::failure::Failure;

/// The error format of an API.
#[derive(Clone, Copy)]
pub enum ErrorFormat {
    OpenAi,
    Anthropic,
}

impl ErrorFormat {
    /// Returns the form of the API that a path belongs to; OpenAI's for a path of neither.
    pub fn for_path(path: &str) -> Self {
        if path.starts_with("/v1/organizations/") { Self::Anthropic } else { Self::OpenAi }
    }

    /// Returns the form of the API that a request is for. A path of both APIs has the form of the client's headers.
    pub fn for_request<A>(request: &Request<A>) -> Self {
        let path = request.uri().path();
        let is_path_of_both = path == "/v1/models";
        if path.starts_with("/v1/messages")
            || (is_path_of_both && request.headers().contains_key("anthropic-version"))
        {
            return Self::Anthropic;
        }
        Self::for_path(path)
    }

    /// The header with which the upstream's support finds a call.
    fn request_id_header(self) -> &'static str {
        match self {
            Self::OpenAi => "x-request-id",
            Self::Anthropic => "request-id",
        }
    }

    /// Returns an error response for a call that did not reach the upstream.
    pub fn response(self, status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
        self.response_with_id(status, code, message, None)
    }

    /// Returns a 405, which lists the allowed methods (RFC 9110 §15.5.6).
    pub fn method_not_allowed(self, allowed: &'static str) -> Response<Full<Bytes>> {
        let message = "This path does not allow the method.";
        let mut response = self.response(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        response
    }

    /// Returns an error response with the upstream's request id, if there is one.
    fn response_with_id(
        self,
        status: StatusCode,
        code: &str,
        message: &str,
        request_id: Option<HeaderValue>,
    ) -> Response<Full<Bytes>> {
        let id_text = request_id.as_ref().and_then(|id| id.to_str().ok());
        let body = self.error_body(status, code, message, id_text);
        let mut response = Response::new(Full::from(body));
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

    /// Returns the JSON of an error. Only Anthropic's form has a member for the request id, and none for the code.
    fn error_body(self, status: StatusCode, code: &str, message: &str, request_id: Option<&str>) -> String {
        let json_message = Value::from(message);
        if matches!(self, Self::OpenAi) {
            // The SDK's model requires all four members.
            return format!(
                r#"{{"error":{{"message":{json_message},"type":"proxy_error","param":null,"code":"{code}"}}}}"#
            );
        }
        let kind = anthropic_error_type(status);
        let id_member = match request_id {
            Some(id) => format!(r#","request_id":{}"#, Value::from(id)),
            None => String::new(),
        };
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{json_message}}}{id_member}}}"#)
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

/// Returns a service that replaces a failure, or a response whose body failed while it was buffered, by an error response.
pub fn with_error_responses<A, B>(
    mut inner: impl HttpService<A, B, Failure>,
) -> impl HttpService<A, Either<Full<Bytes>, B>, Infallible>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    service_fn(move |request: Request<A>| {
        let form = ErrorFormat::for_request(&request);
        let future = inner.call(request);
        // In a box, because the layers above move the future.
        Box::pin(async move {
            let (failure, mut headers) = match future.await {
                Ok(response) if !failed_while_buffered(&response) => return Ok(response.map(Either::Right)),
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    // In a box, so that the future of a successful call stays small.
                    (Box::pin(read_body_failure(body)).await, parts.headers)
                }
                Err(failure) => (failure, HeaderMap::new()),
            };
            let causes = join_causes(&failure);
            tracing::warn!("{causes}");
            let (status, code) = status_and_code(&failure);
            let message = format!("{failure}.");
            let request_id = headers.remove(form.request_id_header());
            let mut response = form.response_with_id(status, code, &message, request_id);
            if let Some(name_sent) = headers.remove(&API_KEY_NAME_SENT) {
                response.headers_mut().insert(&API_KEY_NAME_SENT, name_sent);
            }
            let is_unreachable = matches!(failure, Failure::Unreachable(_));
            response.extensions_mut().insert(FailureCauses { text: causes, is_unreachable });
            Ok(response.map(Either::Left))
        })
    })
}

/// The failure behind an error response, as an extension for the proxy's own requests.
#[derive(Clone, Debug)]
pub struct FailureCauses {
    /// The failure with its causes, in one line.
    pub text: String,
    /// True if no connection could be opened.
    pub is_unreachable: bool,
}

/// Returns a failure with its causes, which come from hyper, rustls and the system. They contain no header and no body.
fn join_causes(failure: &Failure) -> String {
    let errors = successors(Some(failure as &(dyn Error + 'static)), |error| (*error).source());
    let texts: Vec<String> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}

/// True if the naming layer could not buffer the body, because it failed.
fn failed_while_buffered<B>(response: &Response<B>) -> bool {
    let outcome = response.extensions().get().and_then(ResponseState::outcome);
    matches!(outcome, Some(Outcome::Skipped { skip: Skip::BodyFailed, .. }))
}

/// Reads a body up to its error and returns the failure in the error, or `InvalidResponse` if there is no error.
async fn read_body_failure<B: Body<Error = BoxError>>(body: B) -> Failure {
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let Err(error) = frame else { continue };
        // The failure of a timeout may be a cause, because the decoder wraps the errors of its body.
        let mut causes = successors(Some(&*error as &(dyn Error + 'static)), |cause| (*cause).source());
        return match causes.find_map(|cause| cause.downcast_ref()) {
            Some(Failure::UpstreamTimeout(timeout, flag)) => Failure::UpstreamTimeout(*timeout, flag),
            Some(Failure::DeadlineExceeded) => Failure::DeadlineExceeded,
            _ => Failure::BodyFailed(error),
        };
    }
    Failure::InvalidResponse
}

/// Returns the status of the response to a failure, and the code in its body.
fn status_and_code(failure: &Failure) -> (StatusCode, &'static str) {
    match failure {
        Failure::Loop => (StatusCode::LOOP_DETECTED, "loop_detected"), // RFC 5842 §7.2
        Failure::TargetTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long"),
        Failure::UnsupportedCoding => (StatusCode::NOT_IMPLEMENTED, "transfer_coding_unsupported"), // RFC 9112 §6.1
        Failure::UpstreamTimeout(..) => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        Failure::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
        Failure::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
        Failure::BrokenRequest => (StatusCode::BAD_REQUEST, "request_broken"),
        Failure::Unreachable(_)
        | Failure::Transport(_)
        | Failure::BodyFailed(_)
        | Failure::InvalidResponse => (StatusCode::BAD_GATEWAY, "upstream_transport_error"),
    }
}
