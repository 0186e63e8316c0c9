//! One request, over whatever service the user gave, and its whole answer, in bounded memory.

use super::fault::Fault;
use crate::names::looks_like_secret;
use bytes::{Buf, BufMut};
use futures_util::future::BoxFuture;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use tower_service::Service;

/// What a service below may fail with.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// The body of an answer, or why there is none.
type Answer = Result<Vec<u8>, Fault>;

/// The user's service, without its types.
pub(super) struct Ask(Box<dyn Fn(Request<()>, usize) -> BoxFuture<'static, Answer> + Send + Sync>);

impl Ask {
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
        // A service need not be `Sync`; it is only ever cloned in here.
        let service = Mutex::new(service);
        Self(Box::new(move |request, limit| {
            let service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Box::pin(call(service, request, limit))
        }))
    }

    /// The body of an answer that says 200. At most `limit` bytes are read of any body.
    pub(super) async fn get(&self, uri: http::Uri, headers: HeaderMap, limit: usize) -> Answer {
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        (self.0)(request, limit).await
    }
}

async fn call<S, B, R>(mut service: S, request: Request<()>, limit: usize) -> Answer
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Default,
    R: Body,
    R::Error: Into<BoxError>,
{
    let key = request.headers().values().find(|value| value.is_sensitive()).cloned();
    let transport = |error: BoxError| transport(error, key.as_ref());
    // The very clone that is called was asked whether it is ready.
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| transport(error.into()))?;
    let response =
        service.call(request.map(|()| B::default())).await.map_err(|error| transport(error.into()))?;
    let (head, body) = response.into_parts();
    // Also where nobody wants it: a connection whose answer was read can be used again.
    let body = read(body, limit, transport).await;
    let fault = match head.status {
        StatusCode::OK => return if is_encoded(&head.headers) { Err(Fault::Encoded) } else { body },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Fault::Refused(head.status.as_u16()),
        StatusCode::NOT_FOUND => Fault::Absent,
        status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => Fault::Busy {
            status: status.as_u16(),
            retry_after: super::retry::retry_after(&head.headers, SystemTime::now()),
        },
        status => Fault::Status(status.as_u16()),
    };
    Err(fault)
}

async fn read<R>(body: R, limit: usize, transport: impl Fn(BoxError) -> Fault) -> Answer
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|error| transport(error.into()))?.into_data() else {
            continue; // Trailers say nothing of a list.
        };
        if bytes.len() + data.remaining() > limit {
            return Err(Fault::TooLong { limit });
        }
        bytes.put(data);
    }
    Ok(bytes)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// An error with its causes, in one line that repeats no secret: neither what looks like one, nor what the header
/// with the key says.
fn transport(error: BoxError, key: Option<&HeaderValue>) -> Fault {
    const LONGEST: usize = 300;
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    // Behind the scheme, where there is one.
    let key = key.and_then(|value| value.to_str().ok()?.rsplit(' ').next());
    if looks_like_secret(&words) || key.is_some_and(|key| words.contains(key)) {
        words = "(an error that seems to hold an API key)".into();
    }
    Fault::Transport(words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::header::{ACCEPT, AUTHORIZATION};
    use http_body_util::Full;
    use std::io;
    use tower::service_fn;

    #[test]
    fn an_error_is_told_with_its_causes_and_without_secrets() {
        let told = |words: &str| match transport(words.into(), None) {
            Fault::Transport(words) => words,
            other => unreachable!("{other:?}"),
        };
        assert_eq!(told("no\nroute"), "no route");
        assert_eq!(told("bad header Bearer sk-proj-abcdefgh"), "(an error that seems to hold an API key)");
        assert_eq!(told(&"é".repeat(1000)).chars().count(), 300);
        let nested = std::io::Error::other(std::io::Error::other("deep"));
        assert!(matches!(transport(nested.into(), None), Fault::Transport(words) if words.contains("deep")));
    }

    /// Keys need not look like keys, and a service may tell what it was about to send.
    #[tokio::test]
    async fn an_error_that_repeats_the_key_is_not_repeated() {
        let tells = service_fn(async |request: Request<Full<Bytes>>| {
            let sent = request.headers().values().map(|value| value.to_str().unwrap());
            Err::<Response<Full<Bytes>>, _>(io::Error::other(format!(
                "broken at {:?}",
                sent.collect::<Vec<_>>()
            )))
        });
        let ask = Ask::new(tells);
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("of-no-interest"))]);
        let told = |answer: Answer| match answer {
            Err(Fault::Transport(words)) => words,
            other => unreachable!("{other:?}"),
        };
        let uri = http::Uri::from_static("http://x/");
        assert!(told(ask.get(uri.clone(), headers.clone(), 1).await).contains("of-no-interest"));
        let mut key = HeaderValue::from_static("Bearer let-me-in");
        key.set_sensitive(true);
        headers.insert(AUTHORIZATION, key);
        assert_eq!(told(ask.get(uri, headers, 1).await), "(an error that seems to hold an API key)");
    }

    #[test]
    fn any_coding_but_identity_is_one() {
        let coded = |value: &'static str| {
            is_encoded(&HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(
            coded("gzip") && coded("identity, br") && !coded("Identity") && !is_encoded(&HeaderMap::new())
        );
    }
}
