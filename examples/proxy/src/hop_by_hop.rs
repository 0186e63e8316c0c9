//! Headers that belong to one connection (RFC 9110 §7.6.1).

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};
use http_body::Frame;

/// The headers of RFC 9110 §7.6.1, and those that older peers send without naming them in `Connection`.
///
/// `Trailer` is not among them: hyper sends trailers only if this header announces them.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Removes all hop-by-hop headers, including those that `Connection` names.
pub fn strip(headers: &mut HeaderMap) {
    // Most messages have at most one such header, so one pass is cheaper than a removal of each name.
    let is_listed = |name: &&HeaderName| HOP_BY_HOP.contains(&name.as_str());
    let mut removed: Vec<HeaderName> = headers.keys().filter(is_listed).cloned().collect();
    for value in headers.get_all(CONNECTION) {
        for option in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let is_listed = HOP_BY_HOP.iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes()));
            if !is_listed && let Ok(name) = HeaderName::from_bytes(option) {
                removed.push(name);
            }
        }
    }
    for name in removed {
        headers.remove(name);
    }
}

/// Removes hop-by-hop headers from trailers. HTTP/2 rejects a message that has them (RFC 9113 §8.2.2).
pub fn strip_frame<D>(mut frame: Frame<D>) -> Frame<D> {
    if let Some(trailers) = frame.trailers_mut() {
        strip(trailers);
    }
    frame
}
