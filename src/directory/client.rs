//! One request over the user's service, and its response within a size limit.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Buf, BufMut};
use futures_util::future::BoxFuture;
use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use tower_service::Service;

use super::list_error::ListError;
use crate::secret::contains_secret;

/// The error of the user's service or body.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// The longest requested delay that is distinguished: more than any deadline, and too short to overflow an instant.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The user's service with its types erased.
pub(super) struct ApiClient(Box<Call>);

type Call = dyn Fn(Request<()>, usize) -> BoxFuture<'static, Result<Vec<u8>, ListError>> + Send + Sync;

impl ApiClient {
    /// Erases the types of a service. Each request uses a clone of it.
    pub(super) fn new<S, B, R>(service: S) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Default + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        // The mutex makes a service `Sync` that is not. It is locked only to clone the service.
        let service = Mutex::new(service);
        Self(Box::new(move |request, limit| {
            let service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Box::pin(send(service, request, limit))
        }))
    }

    /// Sends a GET request and returns the body of a 200. Reads at most `limit` bytes of a body.
    pub(super) async fn get(&self, uri: Uri, headers: HeaderMap, limit: usize) -> Result<Vec<u8>, ListError> {
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        (self.0)(request, limit).await
    }
}

/// Sends a request, and returns the body of its response if the status is 200. Reads at most `limit` bytes of a body.
async fn send<S, B, R>(mut service: S, request: Request<()>, limit: usize) -> Result<Vec<u8>, ListError>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Default,
    R: Body,
    R::Error: Into<BoxError>,
{
    let key_header = request.headers().values().find(|value| value.is_sensitive()).cloned();
    let to_list_error = |error: BoxError| transport_error(error, key_header.as_ref());
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| to_list_error(error.into()))?;
    let in_flight = service.call(request.map(|()| B::default()));
    let response = in_flight.await.map_err(|error| to_list_error(error.into()))?;
    let (parts, body) = response.into_parts();
    // The body of an error response is read too, so that the connection can be used again.
    let body_result = read_body(body, limit, to_list_error).await;
    if parts.status != StatusCode::OK {
        let retry_after = parse_retry_after(&parts.headers, SystemTime::now());
        return Err(ListError::Status { status: parts.status, retry_after });
    }
    if is_encoded(&parts.headers) {
        return Err(ListError::Encoded);
    }
    body_result
}

/// Reads a body to its end. Returns an error if it is longer than `limit` bytes, or if it fails.
async fn read_body<R>(
    body: R,
    limit: usize,
    to_list_error: impl Fn(BoxError) -> ListError,
) -> Result<Vec<u8>, ListError>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(result) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = result.map_err(|error| to_list_error(error.into()))?;
        // Trailers are ignored.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > limit {
            return Err(ListError::PageTooLong(limit));
        }
        bytes.put(data);
    }
    Ok(bytes)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Returns the delay that a response requests, at most [`MAX_RETRY_AFTER`]. `None` if it requests no valid delay.
///
/// OpenAI sends milliseconds. `Retry-After` contains seconds or a date (RFC 9110 §10.2.3).
fn parse_retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let header_text = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(text) = header_text("retry-after-ms")
        && let Ok(milliseconds) = text.trim().parse()
    {
        return Some(Duration::from_millis(milliseconds).min(MAX_RETRY_AFTER));
    }
    let text = header_text(RETRY_AFTER.as_str())?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        // A number that is too long for `u64` is a long delay too.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // The delay of a date in the past is zero.
    let delay = date.duration_since(now).unwrap_or_default();
    Some(delay.min(MAX_RETRY_AFTER))
}

/// Creates a [`ListError::Transport`] with an error and its sources in one line of at most 300 characters.
///
/// A text that looks like a secret, or contains the key in `key_header`, is replaced.
fn transport_error(error: BoxError, key_header: Option<&HeaderValue>) -> ListError {
    const MAX_CHARS: usize = 300;
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let header_text = key_header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    // The value is `Bearer …` or only the key.
    let key = header_text.trim_start_matches("Bearer ");
    let contains_key = !key.is_empty() && message.contains(key);
    if contains_key || contains_secret(&message) {
        message = "(an error that seems to contain an API key)".into();
    }
    let one_line = message.replace(char::is_control, " ");
    ListError::Transport(one_line.chars().take(MAX_CHARS).collect())
}

#[cfg(test)]
mod tests;
