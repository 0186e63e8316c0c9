//! Corrections of tower-http's decompression layer.

use std::pin::Pin;

use http::header::{CONTENT_ENCODING, Entry};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;
use http_body_util::Either;
use tower_http::decompression::DecompressionBody;

use super::tail::TailBody;
use super::validators;

/// A body as it was received, or decoded.
pub type DecodedBody<B> = Either<TailBody<B>, Pin<Box<DecompressionBody<TailBody<B>>>>>;

/// The plan for a response with Content-Encoding, among its extensions.
#[derive(Clone)]
enum Coding {
    Decoded,
    /// The layer must not decode the body. These are its headers.
    Hidden(Vec<HeaderValue>),
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
        validators::weaken(headers);
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
    B: Body<Data = bytes::Bytes>,
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
pub(super) fn single_coding(headers: &HeaderMap) -> Option<&'static str> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(coding), None) = (values.next(), values.next()) else { return None };
    match coding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Some("gzip"),
        b"br" => Some("br"),
        _ => None,
    }
}
