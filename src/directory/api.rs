//! The lists of each API, and the requests for their pages.

use std::fmt;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::base_url::BaseUrl;
use crate::names::{KEY_ID, Labels, Provider};

/// Every byte but the unreserved ones (RFC 3986 §2.3), which need no encoding in a query.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The start of Anthropic's OAuth tokens.
const OAUTH_TOKEN: &str = "sk-ant-oat";

/// The label of service accounts.
const SERVICE_ACCOUNT_ID: &str = "service_account_id";

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
    /// OpenAI's list of the organization's users.
    Users,
    /// OpenAI's list of the service accounts of one project.
    ProjectServiceAccounts {
        /// The id of the project.
        project: String,
    },
    /// Anthropic's list of all keys.
    WorkspaceKeys,
    /// Anthropic's list of workspaces, archived ones included.
    Workspaces,
    /// Anthropic's list of the organization's users.
    OrganizationUsers,
    /// Anthropic's list of service accounts, archived ones included.
    OrganizationServiceAccounts,
}

/// The form in which a list's pages follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paging {
    /// The parameter `after` contains the last id of the page before.
    After,
    /// The parameter `after_id` contains the last id of the page before.
    AfterId,
    /// The parameter `page` contains the `next_page` of the page before.
    NextPage,
}

impl Provider {
    pub(super) fn default_base_url(self) -> BaseUrl {
        match self {
            Self::OpenAi => BaseUrl::openai(),
            Self::Anthropic => BaseUrl::anthropic(),
        }
    }

