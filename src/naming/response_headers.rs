//! The headers of a response: they decide whether its body may be amended, and are corrected if its bytes change.

#[cfg(test)]
mod tests;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderName, LAST_MODIFIED, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, response};

use crate::outcome::Skip;

/// Digests of the bytes: RFC 9530 §2 and §3, RFC 3230 §4.3.2, RFC 1864 §2. They may also be trailers.
static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Returns the reason why a response must not be amended, or `None` if it may be.
///
/// A response to `HEAD` is treated like one to `GET`, because it has the same headers (RFC 9110 §9.3.2).
pub(crate) fn skip_reason(
    method: &Method,
    response: &response::Parts,
    honor_no_transform: bool,
) -> Option<Skip> {
    let headers = &response.headers;
    if is_without_body(method, response.status) {
        return Some(Skip::NoBody);
    }
    // RFC 9110 §15.3.7: a part has the offsets of the original representation.
    if response.status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE) {
        return Some(Skip::Partial);
    }
    if !is_json(headers) {
        return Some(Skip::MediaType);
    }
    if list(headers, CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Some(Skip::ContentEncoding);
    }
    // RFC 9110 §7.7 binds proxies. A gateway acts for its own user, so honoring it is a setting.
    if honor_no_transform
        && list(headers, CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-transform"))
    {
        return Some(Skip::NoTransform);
    }
    None
}

/// Returns true if no content follows the headers (RFC 9110 §6.4.1, and §15.3.6 for 205).
fn is_without_body(method: &Method, status: StatusCode) -> bool {
    let is_empty =
        matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let is_tunnel = *method == Method::CONNECT && status.is_success();
    status.is_informational() || is_empty || is_tunnel
}

/// Returns true for `application/json` and `*/*+json` (RFC 8259 §11, RFC 6839 §3.1), in any case and with any
/// parameters. A response with two values, or one with a comma, has no clear media type.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(text) = value.to_str() else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim();
    // The usual type, whose parts need no search.
    if essence.eq_ignore_ascii_case("application/json") {
        return true;
    }
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let Some((_, suffix)) = subtype.rsplit_once('+') else { return false };
    !kind.is_empty() && suffix.eq_ignore_ascii_case("json") && !essence.contains(',')
}

/// Returns the elements of a list header (RFC 9110 §5.6.1). A line that is not text is one element.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    let elements = lines.flat_map(|line| line.to_str().unwrap_or("\u{FFFD}").split(','));
    elements.map(str::trim).filter(|element| !element.is_empty())
}

/// Returns true if the headers contain a Content-Length other than `length`.
pub(crate) fn contradicts_length(headers: &HeaderMap, length: u64) -> bool {
    headers.get_all(CONTENT_LENGTH).iter().any(|value| *value != HeaderValue::from(length))
}

/// Corrects the headers of a body whose bytes change. `length` is the exact new length, if it is known and may be sent.
pub(crate) fn amend(headers: &mut HeaderMap, length: Option<u64>) {
    // Validators: RFC 9110 §8.8. Ranges: §14.3.
    remove_all(headers, &[ETAG, LAST_MODIFIED, ACCEPT_RANGES]);
    remove_all(headers, &DIGESTS);
    remove_announced_digests(headers);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        // A message must not have both (RFC 9112 §6.2).
        headers.remove(TRANSFER_ENCODING);
    } else {
        headers.remove(CONTENT_LENGTH);
    }
}

/// Removes the names of digests from the header that announces trailers.
fn remove_announced_digests(headers: &mut HeaderMap) {
    if !list(headers, TRAILER).any(is_digest) {
        return;
    }
    let kept: Vec<_> = list(headers, TRAILER).filter(|name| !is_digest(name)).collect();
    match HeaderValue::from_str(&kept.join(", ")) {
        Ok(line) if !line.is_empty() => headers.insert(TRAILER, line),
        _ => headers.remove(TRAILER),
    };
}

/// Removes digests of bytes that change from the trailers.
pub(crate) fn amend_trailers(trailers: &mut HeaderMap) {
    remove_all(trailers, &DIGESTS);
}

/// Removes headers that are usually absent. Comparing all names once is faster than a look-up of each.
pub(crate) fn remove_all(headers: &mut HeaderMap, names: &[HeaderName]) {
    if headers.keys().any(|name| names.contains(name)) {
        for name in names {
            headers.remove(name);
        }
    }
}

fn is_digest(name: &str) -> bool {
    DIGESTS.iter().any(|digest| name.eq_ignore_ascii_case(digest.as_str()))
}
