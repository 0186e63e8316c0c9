//! Routing: organization paths are forwarded; other requests receive an error as a local response.
use std::convert::Infallible;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, HOST, MAX_FORWARDS, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use memchr::memmem;
use tower::service_fn;

use super::errors::ErrorFormat;
use super::scope::is_in_scope;
use crate::coding;
use crate::http_service::HttpService;
use crate::server::Overload;

const FORWARDED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD";

/// Returns the response to a request that is not forwarded, or `None` if the request is to be forwarded.
fn respond_locally<A>(request: &Request<A>) -> Option<Response<Full<Bytes>>> {
    if let Some(rejection) = reject_host_count(request) {
        return Some(rejection);
    }
    let path = request.uri().path();
    let form = ErrorFormat::for_path(path);
    if !is_in_scope(path) {
        let message = "Only /health, /v1/organization/* and /v1/organizations/* are served here.";
        return Some(form.response(StatusCode::NOT_FOUND, "not_found", message));
    }
    if !FORWARDED_METHODS.split(", ").any(|method| *request.method() == method) {
        return Some(form.method_not_allowed(FORWARDED_METHODS));
    }
    if is_for_last_hop(request) {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(FORWARDED_METHODS));
        return Some(response);
    }
    if has_proxy_key(request) {
        let message =
            "A proxy key is valid only for calls to models. The organization API requires an admin key.";
        return Some(form.response(StatusCode::UNAUTHORIZED, "invalid_api_key", message));
    }
    // Checked last, so that local responses do not depend on the load.
    reject_overload(request, form)
}

/// Returns the error for a call that exceeds the limit on calls in flight, or `None` if there is room for it. A client that
/// reads too slowly is disconnected to make room.
pub fn reject_overload<A>(request: &Request<A>, form: ErrorFormat) -> Option<Response<Full<Bytes>>> {
    let overload = request.extensions().get::<Overload>()?;
    let has_room = overload.evict_stalled();
    if has_room { None } else { Some(overloaded(form)) }
}

/// Returns the error for a request without exactly one Host header, or `None` if it has one.
pub fn reject_host_count<A>(request: &Request<A>) -> Option<Response<Full<Bytes>>> {
    if has_one_host(request) {
        return None;
    }
    let form = ErrorFormat::for_request(request);
    let message = "A request needs exactly one Host header.";
    Some(form.response(StatusCode::BAD_REQUEST, "bad_request", message))
}

/// True if a request has one Host header (RFC 9112 §3.2). HTTP/2 has `:authority`, and HTTP/1.0 requires none.
fn has_one_host<A>(request: &Request<A>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() != Version::HTTP_11,
        count => count == 1,
    }
}

/// True if a request has a credential in the form of a proxy key, which must not be sent to a provider.
fn has_proxy_key<A>(request: &Request<A>) -> bool {
    let headers = request.headers();
    let credentials = headers.get_all(AUTHORIZATION).iter().chain(headers.get_all("x-api-key"));
    credentials.into_iter().any(|value| memmem::find(value.as_bytes(), b"sk-px-").is_some())
}

/// True for `OPTIONS` with `Max-Forwards: 0`, which is not forwarded (RFC 9110 §7.6.2).
fn is_for_last_hop<A>(request: &Request<A>) -> bool {
    let is_options = *request.method() == Method::OPTIONS;
    is_options && request.headers().get(MAX_FORWARDS).is_some_and(|hops| hops == "0")
}

/// Returns the response to a call that exceeds the limit on calls in flight.
fn overloaded(form: ErrorFormat) -> Response<Full<Bytes>> {
    let message = "Too many calls are in flight (--max-in-flight); retry in one second.";
    let mut response = form.response(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
    // The SDKs retry after this number of seconds.
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Decrements `Max-Forwards`, as each hop does (RFC 9110 §7.6.2).
fn decrement_max_forwards<A>(request: &mut Request<A>) {
    let headers = request.headers_mut();
    let hop_count = headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    if let Some(hop_count) = hop_count {
        headers.insert(MAX_FORWARDS, hop_count.saturating_sub(1).into());
    }
}

/// Removes the body of a response to HEAD, and states the length of a local body. hyper removes bodies in HTTP/1 only.
pub fn without_body<B>(mut response: Response<Either<Full<Bytes>, B>>) -> Response<Either<Full<Bytes>, B>> {
    if let Either::Left(body) = response.body() {
        let length = body.size_hint().exact().unwrap_or_default();
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response.map(|_| Either::Left(Full::default()))
}

/// Returns a service that calls the inner service only for requests without a local response (see `respond_locally`).
pub fn with_routes<A, B: Send + 'static>(
    mut inner: impl HttpService<Option<A>, B, Infallible>,
) -> impl HttpService<A, Either<Full<Bytes>, B>, Infallible> {
    service_fn(move |mut request: Request<A>| {
        let local_response = respond_locally(&request);
        let is_head = *request.method() == Method::HEAD;
        if is_head {
            // There is no body to compress. RFC 9110 §9.3.2 allows leaving out Content-Encoding.
            request = coding::hide_accept_encoding(request);
        } else if *request.method() == Method::OPTIONS {
            decrement_max_forwards(&mut request);
        }
        let local_or_forwarded = match local_response {
            Some(response) => Either::Left(response),
            None => Either::Right(inner.call(request.map(Some))),
        };
        async move {
            let response = match local_or_forwarded {
                Either::Left(local_response) => local_response.map(Either::Left),
                Either::Right(future) => future.await?.map(Either::Right),
            };
            Ok(if is_head { without_body(response) } else { response })
        }
    })
}