    /// Returns the id members of these labels that the API lists, beginning with `api_key_id`.
    pub(super) fn listed_members(self, labels: &Labels) -> Vec<&'static str> {
        let mut members: Vec<_> = match self {
            Self::OpenAi => vec![KEY_ID, "project_id", "user_id", SERVICE_ACCOUNT_ID],
            Self::Anthropic => vec![KEY_ID, "workspace_id", "user_id", SERVICE_ACCOUNT_ID],
        };
        members.retain(|member| labels.iter().any(|(id_member, _)| id_member == *member));
        members
    }

    /// Returns the lists with these id members that do not depend on another list, and those that lead to them.
    pub(super) fn first_lists(self, members: &[&str]) -> Vec<KeyList> {
        let mut lists = match self {
            Self::OpenAi => vec![KeyList::Projects, KeyList::AdminKeys, KeyList::Users],
            Self::Anthropic => vec![
                KeyList::WorkspaceKeys,
                KeyList::Workspaces,
                KeyList::OrganizationUsers,
                KeyList::OrganizationServiceAccounts,
            ],
        };
        lists.retain(|list| members.iter().any(|member| list.is_required_for(member)));
        lists
    }

    /// Returns the lists of one project with these id members.
    pub(super) fn project_lists(self, project: &str, members: &[&str]) -> Vec<KeyList> {
        let mut lists = vec![
            KeyList::ProjectKeys { project: project.to_owned() },
            KeyList::ProjectServiceAccounts { project: project.to_owned() },
        ];
        lists.retain(|list| members.contains(&list.id_member()));
        lists
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
            Self::Users => "/v1/organization/users?limit=100".to_owned(),
            Self::ProjectServiceAccounts { project } => {
                format!("/v1/organization/projects/{project}/service_accounts?limit=100")
            }
            Self::WorkspaceKeys => "/v1/organizations/api_keys?limit=1000".to_owned(),
            Self::Workspaces => "/v1/organizations/workspaces?limit=1000&include_archived=true".to_owned(),
            Self::OrganizationUsers => "/v1/organizations/users?limit=1000".to_owned(),
            Self::OrganizationServiceAccounts => {
                "/v1/organizations/service_accounts?include_archived=true".to_owned()
            }
        };
        if let Some(cursor) = cursor {
            target.push_str(match self.paging() {
                Paging::After => "&after=",
                Paging::AfterId => "&after_id=",
                Paging::NextPage => "&page=",
            });
            target.extend(utf8_percent_encode(cursor, RESERVED));
        }
        target
    }

    pub(super) fn paging(&self) -> Paging {
        match self {
            Self::WorkspaceKeys | Self::Workspaces | Self::OrganizationUsers => Paging::AfterId,
            Self::OrganizationServiceAccounts => Paging::NextPage,
            _ => Paging::After,
        }
    }

    /// The id member of the label whose names the list contains.
    pub(super) fn id_member(&self) -> &'static str {
        match self {
            Self::Projects => "project_id",
            Self::ProjectKeys { .. } | Self::AdminKeys | Self::WorkspaceKeys => KEY_ID,
            Self::Users | Self::OrganizationUsers => "user_id",
            Self::Workspaces => "workspace_id",
            Self::ProjectServiceAccounts { .. } | Self::OrganizationServiceAccounts => SERVICE_ACCOUNT_ID,
        }
    }

    /// True if names of this label are missing without this list. The list of projects leads to the lists of each project.
    pub(super) fn is_required_for(&self, id_member: &str) -> bool {
        let leads_to_label = *self == Self::Projects && [KEY_ID, SERVICE_ACCOUNT_ID].contains(&id_member);
        leads_to_label || self.id_member() == id_member
    }

    /// True if a 404 means that the organization has no such keys. A project may be deleted while it is listed.
    pub(super) fn may_be_absent(&self) -> bool {
        matches!(self, Self::ProjectKeys { .. } | Self::AdminKeys)
    }

    /// The kind of key that may read this list.
    pub(super) fn required_key(&self) -> &'static str {
        match self {
            Self::WorkspaceKeys | Self::Workspaces | Self::OrganizationUsers => {
                "an Admin API key, or an OAuth token with the scope org:admin"
            }
            Self::OrganizationServiceAccounts => {
                "an OAuth token with the scope org:admin; an Admin API key may not read this list"
            }
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
            Self::ProjectServiceAccounts { project } => write!(f, "the service accounts of {project}"),
            Self::WorkspaceKeys => f.write_str("the list of keys"),
            Self::Workspaces => f.write_str("the list of workspaces"),
            Self::Users | Self::OrganizationUsers => f.write_str("the list of users"),
            Self::OrganizationServiceAccounts => f.write_str("the list of service accounts"),
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
        assert_eq!(
            KeyList::OrganizationServiceAccounts.target(Some("page_1=")),
            "/v1/organizations/service_accounts?include_archived=true&page=page_1%3D"
        );
    }

    #[test]
    fn label_that_the_api_does_not_list_causes_no_request() {
        let labels = Labels::default().with("workspace_id", "workspace_name").unwrap();
        let members = Provider::OpenAi.listed_members(&labels);
        assert_eq!(members, [KEY_ID]);
        assert_eq!(Provider::OpenAi.first_lists(&members), [KeyList::Projects, KeyList::AdminKeys]);
        let project_keys = KeyList::ProjectKeys { project: "proj_a".into() };
        assert_eq!(Provider::OpenAi.project_lists("proj_a", &members), [project_keys]);
        let labels = Labels::default().with("project_id", "project_name").unwrap();
        let members = Provider::Anthropic.listed_members(&labels);
        assert_eq!(Provider::Anthropic.first_lists(&members), [KeyList::WorkspaceKeys]);
    }

    #[test]
    fn lists_of_keys_are_read_only_for_names_of_keys() {
        assert_eq!(Provider::OpenAi.first_lists(&["project_id"]), [KeyList::Projects]);
        assert_eq!(Provider::OpenAi.project_lists("proj_a", &["project_id"]), []);
        assert_eq!(Provider::OpenAi.first_lists(&["user_id"]), [KeyList::Users]);
        assert_eq!(Provider::Anthropic.first_lists(&["workspace_id"]), [KeyList::Workspaces]);
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
        for (provider, key, name, value) in [
            (Provider::OpenAi, "sk-admin-secret", "authorization", "Bearer sk-admin-secret"),
            (Provider::Anthropic, "sk-ant-admin01-secret", "x-api-key", "sk-ant-admin01-secret"),
            (Provider::Anthropic, "secret", "x-api-key", "secret"),
            (Provider::Anthropic, "sk-ant-oat01-secret", "authorization", "Bearer sk-ant-oat01-secret"),
        ] {
            let headers = provider.headers(&key.into());
            let sensitive: Vec<_> = headers.iter().filter(|(_, value)| value.is_sensitive()).collect();
            assert_eq!(sensitive, [(&HeaderName::from_static(name), &HeaderValue::from_static(value))]);
            let version = headers.get("anthropic-version").map(HeaderValue::as_bytes);
            assert_eq!(version, (provider == Provider::Anthropic).then_some(b"2023-06-01".as_slice()));
            assert!(!format!("{headers:?}").contains("secret"));
        }
    }
}
