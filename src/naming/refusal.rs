//! The responses that the layer sends itself, when a filter by name cannot be translated.
//!
//! They contain no data except the requested name, because the API has not authenticated the client yet.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response};
use serde_json::Value;

use crate::names::{HIDDEN, looks_like_secret};
use crate::naming::report::Report;
use crate::naming::suggestions::similar_names;
use crate::outcome::Refusal;
use crate::query::FilterError;
use crate::{KeyNames, Snapshot};

/// The poll interval of the file watcher.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Creates the response to a request whose filter cannot be translated.
pub(crate) fn respond(error: &FilterError, report: &Report) -> (Refusal, Response<Bytes>) {
    let request = &report.request;
    let refusal = classify(error, &report.names);
    let mut message = explain(error, &report.names);
    let may_suggest = report.settings.suggest_names;
    if may_suggest && let FilterError::UnknownName { name, .. } = error {
        message += &suggest(name, &report.names);
    }
    let mut response = match &report.settings.refusal_response {
        Some(create_response) => create_response(refusal, &message, request),
        None => default_response(refusal, &message, request.uri.path()),
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
fn classify(error: &FilterError, names: &Snapshot) -> Refusal {
    match error {
        FilterError::InvalidParameter => Refusal::InvalidParameter,
        FilterError::EmptyName => Refusal::EmptyName,
        FilterError::UnknownName { .. } if names.is_complete => Refusal::UnknownName,
        FilterError::UnknownName { .. } => Refusal::NamesIncomplete,
        FilterError::TooLong => Refusal::UriTooLong,
    }
}

/// Returns the message for the user of the API.
fn explain(error: &FilterError, names: &Snapshot) -> String {
    let mut message = match error {
        FilterError::InvalidParameter => {
            "Write api_key_names[]=a, api_key_names[0]=a or api_key_names=a,b.".to_owned()
        }
        FilterError::EmptyName => {
            "A name in api_key_names is empty. To query all keys, omit the parameter.".to_owned()
        }
        FilterError::TooLong => {
            "These names belong to too many API keys for one request. Request fewer names at once.".to_owned()
        }
        FilterError::UnknownName { name, .. } if names.is_complete => {
            format!("No API key is named {}.", quote(name))
        }
        FilterError::UnknownName { name, .. } => format!(
            "No known API key is named {}, but some names are not known yet. Retry later, or use api_key_ids.",
            quote(name)
        ),
    };
    if let FilterError::UnknownName { has_comma: true, .. } = error {
        message += " A list is written api_key_names=a,b or, if a name contains a comma, \
                    api_key_names[]=a&api_key_names[]=b.";
    }
    message
}

/// Returns a sentence with the names similar to `name`, or nothing if there are none.
fn suggest(name: &str, names: &KeyNames) -> String {
    let similar: Vec<_> = similar_names(name, names).into_iter().map(quote).collect();
    if similar.is_empty() { String::new() } else { format!(" Similar names: {}.", similar.join(", ")) }
}

/// Creates a response in the error form of the API that the path belongs to.
fn default_response(refusal: Refusal, message: &str, path: &str) -> Response<Bytes> {
    let is_anthropic = path.split('/').any(|segment| segment == "organizations");
    let is_temporary = refusal.status().is_server_error();
    let message = Value::from(message);
    let code = refusal.code();
    let body = if is_anthropic {
        let kind = if is_temporary { "api_error" } else { "invalid_request_error" };
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}},"request_id":null}}"#)
    } else {
        // The models of OpenAI's clients require all four members.
        let kind = if is_temporary { "server_error" } else { "invalid_request_error" };
        format!(
            r#"{{"error":{{"message":{message},"type":"{kind}","param":"api_key_names","code":"{code}"}}}}"#
        )
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

/// Quotes a name, shortened to the maximum length of names. Text that looks like a secret is hidden.
fn quote(name: &str) -> String {
    if looks_like_secret(name) {
        return HIDDEN.to_owned();
    }
    if name.len() <= KeyNames::MAX_LEN {
        return format!("'{name}'");
    }
    let end = (0..=KeyNames::MAX_LEN).rev().find(|at| name.is_char_boundary(*at)).unwrap_or_default();
    format!("'{}…'", &name[..end])
}
