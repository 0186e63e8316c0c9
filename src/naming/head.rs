//! Heads: what a request is stripped of, whether a response may be amended and if not why not, and which
//! headers no longer describe the bytes once they have changed.

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
    TRAILER, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, response};

use crate::KeyNames;
use crate::naming::settings::MEMBERS;
use crate::outcome::Skip;
use crate::query::{self, names::Fault};

/// Digests of the bytes: RFC 9530 §2 and §3, RFC 3230 §4.3.2, RFC 1864 §2. They may come as trailers too.
static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// What the client holds was named with some other map: its validators would bring a 304 for bytes that this answer
/// does not have (RFC 9110 §13.1), its ranges a part (§14.2).
static CONDITIONS: [HeaderName; 4] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE];

/// The longest that `http::Uri` takes, in bytes.
const MAX_URI: usize = u16::MAX as usize - 1;

/// Makes a request in scope one that the API knows, and whose answer is whole and can be read; unless it asks for
/// names that cannot become ids.
pub(crate) fn amend_request<B>(request: &mut Request<B>, names: &KeyNames) -> Result<(), Fault> {
    if let Some(uri) = with_query(request.uri(), names)? {
        *request.uri_mut() = uri;
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers_mut();
    // What the client can decode is not what this stack can: a decompressing layer below asks for that
    // itself, where it finds the header absent (RFC 9110 §12.5.3).
    headers.remove(ACCEPT_ENCODING);
    if is_read {
        remove_all(headers, &CONDITIONS);
    }
    Ok(())
}

/// Mostly there is none of them: looking through the names takes less than looking each of these up.
fn remove_all(headers: &mut HeaderMap, names: &[HeaderName]) {
    if headers.keys().any(|name| names.contains(name)) {
        for name in names {
            headers.remove(name);
        }
    }
}

/// The URI that asks for ids where this one asks for names.
fn with_query(uri: &Uri, names: &KeyNames) -> Result<Option<Uri>, Fault> {
    let Some(query) = uri.query() else { return Ok(None) };
    let grouped = query::rewrite(query, MEMBERS);
    let room = MAX_URI.saturating_sub(length(uri) - query.len());
    let filtered = query::names::rewrite(grouped.as_deref().unwrap_or(query), names, room)?;
    let Some(query) = filtered.or(grouped) else { return Ok(None) };
    let mut parts = uri.clone().into_parts();
    // Of the same characters as what was a valid target: this does not fail. If it did, the request must not go on
    // as it is.
    let target = PathAndQuery::try_from(format!("{}?{query}", uri.path())).map_err(|_| Fault::TooLong)?;
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map(Some).map_err(|_| Fault::TooLong)
}

/// In bytes, as text.
fn length(uri: &Uri) -> usize {
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    scheme + authority + target
}

/// Why the body of an answer that came to `method` is not to be looked at, or described as one that was: an answer to
/// `HEAD` has the head that one to `GET` has (RFC 9110 §9.3.2).
pub(crate) fn skip(method: &Method, head: &response::Parts, honor_no_transform: bool) -> Option<Skip> {
    let headers = &head.headers;
    // RFC 9110 §6.4.1; 205 has no content either (§15.3.6).
    let no_body = head.status.is_informational()
        || matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        )
        || *method == Method::CONNECT && head.status.is_success();
    if no_body {
        return Some(Skip::NoBody);
    }
    // RFC 9110 §15.3.7: offsets in a part are those of bytes that changed.
    if head.status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE) {
        return Some(Skip::Partial);
    }
    if !is_json(headers) {
        return Some(Skip::MediaType);
    }
    if tokens(headers, CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Some(Skip::ContentEncoding);
    }
    // RFC 9110 §7.7 forbids proxies to transform; a gateway acts for its own user, and this one is asked
    // to: so by default it does.
    if honor_no_transform
        && tokens(headers, CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-transform"))
    {
        return Some(Skip::NoTransform);
    }
    None
}

/// `application/json` and `*/*+json` (RFC 8259 §11, RFC 6839 §3.1), in any case, with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    if value == "application/json" {
        return true;
    }
    let Ok(value) = value.to_str() else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.contains(',') {
        return false;
    }
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
    kind.eq_ignore_ascii_case("application") && subtype.eq_ignore_ascii_case("json")
        || !kind.is_empty() && suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"))
}

/// The members of a list header (RFC 9110 §5.6.1). One that is no text stands as itself.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.flat_map(|line| line.to_str().unwrap_or("\u{FFFD}").split(','));
    lines.map(str::trim).filter(|token| !token.is_empty())
}

/// Whether fields may follow the body (RFC 9110 §6.6.2).
pub(crate) fn announces_trailers(headers: &HeaderMap) -> bool {
    headers.contains_key(TRAILER)
}

/// Whether a body of this length is not the one that the head describes.
pub(crate) fn denies(headers: &HeaderMap, length: u64) -> bool {
    headers.get_all(CONTENT_LENGTH).iter().any(|said| *said != HeaderValue::from(length))
}

/// Corrects what describes bytes that have changed, or that may. `length` is exact, where it is known and
/// can be said.
pub(crate) fn amend_response(headers: &mut HeaderMap, length: Option<u64>) {
    // Validators: RFC 9110 §8.8. Ranges: §14.3.
    for name in [ETAG, LAST_MODIFIED, ACCEPT_RANGES] {
        headers.remove(name);
    }
    amend_trailers(headers);
    if announces_trailers(headers) {
        for announced in take_all(headers, TRAILER) {
            if let Some(announced) = without_digests(announced) {
                headers.append(TRAILER, announced);
            }
        }
    }
    match length {
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            // Never both (RFC 9112 §6.2).
            headers.remove(TRANSFER_ENCODING);
        }
        None => drop(headers.remove(CONTENT_LENGTH)),
    }
}

/// Takes off what was computed over bytes that have changed.
pub(crate) fn amend_trailers(fields: &mut HeaderMap) {
    remove_all(fields, &DIGESTS);
}

fn take_all(headers: &mut HeaderMap, name: HeaderName) -> Vec<HeaderValue> {
    let values = headers.get_all(&name).iter().cloned().collect();
    headers.remove(name);
    values
}

/// A line of `Trailer` without the digests it announces; the same line where it announces none.
fn without_digests(line: HeaderValue) -> Option<HeaderValue> {
    let is_digest =
        |name: &&str| DIGESTS.iter().any(|digest| name.trim().eq_ignore_ascii_case(digest.as_str()));
    let Ok(names) = line.to_str() else { return Some(line) };
    if !names.split(',').any(|name| is_digest(&name)) {
        return Some(line);
    }
    let kept: Vec<_> = names.split(',').filter(|name| !is_digest(name)).map(str::trim).collect();
    HeaderValue::from_str(&kept.join(", ")).ok().filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests;
