//! The meter: the token usage of one response body, while it streams.

use std::fmt;

use super::sent_usage::SentUsage;
use super::token_usage::TokenUsage;
use super::wire::events::{EventSplitter, StreamPart};
use super::wire::usage::UsageDocument;
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
/// # Where the usage is
///
/// | provider | paths | several usage objects in a stream |
/// |---|---|---|
/// | OpenAI | `usage`, `response.usage` | the last object is used |
/// | Anthropic | `usage`, `message.usage` | of each count, the last value is used |
///
/// The objects of a stream are never added up, because they are cumulative. A usage at another path is ignored: a
/// response repeats texts of the request, such as metadata, tools and schemas, and a client must not be able to
/// change its counts. Of a name that an object has twice, the last member is used. An escaped name, such as
/// `"us\u0061ge"`, is the same name. If a document has usage at both paths, that at `usage` comes last. The model is at
/// the same places as the usage.
///
/// # What counts
///
/// - A JSON body counts when it is whole: before, [`usage`](Self::usage) returns `None`.
/// - An event counts at its empty line, whatever its type. The usage of the events so far counts, even if the stream is
///   cut after them. Events behind `[DONE]` do not count.
/// - A document that is not JSON (RFC 8259), or is nested deeper than 1,024 containers, has no usage. The meter continues
///   with the next event.
/// - A usage object longer than 16 KiB, or a model longer than 256 bytes, is treated as absent.
///
/// The meter expects a body without `Content-Encoding`. It never fails. Its time is linear in the length of the body, and
/// its memory less than 1 MiB, however long an event is.
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
        }
    }

    /// Reads the next chunk of the body. A chunk may end at any byte.
    pub fn feed(&mut self, chunk: &[u8]) {
        match self.form {
            BodyForm::Json => self.document.feed(chunk),
            BodyForm::Events => self.feed_events(chunk),
        }
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

    /// Reads the next chunk of a stream of events.
    fn feed_events(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(part) = self.splitter.next_part(&mut rest) {
            match part {
                StreamPart::Data(data) => self.document.feed(data),
                StreamPart::EventEnd => self.end_event(),
                // `[DONE]` is not JSON.
                StreamPart::Done => {}
            }
        }
    }

    /// Adds the usage and the model of an event that ends.
    fn end_event(&mut self) {
        if self.document.is_complete() {
            add_usage(&self.document, self.provider, &mut self.sent_usage);
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
