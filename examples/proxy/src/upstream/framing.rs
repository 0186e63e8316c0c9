//! The length of a message (RFC 9112 §6.3).
//!
//! hyper reads a body by the rules of RFC 9112 and leaves the headers as they are. Its server then trusts them, so a
//! message has to contain one length, and the right one.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::failure::Failure;

/// True if the message has a transfer coding other than one `chunked`. The proxy requests no other (`TE: trailers`), and
/// cannot remove it.
pub fn has_unsupported_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = codings.next() else { return false };
    let is_chunked = first.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    !is_chunked || codings.next().is_some()
}

/// Corrects the length of a response. Hop-by-hop headers must still be present. An error means that the response has a
/// transfer coding other than `chunked`, or lengths that differ.
pub fn correct_response_length(status: StatusCode, headers: &mut HeaderMap) -> Result<(), Failure> {
    if has_unsupported_coding(headers) {
        return Err(Failure::InvalidResponse);
    }
    // RFC 9112 §6.3: Transfer-Encoding overrides a length.
    let is_chunked = headers.contains_key(TRANSFER_ENCODING);
    // RFC 9110 §8.6: a 204 has no length. A 304 has that of a full response, whose names the upstream does not count.
    let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_chunked || has_no_body {
        headers.remove(CONTENT_LENGTH);
    }
    if merge_lengths(headers) { Ok(()) } else { Err(Failure::InvalidResponse) }
}

/// Replaces equal values of Content-Length, as in `5, 5`, by one. Returns false if they differ or are not numbers
/// (RFC 9110 §8.6).
pub fn merge_lengths(headers: &mut HeaderMap) -> bool {
    let values = headers.get_all(CONTENT_LENGTH).iter();
    let list_items = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut lengths = list_items.map(<[u8]>::trim_ascii);
    let Some(first) = lengths.next() else { return true };
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    if !is_number {
        return false;
    }
    let Some(second) = lengths.next() else { return true };
    if second != first || lengths.any(|length| length != first) {
        return false;
    }
    let Ok(length) = HeaderValue::from_bytes(first) else { return false };
    headers.insert(CONTENT_LENGTH, length);
    true
}
