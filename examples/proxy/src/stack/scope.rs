//! The paths that are forwarded: those below `/v1/organization/` and `/v1/organizations/`.
use std::borrow::Cow;

use memchr::memchr3;
use percent_encoding::percent_decode_str;

/// True for a path below one of the trees that stays below it wherever it is resolved.
pub fn is_in_scope(path: &str) -> bool {
    let trees = ["/v1/organization/", "/v1/organizations/"];
    trees.iter().any(|tree| path.strip_prefix(tree).is_some_and(stays_below))
}

/// True if no server on the way can resolve a path to a place outside of its tree (RFC 3986 §5.2.4).
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
    let mut current = Cow::Borrowed(path);
    // A path may be decoded twice on its way: once by the next hop, and once more by the one behind it.
    for _ in 0..=2 {
        let has_controls = current.bytes().any(|byte| byte.is_ascii_control());
        if has_controls || !has_plain_segments(&current) {
            return false;
        }
        // Invalid UTF-8 includes overlong forms: some servers read `%c0%ae` as a dot.
        let Ok(decoded) = percent_decode_str(&current).decode_utf8() else { return false };
        if decoded == current {
            return true;
        }
        current = Cow::Owned(decoded.into_owned());
    }
    // The path is encoded more often than it may be decoded.
    false
}

/// True if two hexadecimal digits follow each `%` (RFC 3986 §2.1). After one decoding a `%` may be text.
fn has_valid_escapes(path: &str) -> bool {
    let begins_with_hex =
        |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    path.split('%').skip(1).all(begins_with_hex)
}

/// True if no segment is `.`, `..` or empty. The path may be empty, which is the root of the tree, or end in a slash.
fn has_plain_segments(path: &str) -> bool {
    // Some servers read a backslash as a slash.
    if path.contains('\\') {
        return false;
    }
    let segments = path.strip_suffix('/').unwrap_or(path);
    // Some servers join empty segments and cut off `;parameters`.
    let is_plain = |segment: &str| !matches!(segment.split(';').next(), None | Some("" | "." | ".."));
    segments.is_empty() || segments.split('/').all(is_plain)
}
