//! The coding that the client takes. tower-http's coder is 6 KB of state, which is part of every answer and is
//! moved with it at each step: who asks for none is led past it, and whoever gets one gets it in a box.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, VARY};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};
use tower_http::compression::predicate::{And, DefaultPredicate, Predicate};
use tower_http::compression::{
    Compression, CompressionBody, CompressionLevel, ResponseFuture as Compressing,
};

use super::validators;

type When = And<DefaultPredicate, fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool>;

#[derive(Clone, Copy)]
pub struct CodingLayer;

#[derive(Clone)]
pub struct Coding<S> {
    compression: Compression<S, When>,
}

pin_project! {
    #[project = FutureProj]
    pub enum CodingFuture<F> {
        Plain { #[pin] answer: F },
        Coded { answer: Pin<Box<Compressing<F, When>>> },
    }
}

/// As it came, or coded.
pub type Coded<B> = Either<B, Pin<Box<CompressionBody<B>>>>;

fn when() -> When {
    DefaultPredicate::new().and(has_content)
}

/// RFC 9110 §15.3.5, §15.3.6, §15.4.5: no content to compress. §15.3.7: a part is not recoded.
fn has_content(status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions) -> bool {
    !(status.is_informational()
        || matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
        ))
}

/// Whoever asks for a coding may get another answer (RFC 9110 §12.5.5), which a cache has to know of this one.
fn vary(headers: &mut HeaderMap) {
    let names_it = |line: &HeaderValue| {
        line.as_bytes()
            .split(|b| *b == b',')
            .any(|name| name.trim_ascii().eq_ignore_ascii_case(ACCEPT_ENCODING.as_str().as_bytes()))
    };
    if !headers.get_all(VARY).iter().any(names_it) {
        headers.append(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    }
}

// === impl CodingLayer, Coding ===

impl<S> Layer<S> for CodingLayer {
    type Service = Coding<S>;

    fn layer(&self, inner: S) -> Coding<S> {
        // The client is most often on this machine, so the fastest level.
        let compression = Compression::new(inner).quality(CompressionLevel::Fastest).compress_when(when());
        Coding { compression }
    }
}

impl<S, A, B> Service<Request<A>> for Coding<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Response = Response<Coded<B>>;
    type Error = S::Error;
    type Future = CodingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.compression.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        if request.headers().contains_key(ACCEPT_ENCODING) {
            CodingFuture::Coded { answer: Box::pin(self.compression.call(request)) }
        } else {
            CodingFuture::Plain { answer: self.compression.get_mut().call(request) }
        }
    }
}

// === impl CodingFuture ===

impl<F, B, E> Future for CodingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Output = Result<Response<Coded<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project() {
            FutureProj::Plain { answer } => {
                let mut response = ready!(answer.poll(cx))?;
                let headers = response.headers();
                if !headers.contains_key(CONTENT_ENCODING)
                    && !headers.contains_key(CONTENT_RANGE)
                    && when().should_compress(&response)
                {
                    vary(response.headers_mut());
                }
                response.map(|body| Either::Left(body))
            }
            FutureProj::Coded { answer } => {
                let mut response = ready!(answer.as_mut().poll(cx))?;
                // Its own, or the upstream's, which it then left alone.
                if response.headers().contains_key(CONTENT_ENCODING) {
                    validators::weaken(response.headers_mut());
                    response.map(|body| Either::Right(Box::pin(body)))
                } else {
                    response.map(|body| Either::Left(body.into_inner()))
                }
            }
        };
        Poll::Ready(Ok(response))
    }
}
