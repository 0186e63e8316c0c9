//! The one edit of a request body: `stream_options.include_usage` becomes true.
//!
//! Without it, a stream of these endpoints has no usage. The extra event is removed again from the response to a client that
//! did not request it.

use bytes::{Bytes, BytesMut};

use super::value_kind::ValueKind;

/// A replacement of some bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyEdit {
    /// The offset of the first replaced byte.
    offset: usize,
    /// The number of replaced bytes.
    removed_len: usize,
    inserted: &'static str,
}

impl BodyEdit {
    /// Returns the body with the edit.
    pub(crate) fn apply(&self, body: &Bytes) -> Bytes {
        let mut edited = BytesMut::with_capacity(body.len() - self.removed_len + self.inserted.len());
        edited.extend_from_slice(&body[..self.offset]);
        edited.extend_from_slice(self.inserted.as_bytes());
        edited.extend_from_slice(&body[self.offset + self.removed_len..]);
        edited.freeze()
    }

    fn insert(offset: u64, inserted: &'static str) -> Self {
        Self { offset: offset as usize, removed_len: 0, inserted }
    }

    /// Replaces the literal `null` or `false` that starts here.
    fn replace(literal: ValueStart, inserted: &'static str) -> Self {
        let removed_len = if literal.kind == ValueKind::False { "false".len() } else { "null".len() };
        Self { offset: literal.offset as usize, removed_len, inserted }
    }
}

/// The start of a value in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValueStart {
    pub(super) kind: ValueKind,
    pub(super) offset: u64,
}

/// The members of a body that decide if its response has a usage event.
#[derive(Debug, Default)]
pub(super) struct UsageOption {
    /// The value of `stream`: true, false or null.
    pub(super) stream: Option<ValueStart>,
    /// The value of `stream_options`: null, or the `{` of an object.
    pub(super) options: Option<ValueStart>,
    /// True if `stream_options` has a member.
    pub(super) options_have_members: bool,
    /// The value of `stream_options.include_usage`: true, false or null.
    pub(super) include_usage: Option<ValueStart>,
}

impl UsageOption {
    /// True if the response is a stream of events.
    pub(super) fn streams(&self) -> bool {
        self.stream.is_some_and(|stream| stream.kind == ValueKind::True)
    }

    /// Returns the edit that requests the usage event, or `None` if the client requests it. The response must be a stream.
    pub(super) fn edit(&self) -> Option<BodyEdit> {
        if let Some(include_usage) = self.include_usage {
            let is_requested = include_usage.kind == ValueKind::True;
            return if is_requested { None } else { Some(BodyEdit::replace(include_usage, "true")) };
        }
        let edit = match self.options {
            Some(options) if options.kind == ValueKind::Null => {
                BodyEdit::replace(options, r#"{"include_usage":true}"#)
            }
            Some(options) if self.options_have_members => {
                BodyEdit::insert(options.offset + 1, r#""include_usage":true,"#)
            }
            Some(options) => BodyEdit::insert(options.offset + 1, r#""include_usage":true"#),
            None => {
                let end_of_stream = self.stream?.offset + "true".len() as u64;
                BodyEdit::insert(end_of_stream, r#","stream_options":{"include_usage":true}"#)
            }
        };
        Some(edit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy_keys::gate::body_check::check_chunks;
    use crate::proxy_keys::gate::endpoints::RULES;
    use crate::proxy_keys::gate::test_key::test_key;

    /// Returns the body that is sent, and if the usage event is hidden.
    fn edit(path: &str, body: &str) -> (String, bool) {
        let endpoint = RULES.endpoints.iter().find(|endpoint| endpoint.path == path).unwrap();
        let checked = check_chunks(endpoint, &test_key(), &[body.as_bytes()]).unwrap();
        let body = Bytes::from(body.to_owned());
        let edited = checked.edit.map_or(body.clone(), |edit| edit.apply(&body));
        (String::from_utf8(edited.to_vec()).unwrap(), checked.hides_usage_event)
    }

    #[test]
    fn stream_without_a_usage_event_requests_one() {
        let long_name = "a".repeat(10_000);
        let long_option = format!(r#","stream_options":{{"{long_name}":1}}"#);
        let edited_long_option = format!(r#","stream_options":{{"include_usage":true,"{long_name}":1}}"#);
        for (options, edited) in [
            ("", r#","stream_options":{"include_usage":true}"#),
            (r#","stream_options":null"#, r#","stream_options":{"include_usage":true}"#),
            (r#","stream_options": {}"#, r#","stream_options": {"include_usage":true}"#),
            (r#","stream_options":{ "a":{}}"#, r#","stream_options":{"include_usage":true, "a":{}}"#),
            (
                r#","stream_options":{"include_usage": false }"#,
                r#","stream_options":{"include_usage": true }"#,
            ),
            (&long_option, &edited_long_option),
            (r#","stream_options":{"include_usage":null}"#, r#","stream_options":{"include_usage":true}"#),
        ] {
            for path in ["/v1/chat/completions", "/v1/completions"] {
                let body = format!(r#"{{"model":"gpt-5","stream": true{options} }}"#);
                let expected = format!(r#"{{"model":"gpt-5","stream": true{edited} }}"#);
                assert_eq!(edit(path, &body), (expected, true));
            }
        }
    }

    #[test]
    fn options_before_the_stream_are_edited() {
        let body = r#"{"stream_options":{"include_usage":false},"stream":true,"model":"gpt-5"}"#;
        assert_eq!(edit("/v1/chat/completions", body), (body.replace("false", "true"), true));
    }

    #[test]
    fn requested_usage_event_is_not_hidden() {
        let body = r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true}}"#;
        assert_eq!(edit("/v1/chat/completions", body), (body.to_owned(), false));
    }

    #[test]
    fn body_without_a_stream_is_not_edited() {
        for (path, members) in [
            ("/v1/chat/completions", r#""stream":false"#),
            ("/v1/chat/completions", r#""stream":null,"stream_options":null"#),
            ("/v1/chat/completions", r#""n":1"#),
            ("/v1/responses", r#""stream":true"#),
            ("/v1/messages", r#""stream":true"#),
        ] {
            let model = if path == "/v1/messages" { "claude-1" } else { "gpt-5" };
            let body = format!(r#"{{"model":"{model}",{members}}}"#);
            assert_eq!(edit(path, &body), (body, false));
        }
    }
}
