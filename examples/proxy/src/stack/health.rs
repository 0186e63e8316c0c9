//! `GET /health`: reports that the proxy runs, and the state of its names.
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body_util::Full;
use tower_api_key_name::SharedKeyNames;

/// Returns the number of names, their generation, and the error of the last reload.
pub fn respond(names: &SharedKeyNames) -> Response<Full<Bytes>> {
    let status = names.status();
    // The status is "ok" after a failed reload too, because the last good names stay in use.
    let body = format!(
        r#"{{"status":"ok","entries":{},"generation":{},"last_error":{}}}"#,
        status.entries,
        status.generation,
        serde_json::Value::from(status.last_error.map(|error| error.to_string())),
    );
    let mut response = Response::new(Full::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
