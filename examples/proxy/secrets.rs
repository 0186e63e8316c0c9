//! Secrets are kept out of Debug output, and HPACK never indexes them (RFC 7541 §7.1.3).
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

fn is_secret(name: &HeaderName) -> bool {
    matches!(name.as_str(), "authorization" | "cookie" | "set-cookie" | "x-api-key")
}

fn mark(headers: &mut HeaderMap) {
    // Looking at the few names there are costs less than looking up these.
    for (name, value) in headers.iter_mut() {
        if is_secret(name) {
            value.set_sensitive(true);
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct SecretsLayer;

#[derive(Clone)]
pub(crate) struct Secrets<S> {
    inner: S,
}

pin_project! {
    pub(crate) struct SecretsFuture<F> {
        #[pin]
        answer: F,
    }
}

impl<S> Layer<S> for SecretsLayer {
    type Service = Secrets<S>;

    fn layer(&self, inner: S) -> Secrets<S> {
        Secrets { inner }
    }
}

impl<S, A, B> Service<Request<A>> for Secrets<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SecretsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        mark(request.headers_mut());
        SecretsFuture { answer: self.inner.call(request) }
    }
}

impl<F, B, E> Future for SecretsFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut response = ready!(self.project().answer.poll(cx))?;
        mark(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}
