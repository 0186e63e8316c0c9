//! The checks of a request with a proxy key, before any of it is sent to the upstream.
//!
//! ```text
//! head ─▶ access ─▶ credential, endpoints (endpoints.json)
//! body ─▶ body_check ─▶ json/scan        a permitted body ─▶ usage_option (the one edit)
//! ```
//!
//! Everything that is not in `endpoints.json` is refused. Below the top level of a body, unknown members pass, except those
//! that refer to stored objects: all clients share the stored objects of the real key.

mod access;
mod body_check;
mod credential;
mod endpoints;
mod path;
mod quote;
mod refusal;
#[cfg(any(test, feature = "_internal"))]
mod test_key;
mod usage_option;
mod value_kind;

pub(crate) use self::access::{PermittedHead, authenticate, check_head, provider_of_request};
pub(crate) use self::body_check::CheckedBody;
pub(crate) use self::credential::read_credential;
pub(crate) use self::quote::{quote, shorten};
pub(crate) use self::refusal::{Refusal, RefusalKind};

/// The headers that pass, and the model, the edited body, and two flags: a stream, and a usage event that is not requested.
#[cfg(feature = "_internal")]
pub type PermittedRequest = (http::HeaderMap, Option<(String, bytes::Bytes, bool, bool)>);

/// For the property test and the fuzz target `gate`: checks a request with the keys of `test_key`. Returns the status and message of a refusal.
#[cfg(feature = "_internal")]
pub fn check_request(
    parts: &http::request::Parts,
    chunks: &[&[u8]],
) -> Result<PermittedRequest, (u16, String)> {
    let form = provider_of_request(parts);
    let refuse = |refusal: Refusal| (refusal.response(form).status().as_u16(), refusal.message().to_owned());
    let now = jiff::Timestamp::UNIX_EPOCH;
    let key = authenticate(&parts.headers, &test_key::test_keys(), now).map_err(refuse)?;
    let head = check_head(parts, key).map_err(refuse)?;
    if !head.endpoint.has_body() {
        return Ok((head.request_headers(&parts.headers, false), None));
    }
    let checked = body_check::check_chunks(head.endpoint, &head.key, chunks).map_err(refuse)?;
    let headers = head.request_headers(&parts.headers, checked.streams);
    let body = bytes::Bytes::from(chunks.concat());
    let edited = checked.edit.map_or(body.clone(), |edit| edit.apply(&body));
    Ok((headers, Some((checked.model, edited, checked.streams, checked.hides_usage_event))))
}
