//! Which lists an API has, and how to ask for a page of them.

use super::key::AdminKey;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::{self, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    OpenAi,
    Anthropic,
}

/// One list of items, of one page or many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum List {
    Projects,
    /// Of the project with this id, which [`is_project`] has seen.
    ProjectKeys(String),
    AdminKeys,
    WorkspaceKeys,
}

impl Api {
    pub(super) fn base(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com",
            Self::Anthropic => "https://api.anthropic.com",
        }
    }

    /// The lists that a walk begins with.
    pub(super) fn lists(self) -> Vec<List> {
        match self {
            Self::OpenAi => vec![List::Projects, List::AdminKeys],
            Self::Anthropic => vec![List::WorkspaceKeys],
        }
    }

    /// What a key must be able to do.
    pub(super) fn right(self) -> &'static str {
        match self {
            Self::OpenAi => "an admin key of the organization with the scope api.management.read",
            Self::Anthropic => "an Admin API key of the organization",
        }
    }

    /// What goes with every request.
    pub(super) fn headers(self, key: &AdminKey) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Absent would mean: any (RFC 9110 §12.5.3). A page is small.
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

impl List {
    /// Path and query of the page behind this cursor, or of the first. Pages are as full as the API allows.
    pub(super) fn target(&self, after: Option<&str>) -> String {
        let mut target = match self {
            Self::Projects => "/v1/organization/projects?limit=100&include_archived=true".to_owned(),
            // Without `any`, keys are missing whose owner has left the project; they still work and still cost.
            Self::ProjectKeys(project) => {
                format!("/v1/organization/projects/{project}/api_keys?limit=100&owner_project_access=any")
            }
            Self::AdminKeys => "/v1/organization/admin_api_keys?limit=100".to_owned(),
            Self::WorkspaceKeys => "/v1/organizations/api_keys?limit=1000".to_owned(),
        };
        if let Some(cursor) = after {
            target.push_str(if *self == Self::WorkspaceKeys { "&after_id=" } else { "&after=" });
            for byte in cursor.bytes() {
                // RFC 3986 §2.3: these need no encoding anywhere.
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    target.push(char::from(byte));
                } else {
                    let _ = write!(target, "%{byte:02X}");
                }
            }
        }
        target
    }

    /// Whether an organization may be without this list: then it has no keys of that kind, or none is left.
    pub(super) fn may_be_absent(&self) -> bool {
        matches!(self, Self::ProjectKeys(_) | Self::AdminKeys)
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Projects => f.write_str("the list of projects"),
            Self::ProjectKeys(project) => write!(f, "the keys of {project}"),
            Self::AdminKeys => f.write_str("the list of admin keys"),
            Self::WorkspaceKeys => f.write_str("the list of keys"),
        }
    }
}

/// Whether this can stand in a path as it is. An id comes from the API, but it must not lead elsewhere.
pub(super) fn is_project(id: &str) -> bool {
    (1..=256).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_value_of_the_query_whatever_it_holds() {
        assert_eq!(
            List::AdminKeys.target(Some("a b&c=d/é~")),
            "/v1/organization/admin_api_keys?limit=100&after=a%20b%26c%3Dd%2F%C3%A9~"
        );
        assert_eq!(
            List::WorkspaceKeys.target(Some("apikey_1")),
            "/v1/organizations/api_keys?limit=1000&after_id=apikey_1"
        );
    }

    #[test]
    fn a_project_leads_to_its_own_keys_only() {
        assert!(is_project("proj_aB-9") && is_project("default"));
        for bad in ["", ".", "..", "a/b", "a?b", "a%2Fb", "é", &"a".repeat(257)] {
            assert!(!is_project(bad), "{bad}");
        }
    }

    #[test]
    fn each_api_is_asked_as_it_wants() {
        let key = AdminKey::new("secret".into()).unwrap();
        let headers = Api::OpenAi.headers(&key).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer secret");
        let headers = Api::Anthropic.headers(&key).unwrap();
        assert_eq!(
            (&headers["x-api-key"], headers.contains_key(AUTHORIZATION)),
            (&"secret".parse().unwrap(), false)
        );
        assert_eq!(headers["anthropic-version"], "2023-06-01");
        assert!(!format!("{headers:?}").contains("secret"));
    }
}
