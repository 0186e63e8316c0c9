//! Content codings. tower-http's layers add and remove them; the functions here correct their faults.
//!
//! ```text
//! client ◀─ finish_compression ◀─ compression ◀─ … ◀─ finish_decompression ◀─ decompression ◀─ begin_decompression
//! ```
//!
//! Both `finish_…` functions unwrap a body that was not recoded: the wrapper of tower-http hides its end, so that a
//! response without content gets a Content-Length over HTTP/2, and has a size of several KB. `tail` detects bytes
//! after the end of a coding.

mod tail;

use std::pin::Pin;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, ETAG, Entry};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::Either;
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{And, DefaultPredicate, Predicate};
use tower_http::compression::{CompressionBody, CompressionLayer};
use tower_http::decompression::DecompressionBody;

use tail::TailBody;

/// A body as it was received, or compressed.
pub type EncodedBody<B> = Either<B, Pin<Box<CompressionBody<B>>>>;

/// A body as it was received, or decoded.
pub type DecodedBody<B> = Either<TailBody<B>, Pin<Box<DecompressionBody<TailBody<B>>>>>;

type HasContent = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// RFC 9530, and the two headers that it replaces.
static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The plan for a response with Content-Encoding, among its extensions.
#[derive(Clone)]
enum Coding {
    Decoded,
    /// The decompression layer must not see these headers.
    Hidden(Vec<HeaderValue>),
}

/// Returns a layer that compresses responses for clients that accept gzip or brotli.
///
/// The level is the fastest, because most clients run on the same machine.
pub fn compression() -> CompressionLayer<And<DefaultPredicate, HasContent>> {
    let predicate = DefaultPredicate::new().and(has_content as HasContent);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(predicate)
}

/// True if a response may have a body that can be compressed (RFC 9110 §15.3.5, §15.3.6, §15.4.5).
///
/// A part of a body is not recoded (§15.3.7). tower-http excludes only parts with Content-Range (tower-http#446), and
/// a part with several ranges has none.
fn has_content(status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions) -> bool {
    use StatusCode as S;
    !matches!(status, S::NO_CONTENT | S::RESET_CONTENT | S::PARTIAL_CONTENT | S::NOT_MODIFIED)
}

/// Corrects the validators of a compressed response, and unwraps any other.
pub fn finish_compression<B: Body>(mut response: Response<CompressionBody<B>>) -> Response<EncodedBody<B>> {
    let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
    if is_part || single_coding(response.headers()).is_none() {
        return response.map(|body| Either::Left(body.into_inner()));
    }
    weaken_validators(response.headers_mut());
    response.map(|body| Either::Right(Box::pin(body)))
}

/// Prepares a response for the decompression layer.
///
/// The layer compares codings byte for byte, decodes parts of a body, and of several Content-Encoding headers decodes
/// the first and removes all. So the name of a single coding is normalized, and other headers are hidden.
pub fn begin_decompression<B>(mut response: Response<B>) -> Response<TailBody<B>> {
    let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
    let coding = single_coding(response.headers()).filter(|_| !is_part);
    let headers = response.headers_mut();
    if let Some(coding) = coding {
        weaken_validators(headers);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        response.extensions_mut().insert(Coding::Decoded);
    } else if let Entry::Occupied(entry) = headers.entry(CONTENT_ENCODING) {
        let hidden = entry.remove_entry_mult().1.collect();
        response.extensions_mut().insert(Coding::Hidden(hidden));
    }
    response.map(|body| TailBody::new(body, coding.is_some()))
}

/// Unwraps a body that was not decoded, and restores its hidden headers.
pub fn finish_decompression<B>(
    mut response: Response<DecompressionBody<TailBody<B>>>,
) -> Response<DecodedBody<B>>
where
    B: Body<Data = Bytes>,
{
    match response.extensions_mut().remove() {
        Some(Coding::Decoded) => return response.map(|body| Either::Right(Box::pin(body))),
        Some(Coding::Hidden(values)) => {
            response.headers_mut().extend(values.into_iter().map(|value| (CONTENT_ENCODING, value)));
        }
        None => {}
    }
    response.map(|body| Either::Left(body.into_inner()))
}

/// Returns the only content coding, if it is gzip or brotli (RFC 9110 §8.4.1: in any case, `x-gzip` is gzip).
fn single_coding(headers: &HeaderMap) -> Option<&'static str> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(coding), None) = (values.next(), values.next()) else { return None };
    match coding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Some("gzip"),
        b"br" => Some("br"),
        _ => None,
    }
}

/// Removes digests and ranges, and makes the entity tag weak. They identify bytes that a coding changes.
fn weaken_validators(headers: &mut HeaderMap) {
    for name in DIGESTS.iter().chain([&ACCEPT_RANGES]) {
        headers.remove(name);
    }
    // RFC 9110 §8.8.3.3: representations in different codings share an entity tag only if it is weak.
    if let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) {
        match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
            Ok(weak) => headers.insert(ETAG, weak),
            Err(_) => headers.remove(ETAG),
        };
    }
}
