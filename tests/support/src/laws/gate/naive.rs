//! A gate for whole bodies: it parses them into a tree, and compares paths as texts.
//!
//! The members, tools and items are those of `endpoints.json`. The endpoints, headers and references are repeated here.

use std::fmt;
use std::sync::LazyLock;

use http::HeaderMap;
use http::request::Parts;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::cases::naive::is_json;

/// The content of `endpoints.json`.
pub(super) static TABLE: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../../src/proxy_keys/gate/endpoints.json");
    serde_json::from_str(text).expect("the table is JSON")
});

/// The provider, method and path of each endpoint.
pub(super) const ENDPOINTS: &[(&str, &str, &str)] = &[
    ("openai", "POST", "/v1/chat/completions"),
    ("openai", "POST", "/v1/responses"),
    ("anthropic", "POST", "/v1/messages"),
    ("openai", "POST", "/v1/completions"),
    ("openai", "POST", "/v1/responses/compact"),
    ("openai", "POST", "/v1/embeddings"),
    ("openai", "POST", "/v1/moderations"),
    ("openai", "POST", "/v1/images/generations"),
    ("openai", "GET", "/v1/models"),
    ("anthropic", "GET", "/v1/models"),
    ("anthropic", "POST", "/v1/messages/count_tokens"),
];

/// The members that refer to stored objects, by the end of their paths in lower case.
pub(super) const REFERENCES: &[&str] = &[
    "file_id",
    "file_ids",
    "vector_store_id",
    "vector_store_ids",
    "container",
    "container_id",
    "conversation",
    "conversation_id",
    "previous_response_id",
    "previous_message_id",
    "comparison_response_id",
    "response_id",
    "thread_id",
    "prompt_id",
    "skill_id",
    "connector_id",
    "tunnel_id",
    "server_url",
    "authorization",
    "authorization_token",
    "approval_request_id",
    "mcp_servers",
    "mcp_server_name",
    "messages[].audio",
    "tool.definition",
    "tool[].definition",
    "agent_id",
    "asset_pointer",
    "batch_id",
    "environment_id",
    "memory_store_id",
    "session_id",
    "upload_id",
    "vault_ids",
    "video_id",
    "voice.id",
];

/// The paths in which everything passes.
pub(super) const EXEMPT: &[&str] = &[
    "metadata",
    "functions[].parameters",
    "input[].action.env",
    "tools[].function.parameters",
    "tools[].parameters",
    "tools[].output_schema",
    "tools[].input_schema",
    "tools[].input_examples",
    "text.format.schema",
    "response_format.json_schema",
    "output_format.schema",
    "output_config.format.schema",
    "messages[].content[].input",
];

/// A JSON value that keeps members that occur twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// A literal or a number.
    Scalar(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A member below the root object, with its path.
struct NestedMember<'a> {
    path: String,
    name: &'a str,
    value: &'a Node,
}

/// Returns the endpoint of a request whose head is permitted.
pub(super) fn permitted_endpoint(parts: &Parts) -> Option<&'static Value> {
    let form = if parts.headers.contains_key("anthropic-version") || parts.headers.contains_key("x-api-key") {
        "anthropic"
    } else {
        "openai"
    };
    let path = parts.uri.path();
    let (provider, method, _) = ENDPOINTS
        .iter()
        .find(|(provider, _, known)| *known == path && (path != "/v1/models" || *provider == form))?;
    let has_body = *method == "POST";
    let is_permitted = has_valid_key(&parts.headers)
        && parts.method.as_str() == *method
        && list(&parts.headers, "upgrade").iter().all(|protocol| protocol == "h2c")
        && is_query_permitted(parts.uri.query(), has_body, provider)
        && (!has_body || is_json_without_coding(&parts.headers));
    let endpoints = TABLE["endpoints"].as_array().expect("a list");
    let mut rows = endpoints.iter().filter(|row| row["path"] == path && row["provider"] == *provider);
    if is_permitted { rows.next() } else { None }
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).into_iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// Returns the elements of all headers of this name, in lower case.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let joined = values(headers, name).join(",").to_lowercase();
    joined.split(',').map(|element| element.trim().to_owned()).filter(|element| !element.is_empty()).collect()
}

