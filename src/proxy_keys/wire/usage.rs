//! The scan of one JSON document for its usage and its model, at their exact paths.
//!
//! The paths are `usage` and `model` in the root object, and the same two in its *envelope*: the member `response` of
//! OpenAI, or `message` of Anthropic. Members of these names elsewhere may be texts of the client, which a response
//! repeats: they are never used. If an object has a member twice, the last one is used, as in serde_json and the SDKs.
//!
//! The scanner sends the offsets of a usage value. Only its bytes are copied, up to [`MAX_USAGE`], and parsed at the end of
//! the document.

mod captured;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use self::captured::CapturedValue;
use crate::json::scan::{MemberValue, Scanner, Sink, WhiteSpace};
use crate::json::text::unescape;
use crate::names::Provider;

/// The longest usage object that is read. A usage object has less than 1 KiB, but that of Anthropic may contain a list of
/// iterations.
pub(crate) const MAX_USAGE: usize = 16 * 1024;

/// The longest name of a model, in bytes.
pub(crate) const MAX_MODEL: usize = 256;

/// The members of an object. Their values are not parsed, because each parsed value takes much more memory than its text.
pub(crate) type RawMembers<'a> = BTreeMap<String, &'a RawValue>;

/// The scan of a document that arrives in chunks.
#[derive(Debug)]
pub(crate) struct UsageDocument {
    scanner: Scanner<UsageMember>,
    sink: UsageSink,
    is_invalid: bool,
}

impl UsageDocument {
    /// Creates the scan of a document of this provider.
    pub(crate) fn new(provider: Provider) -> Self {
        let envelope_name = match provider {
            Provider::OpenAi => "response",
            Provider::Anthropic => "message",
        };
        Self { scanner: Scanner::without_templates(), sink: UsageSink::new(envelope_name), is_invalid: false }
    }

    /// Starts the next document. Keeps the memory of the last one.
    pub(crate) fn restart(&mut self) {
        self.scanner.restart();
        self.sink.restart();
        self.is_invalid = false;
    }

    /// Scans the next chunk. After an error, the rest of the document is ignored.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        if self.is_invalid {
            return;
        }
        let chunk_start = self.scanner.scanned();
        self.is_invalid = self.scanner.feed(chunk, &mut self.sink).is_err();
        for object in &mut self.sink.objects {
            object.usage.copy_from(chunk, chunk_start);
        }
    }

    /// True if the document so far is whole and valid.
    pub(crate) fn is_complete(&self) -> bool {
        !self.is_invalid && self.scanner.finish().is_ok()
    }

    /// Returns the usage objects of a complete document: first that of the envelope, then that of the root object. A usage
    /// is left out if it is not an object, or too long.
    pub(crate) fn usage_objects(&self) -> impl Iterator<Item = RawMembers<'_>> {
        let [root, envelope] = &self.sink.objects;
        [envelope, root].into_iter().filter_map(|object| object.usage.parse_object())
    }

    /// Returns the model of a complete document: that of the root object or else of the envelope. Returns `None` if it is
    /// absent, not a string, empty, or too long.
    pub(crate) fn model(&self) -> Option<&str> {
        let [root, envelope] = &self.sink.objects;
        [root, envelope].map(|object| object.model.as_str()).into_iter().find(|model| !model.is_empty())
    }
}

/// A member at one of the paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UsageMember {
    Usage,
    Model,
    Envelope,
}

/// A member with the number of containers around it: 1 in the root object, 2 in the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MemberAtPath {
    member: UsageMember,
    depth: usize,
}

/// The members of the root object or of the envelope.
#[derive(Debug, Default)]
struct ObjectMembers {
    usage: CapturedValue,
    /// Empty if there is none.
    model: String,
}

/// The sink of the scanner.
#[derive(Debug)]
struct UsageSink {
    envelope_name: &'static str,
    /// The member whose value comes next, if it is at one of the paths.
    started: Option<MemberAtPath>,
    /// The members whose values are open, at most two: the envelope, and a member in it.
    open: Vec<MemberAtPath>,
    /// The root object and the envelope.
    objects: [ObjectMembers; 2],
    /// The memory for a name or a model without its escapes.
    unescaped: Vec<u8>,
}

impl UsageSink {
    fn new(envelope_name: &'static str) -> Self {
        Self {
            envelope_name,
            started: None,
            open: Vec::new(),
            objects: Default::default(),
            unescaped: Vec::new(),
        }
    }

    /// Removes the members of the last document.
    fn restart(&mut self) {
        self.started = None;
        self.open.clear();
        self.objects.iter_mut().for_each(ObjectMembers::clear);
    }

    /// True if the member is at one of the paths.
    fn is_at_path(&self, started: MemberAtPath) -> bool {
        let envelope = MemberAtPath { member: UsageMember::Envelope, depth: 1 };
        match started.depth {
            1 => true,
            2 => started.member != UsageMember::Envelope && self.open.last() == Some(&envelope),
            _ => false,
        }
    }

    /// Stores the model of the root object or of the envelope. A model that is not a text of a valid length is not stored.
    fn end_model(&mut self, depth: usize, value: MemberValue<'_>) {
        let MemberValue::String { raw, .. } = value else { return };
        let Some(name) = unescape(raw, &mut self.unescaped) else { return };
        if name.len() <= MAX_MODEL
            && let Ok(name) = std::str::from_utf8(name)
        {
            self.objects[depth - 1].model.push_str(name);
        }
    }
}

impl ObjectMembers {
    fn clear(&mut self) {
        self.usage.clear();
        self.model.clear();
    }
}

impl Sink for UsageSink {
    type Member = UsageMember;

    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<UsageMember> {
        let name = if has_escapes { unescape(raw, &mut self.unescaped)? } else { raw };
        match name {
            b"usage" => Some(UsageMember::Usage),
            b"model" => Some(UsageMember::Model),
            _ if name == self.envelope_name.as_bytes() => Some(UsageMember::Envelope),
            _ => None,
        }
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
            UsageMember::Usage => self.objects[depth - 1].usage.clear(),
            UsageMember::Model => self.objects[depth - 1].model.clear(),
            UsageMember::Envelope => envelope.clear(),
        }
    }

    fn value_start(&mut self, at: u64, _white_space: WhiteSpace<'_>) {
        let Some(started) = self.started.take() else { return };
        self.open.push(started);
        if started.member == UsageMember::Usage {
            self.objects[started.depth - 1].usage.start(at);
        }
    }

    fn is_value_awaited(&self, depth: usize) -> bool {
        self.open.last().is_some_and(|open| open.depth == depth)
    }

    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        let Some(MemberAtPath { member, depth }) = self.open.pop() else { return };
        match member {
            UsageMember::Usage => self.objects[depth - 1].usage.end(at),
            UsageMember::Model => self.end_model(depth, value),
            UsageMember::Envelope => {}
        }
    }

    /// Receives a whole member. A member that is not at one of the paths is ignored.
    fn whole_member(
        &mut self,
        member: UsageMember,
        depth: usize,
        at: Range<u64>,
        white_space: WhiteSpace<'_>,
        value: MemberValue<'_>,
    ) {
        self.member_start(member, depth);
        if self.started.is_some() {
            self.value_start(at.start, white_space);
            self.value_end(at.end, value);
        }
    }

    fn object_end(&mut self, _at: u64, _depth: usize) {}
}
