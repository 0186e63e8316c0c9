//! The coding that the upstream answers in, taken off. tower-http's decoder is part of an answer's body whether there
//! is anything to decode or not, and is moved with it at each step: what is not coded is led past it, and what is
//! gets it in a box.
use std::future::{self, Future};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, Entry};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service, service_fn};
use tower_http::decompression::{Decompression, DecompressionBody};

use super::errors::Failure;
use super::tail::TailBody;
use super::validators;

#[derive(Clone, Copy)]
pub struct DecodingLayer;

#[derive(Clone)]
pub struct Decoding<S> {
    inner: S,
}

pin_project! {
    pub struct DecodingFuture<F> {
        #[pin]
        answer: F,
    }
}

/// As it came, or decoded.
pub type Decoded<B> = Either<B, Pin<Box<DecompressionBody<TailBody<B>>>>>;

// === impl DecodingLayer, Decoding ===

impl<S> Layer<S> for DecodingLayer {
    type Service = Decoding<S>;

    fn layer(&self, inner: S) -> Decoding<S> {
        Decoding { inner }
    }
}

impl<S, A, B> Service<Request<A>> for Decoding<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Failure>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Response = Response<Decoded<B>>;
    type Error = Failure;
    type Future = DecodingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        // What `decode` can.
        if let Entry::Vacant(none) = request.headers_mut().entry(ACCEPT_ENCODING) {
            none.insert(HeaderValue::from_static("gzip,br"));
        }
        DecodingFuture { answer: self.inner.call(request) }
    }
}

// === impl DecodingFuture ===

impl<F, B> Future for DecodingFuture<F>
where
    F: Future<Output = Result<Response<B>, Failure>>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Output = Result<Response<Decoded<B>>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(self.project().answer.poll(cx))?;
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        if is_part || !is_coded_once(response.headers_mut()) {
            return Poll::Ready(Ok(response.map(Either::Left)));
        }
        let Poll::Ready(decoded) = pin!(decode(response)).poll(cx) else {
            return Poll::Ready(Err(Failure::Unusable));
        };
        Poll::Ready(decoded.map(|response| response.map(|body| Either::Right(Box::pin(body)))))
    }
}

/// Whether there is one line of Content-Encoding: of several, tower-http would take off the first, and the labels of all
/// (RFC 9110 §5.3). It is written as that knows it: codings are called alike in any case of letters, and gzip had another
/// name (§8.4.1).
fn is_coded_once(headers: &mut HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(coding), None) = (lines.next(), lines.next()) else { return false };
    let known = match coding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => "gzip",
        b"br" => "br",
        _ => return true,
    };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(known));
    true
}

/// Ready at once: only tower-http's service makes its decoder, so it is given one to call that has its answer.
fn decode<B>(
    mut response: Response<B>,
) -> impl Future<Output = Result<Response<DecompressionBody<TailBody<B>>>, Failure>>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    validators::weaken(response.headers_mut());
    let mut response = Some(response.map(TailBody::new));
    let answered = service_fn(move |_| future::ready(response.take().ok_or(Failure::Unusable)));
    Decompression::new(answered).call(Request::new(()))
}