fn has_valid_key(headers: &HeaderMap) -> bool {
    let mut credentials = values(headers, "x-api-key");
    for value in values(headers, "authorization") {
        match value.split_once(' ') {
            Some((scheme, rest)) if scheme.to_lowercase() == "bearer" => {
                credentials.push(rest.trim().to_owned())
            }
            _ => return false,
        }
    }
    !credentials.is_empty() && credentials.iter().all(|credential| credential.trim() == "sk-px-1")
}

fn is_query_permitted(query: Option<&str>, has_body: bool, provider: &str) -> bool {
    match query.unwrap_or_default() {
        "" => true,
        query if has_body => query == "beta=true",
        query if provider == "anthropic" => {
            let names: Vec<&str> =
                query.split('&').map(|it| it.split('=').next().unwrap_or_default()).collect();
            ["limit", "after_id", "before_id", "beta"].iter().map(|name| count(&names, name)).sum::<usize>()
                == names.len()
                && names.iter().all(|name| count(&names, name) == 1)
        }
        _ => false,
    }
}

fn count(names: &[&str], name: &str) -> usize {
    names.iter().filter(|other| **other == name).count()
}

fn is_json_without_coding(headers: &HeaderMap) -> bool {
    let content_types = values(headers, "content-type");
    let [content_type] = content_types.as_slice() else { return false };
    let spelling = content_type.to_lowercase().replace([' ', '"'], "");
    let has_media_type = spelling == "application/json" || spelling.starts_with("application/json;");
    has_media_type
        && !spelling.replace("charset=utf-8", "").contains("charset=")
        && list(headers, "content-encoding").iter().all(|coding| coding == "identity")
}

/// True if the body is permitted at the endpoint, `None` if the body has a text that this parser does not accept.
pub(super) fn is_body_permitted(endpoint: &Value, body: &[u8]) -> Option<bool> {
    if !is_json(body) {
        return Some(false);
    }
    let root: Node = serde_json::from_slice(body).ok()?;
    let Node::Object(members) = &root else { return Some(false) };
    let are_names_permitted =
        members.iter().all(|(name, value)| is_root_member_permitted(endpoint, name, value))
            && members.iter().all(|(name, _)| members.iter().filter(|(other, _)| other == name).count() == 1);
    let is_permitted = are_names_permitted
        && is_model(root.member("model"))
        && are_stream_members_permitted(&root)
        && are_numbers_permitted(&root)
        && nested_members(&root).iter().all(is_nested_member_permitted)
        && are_instructions_permitted(endpoint, root.member("instructions"))
        && are_tools_permitted(endpoint, root.member("tools"))
        && (endpoint["tools"].is_null()
            || nested_members(&root).iter().all(|member| is_tool_choice_permitted(endpoint, member)))
        && are_items_permitted(endpoint, root.member("input"));
    Some(is_permitted)
}

fn is_root_member_permitted(endpoint: &Value, name: &str, value: &Node) -> bool {
    let accepted = endpoint["accepted"].as_array().expect("a list");
    let literals = endpoint["restricted"][name]["accepts"].as_array();
    let is_restricted = literals.is_some_and(|literals| {
        literals.iter().any(|literal| match literal {
            Value::String(text) => *value == Node::Text(text.clone()),
            literal => *value == Node::Scalar(literal.to_string()),
        })
    });
    accepted.iter().any(|it| it == name) || is_restricted
}

fn is_model(value: Option<&Node>) -> bool {
    let Some(Node::Text(name)) = value else { return false };
    let has_other_characters = name
        .chars()
        .any(|it| !it.is_ascii_alphanumeric() && !['.', '_', ':', '/', '@', '+', '-'].contains(&it));
    (name.starts_with("gpt-5") || name.starts_with("claude-"))
        && !has_other_characters
        && !name.contains("..")
        && name.len() <= 256
}

