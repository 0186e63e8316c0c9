//! Headers that belong to one connection (RFC 9110 §7.6.1).

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};
use http_body::Frame;

/// True for the headers of RFC 9110 §7.6.1, and for those that older peers send without naming them in `Connection`.
///
/// `Trailer` is not among them: hyper sends trailers only if this header announces them.
fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"keep-alive"
            | b"proxy-authenticate"
            | b"proxy-authentication-info"
            | b"proxy-authorization"
            | b"proxy-connection"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
    )
}

/// Removes all hop-by-hop headers, including those that `Connection` names.
pub fn strip(headers: &mut HeaderMap) {
    // Most messages have one at most, so their headers are compared with the list and not the reverse.
    let mut removed: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name.as_str().as_bytes())).cloned().collect();
    if removed.contains(&CONNECTION) {
        let values = headers.get_all(CONNECTION).iter();
        let options = values.flat_map(|value| value.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii);
        removed.extend(options.filter_map(|option| HeaderName::from_bytes(option).ok()));
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
