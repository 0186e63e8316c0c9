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
use crate::names::looks_like_secret;

/// The error of the user's service or body.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// The longest requested delay that is distinguished: more than any deadline, and too short to overflow an instant.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The user's service with its types erased.
pub(super) struct ApiClient(Box<Call>);

type Call = dyn Fn(Request<()>, usize) -> BoxFuture<'static, Result<Vec<u8>, ListError>> + Send + Sync;

impl ApiClient {
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
            Box::pin(call(service, request, limit))
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

async fn call<S, B, R>(mut service: S, request: Request<()>, limit: usize) -> Result<Vec<u8>, ListError>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Default,
    R: Body,
    R::Error: Into<BoxError>,
{
    let key = request.headers().values().find(|value| value.is_sensitive()).cloned();
    let transport = |error: BoxError| transport_error(error, key.as_ref());
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| transport(error.into()))?;
    let response =
        service.call(request.map(|()| B::default())).await.map_err(|error| transport(error.into()))?;
    let (parts, body) = response.into_parts();
    // Reads the body of an error response too, so that the connection can be used again.
    let body = read_body(body, limit, transport).await;
    match parts.status {
        StatusCode::OK if is_encoded(&parts.headers) => Err(ListError::Encoded),
        StatusCode::OK => body,
        status => {
            let retry_after = retry_after(&parts.headers, SystemTime::now());
            Err(ListError::Status { status, retry_after })
        }
    }
}

async fn read_body<R>(
    body: R,
    limit: usize,
    transport: impl Fn(BoxError) -> ListError,
) -> Result<Vec<u8>, ListError>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        // Trailers are ignored.
        let Ok(data) = frame.map_err(|error| transport(error.into()))?.into_data() else { continue };
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

/// Returns the delay that a response requests: seconds or a date (RFC 9110 §10.2.3), or OpenAI's milliseconds.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let delay = match text("retry-after-ms").and_then(|text| text.parse().ok()) {
        Some(milliseconds) => Duration::from_millis(milliseconds),
        None => match text(RETRY_AFTER.as_str())? {
            // A number that is too long for `u64` is a long delay too.
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
            }
            // The delay of a date in the past is zero.
            date => httpdate::parse_http_date(date).ok()?.duration_since(now).unwrap_or_default(),
        },
    };
    Some(delay.min(MAX_RETRY_AFTER))
}

/// Writes an error and its sources in one line, unless the text contains the key or looks like a secret.
fn transport_error(error: BoxError, key: Option<&HeaderValue>) -> ListError {
    const MAX_CHARS: usize = 300;
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    // The key follows the scheme of the header's value, if there is one.
    let key = key.and_then(|value| value.to_str().ok()?.rsplit(' ').next());
    if looks_like_secret(&message) || key.is_some_and(|key| message.contains(key)) {
        message = "(an error that seems to contain an API key)".into();
    }
    ListError::Transport(
        message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect(),
    )
}

#[cfg(test)]
mod tests;
