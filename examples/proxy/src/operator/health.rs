//! The responses of `/health`: the state of the names for operators, and liveness for load balancers.
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body_util::Full;
use serde_json::Value;
use tower_api_key_name::{SharedKeyNames, Status, WatchError};

use crate::by_provider::ByProvider;

/// Returns a response that reports only that the process serves requests.
pub(super) fn liveness() -> Response<Full<Bytes>> {
    health_response(r#"{"status":"ok"}"#.to_owned())
}

/// Returns a response with the state of both maps, and of the map of each provider.
pub(super) fn details(names: &ByProvider<SharedKeyNames>) -> Response<Full<Bytes>> {
    let Status { entries, generation, last_error, .. } = names.openai.status();
    let anthropic = names.anthropic.status();
    let openai_members = status_members(entries, generation, last_error.as_ref());
    let anthropic_members =
        status_members(anthropic.entries, anthropic.generation, anthropic.last_error.as_ref());
    let common_members = status_members(
        entries.max(anthropic.entries),
        // The generation that both maps have reached.
        generation.min(anthropic.generation),
        last_error.as_ref().or(anthropic.last_error.as_ref()),
    );
    // The status is "ok" after a failed reload too, because the last good names stay in use.
    health_response(format!(
        r#"{{"status":"ok",{common_members},"openai":{{{openai_members}}},"anthropic":{{{anthropic_members}}}}}"#
    ))
}

/// Returns a response with this JSON, which no cache stores.
fn health_response(body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns the number of names, their generation, and the error of the last reload as the members of an object.
fn status_members(entries: usize, generation: u64, last_error: Option<&WatchError>) -> String {
    let last_error_text = Value::from(last_error.map(ToString::to_string));
    format!(r#""entries":{entries},"generation":{generation},"last_error":{last_error_text}"#)
}
