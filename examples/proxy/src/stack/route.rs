//! Routing: organization paths are forwarded; `/health` and errors are local responses.
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_LENGTH, HOST, MAX_FORWARDS};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;
use tower::Service;
use tower_api_key_name::SharedKeyNames;

use crate::errors;
use crate::load::Overload;

use super::health;
use super::scope::is_in_scope;

const FORWARDED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD";

#[derive(Clone)]
pub struct Route<S> {
    inner: S,
    names: SharedKeyNames,
}

pin_project! {
    pub struct RouteFuture<F> {
        #[pin]
        state: RouteState<F>,
        is_head: bool,
    }
}

pin_project! {
    #[project = RouteStateProj]
    enum RouteState<F> {
        Local { response: Option<Response<Full<Bytes>>> },
        Forwarded { #[pin] future: F },
    }
}

// === local responses ===

/// Returns the response to a request that is not forwarded.
fn respond_locally<A>(request: &Request<A>, names: &SharedKeyNames) -> Option<Response<Full<Bytes>>> {
    if !has_one_host(request) {
        let message = "A request needs exactly one Host header.";
        return Some(errors::proxy_error(StatusCode::BAD_REQUEST, "bad_request", message));
    }
    let path = request.uri().path();
    if path == "/health" {
        return Some(match *request.method() {
            Method::GET | Method::HEAD => health::respond(names),
            _ => method_not_allowed("GET, HEAD"),
        });
    }
    if !is_in_scope(path) {
        let message = "Only /health, /v1/organization/* and /v1/organizations/* are served here.";
        return Some(errors::proxy_error(StatusCode::NOT_FOUND, "not_found", message));
    }
    match *request.method() {
        Method::OPTIONS if is_last_hop(request) => return Some(allowed_methods()),
        Method::GET | Method::POST | Method::PUT | Method::PATCH => {}
        Method::DELETE | Method::HEAD | Method::OPTIONS => {}
        _ => return Some(method_not_allowed(FORWARDED_METHODS)),
    }
    // Checked last, so that local responses do not depend on the load.
    let overload = request.extensions().get::<Overload>()?;
    (!overload.makes_room()).then(errors::overloaded)
}

/// RFC 9112 §3.2: HTTP/1.1 requires one Host header. HTTP/2 has `:authority`, and HTTP/1.0 requires none.
fn has_one_host<A>(request: &Request<A>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() != Version::HTTP_11,
        count => count == 1,
    }
}

/// RFC 9110 §7.6.2: the recipient of `OPTIONS` with `Max-Forwards: 0` is its final one.
fn is_last_hop<A>(request: &Request<A>) -> bool {
    request.headers().get(MAX_FORWARDS).is_some_and(|hops| hops == "0")
}

fn allowed_methods() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(FORWARDED_METHODS));
    response
}

/// RFC 9110 §15.5.6: a 405 lists the allowed methods.
fn method_not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let message = "This method is not forwarded.";
    let mut response = errors::proxy_error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// RFC 9110 §7.6.2: each hop decrements `Max-Forwards`.
fn decrement_max_forwards<A>(request: &mut Request<A>) {
    let headers = request.headers_mut();
    let hops = headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    if let Some(hops) = hops {
        headers.insert(MAX_FORWARDS, hops.saturating_sub(1).into());
    }
}

// === impl Route ===

impl<S> Route<S> {
    pub fn new(inner: S, names: SharedKeyNames) -> Self {
        Self { inner, names }
    }
}

impl<S, A, B> Service<Request<A>> for Route<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<Either<Full<Bytes>, B>>;
    type Error = Infallible;
    type Future = RouteFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let is_head = *request.method() == Method::HEAD;
        if let Some(response) = respond_locally(&request, &self.names) {
            return RouteFuture { state: RouteState::Local { response: Some(response) }, is_head };
        }
        if is_head {
            // There is no body to compress. RFC 9110 §9.3.2 allows leaving out Content-Encoding.
            request.headers_mut().remove(ACCEPT_ENCODING);
        } else if *request.method() == Method::OPTIONS {
            decrement_max_forwards(&mut request);
        }
        RouteFuture { state: RouteState::Forwarded { future: self.inner.call(request) }, is_head }
    }
}

// === impl RouteFuture ===

impl<F, B> Future for RouteFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Either<Full<Bytes>, B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.state.project() {
            // A second poll after completion breaks the contract of `Future`, but does not have to panic.
            RouteStateProj::Local { response } => response.take().unwrap_or_default().map(Either::Left),
            RouteStateProj::Forwarded { future } => {
                let Ok(response) = ready!(future.poll(cx));
                response.map(Either::Right)
            }
        };
        if *this.is_head {
            if let Either::Left(body) = response.body() {
                let length = body.size_hint().exact().unwrap_or_default();
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
            // hyper leaves out the body of a response to HEAD in HTTP/1, but not in HTTP/2.
            response = response.map(|_| Either::Left(Full::default()));
        }
        Poll::Ready(Ok(response))
    }
}
