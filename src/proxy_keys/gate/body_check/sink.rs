//! The receiver of the scanner's events, which keeps the path of the current value.

use super::members::{MemberChecks, TextUse};
use super::{CheckedBody, MAX_DEPTH, refuse};
use crate::json::scan::{MemberValue, Sink, WhiteSpace};
use crate::json::text::unescape;
use crate::proxy_keys::gate::Refusal;
use crate::proxy_keys::gate::endpoints::{Endpoint, RULES};
use crate::proxy_keys::gate::path::PathStep;
use crate::proxy_keys::gate::usage_option::ValueStart;
use crate::proxy_keys::gate::value_kind::ValueKind;
use crate::proxy_keys::keys::ProxyKey;

/// An open container.
#[derive(Clone, Copy, Debug)]
struct OpenContainer {
    is_object: bool,
    /// True if everything passes in the container.
    is_exempt: bool,
    /// True if the last step of the path leads to the container.
    has_step: bool,
}

/// The checks of one body, with the path of the current value.
pub(super) struct BodySink<'k> {
    checks: MemberChecks<'k>,
    /// The open containers, with the root first.
    containers: Vec<OpenContainer>,
    /// The steps to the open containers except the root. Not extended within an exempt container.
    steps: Vec<PathStep>,
    /// The name of the member whose value comes next, without its escapes. `None` if it is too long.
    name: Option<String>,
    text_use: Option<TextUse>,
    /// The first reason against the body. After it, nothing is checked.
    refusal: Option<Refusal>,
    /// The memory for a text without its escapes.
    unescaped: Vec<u8>,
}

impl<'k> BodySink<'k> {
    pub(super) fn new(endpoint: &'static Endpoint, key: &'k ProxyKey) -> Self {
        Self {
            checks: MemberChecks::new(endpoint, key),
            containers: Vec::new(),
            steps: Vec::new(),
            name: None,
            text_use: None,
            refusal: None,
            unescaped: Vec::new(),
        }
    }

    /// Ends a body that is JSON and consists of these chunks.
    pub(super) fn finish(self, chunks: &[&[u8]]) -> Result<CheckedBody, Refusal> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => self.checks.finish(chunks),
        }
    }

    /// Stores the refusal of a check, if there is one.
    fn store_refusal(&mut self, result: Result<(), Refusal>) {
        if let Err(refusal) = result {
            self.refusal = Some(refusal);
        }
    }

    /// Checks a value by its first byte and its path, and opens it if it is a container.
    fn start_value(&mut self, offset: u64, kind: ValueKind) -> Result<(), Refusal> {
        let Some(&parent) = self.containers.last() else {
            return self.start_root(kind);
        };
        if kind.is_container() && self.containers.len() == MAX_DEPTH {
            return Err(refuse(format!("The body is nested deeper than {MAX_DEPTH} arrays and objects.")));
        }
        let is_exempt = if parent.is_exempt {
            true
        } else if parent.is_object {
            self.start_member(ValueStart { kind, offset })?
        } else {
            self.checks.start_element(&self.steps, kind)?;
            false
        };
        if kind.is_container() {
            self.open_container(kind, is_exempt, parent);
        }
        Ok(())
    }

    fn start_root(&mut self, kind: ValueKind) -> Result<(), Refusal> {
        if kind != ValueKind::Object {
            return Err(refuse("The body must be a JSON object."));
        }
        self.containers.push(OpenContainer { is_object: true, is_exempt: false, has_step: false });
        Ok(())
    }

    /// Opens a container in `parent`, and adds its step to the path unless everything passes in `parent`.
    fn open_container(&mut self, kind: ValueKind, is_exempt: bool, parent: OpenContainer) {
        let has_step = !parent.is_exempt;
        self.containers.push(OpenContainer { is_object: kind == ValueKind::Object, is_exempt, has_step });
        if !has_step {
            return;
        }
        if parent.is_object {
            self.steps.push(PathStep::Member(self.name.take().unwrap_or_default()));
        } else {
            self.steps.push(PathStep::Element);
        }
    }

    /// Checks a member by its name and the kind of its value. Returns true if everything in the value passes.
    fn start_member(&mut self, value: ValueStart) -> Result<bool, Refusal> {
        let is_root_member = self.steps.is_empty();
        let Some(name) = &self.name else {
            if is_root_member {
                return Err(refuse("The body has a member with a name that is too long."));
            }
            self.checks.record_nested_member(&self.steps);
            return Ok(false);
        };
        self.text_use = if is_root_member {
            self.checks.start_root_member(name, value)?
        } else {
            self.checks.start_nested_member(&self.steps, name, value)?
        };
        Ok(RULES.references.is_exempt(&self.steps, name))
    }
}

impl Sink for BodySink<'_> {
    type Member = ();

    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<()> {
        let is_checked =
            self.refusal.is_none() && self.containers.last().is_some_and(|parent| !parent.is_exempt);
        if !is_checked {
            return None;
        }
        // A name that is not Unicode is no known name, and is shown with its escapes.
        let unescaped = if has_escapes { unescape(raw, &mut self.unescaped) } else { None };
        let mut name = self.name.take().unwrap_or_default();
        name.clear();
        name.push_str(&String::from_utf8_lossy(unescaped.unwrap_or(raw)));
        self.name = Some(name);
        Some(())
    }

    fn long_name(&mut self) {
        self.name = None;
    }

    fn any_value_start(&mut self, at: u64, first_byte: u8) {
        if self.refusal.is_none() {
            let result = self.start_value(at, ValueKind::of(first_byte));
            self.store_refusal(result);
        }
    }

    fn member_start(&mut self, _member: (), _depth: usize) {}

    fn value_start(&mut self, _at: u64, _white_space: WhiteSpace<'_>) {}

    fn is_value_awaited(&self, _depth: usize) -> bool {
        self.text_use.is_some()
    }

    fn value_end(&mut self, _at: u64, value: MemberValue<'_>) {
        let Some(text_use) = self.text_use.take() else { return };
        let mut unescaped = std::mem::take(&mut self.unescaped);
        let text = match value {
            MemberValue::String { raw, .. } => unescape(raw, &mut unescaped),
            _ => None,
        };
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        if self.refusal.is_none() {
            let result = self.checks.end_text(text_use, text);
            self.store_refusal(result);
        }
        self.unescaped = unescaped;
    }

    /// Closes the current container. The scanner without templates reports the end of each container.
    fn object_end(&mut self, _at: u64, _depth: usize) {
        if self.refusal.is_some() {
            return;
        }
        let Some(container) = self.containers.pop() else { return };
        if !container.has_step {
            return;
        }
        self.steps.pop();
        if self.steps.len() == 1 {
            let result = self.checks.end_element();
            self.store_refusal(result);
        }
    }
}
