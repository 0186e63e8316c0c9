//! The paths that are forwarded: those below `/v1/organization/` and `/v1/organizations/`.
use std::borrow::Cow;

use memchr::memchr3;
use percent_encoding::percent_decode_str;

const TREES: [&str; 2] = ["/v1/organization/", "/v1/organizations/"];

/// The number of times that a path may be decoded on its way: once by the next hop, and once more by the one behind it.
const DECODINGS: usize = 2;

/// True for a path below one of the trees that stays below it wherever it is resolved.
pub fn is_in_scope(path: &str) -> bool {
    TREES.iter().any(|tree| path.strip_prefix(tree).is_some_and(stays_below))
}

/// Rejects a path that some server on the way could resolve to a place outside of its tree (RFC 3986 §5.2.4).
///
/// A segment `.`, `..` or an empty one is rejected, also if it is percent-encoded once or twice. An encoded slash inside
/// an id (`%2F`) is accepted.
fn stays_below(path: &str) -> bool {
    // Paths of the SDKs contain none of these bytes.
    if memchr3(b'%', b';', b'\\', path.as_bytes()).is_none() {
        return has_plain_segments(path);
    }
    if !has_valid_escapes(path) {
        return false;
    }
    let mut path = Cow::Borrowed(path);
    for _ in 0..=DECODINGS {
        if !has_plain_segments(&path) || path.bytes().any(|byte| byte.is_ascii_control()) {
            return false;
        }
        // Invalid UTF-8 includes overlong forms: some servers read `%c0%ae` as a dot.
        let Ok(decoded) = percent_decode_str(&path).decode_utf8() else { return false };
        if decoded == path {
            return true;
        }
        path = Cow::Owned(decoded.into_owned());
    }
    false
}

/// RFC 3986 §2.1: each `%` of the path as it was sent has two hexadecimal digits. After one decoding a `%` may be text.
fn has_valid_escapes(path: &str) -> bool {
    path.split('%')
        .skip(1)
        .all(|rest| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

fn has_plain_segments(path: &str) -> bool {
    // A path may end in a slash. The tree's root is empty here.
    let path = path.strip_suffix('/').unwrap_or(path);
    // Some servers read a backslash as a slash, join empty segments, and cut off `;parameters`.
    let is_plain = |segment: &str| !matches!(segment.split(';').next(), None | Some("" | "." | ".."));
    path.is_empty() || (!path.contains('\\') && path.split('/').all(is_plain))
}
