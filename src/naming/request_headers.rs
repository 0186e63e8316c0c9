//! The changes to a request in scope: key names in its query become ids, and headers are removed that would prevent the
//! layer from reading the whole response.

#[cfg(test)]
mod tests;

use http::header::{ACCEPT_ENCODING, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};

use crate::KeyNames;
use crate::naming::response_headers::remove_all;
use crate::query::{self, FilterError};

/// Headers that refer to a response which the client has stored. It was amended with another map, so a 304 (RFC 9110
/// §13.1) or a part (§14.2) would not belong to it.
static CONDITIONS: [HeaderName; 4] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE];

/// The maximum length of a URI in `http::Uri`, in bytes.
const MAX_URI: usize = u16::MAX as usize - 1;

/// Rewrites a request in scope for the inner service. Returns an error if its filter cannot be translated.
pub(crate) fn rewrite<B>(request: &mut Request<B>, names: &KeyNames) -> Result<(), FilterError> {
    if let Some(uri) = rewrite_uri(request.uri(), names)? {
        *request.uri_mut() = uri;
    }
    let is_get_or_head = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers_mut();
    // The client may accept codings that this stack cannot decode. If the header is absent, a decompressing layer below
    // adds its own (RFC 9110 §12.5.3).
    headers.remove(ACCEPT_ENCODING);
    if is_get_or_head {
        remove_all(headers, &CONDITIONS);
    }
    Ok(())
}

/// Returns the URI with ids in place of names, or `None` if it contains no names.
fn rewrite_uri(uri: &Uri, names: &KeyNames) -> Result<Option<Uri>, FilterError> {
    let Some(query) = uri.query() else { return Ok(None) };
    let length_without_query = length(uri) - query.len();
    // A URI that is too long already may keep its length: `Uri::from_parts` limits only the target.
    let max_query_length = MAX_URI.saturating_sub(length_without_query).max(query.len());
    let Some(new_query) = query::rewrite(query, names, max_query_length)? else { return Ok(None) };
    let target = format!("{}?{new_query}", uri.path());
    let mut parts = uri.clone().into_parts();
    // The target has only characters that were valid before, so the conversions do not fail. If one did, the request
    // must not be sent without its filter.
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| FilterError::TooLong)?);
    let new_uri = Uri::from_parts(parts).map_err(|_| FilterError::TooLong)?;
    Ok(Some(new_uri))
}

/// Returns the length of a URI as text, in bytes.
fn length(uri: &Uri) -> usize {
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    scheme + authority + target
}
