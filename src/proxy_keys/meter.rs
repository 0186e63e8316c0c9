//! The meter: the token usage of one response body, while it streams.

use std::fmt;

use bytes::Bytes;

use super::sent_usage::SentUsage;
use super::token_usage::TokenUsage;
use super::wire::events::{EventSplitter, StreamPart};
use super::wire::usage::{HiddenText, UsageDocument, hide_texts};
use crate::names::Provider;

/// The form of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyForm {
    /// One JSON document.
    Json,
    /// Server-sent events, each with a JSON document as its data.
    Events,
}

impl BodyForm {
    /// Returns the form of a body with this `Content-Type`, in any case and with any parameters. Returns `None` for a
    /// type other than `application/json`, `*/*+json` and `text/event-stream`.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next()?.trim().to_ascii_lowercase();
        match media_type.as_str() {
            "text/event-stream" => Some(BodyForm::Events),
            "application/json" => Some(BodyForm::Json),
            other if other.ends_with("+json") => Some(BodyForm::Json),
            _ => None,
        }
    }
}

/// The types of the events that end a stream. No event follows them, except `[DONE]`.
const TERMINAL_TYPES: [&str; 7] = [
    "error",
    "image_edit.completed",
    "image_generation.completed",
    "message_stop",
    "response.completed",
    "response.failed",
    "response.incomplete",
];

/// A meter of one response body: it receives the chunks and returns the usage that the provider reports in them.
///
/// ```
/// use tower_api_key_name::names::Provider;
/// use tower_api_key_name::proxy_keys::{BodyForm, UsageMeter};
///
/// let mut meter = UsageMeter::new(Provider::OpenAi, BodyForm::Events);
/// for chunk in [
///     "data: {\"model\":\"gpt-5-nano-2025-08-07\",\"choices\":[],\"usa",
///     "ge\":{\"prompt_tokens\":12,\"completion_tokens\":100}}\n\ndata: [DONE]\n\n",
/// ] {
///     meter.feed(chunk.as_bytes()); // and send the chunk on
/// }
/// let usage = meter.usage().expect("the stream contains usage");
/// assert_eq!((usage.input_tokens, usage.output_tokens), (Some(12), Some(100)));
/// assert_eq!(meter.model(), Some("gpt-5-nano-2025-08-07"));
/// ```
///
/// # Paths
///
/// | provider | paths | several usage objects in a stream |
/// |---|---|---|
/// | OpenAI | `usage`, `response.usage` | the last object is used |
/// | Anthropic | `usage`, `message.usage` | of each count, the last value is used |
///
/// - The objects of a stream are never added up, because they are cumulative.
/// - A usage at another path is ignored: a response repeats texts of the request, such as metadata, tools and schemas, and a
///   client must not be able to change its counts.
/// - Of a name that an object has twice, the last member is used. An escaped name, such as `"us\u0061ge"`, is the same name.
/// - If a document has usage at both paths, that at `usage` comes last.
/// - The model is at the same places as the usage.
/// - OpenAI sends the usage of hosted tools beside `usage`, in `tool_usage`. Its tokens are added, and its searches counted.
///
/// # Complete documents
///
/// - A JSON body counts when it is whole: before, [`usage`](Self::usage) returns `None`.
/// - An event counts at its empty line, whatever its type. The usage of the events so far counts, even if the stream is
///   cut after them. Events behind `[DONE]` do not count.
/// - A document that is not JSON (RFC 8259), or is nested deeper than 1,024 containers, has no usage. The meter continues
///   with the next event.
/// - A usage object longer than 256 KiB is treated as absent, and so is a model that is longer than 256 bytes or contains a
///   control character.
///
/// The meter expects a body without `Content-Encoding`. It never fails. Its time is linear in the length of the body. Its
/// memory is less than 1 MiB, and with usage objects longer than 16 KiB less than 16 MiB, however long an event is.
pub struct UsageMeter {
    provider: Provider,
    form: BodyForm,
    splitter: EventSplitter,
    /// The scan of the body, or of the current event.
    document: UsageDocument,
    /// The usage of the ended events.
    sent_usage: Option<SentUsage>,
    /// The model of the ended events. Empty if there is none.
    model: String,
    /// The number of ended events.
    event_count: u64,
    /// True if the usage of the ended events is that of the whole response.
    has_final_usage: bool,
    /// True if a terminal event has ended.
    has_terminal_event: bool,
    /// True if an ended event has a usage object that is too long.
    has_long_usage: bool,
    /// The texts of errors in the last chunk.
    hidden_texts: Vec<HiddenText>,
}

impl UsageMeter {
    /// Creates the meter of a body of this provider and form.
    pub fn new(provider: Provider, form: BodyForm) -> Self {
        Self {
            provider,
            form,
            splitter: EventSplitter::new(),
            document: UsageDocument::new(provider),
            sent_usage: None,
            model: String::new(),
            event_count: 0,
            has_final_usage: false,
            has_terminal_event: false,
            has_long_usage: false,
            hidden_texts: Vec::new(),
        }
    }

