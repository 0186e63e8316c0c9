//! The checks of a request before its body is read.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use super::body_check::{self, CheckedBody};
use super::credential::{X_API_KEY, read_credential};
use super::endpoints::{Endpoint, RULES};
use super::quote::{quote, shorten};
use super::{Refusal, RefusalKind};
use crate::names::Provider;
use crate::proxy_keys::keys::{KeyTable, ProxyKey, ProxyKeys};

/// The header that every request of Anthropic's clients has.
const ANTHROPIC_VERSION: &str = "anthropic-version";

/// The header with the beta features that a request uses, as a list.
const ANTHROPIC_BETA: &str = "anthropic-beta";

/// A request whose method, path, query and headers are permitted. Its body is not read yet.
#[derive(Clone, Debug)]
pub(crate) struct PermittedHead {
    pub(crate) key: Arc<ProxyKey>,
    pub(crate) endpoint: &'static Endpoint,
}

impl ProxyKeys {
    /// True if the headers of a request contain the credential of a key that has neither been revoked nor expired.
    ///
    /// The layer checks it at the start of a call only. A program can use it to end streams of revoked keys.
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        authenticate(headers, &self.table(), Timestamp::now()).is_ok()
    }
}

/// Returns the key whose credential the request has, if it has not expired.
pub(crate) fn authenticate(
    headers: &HeaderMap,
    keys: &KeyTable,
    now: Timestamp,
) -> Result<Arc<ProxyKey>, Refusal> {
    let credential = read_credential(headers)?;
    let Some(key) = keys.find(credential) else {
        return Err(Refusal::new(RefusalKind::InvalidCredential, "The proxy key is not known."));
    };
    if key.has_expired(now) {
        return Err(Refusal::new(RefusalKind::InvalidCredential, "The proxy key has expired."));
    }
    Ok(key.clone())
}

/// Checks everything of a request with this key but its body. Returns the refusal of the first check that fails.
pub(crate) fn check_head(parts: &Parts, key: Arc<ProxyKey>) -> Result<PermittedHead, Refusal> {
    let endpoint = find_endpoint(parts)?;
    check_upgrade(&parts.headers)?;
    check_query(endpoint, parts.uri.query().unwrap_or_default())?;
    if endpoint.has_body() {
        check_content_encoding(&parts.headers)?;
        check_content_type(&parts.headers)?;
    }
    Ok(PermittedHead { key, endpoint })
}

/// Returns the provider of the only endpoint at the path. If none or several have it, decides by `anthropic-version` or
/// `x-api-key`. A request is refused in the error form of this provider.
pub(crate) fn provider_of_request(parts: &Parts) -> Provider {
    let path = parts.uri.path();
    let mut endpoints_at_path = RULES.endpoints.iter().filter(|endpoint| endpoint.path == path);
    if let (Some(endpoint), None) = (endpoints_at_path.next(), endpoints_at_path.next()) {
        return endpoint.provider;
    }
    let is_of_anthropic =
        parts.headers.contains_key(ANTHROPIC_VERSION) || parts.headers.contains_key(X_API_KEY);
    if is_of_anthropic { Provider::Anthropic } else { Provider::OpenAi }
}

impl PermittedHead {
    /// Checks the whole body of the request. An endpoint without a body must not be checked.
    pub(crate) fn check_body(&self, body: &[u8]) -> Result<CheckedBody, Refusal> {
        body_check::check_chunks(self.endpoint, &self.key, &[body])
    }

    /// Returns the headers that are sent to the provider, except the credential, the length and the host. `is_stream` is true
    /// if the request is for a stream of events.
    pub(crate) fn request_headers(&self, client_headers: &HeaderMap, is_stream: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in RULES.request_headers(self.endpoint.provider) {
            if let Some(value) = client_headers.get(name) {
                headers.insert(name, value.clone());
            }
        }
        if self.endpoint.provider == Provider::Anthropic
            && let Some(betas) = permitted_betas(client_headers)
        {
            headers.insert(ANTHROPIC_BETA, betas);
        }
        // A response in another form, which the client's own value could request, cannot be metered.
        let accepted = if is_stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        if self.endpoint.has_body() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers
    }
}

