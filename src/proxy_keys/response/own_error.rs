//! The error that replaces an error of the upstream, because its body must not pass.

use bytes::Bytes;
use http::{HeaderName, Response, response};

use super::{BodyLength, permitted_headers};
use crate::names::Provider;
use crate::proxy_keys::gate::{Refusal, RefusalKind};

/// Creates an error with the status and the permitted headers of an upstream's error, but with another message.
///
/// The headers decide if a client repeats the request, as those of the upstream's error would.
pub(in super::super) fn own_error(upstream: &response::Parts, provider: Provider) -> Response<Bytes> {
    let status = upstream.status;
    let message = format!(
        "The provider sent an error with the status {}, whose message is not repeated.",
        status.as_u16()
    );
    let mut response = Refusal::new(RefusalKind::UpstreamFailed, message).response(provider);
    *response.status_mut() = status;
    let own_headers = std::mem::take(response.headers_mut());
    let mut headers = permitted_headers(&upstream.headers, BodyLength::Unknown);
    for (name, value) in &own_headers {
        if *name != HeaderName::from_static("x-should-retry") {
            headers.insert(name, value.clone());
        }
    }
    *response.headers_mut() = headers;
    response
}
