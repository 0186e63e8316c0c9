//! The providers whose organization APIs are named.

/// A provider of an organization API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// OpenAI: the paths below `/v1/organization/`.
    OpenAi,
    /// Anthropic: the paths below `/v1/organizations/`.
    Anthropic,
}

impl Provider {
    /// All providers.
    pub(crate) const ALL: [Provider; 2] = [Provider::OpenAi, Provider::Anthropic];

    /// Returns the provider's name in lower case: `openai` or `anthropic`. Its section of a map file has this name.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::OpenAi => "openai",
            Provider::Anthropic => "anthropic",
        }
    }

    /// Returns the provider with this name, or `None` if there is none.
    #[cfg(feature = "proxy-keys")]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name)
    }

    /// Returns the provider that a path belongs to, by its first segment `organization` or `organizations`. Returns
    /// `None` for a path without such a segment.
    pub fn of_path(path: &str) -> Option<Self> {
        // A loop over bytes is faster than a search for a character in short segments.
        path.as_bytes().split(|byte| *byte == b'/').find_map(|segment| match segment {
            b"organization" => Some(Provider::OpenAi),
            b"organizations" => Some(Provider::Anthropic),
            _ => None,
        })
    }

    /// True if the form of this id does not exclude the provider. Only the keys of the other provider have an excluded
    /// form: `key_…` is an id of OpenAI, and `apikey_…` one of Anthropic.
    pub(crate) fn may_own(self, id: &str) -> bool {
        match self {
            Provider::OpenAi => !id.starts_with("apikey_"),
            Provider::Anthropic => !id.starts_with("key_"),
        }
    }
}
