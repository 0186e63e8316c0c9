//! The table of endpoints and of the members that their bodies may contain, read from `endpoints.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use http::{HeaderName, Method};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::path::{MemberPath, PathStep};
use crate::names::Provider;
use crate::proxy_keys::keys::{Pattern, PatternList};

/// All data of the gate.
pub(super) static RULES: LazyLock<GateRules> = LazyLock::new(|| {
    serde_json::from_str(include_str!("endpoints.json")).expect("a unit test parses the file")
});

/// The content of `endpoints.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateRules {
    pub(super) endpoints: Vec<Endpoint>,
    request_headers: RequestHeaders,
    /// The values of `anthropic-beta` that pass. Another one could open stored objects, or have another price.
    #[serde(deserialize_with = "read_patterns")]
    pub(super) anthropic_betas: PatternList,
    tools: BTreeMap<String, ToolRules>,
    pub(super) tool_choice: ToolChoiceRules,
    pub(super) items: ItemRules,
    /// The members below the root object that are accepted only with certain values, by the last steps of their paths.
    nested_restricted: BTreeMap<MemberPath, Restriction>,
    pub(super) references: ReferenceRules,
}

/// The request headers whose first value passes, by provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestHeaders {
    openai: Vec<HeaderText>,
    anthropic: Vec<HeaderText>,
}

/// The name of a header.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct HeaderText(HeaderName);

/// One endpoint of a provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    #[serde(deserialize_with = "read_provider")]
    pub(crate) provider: Provider,
    #[serde(deserialize_with = "read_method")]
    pub(super) method: Method,
    /// The whole path, compared as bytes.
    pub(crate) path: String,
    /// True if the provider charges for a call.
    #[serde(rename = "metered")]
    pub(crate) is_metered: bool,
    /// The parameters of the query that pass: `name=value` for one value, `name` for every value.
    #[serde(default)]
    pub(super) query: Vec<String>,
    /// The accepted members of the body.
    #[serde(default)]
    accepted: BTreeSet<String>,
    /// The members of the body that are accepted only with certain values.
    #[serde(default)]
    restricted: BTreeMap<String, Restriction>,
    /// The name of the rules for `tools`.
    #[serde(default)]
    tools: Option<String>,
    /// True if `input` may be a list of items.
    #[serde(default)]
    pub(super) has_items: bool,
    /// True if `stream_options.include_usage` adds an event with the usage.
    #[serde(default)]
    pub(super) adds_usage_event: bool,
    /// True if the response is the list of models.
    #[serde(default)]
    lists_models: bool,
    /// True if the responses never contain usage, because the provider charges only for the request.
    #[serde(default)]
    pub(crate) lacks_usage: bool,
    /// True if the outputs are images.
    #[serde(default)]
    pub(crate) generates_images: bool,
}

/// A member that is accepted only with certain values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restriction {
    /// Literals and strings.
    pub(super) accepts: Vec<Value>,
    /// One sentence for the client.
    pub(super) reason: String,
    /// The member `details` of the error in Anthropic's form. The SDK repeats the request without the member.
    pub(super) anthropic_details: Option<Value>,
}

/// The rule for a member of the root object.
#[derive(Clone, Copy, Debug)]
pub(super) enum RootMember {
    Accepted,
    Restricted(&'static Restriction),
}

/// The rules for the types of tools.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolRules {
    /// False if a tool without a type is one that the client runs.
    pub(super) requires_type: bool,
    /// The tools that the client runs. Every key may use them.
    #[serde(deserialize_with = "read_patterns")]
    pub(super) client: PatternList,
    /// The tools that the provider runs. A key may use them if its list contains them.
    #[serde(default = "no_patterns", deserialize_with = "read_patterns")]
    pub(super) hosted: PatternList,
    /// The tools that no key may use, with the reason.
    #[serde(default)]
    refused: BTreeMap<String, String>,
}

/// The rules for `tool_choice`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolChoiceRules {
    /// The whole paths of the members with a type.
    paths: Vec<MemberPath>,
    /// The types that refer to no tool of the provider.
    pub(super) client_types: BTreeSet<String>,
}

/// The rules for the items of `input`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemRules {
    /// The accepted types, with the members without which the API would look up a stored item by its id. `a or b` requires
    /// one of two members.
    pub(super) accepted: BTreeMap<String, Vec<String>>,
    /// The types that are not accepted, with the reason.
    pub(super) refused: BTreeMap<String, String>,
}

/// The members that refer to stored objects, wherever they are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceRules {
    /// Path suffix → description of the stored object.
    refused: BTreeMap<MemberPath, String>,
    /// Path suffix → texts that refer to a stored object.
    refused_texts: BTreeMap<MemberPath, Vec<String>>,
    /// The whole paths of the members in which everything passes.
    exempt: Vec<MemberPath>,
}

