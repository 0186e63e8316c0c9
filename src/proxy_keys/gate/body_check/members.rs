//! The rules for members of a body, by their paths.

use serde_json::Value;

use super::declared_output::{DeclaredOutput, declares_output};
use super::elements::{CheckedList, Element, ElementText, reason_against_tool};
use super::model::{check_model, start_nested_model};
use super::{CheckedBody, refuse};
use crate::proxy_keys::gate::Refusal;
use crate::proxy_keys::gate::endpoints::{Endpoint, RULES, Restriction, RootMember, ToolRules};
use crate::proxy_keys::gate::path::PathStep;
use crate::proxy_keys::gate::quote::{quote, shorten};
use crate::proxy_keys::gate::usage_option::{UsageOption, ValueStart};
use crate::proxy_keys::gate::value_kind::ValueKind;
use crate::proxy_keys::keys::ProxyKey;

/// The use of the string that comes next.
#[derive(Clone, Debug)]
pub(super) enum TextUse {
    /// The model of the request.
    Model,
    /// A model below the top level, which must also be permitted, with its path.
    NestedModel(String),
    /// A member of a tool or item.
    Element(ElementText),
    /// The type of a tool in `tool_choice`, or of the choice.
    ToolChoice(&'static ToolRules),
    /// A member that accepts only certain texts.
    Restricted(&'static str, &'static Restriction),
    /// A member with texts that refer to a stored object.
    Reference(Vec<&'static str>),
}

/// The checks of the members of one body.
pub(super) struct MemberChecks<'k> {
    endpoint: &'static Endpoint,
    key: &'k ProxyKey,
    /// The members of the root object so far.
    root_members: Vec<&'static str>,
    /// The open element of `tools` or `input`.
    element: Option<Element>,
    model: Option<String>,
    usage_option: UsageOption,
    /// The numbers in members of the root object that declare an amount of output.
    output_numbers: Vec<(&'static str, ValueStart)>,
}

impl<'k> MemberChecks<'k> {
    pub(super) fn new(endpoint: &'static Endpoint, key: &'k ProxyKey) -> Self {
        Self {
            endpoint,
            key,
            root_members: Vec::new(),
            element: None,
            model: None,
            usage_option: UsageOption::default(),
            output_numbers: Vec::new(),
        }
    }

    /// Ends a body without a refused member. Returns an error if it has no model, or if a declared amount of output is no whole
    /// number. The body consists of these chunks.
    pub(super) fn finish(self, chunks: &[&[u8]]) -> Result<CheckedBody, Refusal> {
        let Some(model) = self.model else {
            return Err(refuse("The body needs the member \"model\".").about("model"));
        };
        let output = DeclaredOutput::read(&self.output_numbers, chunks)?;
        let streams = self.usage_option.streams();
        let adds_usage_event = streams && self.endpoint.adds_usage_event;
        let edit = if adds_usage_event { self.usage_option.edit() } else { None };
        Ok(CheckedBody { model, streams, edit, hides_usage_event: edit.is_some(), output })
    }

    /// Checks an element of the array at `steps`: the elements of `tools` and the items of `input` must be objects.
    pub(super) fn start_element(&mut self, steps: &[PathStep], kind: ValueKind) -> Result<(), Refusal> {
        self.add_element_content(steps);
        let Some(list) = self.checked_list(steps) else { return Ok(()) };
        if kind != ValueKind::Object {
            return Err(list.refuse("it must be an object."));
        }
        self.element = Some(Element::new(list));
        Ok(())
    }

    /// Records that a value starts in the container at `steps`, if the container is a member of a checked element.
    fn add_element_content(&mut self, steps: &[PathStep]) {
        if let [_, _, PathStep::Member(name)] = steps
            && let Some(element) = &mut self.element
        {
            element.add_content(name);
        }
    }

    /// Checks a whole element of an array at the top level.
    pub(super) fn end_element(&mut self) -> Result<(), Refusal> {
        match self.element.take() {
            Some(element) => element.finish(self.key),
            None => Ok(()),
        }
    }

    /// Returns the list at `steps`, if its elements are checked.
    fn checked_list(&self, steps: &[PathStep]) -> Option<CheckedList> {
        let [PathStep::Member(name)] = steps else { return None };
        match name.as_str() {
            "tools" => self.endpoint.tool_rules().map(CheckedList::Tools),
            "input" if self.endpoint.has_items => Some(CheckedList::Items(&RULES.items)),
            _ => None,
        }
    }

    /// Checks a member of the root object. Returns the use of its text, if the text is checked too.
    pub(super) fn start_root_member(
        &mut self,
        name: &str,
        value: ValueStart,
    ) -> Result<Option<TextUse>, Refusal> {
        let Some((known_name, rule)) = self.endpoint.root_member(name) else {
            let message = format!("The member {} is not accepted.", quote(name));
            return Err(refuse(message).about(shorten(name)));
        };
        if self.root_members.contains(&known_name) {
            return Err(refuse(format!("The member {name:?} occurs twice.")).about(name));
        }
        self.root_members.push(known_name);
        if let RootMember::Restricted(restriction) = rule {
            return check_restricted_member(known_name, restriction, value.kind);
        }
        if let Some((kinds, description)) = expected_kinds(known_name, self.endpoint)
            && !kinds.contains(&value.kind)
        {
            return Err(refuse(format!("The member {name:?} must be {description}.")).about(name));
        }
        match known_name {
            "model" => return Ok(Some(TextUse::Model)),
            "stream" => self.usage_option.stream = Some(value),
            "stream_options" => self.usage_option.options = Some(value),
            _ if declares_output(known_name) && value.kind == ValueKind::Number => {
                self.output_numbers.push((known_name, value));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Checks a member below the root object: a reference, a model, an option, or a member of a tool or item. `steps` is the
    /// path of its object. Returns the use of its text, if the text is checked too.
    pub(super) fn start_nested_member(
        &mut self,
        steps: &[PathStep],
        name: &str,
        value: ValueStart,
    ) -> Result<Option<TextUse>, Refusal> {
        check_reference(steps, name, value.kind)?;
        self.record_nested_member(steps);
        let is_stream_option = steps.len() == 1 && steps[0].is_member("stream_options");
        if is_stream_option {
            self.start_stream_option(name, value)?;
        }
        if let Some((known_name, restriction)) = RULES.nested_restriction(steps, name) {
            return check_restricted_member(known_name, restriction, value.kind);
        }
        if RULES.tool_choice.is_type(steps, name) {
            return self.start_tool_choice(value.kind);
        }
        let is_in_element = steps.len() == 2;
        if is_in_element
            && let Some(element) = &mut self.element
            && let Some(text_use) = element.start_member(name, value.kind)?
        {
            return Ok(Some(TextUse::Element(text_use)));
        }
        if name == "model" {
            return Ok(start_nested_model(steps, value.kind)?.map(TextUse::NestedModel));
        }
        let refused_texts = RULES.references.refused_texts(steps, name);
        let is_checked = value.kind == ValueKind::String && !refused_texts.is_empty();
        if is_checked { Ok(Some(TextUse::Reference(refused_texts))) } else { Ok(None) }
    }

    /// Records a member of the object at `steps`, whose name may be too long for other checks.
    pub(super) fn record_nested_member(&mut self, steps: &[PathStep]) {
        if steps.len() == 1 && steps[0].is_member("stream_options") {
            self.usage_option.options_have_members = true;
        }
        self.add_element_content(steps);
    }

    /// Checks the kind of a type in `tool_choice`. Returns the use of its text.
    fn start_tool_choice(&self, kind: ValueKind) -> Result<Option<TextUse>, Refusal> {
        let Some(rules) = self.endpoint.tool_rules() else { return Ok(None) };
        if kind == ValueKind::String {
            return Ok(Some(TextUse::ToolChoice(rules)));
        }
        Err(refuse("A \"type\" in \"tool_choice\" must be a string.").about("tool_choice"))
    }

    /// Stores the value of `include_usage`. Returns an error if it occurs twice, or if it is no literal.
    fn start_stream_option(&mut self, name: &str, value: ValueStart) -> Result<(), Refusal> {
        if name != "include_usage" {
            return Ok(());
        }
        if self.usage_option.include_usage.is_some() {
            return Err(refuse("The member \"include_usage\" occurs twice.").about("stream_options"));
        }
        if !matches!(value.kind, ValueKind::True | ValueKind::False | ValueKind::Null) {
            return Err(
                refuse("The member \"include_usage\" must be true, false or null.").about("stream_options")
            );
        }
        self.usage_option.include_usage = Some(value);
        Ok(())
    }

    /// Checks the text of a string. `None` is a text that is too long or that is not Unicode.
    pub(super) fn end_text(&mut self, text_use: TextUse, text: Option<&str>) -> Result<(), Refusal> {
        match text_use {
            TextUse::Model => {
                check_model(self.key, text, None)?;
                self.model = text.map(str::to_owned);
                Ok(())
            }
            TextUse::NestedModel(path) => check_model(self.key, text, Some(&path)),
            TextUse::Element(element_text) => {
                if let Some(element) = &mut self.element {
                    element.end_text(element_text, text);
                }
                Ok(())
            }
            TextUse::ToolChoice(rules) => self.check_tool_choice(rules, text.unwrap_or("…")),
            TextUse::Restricted(name, restriction) => {
                let accepted = text.map(Value::from);
                if accepted.is_some_and(|text| restriction.accepts.contains(&text)) {
                    return Ok(());
                }
                Err(refuse_restricted(name, restriction))
            }
            TextUse::Reference(texts) => match text {
                Some(text) if texts.iter().any(|refused| refused.eq_ignore_ascii_case(text)) => {
                    Err(refuse(format!("The type {text:?} is not accepted: it refers to a stored object."))
                        .about("type"))
                }
                _ => Ok(()),
            },
        }
    }

    /// Checks a type in `tool_choice`. Returns the refusal of a tool that the key may not use.
    fn check_tool_choice(&self, rules: &ToolRules, choice_type: &str) -> Result<(), Refusal> {
        if RULES.tool_choice.client_types.contains(choice_type) {
            return Ok(());
        }
        match reason_against_tool(rules, self.key, choice_type) {
            Some(reason) => {
                let message = format!("The member \"tool_choice\" is not accepted: {reason}");
                Err(refuse(message).about("tool_choice"))
            }
            None => Ok(()),
        }
    }
}

/// Refuses a member that refers to a stored object.
fn check_reference(steps: &[PathStep], name: &str, kind: ValueKind) -> Result<(), Refusal> {
    if kind == ValueKind::Null {
        return Ok(());
    }
    match RULES.references.stored_object(steps, name) {
        Some(object) => {
            let message = format!("The member {} is not accepted: it refers to {object}.", quote(name));
            Err(refuse(message).about(shorten(name)))
        }
        None => Ok(()),
    }
}

/// Checks the value of a restricted member. Returns the use of its text, if it is a string.
fn check_restricted_member(
    name: &'static str,
    restriction: &'static Restriction,
    kind: ValueKind,
) -> Result<Option<TextUse>, Refusal> {
    if kind == ValueKind::String {
        return Ok(Some(TextUse::Restricted(name, restriction)));
    }
    if restriction.accepts.iter().any(|accepted| kind.is_literal(accepted)) {
        return Ok(None);
    }
    Err(refuse_restricted(name, restriction))
}

/// Returns the kinds of values that a member of the root object may have, and their description. Returns `None` if it may have
/// any value.
fn expected_kinds(name: &str, endpoint: &Endpoint) -> Option<(&'static [ValueKind], &'static str)> {
    use ValueKind::{Array, False, Null, Number, Object, String, True};
    match name {
        "model" => Some((&[String], "a string")),
        "stream" => Some((&[True, False, Null], "true, false or null")),
        "stream_options" => Some((&[Object, Null], "an object or null")),
        _ if declares_output(name) => Some((&[Number, Null], "a whole number that is not negative, or null")),
        "tools" => Some((&[Array, Null], "a list or null")),
        "instructions" => Some((&[String, Null], "a string or null")),
        "input" if endpoint.has_items => Some((&[Array, String, Null], "a string or a list")),
        _ => None,
    }
}

fn refuse_restricted(name: &str, restriction: &'static Restriction) -> Refusal {
    let message = match restriction.accepts.as_slice() {
        [Value::Null] => format!("The member {name:?} is not accepted. {}", restriction.reason),
        accepts => {
            let accepted = Value::Array(accepts.to_vec());
            format!("The member {name:?} accepts only one of {accepted}. {}", restriction.reason)
        }
    };
    refuse(message).about(name).details(restriction.anthropic_details.as_ref())
}
