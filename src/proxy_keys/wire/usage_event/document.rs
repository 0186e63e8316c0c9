//! The check of an event's data: a chunk with no choice, but with usage.

use std::ops::Range;

use crate::json::scan::{MemberValue, Scanner, Sink, WhiteSpace};
use crate::json::text::unescape;

/// True if the text is a JSON object with an empty array `choices` and an object `usage`. If the object has a member
/// twice, the last one is used.
pub(super) fn is_usage_document(text: &[u8]) -> bool {
    let mut scanner = Scanner::without_templates();
    let mut sink = ChunkSink::default();
    if scanner.feed(text, &mut sink).is_err() || scanner.finish().is_err() {
        return false;
    }
    let (Some(choices), Some(usage)) = (sink.choices, sink.usage) else { return false };
    is_empty_array(&text[choices]) && text[usage].starts_with(b"{")
}

/// True if a JSON value is an array without elements.
fn is_empty_array(value: &[u8]) -> bool {
    let Some(after_bracket) = value.strip_prefix(b"[") else { return false };
    after_bracket.trim_ascii_start() == b"]"
}

/// A member of the root object.
#[derive(Clone, Copy, Debug)]
enum ChunkMember {
    Choices,
    Usage,
}

/// The sink of the scanner.
#[derive(Debug, Default)]
struct ChunkSink {
    /// The member whose value comes next.
    started: Option<ChunkMember>,
    /// The member whose value is open, and the offset of the value.
    open: Option<(ChunkMember, usize)>,
    /// The range of the value of `choices`.
    choices: Option<Range<usize>>,
    /// The range of the value of `usage`.
    usage: Option<Range<usize>>,
    /// The memory for a name without its escapes.
    unescaped: Vec<u8>,
}

impl Sink for ChunkSink {
    type Member = ChunkMember;

    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<ChunkMember> {
        let name = if has_escapes { unescape(raw, &mut self.unescaped)? } else { raw };
        match name {
            b"choices" => Some(ChunkMember::Choices),
            b"usage" => Some(ChunkMember::Usage),
            _ => None,
        }
    }

    /// Starts a member of the root object. A member at another depth is ignored.
    fn member_start(&mut self, member: ChunkMember, depth: usize) {
        self.started = if depth == 1 { Some(member) } else { None };
    }

    fn value_start(&mut self, at: u64, _white_space: WhiteSpace<'_>) {
        let Some(member) = self.started.take() else { return };
        self.open = Some((member, at as usize));
    }

    fn is_value_awaited(&self, depth: usize) -> bool {
        depth == 1 && self.open.is_some()
    }

    fn value_end(&mut self, at: u64, _value: MemberValue<'_>) {
        let Some((member, start)) = self.open.take() else { return };
        let range = Some(start..at as usize);
        match member {
            ChunkMember::Choices => self.choices = range,
            ChunkMember::Usage => self.usage = range,
        }
    }

    fn object_end(&mut self, _at: u64, _depth: usize) {}
}

#[cfg(test)]
mod tests {
    use super::is_usage_document;

    #[test]
    fn document_with_usage_and_an_empty_array_of_choices_is_found() {
        for text in [
            r#"{"choices":[],"usage":{}}"#,
            " {\"usage\" : {\"prompt_tokens\":1}, \"choices\":[ \n ], \"x\":{\"choices\":[1],\"usage\":null}}",
            r#"{"choices":[1],"usage":null,"choices":[],"us\u0061ge":{}}"#,
        ] {
            assert!(is_usage_document(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn document_without_usage_or_with_a_choice_is_not_found() {
        for text in [
            "",
            "[DONE]",
            r#"{"choices":[]}"#,
            r#"{"choices":[],"usage":null}"#,
            r#"{"choices":[],"usage":[]}"#,
            r#"{"choices":[{}],"usage":{}}"#,
            r#"{"choices":"[]","usage":{}}"#,
            r#"{"usage":{}}"#,
            r#"[{"choices":[],"usage":{}}]"#,
            r#"{"x":{"choices":[],"usage":{}}}"#,
            r#"{"choices":[],"x":{"usage":{}}}"#,
            r#"{"choices":[],"usage":{}"#,
            r#"{"choices":[],"usage":{}}}"#,
        ] {
            assert!(!is_usage_document(text.as_bytes()), "{text}");
        }
    }
}
