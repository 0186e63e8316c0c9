//! The members at the paths, which the scanner reports.

use super::captured::CapturedValue;
use super::error_text::ErrorTexts;
use super::{MAX_EVENT_TYPE, MAX_MODEL};
use crate::json::scan::{MemberValue, Sink, WhiteSpace};
use crate::json::text::unescape;
use crate::names::Provider;

/// A member with one of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsageMember {
    Type,
    Usage,
    ToolUsage,
    Model,
    /// The envelope of OpenAI.
    Response,
    /// The envelope of Anthropic, or the text of an error.
    Message,
    Error,
}

/// A member with the number of containers around it: 1 in the root object, 2 in the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MemberAtPath {
    member: UsageMember,
    depth: usize,
}

/// The members of the root object or of the envelope.
#[derive(Debug, Default)]
pub(super) struct ObjectMembers {
    pub(super) usage: CapturedValue,
    pub(super) tool_usage: CapturedValue,
    /// Empty if there is none.
    pub(super) model: String,
}

/// The sink of the scanner.
#[derive(Debug)]
pub(super) struct UsageSink {
    envelope: UsageMember,
    /// The first byte of the last value.
    first_byte: u8,
    /// The member whose value comes next, if it is at one of the paths.
    started: Option<MemberAtPath>,
    /// The members whose values are open, at most three: the envelope, an error in it, and the text of the error.
    open: Vec<MemberAtPath>,
    /// The root object and the envelope.
    pub(super) objects: [ObjectMembers; 2],
    /// The type of the root object. Empty if there is none.
    pub(super) event_type: String,
    pub(super) error_texts: ErrorTexts,
    /// The memory for a name or a model without its escapes.
    unescaped: Vec<u8>,
}

impl UsageSink {
    pub(super) fn new(provider: Provider) -> Self {
        let envelope = match provider {
            Provider::OpenAi => UsageMember::Response,
            Provider::Anthropic => UsageMember::Message,
        };
        Self {
            envelope,
            first_byte: 0,
            started: None,
            open: Vec::new(),
            objects: Default::default(),
            event_type: String::new(),
            error_texts: ErrorTexts::default(),
            unescaped: Vec::new(),
        }
    }

    /// Removes the members of the last document.
    pub(super) fn restart(&mut self) {
        self.started = None;
        self.open.clear();
        self.event_type.clear();
        self.error_texts.clear();
        self.objects.iter_mut().for_each(ObjectMembers::clear);
    }

    /// True if the member is at one of the paths.
    fn is_at_path(&self, started: MemberAtPath) -> bool {
        if started.depth == 1 {
            return true;
        }
        let Some(parent) = self.open.last() else { return false };
        if parent.depth + 1 != started.depth {
            return false;
        }
        let is_in_envelope = parent.depth == 1 && parent.member == self.envelope;
        match started.member {
            UsageMember::Usage | UsageMember::ToolUsage | UsageMember::Model | UsageMember::Error => {
                is_in_envelope
            }
            UsageMember::Message => parent.member == UsageMember::Error,
            UsageMember::Type | UsageMember::Response => false,
        }
    }

    /// Stores the type of the root object. A type that is not a text, or too long, is not stored.
    fn end_type(&mut self, value: MemberValue<'_>) {
        if let Some(event_type) = text_within(MAX_EVENT_TYPE, value, &mut self.unescaped) {
            self.event_type.push_str(event_type);
        }
    }

    /// Stores the model of the root object or of the envelope. A model that is not a text of a valid length, or that contains
    /// a control character, is not stored: programs write it to logs and tables.
    fn end_model(&mut self, depth: usize, value: MemberValue<'_>) {
        if let Some(name) = text_within(MAX_MODEL, value, &mut self.unescaped)
            && !name.chars().any(char::is_control)
        {
            self.objects[depth - 1].model.push_str(name);
        }
    }
}

/// Returns the text of a string without its escapes. Returns `None` for another value, for a text that is not Unicode, and
/// for one longer than `max_len` bytes.
fn text_within<'a>(max_len: usize, value: MemberValue<'a>, unescaped: &'a mut Vec<u8>) -> Option<&'a str> {
    let MemberValue::String { raw, .. } = value else { return None };
    let text = unescape(raw, unescaped)?;
    if text.len() <= max_len { std::str::from_utf8(text).ok() } else { None }
}

impl ObjectMembers {
    fn clear(&mut self) {
        self.usage.clear();
        self.tool_usage.clear();
        self.model.clear();
    }
}

impl Sink for UsageSink {
    type Member = UsageMember;

    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<UsageMember> {
        let name = if has_escapes { unescape(raw, &mut self.unescaped)? } else { raw };
        match name {
            b"type" => Some(UsageMember::Type),
            b"usage" => Some(UsageMember::Usage),
            b"tool_usage" => Some(UsageMember::ToolUsage),
            b"model" => Some(UsageMember::Model),
            b"response" => Some(UsageMember::Response),
            b"message" => Some(UsageMember::Message),
            b"error" => Some(UsageMember::Error),
            _ => None,
        }
    }

    #[inline(always)]
    fn any_value_start(&mut self, _at: u64, first_byte: u8) {
        self.first_byte = first_byte;
    }

    /// Starts a member at one of the paths. It replaces the value of an earlier member of this name.
    fn member_start(&mut self, member: UsageMember, depth: usize) {
        let started = MemberAtPath { member, depth };
        if !self.is_at_path(started) {
            self.started = None;
            return;
        }
        self.started = Some(started);
        let [_, envelope] = &mut self.objects;
        match member {
            UsageMember::Type => self.event_type.clear(),
            UsageMember::Usage => self.objects[depth - 1].usage.clear(),
            UsageMember::ToolUsage => self.objects[depth - 1].tool_usage.clear(),
            UsageMember::Model => self.objects[depth - 1].model.clear(),
            _ if member == self.envelope && depth == 1 => envelope.clear(),
            UsageMember::Response | UsageMember::Message | UsageMember::Error => {}
        }
    }

    fn value_start(&mut self, at: u64, _white_space: WhiteSpace<'_>) {
        let Some(started) = self.started.take() else { return };
        self.open.push(started);
        match started.member {
            UsageMember::Usage => self.objects[started.depth - 1].usage.start(at),
            UsageMember::ToolUsage => self.objects[started.depth - 1].tool_usage.start(at),
            UsageMember::Message | UsageMember::Error if self.first_byte == b'"' => {
                self.error_texts.start(at + 1)
            }
            _ => {}
        }
    }

    fn is_value_awaited(&self, depth: usize) -> bool {
        self.open.last().is_some_and(|open| open.depth == depth)
    }

    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        let Some(MemberAtPath { member, depth }) = self.open.pop() else { return };
        match member {
            UsageMember::Type => self.end_type(value),
            UsageMember::Usage => self.objects[depth - 1].usage.end(at),
            UsageMember::ToolUsage => self.objects[depth - 1].tool_usage.end(at),
            UsageMember::Model => self.end_model(depth, value),
            UsageMember::Message | UsageMember::Error if value != MemberValue::Other => {
                self.error_texts.end(at - 1);
            }
            UsageMember::Message | UsageMember::Error | UsageMember::Response => {}
        }
    }

    fn object_end(&mut self, _at: u64, _depth: usize) {}
}