impl GateRules {
    /// Returns the request headers that pass to this provider.
    pub(super) fn request_headers(&self, provider: Provider) -> impl Iterator<Item = &HeaderName> {
        let headers = match provider {
            Provider::OpenAi => &self.request_headers.openai,
            Provider::Anthropic => &self.request_headers.anthropic,
        };
        headers.iter().map(|header| &header.0)
    }

    /// Returns the name and the restriction of a member below the root object, or `None` if there is no restriction.
    pub(super) fn nested_restriction(
        &self,
        parents: &[PathStep],
        name: &str,
    ) -> Option<(&str, &Restriction)> {
        for (path, restriction) in &self.nested_restricted {
            if path.matches_suffix(parents, name) {
                return Some((path.name(), restriction));
            }
        }
        None
    }
}

impl Endpoint {
    /// True if a request to the endpoint has a body.
    pub(crate) fn has_body(&self) -> bool {
        self.method == Method::POST
    }

    /// True if the response is the list of models.
    pub(crate) fn is_model_list(&self) -> bool {
        self.lists_models
    }

    /// Returns the name and the rule of a member of the body, or `None` if the endpoint has no such member.
    pub(super) fn root_member(&'static self, name: &str) -> Option<(&'static str, RootMember)> {
        if let Some(accepted) = self.accepted.get(name) {
            return Some((accepted, RootMember::Accepted));
        }
        let (restricted, restriction) = self.restricted.get_key_value(name)?;
        Some((restricted, RootMember::Restricted(restriction)))
    }

    /// Returns the rules for `tools`, or `None` if the endpoint has no tools.
    pub(super) fn tool_rules(&self) -> Option<&'static ToolRules> {
        RULES.tools.get(self.tools.as_ref()?)
    }
}

impl ToolRules {
    /// Returns the reason why no key may use this type of tool, or `None` if there is none.
    pub(super) fn reason_of_refusal(&self, tool_type: &str) -> Option<&str> {
        for (text, reason) in &self.refused {
            if Pattern::parse(text).is_some_and(|pattern| pattern.matches(tool_type)) {
                return Some(reason);
            }
        }
        None
    }
}

impl ItemRules {
    /// Returns the name of a member if a type of item requires it.
    pub(super) fn required_member(&self, name: &str) -> Option<&str> {
        for required in self.accepted.values().flatten() {
            for alternative in required.split(" or ") {
                if alternative == name {
                    return Some(alternative);
                }
            }
        }
        None
    }
}

impl ToolChoiceRules {
    /// True if the member contains the type of a tool or of a choice.
    pub(super) fn is_type(&self, parents: &[PathStep], name: &str) -> bool {
        self.paths.iter().any(|path| path.matches_exactly(parents, name))
    }
}

impl ReferenceRules {
    /// Returns the stored object to which a member refers, or `None` if it is not a reference. `parents` are the steps to the
    /// object with the member.
    pub(super) fn stored_object(&self, parents: &[PathStep], name: &str) -> Option<&str> {
        for (path, object) in &self.refused {
            if path.matches_suffix(parents, name) {
                return Some(object);
            }
        }
        None
    }

    /// Returns the texts with which a member refers to a stored object, of all paths that match it.
    pub(super) fn refused_texts(&'static self, parents: &[PathStep], name: &str) -> Vec<&'static str> {
        let mut refused = Vec::new();
        for (path, texts) in &self.refused_texts {
            if path.matches_suffix(parents, name) {
                refused.extend(texts.iter().map(String::as_str));
            }
        }
        refused
    }

    /// True if everything passes in this member.
    pub(super) fn is_exempt(&self, parents: &[PathStep], name: &str) -> bool {
        self.exempt.iter().any(|path| path.matches_exactly(parents, name))
    }
}

impl TryFrom<String> for HeaderText {
    type Error = http::header::InvalidHeaderName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        HeaderName::try_from(text).map(Self)
    }
}

fn read_provider<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Provider, D::Error> {
    let text = String::deserialize(deserializer)?;
    Provider::from_name(&text).ok_or_else(|| D::Error::custom("an unknown provider"))
}

fn read_method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    let text = String::deserialize(deserializer)?;
    Method::from_bytes(text.as_bytes()).map_err(D::Error::custom)
}

fn read_patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PatternList, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let patterns: Option<Vec<Pattern>> = texts.iter().map(|text| Pattern::parse(text)).collect();
    patterns.map(PatternList::Only).ok_or_else(|| D::Error::custom("a pattern with a * before its end"))
}

fn no_patterns() -> PatternList {
    PatternList::Only(Vec::new())
}

#[cfg(test)]
mod tests;