    /// Reads the next chunk of the body. A chunk may end at any byte.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.hidden_texts.clear();
        match self.form {
            BodyForm::Json => self.document.feed(chunk, &mut self.hidden_texts),
            BodyForm::Events => self.feed_events(chunk),
        }
    }

    /// Returns the last chunk with other texts in place of those of its errors. Its length is the same.
    pub(crate) fn hide_error_texts(&self, last_chunk: Bytes) -> Bytes {
        hide_texts(last_chunk, &self.hidden_texts)
    }

    /// Returns the usage in the body so far. Returns `None` if there is no usage object, which is the case for moderations,
    /// for an error, and for a stream that is cut before its usage.
    pub fn usage(&self) -> Option<TokenUsage> {
        let sent_usage = match self.form {
            BodyForm::Json => self.usage_of_document(),
            BodyForm::Events => self.sent_usage.clone(),
        };
        Some(sent_usage?.total(self.provider))
    }

    /// Returns the model in the body so far, which may be more exact than that of the request: `gpt-5-nano-2025-08-07`
    /// for `gpt-5-nano`. Returns `None` if there is none.
    pub fn model(&self) -> Option<&str> {
        match self.form {
            BodyForm::Json if self.document.is_complete() => self.document.model(),
            BodyForm::Events if !self.model.is_empty() => Some(&self.model),
            BodyForm::Json | BodyForm::Events => None,
        }
    }

    /// Returns the number of events that have ended, without `[DONE]`. It is 0 for a JSON body.
    pub(crate) fn event_count(&self) -> u64 {
        self.event_count
    }

    /// True if the JSON document is complete, or if the terminal event of the stream has ended.
    pub(crate) fn has_ended(&self) -> bool {
        match self.form {
            BodyForm::Json => self.document.is_complete(),
            BodyForm::Events => self.has_terminal_event,
        }
    }

    /// True if [`usage`](Self::usage) is that of the whole response. The first usage of a stream of Anthropic is not: it is
    /// sent before the output. If a usage object is too long, the usage is not known.
    pub(crate) fn has_final_usage(&self) -> bool {
        match self.form {
            BodyForm::Json => self.usage().is_some() && !self.document.has_long_usage(),
            BodyForm::Events => self.has_final_usage && !self.has_long_usage,
        }
    }

    /// True if the body so far contains the whole result: a complete JSON document, also one without usage, or a stream with
    /// the usage of the whole response.
    pub(crate) fn has_whole_result(&self) -> bool {
        match self.form {
            BodyForm::Json => self.document.is_complete(),
            BodyForm::Events => self.has_final_usage(),
        }
    }

    /// Reads the next chunk of a stream of events.
    fn feed_events(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(part) = self.splitter.next_part(&mut rest) {
            match part {
                StreamPart::Data(data) => {
                    let data_end = chunk.len() - rest.len();
                    self.feed_data(data, data_end);
                }
                StreamPart::EventEnd => self.end_event(),
                StreamPart::NoEvent => {}
                // `[DONE]` is not JSON.
                StreamPart::Done => self.has_terminal_event = true,
            }
        }
    }

    /// Reads a part of an event's data, which ends at this offset in the chunk.
    fn feed_data(&mut self, data: &[u8], data_end: usize) {
        let earlier_count = self.hidden_texts.len();
        self.document.feed(data, &mut self.hidden_texts);
        // The LF between two lines of data is no part of the chunk. An error of the grammar in an error text can hide it.
        if data == b"\n" {
            self.hidden_texts.truncate(earlier_count);
        }
        for hidden in &mut self.hidden_texts[earlier_count..] {
            hidden.shift(data_end - data.len());
        }
    }

    /// Adds the usage and the model of an event that ends.
    fn end_event(&mut self) {
        self.event_count += 1;
        if self.document.is_complete() {
            let event_type = self.document.event_type();
            let is_terminal = TERMINAL_TYPES.contains(&event_type);
            let may_be_final = match self.provider {
                Provider::OpenAi => true,
                Provider::Anthropic => matches!(event_type, "message_delta" | "message_stop"),
            };
            self.has_terminal_event |= is_terminal;
            self.has_long_usage |= self.document.has_long_usage();
            add_usage(&self.document, self.provider, &mut self.sent_usage);
            self.has_final_usage |= may_be_final && self.sent_usage.is_some();
            if let Some(model) = self.document.model()
                && self.model != model
            {
                model.clone_into(&mut self.model);
            }
        }
        self.document.restart();
    }

    /// Returns the usage of a JSON body. Returns `None` if the body is not complete, or if it has no usage.
    fn usage_of_document(&self) -> Option<SentUsage> {
        let mut sent_usage = None;
        if self.document.is_complete() {
            add_usage(&self.document, self.provider, &mut sent_usage);
        }
        sent_usage
    }
}

/// Combines the usage objects of a complete document with the usage of the events before it.
fn add_usage(document: &UsageDocument, provider: Provider, sent_usage: &mut Option<SentUsage>) {
    for usage in document.usage_objects() {
        sent_usage.get_or_insert_default().update(provider, &usage);
    }
}

/// Shows no part of the body but the usage and the model.
impl fmt::Debug for UsageMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageMeter")
            .field("provider", &self.provider)
            .field("form", &self.form)
            .field("usage", &self.usage())
            .field("model", &self.model())
            .finish()
    }
}

#[cfg(test)]
mod tests;
