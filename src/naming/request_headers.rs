//! The changes to a request in scope: names in its query become ids, and headers are removed that would prevent the
//! layer from reading the whole response.

#[cfg(test)]
mod tests;

use http::header::{ACCEPT_ENCODING, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};

use crate::KeyNames;
use crate::json::rules::NamePosition;
use crate::names::{LabelSet, Provider};
use crate::naming::name_sent;
use crate::naming::response_headers::remove_all;
use crate::naming::settings::LayerSettings;
use crate::query::{self, FilterError, FilterErrorKind, QueryNames};

/// Headers that refer to a response which the client has stored. It was amended with another map, so a 304 (RFC 9110
/// §13.1) or a part (§14.2) would not belong to it.
static CONDITIONS: [HeaderName; 4] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE];

/// The maximum length of a URI in `http::Uri`, in bytes.
const MAX_URI: usize = u16::MAX as usize - 1;

/// A URI with ids in place of names.
pub(crate) struct RewrittenUri {
    pub(crate) uri: Uri,
    /// The labels whose names the query contained.
    pub(crate) labels: LabelSet,
    /// The value of the header [`API_KEY_NAME_SENT`](super::name_sent::API_KEY_NAME_SENT).
    pub(crate) name_sent: Option<HeaderValue>,
}

/// Returns the URI with ids in place of the names of these labels, or `None` if it contains no names. Returns an error
/// if its filter cannot be translated.
pub(crate) fn rewrite_uri(
    uri: &Uri,
    settings: &LayerSettings,
    labels: LabelSet,
    map: &KeyNames,
) -> Result<Option<RewrittenUri>, FilterError> {
    let Some(query) = uri.query() else { return Ok(None) };
    let length_without_query = length(uri) - query.len();
    // A URI that is too long already may keep its length: `Uri::from_parts` limits only the target.
    let max_query_length = MAX_URI.saturating_sub(length_without_query).max(query.len());
    let names = QueryNames {
        active: labels,
        provider: Provider::of_path(uri.path()),
        accepts_names_as_ids: settings.rules.position == NamePosition::Replace,
        ..QueryNames::new(&settings.rules.labels, map, max_query_length)
    };
    let Some(rewritten) = query::rewrite(query, &names)? else { return Ok(None) };
    // The target has only characters that were valid before, so the conversions do not fail. If one did, the request
    // must not be sent without its filter.
    let new_uri = with_query(uri, &rewritten.query)
        .map_err(|_| FilterError { label: 0, kind: FilterErrorKind::TooLong })?;
    let name_sent = name_sent::header_value(&rewritten.sent);
    Ok(Some(RewrittenUri { uri: new_uri, labels: rewritten.labels, name_sent }))
}

/// Replaces the query of a URI.
fn with_query(uri: &Uri, query: &str) -> http::Result<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{}?{query}", uri.path()))?);
    Ok(Uri::from_parts(parts)?)
}

/// Removes the headers that would prevent the layer from reading the whole response.
pub(crate) fn remove_headers<B>(request: &mut Request<B>) {
    let is_get_or_head = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers_mut();
    // The client may accept codings that this stack cannot decode. If the header is absent, a decompressing layer below
    // adds its own (RFC 9110 §12.5.3).
    headers.remove(ACCEPT_ENCODING);
    if is_get_or_head {
        remove_all(headers, &CONDITIONS);
    }
}

/// Returns the length of a URI as text, in bytes.
fn length(uri: &Uri) -> usize {
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    scheme + authority + target
}