fn is_flag(value: &Node) -> bool {
    matches!(value, Node::Scalar(text) if matches!(text.as_str(), "true" | "false" | "null"))
}

/// True if the value is null or a whole number of a `u64`. A float always has a point or an exponent.
fn is_whole_number(value: &Node) -> bool {
    matches!(value, Node::Scalar(text) if text == "null" || text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn are_numbers_permitted(root: &Node) -> bool {
    let names = ["max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of"];
    names.iter().all(|name| root.member(name).is_none_or(is_whole_number))
}

fn are_stream_members_permitted(root: &Node) -> bool {
    let are_options_permitted = match root.member("stream_options") {
        None => true,
        Some(Node::Object(options)) => {
            let mut flags = options.iter().filter(|(name, _)| name == "include_usage");
            flags.next().is_none_or(|(_, value)| is_flag(value)) && flags.next().is_none()
        }
        Some(value) => value.is_null(),
    };
    are_options_permitted && root.member("stream").is_none_or(is_flag)
}

fn nested_members(root: &Node) -> Vec<NestedMember<'_>> {
    let mut members = Vec::new();
    collect(root, "", &mut members);
    members.retain(|member| member.path.contains(['.', '[']));
    members
}

/// Adds the members in a value with the path `path`.
fn collect<'a>(value: &'a Node, path: &str, members: &mut Vec<NestedMember<'a>>) {
    match value {
        Node::List(elements) => elements.iter().for_each(|it| collect(it, &format!("{path}[]"), members)),
        Node::Object(own_members) => {
            for (name, value) in own_members {
                // A name must not look like several steps.
                let step = name.replace(['.', '[', ']'], "?");
                let path = if path.is_empty() { step } else { format!("{path}.{step}") };
                collect(value, &path, members);
                members.push(NestedMember { path, name, value });
            }
        }
        _ => {}
    }
}

fn is_nested_member_permitted(member: &NestedMember<'_>) -> bool {
    let is_within = |exempt: &&str| {
        let rest = member.path.strip_prefix(*exempt);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    if EXEMPT.iter().any(is_within) || member.value.is_null() {
        return true;
    }
    let path = format!(".{}", member.path.to_ascii_lowercase());
    let ends_with = |end: &str| path.ends_with(&format!(".{end}"));
    let text = member.value.lower_case_text();
    let is_source = ends_with("source.type") || ends_with("source[].type");
    let is_stored_type =
        ["container_reference", "container_upload", "item_reference", "skill_reference"].contains(&&*text);
    let is_stored = is_source && text == "file" || ends_with("type") && is_stored_type;
    let is_other_lifetime =
        ends_with("prompt_cache_options.ttl") && *member.value != Node::Text("30m".to_owned());
    let is_other_model = member.name == "model" && !is_model(Some(member.value));
    !is_stored
        && !is_other_lifetime
        && !is_other_model
        && !REFERENCES.iter().any(|reference| ends_with(reference))
}

/// True if the text is in a list of names of the table, some of which end in `*`.
fn is_in(names: &Value, text: &str) -> bool {
    let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(Value::as_str).any(|name| match name.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == name,
    })
}

fn are_tools_permitted(endpoint: &Value, tools: Option<&Node>) -> bool {
    let Some(rules) = endpoint["tools"].as_str().map(|name| &TABLE["tools"][name]) else { return true };
    let tools = match tools {
        None => return true,
        Some(Node::List(tools)) => tools,
        Some(value) => return value.is_null(),
    };
    let requires_type = rules["requires_type"] == true;
    tools.iter().all(|tool| match tool.types().as_slice() {
        _ if !matches!(tool, Node::Object(_)) => false,
        [] => !requires_type,
        [Node::Text(name)] => {
            is_in(&rules["client"], name) || is_in(&rules["hosted"], name) && name.starts_with("web_search")
        }
        [value] => value.is_null() && !requires_type,
        _ => false,
    })
}

