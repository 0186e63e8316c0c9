//! Prepares responses for tower-http's decompression layer.

use http::header::{CONTENT_ENCODING, Entry};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::tail::TailBody;
use super::validators;

/// Values of Content-Encoding that the decompression layer must not see.
#[derive(Clone)]
struct HiddenCoding(Vec<HeaderValue>);

/// Prepares a response for decompression.
///
/// The layer compares codings byte for byte, decodes parts, and of several Content-Encoding headers decodes the first
/// and removes all. So the name of a single coding is normalized, and the headers of other responses are hidden.
pub fn prepare_coding<B>(mut response: Response<B>) -> Response<TailBody<B>> {
    let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
    let coding = single_coding(response.headers()).filter(|_| !is_part);
    let headers = response.headers_mut();
    if let Some(coding) = coding {
        validators::weaken(headers);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    } else if let Entry::Occupied(entry) = headers.entry(CONTENT_ENCODING) {
        let values = entry.remove_entry_mult().1.collect();
        response.extensions_mut().insert(HiddenCoding(values));
    }
    response.map(|body| TailBody::new(body, coding.is_some()))
}

/// Restores the headers that [`prepare_coding`] has hidden.
pub fn restore_coding<B>(mut response: Response<B>) -> Response<B> {
    if let Some(HiddenCoding(values)) = response.extensions_mut().remove() {
        response.headers_mut().extend(values.into_iter().map(|value| (CONTENT_ENCODING, value)));
    }
    response
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
