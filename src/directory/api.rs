//! The lists of each API, and the requests for their pages.

use std::fmt;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::admin_key::AdminKey;
use super::base_url::BaseUrl;
use super::error::DirectoryError;

/// Every byte but the unreserved ones (RFC 3986 §2.3), which need no encoding in a query.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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

    /// Returns the headers of each request. Fails if the key is in a file that cannot be read.
    pub(super) fn headers(self, key: &AdminKey) -> Result<HeaderMap, DirectoryError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // A request without `Accept-Encoding` accepts any coding (RFC 9110 §12.5.3).
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        match self {
            Self::OpenAi => {
                headers.insert(AUTHORIZATION, key.header("Bearer ")?);
            }
            Self::Anthropic => {
                headers.insert(HeaderName::from_static("x-api-key"), key.header("")?);
                let version = HeaderName::from_static("anthropic-version");
                headers.insert(version, HeaderValue::from_static("2023-06-01"));
            }
        }
        Ok(headers)
    }
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
            Self::WorkspaceKeys => "an Admin API key of the organization",
            _ => "an admin key of the organization with the scope api.management.read",
        }
    }
}

impl fmt::Display for KeyList {
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
    fn headers_of_each_api_contain_the_key_once() {
        let key = AdminKey::new("secret".into()).unwrap();
        let headers = Api::OpenAi.headers(&key).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer secret");
        let headers = Api::Anthropic.headers(&key).unwrap();
        assert!(headers["x-api-key"] == "secret" && !headers.contains_key(AUTHORIZATION));
        assert_eq!(headers["anthropic-version"], "2023-06-01");
        assert!(!format!("{headers:?}").contains("secret"));
    }
}