/// Returns the values of `anthropic-beta` that pass, as one list. Returns `None` if there are none.
fn permitted_betas(client_headers: &HeaderMap) -> Option<HeaderValue> {
    let mut permitted = Vec::new();
    for element in list_elements(client_headers, HeaderName::from_static(ANTHROPIC_BETA)) {
        if let Ok(beta) = std::str::from_utf8(element)
            && RULES.anthropic_betas.contains(beta)
        {
            permitted.push(beta);
        }
    }
    if permitted.is_empty() {
        return None;
    }
    HeaderValue::from_str(&permitted.join(",")).ok()
}

/// Returns the endpoint with this method and path. The path is compared as bytes: nothing is decoded, so no other spelling of
/// a path can reach it.
fn find_endpoint(parts: &Parts) -> Result<&'static Endpoint, Refusal> {
    let path = parts.uri.path();
    let provider = provider_of_request(parts);
    let mut endpoints =
        RULES.endpoints.iter().filter(|endpoint| endpoint.path == path && endpoint.provider == provider);
    let Some(endpoint) = endpoints.next() else {
        let message = "This service has no endpoint at this path.";
        return Err(Refusal::new(RefusalKind::UnknownEndpoint, message));
    };
    if endpoint.method == parts.method {
        return Ok(endpoint);
    }
    let (message, methods) = match endpoint.method {
        Method::GET => ("The endpoint has only the method GET.", "GET"),
        _ => ("The endpoint has only the method POST.", "POST"),
    };
    Err(Refusal::new(RefusalKind::MethodNotAllowed, message).allow(methods))
}

/// Refuses a change of the protocol. `Upgrade: h2c` is ignored, which RFC 9110 §7.8 permits: some clients send it always.
fn check_upgrade(headers: &HeaderMap) -> Result<(), Refusal> {
    for protocol in list_elements(headers, UPGRADE) {
        if !protocol.eq_ignore_ascii_case(b"h2c") {
            return Err(Refusal::new(RefusalKind::InvalidRequest, "The header Upgrade is not accepted."));
        }
    }
    Ok(())
}

/// Refuses a parameter of the query that the endpoint does not accept, or that occurs twice.
fn check_query(endpoint: &Endpoint, query: &str) -> Result<(), Refusal> {
    if query.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    for parameter in query.split('&') {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_accepted = endpoint.query.iter().any(|accepted| accepted == parameter || accepted == name);
        if !is_accepted {
            let message =
                format!("The parameter {} of the query is not accepted with this value.", quote(name));
            return Err(Refusal::new(RefusalKind::InvalidRequest, message).about(shorten(name)));
        }
        if names.contains(&name) {
            let message = format!("The parameter {} occurs twice in the query.", quote(name));
            return Err(Refusal::new(RefusalKind::InvalidRequest, message).about(shorten(name)));
        }
        names.push(name);
    }
    Ok(())
}

/// Refuses a body with a content coding, because its check would have to decode it.
fn check_content_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    for coding in list_elements(headers, CONTENT_ENCODING) {
        if !coding.eq_ignore_ascii_case(b"identity") {
            let message = "A body with a Content-Encoding is not accepted. Send it without one.";
            return Err(Refusal::new(RefusalKind::UnsupportedMediaType, message));
        }
    }
    Ok(())
}

/// Refuses a request without exactly one `Content-Type: application/json`. Its only charset is UTF-8.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let is_json = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().is_ok_and(is_utf8_json),
        _ => false,
    };
    if is_json {
        return Ok(());
    }
    let message = "The body must be JSON in UTF-8, with the one header \"Content-Type: application/json\".";
    Err(Refusal::new(RefusalKind::UnsupportedMediaType, message))
}

/// True if the media type is `application/json`, with no charset but UTF-8 (RFC 9110 §8.3.1).
fn is_utf8_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return false;
    }
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let charset = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset") && !charset.eq_ignore_ascii_case("utf-8") {
            return false;
        }
    }
    true
}

/// Returns the elements of a header whose value is a list (RFC 9110 §5.6.1). Empty elements are left out.
fn list_elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(name).into_iter();
    let elements = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests;
