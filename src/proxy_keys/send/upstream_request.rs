//! The request to the upstream.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, request};
use http_body_util::Full;

use crate::proxy_keys::gate::{PermittedHead, Refusal, RefusalKind};
use crate::proxy_keys::upstream::{RealKey, Upstream};

/// Creates the request to the upstream, from the head that the client sent and the body that the gate has checked. Returns
/// a refusal if the URI becomes too long. `is_stream` is true if the response is a stream of events.
///
/// It contains nothing of the client but the method, the path and query, the permitted headers and the body.
pub(super) fn create_upstream_request(
    client_parts: &request::Parts,
    head: &PermittedHead,
    upstream: &Upstream,
    real_key: &RealKey,
    body: Bytes,
    is_stream: bool,
) -> Result<Request<Full<Bytes>>, Refusal> {
    let target = client_parts.uri.path_and_query();
    let Some(uri) = target.and_then(|target| upstream.base().join(target)) else {
        return Err(Refusal::new(RefusalKind::InvalidRequest, "The request target is too long."));
    };
    let mut headers = head.request_headers(&client_parts.headers, is_stream);
    let (name, value) = real_key.header(head.endpoint.provider);
    headers.insert(name, value);
    if head.endpoint.has_body() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = client_parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}
