//! The response headers that pass.

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName};

/// The headers that pass, by their names in lower case. All others are removed: they describe the account of the real key
/// (`openai-organization`, `openai-project`, `anthropic-organization-id`, `x-ratelimit-…`), its session (`set-cookie`) or the
/// connection to the upstream (`alt-svc`, `server`, `via`).
static PERMITTED: [HeaderName; 12] = [
    CACHE_CONTROL,
    CONTENT_TYPE,
    DATE,
    RETRY_AFTER,
    HeaderName::from_static("openai-model"),
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-should-retry"),
];

/// The `Content-Length` of a response to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum BodyLength {
    /// The body is that of the upstream: its `Content-Length` passes.
    Unchanged,
    /// The body may become shorter while it is sent.
    Unknown,
    /// The body has this number of bytes.
    Exact(usize),
}

/// Returns the headers of a response of the upstream that pass.
pub(in super::super) fn permitted_headers(upstream: &HeaderMap, length: BodyLength) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in &PERMITTED {
        for value in upstream.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    match length {
        BodyLength::Unchanged => {
            if let Some(value) = upstream.get(CONTENT_LENGTH) {
                headers.insert(CONTENT_LENGTH, value.clone());
            }
        }
        BodyLength::Unknown => {}
        BodyLength::Exact(len) => {
            headers.insert(CONTENT_LENGTH, len.into());
        }
    }
    headers
}