fn are_instructions_permitted(endpoint: &Value, instructions: Option<&Node>) -> bool {
    let is_text = instructions.is_none_or(|it| it.is_null() || matches!(it, Node::Text(_)));
    endpoint["has_items"] != true || is_text
}

/// True if a member is no type in `tool_choice`, or that of a choice or of a permitted tool.
fn is_tool_choice_permitted(endpoint: &Value, member: &NestedMember<'_>) -> bool {
    let is_type = ["tool_choice.type", "tool_choice.tools[].type", "tool_choice.allowed_tools.tools[].type"]
        .contains(&&*member.path);
    let choices = ["allowed_tools", "any", "auto", "custom", "function", "none", "required", "tool"];
    match member.value {
        _ if !is_type => true,
        Node::Text(name) if choices.contains(&&**name) => true,
        Node::Text(_) => {
            let tool = Node::Object(vec![("type".to_owned(), member.value.clone())]);
            are_tools_permitted(endpoint, Some(&Node::List(vec![tool])))
        }
        _ => false,
    }
}

fn are_items_permitted(endpoint: &Value, input: Option<&Node>) -> bool {
    if endpoint["has_items"] != true {
        return true;
    }
    let items = match input {
        None | Some(Node::Text(_)) => return true,
        Some(Node::List(items)) => items,
        Some(value) => return value.is_null(),
    };
    items.iter().all(|item| {
        let types = item.types();
        let name = match types.as_slice() {
            [] => "message",
            [Node::Text(name)] => name.as_str(),
            _ => return false,
        };
        let required = TABLE["items"]["accepted"][name].as_array();
        matches!(item, Node::Object(_))
            && !item.repeats_a_required_member()
            && required.is_some_and(|it| it.iter().all(|name| item.contains(name)))
    })
}

impl Node {
    fn is_null(&self) -> bool {
        *self == Node::Scalar("null".to_owned())
    }

    fn members(&self) -> &[(String, Node)] {
        if let Node::Object(members) = self { members } else { &[] }
    }

    /// Returns the first member of this name.
    pub(super) fn member(&self, name: &str) -> Option<&Node> {
        self.members().iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn types(&self) -> Vec<&Node> {
        self.members().iter().filter(|(name, _)| name == "type").map(|(_, value)| value).collect()
    }

    /// True if a member that some type of item requires occurs twice.
    fn repeats_a_required_member(&self) -> bool {
        let names: Vec<&str> = self.members().iter().map(|(name, _)| name.as_str()).collect();
        let lists = TABLE["items"]["accepted"].as_object().expect("an object").values();
        let mut required = lists.flat_map(|list| list.as_array().expect("a list"));
        required.any(|it| it.as_str().expect("a text").split(" or ").any(|name| count(&names, name) > 1))
    }

    /// True if the item has the required member, or one of `a or b`.
    fn contains(&self, required: &Value) -> bool {
        let has_id = self.members().iter().any(|(name, value)| name == "id" && !value.is_null());
        let names: Vec<&str> = required.as_str().expect("a text").split(" or ").collect();
        let mut members = self.members().iter().filter(|(name, _)| names.contains(&&**name));
        members.any(|(name, value)| match (name.as_str(), value) {
            ("encrypted_content", value) => matches!(value, Node::Text(text) if !text.is_empty()),
            ("action", value) => !value.members().is_empty(),
            ("actions", value) => matches!(value, Node::List(list) if !list.is_empty()),
            ("content", Node::List(list)) => !list.is_empty() || !has_id,
            ("content", value) => matches!(value, Node::Text(_)),
            (_, value) => !value.is_null(),
        })
    }

    /// Returns the text in lower case. It is empty for another value.
    fn lower_case_text(&self) -> String {
        if let Node::Text(text) = self { text.to_ascii_lowercase() } else { String::new() }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(format!("{value:?}")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}
