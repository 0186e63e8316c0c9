//! The checks of one tool in `tools`, and of one item in `input`.

use crate::proxy_keys::gate::endpoints::{ItemRules, ToolRules};
use crate::proxy_keys::gate::quote::quote;
use crate::proxy_keys::gate::value_kind::ValueKind;
use crate::proxy_keys::gate::{Refusal, RefusalKind};
use crate::proxy_keys::keys::ProxyKey;

/// A list at the top level whose elements are checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum CheckedList {
    Tools(&'static ToolRules),
    Items(&'static ItemRules),
}

impl CheckedList {
    /// The name of the list, for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Tools(_) => "tools",
            Self::Items(_) => "input",
        }
    }

    /// Creates the refusal of an element.
    pub(super) fn refuse(self, reason: impl std::fmt::Display) -> Refusal {
        let message = format!("An element of {:?} is not accepted: {reason}", self.name());
        Refusal::new(RefusalKind::InvalidRequest, message).about(self.name())
    }
}

/// An element of a list, as far as it was read.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) list: CheckedList,
    has_type: bool,
    /// The text of the type, if it is one.
    type_text: Option<String>,
    /// The members that some type of item requires.
    required: Vec<RequiredMember>,
    has_id: bool,
}

/// A member that some type of item requires.
#[derive(Debug)]
struct RequiredMember {
    name: &'static str,
    kind: ValueKind,
    /// True if the text is not empty, or the container has a member or an element.
    has_content: bool,
}

/// The use of the text of a member of an element.
#[derive(Clone, Copy, Debug)]
pub(super) enum ElementText {
    /// The type of the element.
    Type,
    /// A required text, which must not be empty.
    Required(&'static str),
}

impl Element {
    pub(super) fn new(list: CheckedList) -> Self {
        Self { list, has_type: false, type_text: None, required: Vec::new(), has_id: false }
    }

    /// Receives a member of the element. Returns the use of its text, if there is one, and an error if a checked member occurs
    /// twice.
    pub(super) fn start_member(
        &mut self,
        name: &str,
        kind: ValueKind,
    ) -> Result<Option<ElementText>, Refusal> {
        if name == "type" {
            return self.start_type(kind);
        }
        let CheckedList::Items(rules) = self.list else { return Ok(None) };
        if name == "id" && kind != ValueKind::Null {
            self.has_id = true;
        }
        let Some(required) = rules.required_member(name) else { return Ok(None) };
        if self.required.iter().any(|member| member.name == required) {
            return Err(self.list.refuse(format_args!("it has {required:?} twice.")));
        }
        self.required.push(RequiredMember { name: required, kind, has_content: false });
        if kind == ValueKind::String { Ok(Some(ElementText::Required(required))) } else { Ok(None) }
    }

    /// Receives the start of a value in the container that is the member `name` of the element.
    pub(super) fn add_content(&mut self, name: &str) {
        for member in &mut self.required {
            if member.name == name {
                member.has_content = true;
            }
        }
    }

    /// Receives the member `type`. Returns an error if it occurs twice, or is no string.
    fn start_type(&mut self, kind: ValueKind) -> Result<Option<ElementText>, Refusal> {
        if self.has_type {
            return Err(self.list.refuse("it has \"type\" twice."));
        }
        self.has_type = true;
        let may_be_null = matches!(self.list, CheckedList::Tools(rules) if !rules.requires_type);
        match kind {
            ValueKind::String => Ok(Some(ElementText::Type)),
            ValueKind::Null if may_be_null => Ok(None),
            _ => Err(self.list.refuse("its \"type\" must be a string.")),
        }
    }

    /// Receives the text of a member. `None` is a text that is too long or that is not Unicode.
    pub(super) fn end_text(&mut self, text_use: ElementText, text: Option<&str>) {
        match text_use {
            // A text that cannot be read is no known type.
            ElementText::Type => self.type_text = Some(text.unwrap_or("…").to_owned()),
            ElementText::Required(name) if text != Some("") => self.add_content(name),
            ElementText::Required(_) => {}
        }
    }

    /// Checks the whole element.
    pub(super) fn finish(&self, key: &ProxyKey) -> Result<(), Refusal> {
        let reason = match self.list {
            CheckedList::Tools(rules) => match &self.type_text {
                Some(tool_type) => reason_against_tool(rules, key, tool_type),
                None if rules.requires_type => Some("it has no \"type\".".to_owned()),
                None => None,
            },
            CheckedList::Items(rules) => self.reason_against_item(rules),
        };
        match reason {
            Some(reason) => Err(self.list.refuse(reason)),
            None => Ok(()),
        }
    }

    /// Returns the reason why the item is not accepted, or `None` if it is.
    fn reason_against_item(&self, rules: &'static ItemRules) -> Option<String> {
        // A message may have no type. An item with an id alone would be a reference to a stored item.
        let item_type = self.type_text.as_deref().unwrap_or("message");
        let Some(required) = rules.accepted.get(item_type) else {
            let item = quote(item_type);
            return Some(match rules.refused.get(item_type) {
                Some(reason) => format!("the item type {item} is not accepted. {reason}"),
                None => format!("the item type {item} is unknown."),
            });
        };
        let missing = required.iter().find(|names| !self.has_one_of(names))?;
        let remedy = match missing.as_str() {
            "encrypted_content" => " Send \"store\": false and include \"reasoning.encrypted_content\".",
            _ => " Items that the provider has stored are not accepted.",
        };
        Some(format!("an item of the type {} needs {missing:?}.{remedy}", quote(item_type)))
    }

    /// True if the item has one of the required members `a or b`.
    fn has_one_of(&self, names: &str) -> bool {
        for member in &self.required {
            if names.split(" or ").any(|name| name == member.name) && self.is_usable(member) {
                return true;
            }
        }
        false
    }

    /// True if a required member makes its item independent of stored items.
    fn is_usable(&self, member: &RequiredMember) -> bool {
        match member.name {
            "encrypted_content" => member.kind == ValueKind::String && member.has_content,
            "action" => member.kind == ValueKind::Object && member.has_content,
            "actions" => member.kind == ValueKind::Array && member.has_content,
            "content" if member.kind == ValueKind::Array => member.has_content || !self.has_id,
            "content" => member.kind == ValueKind::String,
            _ => member.kind != ValueKind::Null,
        }
    }
}

/// Returns the reason why the key may not use this type of tool, or `None` if it may.
pub(super) fn reason_against_tool(rules: &ToolRules, key: &ProxyKey, tool_type: &str) -> Option<String> {
    let tool = format!("the tool {}", quote(tool_type));
    if rules.client.contains(tool_type) {
        return None;
    }
    if let Some(reason) = rules.reason_of_refusal(tool_type) {
        return Some(format!("{tool} is accepted for no key. {reason}"));
    }
    if !rules.hosted.contains(tool_type) {
        return Some(format!("{tool} is unknown."));
    }
    if key.hosted_tools.contains(tool_type) {
        return None;
    }
    Some(format!(
        "this key may not use {tool}. The owner of the key can add it to \"tools\" in the keys file."
    ))
}
