//! The responses that the layer sends itself, when a filter by name cannot be translated.
//!
//! They contain no data except the requested name, because the API has not authenticated the client yet.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response};
use serde_json::Value;

use crate::names::Provider;
use crate::naming::message::RejectedFilter;
use crate::naming::report::Report;
use crate::naming::settings::ErrorForm;
use crate::outcome::Refusal;
use crate::query::{FilterError, FilterErrorKind};

/// The poll interval of the file watcher.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Creates the response to a request whose filter cannot be translated.
pub(crate) fn respond(error: &FilterError, report: &Report) -> (Refusal, Response<Bytes>) {
    let request = &report.request;
    let settings = &report.settings;
    let path = request.uri.path();
    let filter = RejectedFilter {
        kind: &error.kind,
        label: &settings.rules.labels.list()[usize::from(error.label)],
        names: &report.names,
        provider: Provider::of_path(path),
    };
    let refusal = classify(&filter);
    let mut message = filter.explain();
    if settings.suggest_names {
        message += &filter.suggest();
    }
    let mut response = match &settings.refusal_response {
        Some(create_response) => create_response(refusal, &message, request),
        None => {
            let form = settings.error_form.unwrap_or_else(|| form_of_path(path));
            default_response(refusal, &message, form, &filter)
        }
    };
    let length = HeaderValue::from(response.body().len());
    response.headers_mut().insert(CONTENT_LENGTH, length);
    // RFC 9110 §9.3.2: a response to HEAD has the headers of one to GET, and no content.
    if request.method == Method::HEAD {
        response.body_mut().clear();
    }
    (refusal, response)
}

/// Returns the public reason. An unknown name may be in the next map, unless the map is complete.
fn classify(filter: &RejectedFilter<'_>) -> Refusal {
    match filter.kind {
        FilterErrorKind::InvalidParameter => Refusal::InvalidParameter,
        FilterErrorKind::EmptyName => Refusal::EmptyName,
        FilterErrorKind::UnknownName { .. } if filter.is_map_complete() => Refusal::UnknownName,
        FilterErrorKind::UnknownName { .. } => Refusal::NamesIncomplete,
        FilterErrorKind::TooLong => Refusal::UriTooLong,
    }
}

/// Returns the error code of the response. It contains the name member of the filter's label.
fn code(refusal: Refusal, name_member: &str) -> Cow<'static, str> {
    match refusal {
        Refusal::UnknownName => format!("unknown_{name_member}").into(),
        Refusal::EmptyName => format!("empty_{name_member}").into(),
        Refusal::NamesIncomplete => format!("{name_member}s_incomplete").into(),
        Refusal::InvalidParameter | Refusal::UriTooLong => refusal.code().into(),
    }
}

/// Returns the error form of the API that a path belongs to.
fn form_of_path(path: &str) -> ErrorForm {
    let is_anthropic = path.split('/').any(|segment| segment == "organizations");
    if is_anthropic { ErrorForm::Anthropic } else { ErrorForm::OpenAi }
}

/// Creates a response in this error form.
fn default_response(
    refusal: Refusal,
    message: &str,
    form: ErrorForm,
    filter: &RejectedFilter<'_>,
) -> Response<Bytes> {
    let is_temporary = refusal.status().is_server_error();
    let message = Value::from(message);
    let body = match form {
        ErrorForm::Anthropic => {
            let kind = if is_temporary { "api_error" } else { "invalid_request_error" };
            format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}}}}"#)
        }
        ErrorForm::OpenAi => {
            // The models of OpenAI's clients require all four members.
            let kind = if is_temporary { "server_error" } else { "invalid_request_error" };
            let param = filter.parameter();
            let code = code(refusal, &filter.label.name);
            format!(
                r#"{{"error":{{"message":{message},"type":"{kind}","param":"{param}","code":"{code}"}}}}"#
            )
        }
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // The next map may contain the name, and caches may store a 414 (RFC 9110 §15.5.15).
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_temporary {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}
