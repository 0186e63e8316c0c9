//! What a message says of its own length. hyper reads a body as RFC 9112 §6.3 has it and leaves the words in the
//! head; on the way out its server believes them. So what goes on is made to say one thing, and the right one.
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::errors::Failure;

/// Whether no transfer coding stands under the chunks: none but `chunked` is asked for (`TE: trailers`) and taken off,
/// and what is coded must not go on without its label.
pub fn is_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.next().is_none_or(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

/// Of an answer, while its head is as it came.
pub fn settle(status: StatusCode, headers: &mut HeaderMap) -> Result<(), Failure> {
    if headers.contains_key(TRANSFER_ENCODING) {
        if !is_plain(headers) {
            return Err(Failure::Unusable);
        }
        // Where there are chunks, they count: a length beside them may cut the body.
        headers.remove(CONTENT_LENGTH);
    }
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // RFC 9110 §8.6: 204 has none, and that of 304 would be of bytes that were not amended.
        headers.remove(CONTENT_LENGTH);
    }
    if say_once(headers) { Ok(()) } else { Err(Failure::Unusable) }
}

/// Makes one of a length that is said several times. False where it is none, or not the same each time (RFC 9110 §8.6).
pub fn say_once(headers: &mut HeaderMap) -> bool {
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    if said.next().is_none_or(is_number) && said.next().is_none() {
        return true;
    }
    let Some(length) = repeated(headers) else { return false };
    headers.insert(CONTENT_LENGTH, length);
    true
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

/// The one length that is said several times, `5, 5`, which may go on as one (RFC 9110 §8.6).
fn repeated(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(CONTENT_LENGTH).iter();
    let mut lengths = lines.flat_map(|line| line.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    let first = HeaderValue::from_bytes(lengths.next()?).ok().filter(is_number)?;
    lengths.all(|length| length == first.as_bytes()).then_some(first)
}
