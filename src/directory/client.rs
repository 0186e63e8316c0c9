//! One request over the user's service, and its response within a size limit.

use super::list_error::ListError;
use super::retry::{is_retryable, retry_after};
use crate::names::looks_like_secret;
use bytes::{Buf, BufMut};
use futures_util::future::BoxFuture;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use tower_service::Service;

/// The error of the user's service or body.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

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
    Err(match parts.status {
        StatusCode::OK if is_encoded(&parts.headers) => ListError::Encoded,
        StatusCode::OK => return body,
        StatusCode::UNAUTHORIZED => ListError::Unauthorized,
        StatusCode::FORBIDDEN => ListError::Forbidden,
        StatusCode::NOT_FOUND => ListError::NotFound,
        status if is_retryable(status) => ListError::Unavailable {
            status: status.as_u16(),
            retry_after: retry_after(&parts.headers, SystemTime::now()),
        },
        status => ListError::UnexpectedStatus { status: status.as_u16() },
    })
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
            return Err(ListError::PageTooLong { limit });
        }
        bytes.put(data);
    }
    Ok(bytes)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
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
    let message = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect();
    ListError::Transport { message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::header::{ACCEPT, AUTHORIZATION};
    use http_body_util::Full;
    use std::io;
    use tower::service_fn;

    fn message(error: ListError) -> String {
        match error {
            ListError::Transport { message } => message,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn transport_error_is_one_short_line_with_its_sources() {
        let shown = |text: &str| message(transport_error(text.into(), None));
        assert_eq!(shown("no\nroute"), "no route");
        assert_eq!(shown(&"é".repeat(1000)).chars().count(), 300);
        let nested = io::Error::other(io::Error::other("deep"));
        assert!(message(transport_error(nested.into(), None)).contains("deep"));
    }

    #[test]
    fn transport_error_that_looks_like_a_secret_is_masked() {
        let error = transport_error("bad header Bearer sk-proj-abcdefgh".into(), None);
        assert_eq!(message(error), "(an error that seems to contain an API key)");
    }

    /// A key need not look like one, and a service may repeat the request in its error.
    #[tokio::test]
    async fn transport_error_that_contains_the_key_is_masked() {
        let repeating = service_fn(async |request: Request<Full<Bytes>>| {
            let sent: Vec<_> = request.headers().values().map(|value| value.to_str().unwrap()).collect();
            Err::<Response<Full<Bytes>>, _>(io::Error::other(format!("broken at {sent:?}")))
        });
        let client = ApiClient::new(repeating);
        let uri = Uri::from_static("http://x/");
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("harmless"))]);
        let error = client.get(uri.clone(), headers.clone(), 1).await.unwrap_err();
        assert!(message(error).contains("harmless"));
        let mut key = HeaderValue::from_static("Bearer let-me-in");
        key.set_sensitive(true);
        headers.insert(AUTHORIZATION, key);
        let error = client.get(uri, headers, 1).await.unwrap_err();
        assert_eq!(message(error), "(an error that seems to contain an API key)");
    }

    #[test]
    fn content_coding_other_than_identity_is_detected() {
        let encoded = |value: &'static str| {
            is_encoded(&HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(encoded("gzip") && encoded("identity, br"));
        assert!(!encoded("Identity") && !is_encoded(&HeaderMap::new()));
    }
}
