//! Headers that identify the bytes of a body. They are wrong after a content coding was added or removed.

use http::header::{ACCEPT_RANGES, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};

/// RFC 9530, and the two headers that it replaces.
static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Removes digests and ranges, and makes the entity tag weak.
pub(super) fn weaken(headers: &mut HeaderMap) {
    for name in &DIGESTS {
        headers.remove(name);
    }
    headers.remove(ACCEPT_RANGES);
    // RFC 9110 §8.8.3.3: representations in different codings share an entity tag only if it is weak.
    if let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) {
        match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
            Ok(weak) => headers.insert(ETAG, weak),
            Err(_) => headers.remove(ETAG),
        };
    }
}
