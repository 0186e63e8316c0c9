//! The scan of one JSON document for its usage and its model, at their exact paths.
//!
//! The paths are `type`, `usage`, `tool_usage` and `model` in the root object, and the latter three in its *envelope*: the
//! member `response` of OpenAI, or `message` of Anthropic. Members of these names elsewhere may be texts of the client, which
//! a response repeats: they are never used. If an object has a member twice, the last one is used, as in serde_json and the
//! SDKs.
//!
//! The scanner sends the offsets of a usage value. Only its bytes are copied, up to [`MAX_USAGE`], and parsed at the end of
//! the document. The scan also finds the texts of errors, which must not pass: see [`HiddenText`].

mod captured;
mod error_text;
mod sink;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

pub(crate) use self::error_text::{HiddenText, hide_texts};
use self::sink::{UsageMember, UsageSink};
use crate::json::scan::Scanner;
use crate::names::Provider;

/// The longest usage object that is read. A usage object has less than 1 KiB, but that of Anthropic may contain a list of
/// iterations.
pub(crate) const MAX_USAGE: usize = 256 * 1024;

/// The longest name of a model, in bytes.
pub(crate) const MAX_MODEL: usize = 256;

/// The longest type of an event that is read, in bytes.
const MAX_EVENT_TYPE: usize = 64;

/// The members of an object. Their values are not parsed, because each parsed value takes much more memory than its text.
pub(crate) type RawMembers<'a> = BTreeMap<String, &'a RawValue>;

/// The usage at one path, with the usage of tools beside it.
pub(crate) struct UsageObjects<'a> {
    pub(crate) usage: RawMembers<'a>,
    pub(crate) tool_usage: Option<RawMembers<'a>>,
}

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
        Self { scanner: Scanner::without_templates(), sink: UsageSink::new(provider), is_invalid: false }
    }

    /// Starts the next document. Keeps the memory of the last one.
    pub(crate) fn restart(&mut self) {
        self.scanner.restart();
        self.sink.restart();
        self.is_invalid = false;
    }

    /// Scans the next chunk. After an error, the rest of the document is ignored. Adds the texts of errors in the chunk to
    /// `hidden_texts`; an error text that is not valid JSON continues up to the end of the document.
    pub(crate) fn feed(&mut self, chunk: &[u8], hidden_texts: &mut Vec<HiddenText>) {
        let chunk_start = self.scanner.scanned();
        if self.is_invalid {
            self.sink.error_texts.hide_rest(chunk, hidden_texts);
            return;
        }
        self.is_invalid = self.scanner.feed(chunk, &mut self.sink).is_err();
        self.sink.error_texts.find_in(chunk, chunk_start, hidden_texts);
        for object in &mut self.sink.objects {
            object.usage.copy_from(chunk, chunk_start);
            object.tool_usage.copy_from(chunk, chunk_start);
        }
    }

    /// True if the document so far is whole and valid.
    pub(crate) fn is_complete(&self) -> bool {
        !self.is_invalid && self.scanner.finish().is_ok()
    }

    /// Returns the usage objects of a complete document: first those of the envelope, then those of the root object. A usage
    /// is left out if it is not an object, or too long.
    pub(crate) fn usage_objects(&self) -> impl Iterator<Item = UsageObjects<'_>> {
        let [root, envelope] = &self.sink.objects;
        [envelope, root].into_iter().filter_map(|object| {
            let usage = object.usage.parse_object()?;
            Some(UsageObjects { usage, tool_usage: object.tool_usage.parse_object() })
        })
    }

    /// True if a usage object of the document is too long to be read.
    pub(crate) fn has_long_usage(&self) -> bool {
        self.sink.objects.iter().any(|object| object.usage.is_too_long() || object.tool_usage.is_too_long())
    }

    /// Returns the member `type` of the root object of a complete document. Returns an empty text if it is absent, not a
    /// string, or too long.
    pub(crate) fn event_type(&self) -> &str {
        &self.sink.event_type
    }

    /// Returns the model of a complete document: that of the root object or else of the envelope. Returns `None` if it is
    /// absent, not a string, empty, or too long, or if it contains a control character.
    pub(crate) fn model(&self) -> Option<&str> {
        let [root, envelope] = &self.sink.objects;
        [root, envelope].map(|object| object.model.as_str()).into_iter().find(|model| !model.is_empty())
    }
}
