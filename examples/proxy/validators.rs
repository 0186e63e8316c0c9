//! A content coding taken off or put on makes another representation of the answer (RFC 9110 §8.4), and
//! what names the old one's bytes exactly no longer holds: tower-http leaves all of it as it was.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// RFC 9530, and the two that came before it.
static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Stands twice: below the decompression, where `Content-Encoding: gzip` means that it is about to be
/// decoded, and above the compression, where it means that it was just coded (the decompression leaves none).
#[derive(Clone, Copy)]
pub(crate) struct ValidatorsLayer;

#[derive(Clone)]
pub(crate) struct Validators<S> {
    inner: S,
}

pin_project! {
    pub(crate) struct ValidatorsFuture<F> {
        #[pin]
        answer: F,
    }
}

impl<S> Layer<S> for ValidatorsLayer {
    type Service = Validators<S>;

    fn layer(&self, inner: S) -> Validators<S> {
        Validators { inner }
    }
}

impl<S, A, B> Service<Request<A>> for Validators<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ValidatorsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        ValidatorsFuture { answer: self.inner.call(request) }
    }
}

impl<F, B, E> Future for ValidatorsFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut response = ready!(self.project().answer.poll(cx))?;
        weaken(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

fn weaken(headers: &mut HeaderMap) {
    // Byte for byte, as the decompression compares it.
    if !matches!(headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes), Some(b"gzip" | b"br")) {
        return;
    }
    for name in &DIGESTS {
        headers.remove(name);
    }
    headers.remove(ACCEPT_RANGES);
    // RFC 9110 §8.8.3.3: codings share an entity tag only if it is weak.
    if let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) {
        let mut weak = BytesMut::with_capacity(tag.len() + 2);
        weak.put_slice(b"W/");
        weak.put_slice(tag.as_bytes());
        match HeaderValue::from_maybe_shared(weak.freeze()) {
            Ok(weak) => headers.insert(ETAG, weak),
            Err(_) => headers.remove(ETAG),
        };
    }
}
