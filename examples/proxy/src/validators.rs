//! A content coding taken off or put on makes another representation of the answer (RFC 9110 §8.4), and
//! what names the old one's bytes exactly no longer holds: tower-http leaves all of it as it was.
use bytes::{BufMut, BytesMut};
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};

/// RFC 9530, and the two that came before it.
static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Of an answer whose `Content-Encoding` says gzip or brotli: it is about to be decoded, or was just coded.
pub fn weaken(headers: &mut HeaderMap) {
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
