//! The lists of each API, and the requests for their pages.

use std::fmt;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::base_url::BaseUrl;

/// Every byte but the unreserved ones (RFC 3986 §2.3), which need no encoding in a query.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The start of Anthropic's OAuth tokens.
const OAUTH_TOKEN: &str = "sk-ant-oat";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    OpenAi,
    Anthropic,
}

/// A list of an admin API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyList {
    /// OpenAI's list of projects, archived ones included.
    Projects,
    /// OpenAI's list of the keys of one project.
    ProjectKeys {
        /// The id of the project.
        project: String,
    },
    /// OpenAI's list of admin keys.
    AdminKeys,
    /// Anthropic's list of all keys.
    WorkspaceKeys,
}

impl Api {
    pub(super) fn default_base_url(self) -> BaseUrl {
        match self {
            Self::OpenAi => BaseUrl::openai(),
            Self::Anthropic => BaseUrl::anthropic(),
        }
    }

    /// The lists that do not depend on another list.
    pub(super) fn first_lists(self) -> Vec<KeyList> {
        match self {
            Self::OpenAi => vec![KeyList::Projects, KeyList::AdminKeys],
            Self::Anthropic => vec![KeyList::WorkspaceKeys],
        }
    }

    /// Returns the headers of each request. The `Debug` output of the headers does not contain the key.
    ///
    /// Anthropic expects an OAuth token in `Authorization`, and an API key in `x-api-key`.
    pub(super) fn headers(self, key: &SecretString) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // A request without `Accept-Encoding` accepts any coding (RFC 9110 §12.5.3).
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        let is_oauth_token = key.expose_secret().starts_with(OAUTH_TOKEN);
        if self == Self::OpenAi || is_oauth_token {
            headers.insert(AUTHORIZATION, sensitive_value("Bearer ", key));
        } else {
            headers.insert(HeaderName::from_static("x-api-key"), sensitive_value("", key));
        }
        if self == Self::Anthropic {
            let version = HeaderName::from_static("anthropic-version");
            headers.insert(version, HeaderValue::from_static("2023-06-01"));
        }
        headers
    }
}

/// Returns the value of a header that contains the key after `scheme`.
fn sensitive_value(scheme: &str, key: &SecretString) -> HeaderValue {
    let text = Zeroizing::new(format!("{scheme}{}", key.expose_secret()));
    let mut value = HeaderValue::from_str(&text).expect("a key is visible ASCII");
    value.set_sensitive(true);
    value
}

impl KeyList {
    /// Returns the request target of the page after `cursor`, or of the first page. Pages have the API's maximum size.
    pub(super) fn target(&self, cursor: Option<&str>) -> String {
        let mut target = match self {
            Self::Projects => "/v1/organization/projects?limit=100&include_archived=true".to_owned(),
            // The default omits keys of owners who have left the project. They still work and cause costs.
            Self::ProjectKeys { project } => {
                format!("/v1/organization/projects/{project}/api_keys?limit=100&owner_project_access=any")
            }
            Self::AdminKeys => "/v1/organization/admin_api_keys?limit=100".to_owned(),
            Self::WorkspaceKeys => "/v1/organizations/api_keys?limit=1000".to_owned(),
        };
        if let Some(cursor) = cursor {
            let parameter = if *self == Self::WorkspaceKeys { "&after_id=" } else { "&after=" };
            target.push_str(parameter);
            target.extend(utf8_percent_encode(cursor, RESERVED));
        }
        target
    }

    /// True if a 404 means that the organization has no such keys. A project may be deleted while it is listed.
    pub(super) fn may_be_absent(&self) -> bool {
        matches!(self, Self::ProjectKeys { .. } | Self::AdminKeys)
    }

    /// The kind of key that may read this list.
    pub(super) fn required_key(&self) -> &'static str {
        match self {
            Self::WorkspaceKeys => "an Admin API key, or an OAuth token with the scope org:admin",
            _ => "an admin key of the organization with the scope api.management.read",
        }
    }
}

impl fmt::Display for KeyList {
    /// Writes a noun phrase, which may begin a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Projects => f.write_str("the list of projects"),
            Self::ProjectKeys { project } => write!(f, "the keys of {project}"),
            Self::AdminKeys => f.write_str("the list of admin keys"),
            Self::WorkspaceKeys => f.write_str("the list of keys"),
        }
    }
}

/// True if the id can be a path segment as it is. The id comes from the API, and must not change the path.
pub(super) fn is_project_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=256).contains(&id.len()) && id.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_with_reserved_bytes_is_encoded() {
        assert_eq!(
            KeyList::AdminKeys.target(Some("a b&c=d/é~")),
            "/v1/organization/admin_api_keys?limit=100&after=a%20b%26c%3Dd%2F%C3%A9~"
        );
        assert_eq!(
            KeyList::WorkspaceKeys.target(Some("apikey_1")),
            "/v1/organizations/api_keys?limit=1000&after_id=apikey_1"
        );
    }

    #[test]
    fn project_id_that_changes_the_path_is_rejected() {
        assert!(is_project_id("proj_aB-9") && is_project_id("default"));
        for bad in ["", ".", "..", "a/b", "a?b", "a%2Fb", "é", &"a".repeat(257)] {
            assert!(!is_project_id(bad), "{bad}");
        }
    }

    #[test]
    fn headers_contain_the_key_once_in_the_form_of_the_api() {
        for (api, key, name, value) in [
            (Api::OpenAi, "sk-admin-secret", "authorization", "Bearer sk-admin-secret"),
            (Api::Anthropic, "sk-ant-admin01-secret", "x-api-key", "sk-ant-admin01-secret"),
            (Api::Anthropic, "secret", "x-api-key", "secret"),
            (Api::Anthropic, "sk-ant-oat01-secret", "authorization", "Bearer sk-ant-oat01-secret"),
        ] {
            let headers = api.headers(&key.into());
            let sensitive: Vec<_> = headers.iter().filter(|(_, value)| value.is_sensitive()).collect();
            assert_eq!(sensitive, [(&HeaderName::from_static(name), &HeaderValue::from_static(value))]);
            let version = headers.get("anthropic-version").map(HeaderValue::as_bytes);
            assert_eq!(version, (api == Api::Anthropic).then_some(b"2023-06-01".as_slice()));
            assert!(!format!("{headers:?}").contains("secret"));
        }
    }
}
