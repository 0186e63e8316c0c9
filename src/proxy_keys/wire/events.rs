//! The splitter of a stream of server-sent events (WHATWG HTML §9.2).
//!
//! It returns the data of each event in parts, as they arrive, and buffers no data. Lines end in LF, CR or CRLF. An event
//! ends at its empty line, so an event without one at the end of the stream never ends. Only `data` fields are used.

use memchr::memchr2;

/// The start of the data that ends a stream of OpenAI. No event follows.
const DONE: &[u8] = b"[DONE]";

/// The name of the used field.
const DATA: &[u8] = b"data";

/// The byte order mark that may begin a stream.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StreamPart<'a> {
    /// The next bytes of an event's data.
    Data(&'a [u8]),
    /// The end of an event with data.
    EventEnd,
    /// The end of lines that belong to no event with data: the byte order mark, a comment before the first field of an
    /// event, or an empty line.
    NoEvent,
    /// The end of an event whose data starts with `[DONE]`. That data was returned before. No part follows.
    Done,
}

/// A position in a line.
#[derive(Clone, Copy, Debug)]
enum LinePosition {
    /// At the start of the stream, behind this number of bytes of the byte order mark.
    ByteOrderMark(usize),
    /// Behind a CR that ended a line. An LF directly behind it belongs to the same end.
    AfterReturn,
    /// Behind this number of bytes of the name `data`; 0 at the start of a line.
    Name(usize),
    /// Behind the colon of a `data` field, where one space is skipped.
    DataStart,
    /// In the value of a `data` field.
    Data,
    /// In a comment.
    Comment,
    /// In another field.
    Ignored,
}

/// The splitter of one stream.
#[derive(Debug)]
pub(crate) struct EventSplitter {
    position: LinePosition,
    /// True if the event has a field so far.
    has_field: bool,
    /// True if the event has a `data` field so far.
    has_data: bool,
    /// The number of bytes of `[DONE]` that start the event's data, or `None` if the data starts differently.
    done_len: Option<usize>,
    is_done: bool,
}

impl EventSplitter {
    pub(crate) fn new() -> Self {
        let position = LinePosition::ByteOrderMark(0);
        Self { position, has_field: false, has_data: false, done_len: Some(0), is_done: false }
    }

    /// Returns the next part of the stream, and moves `rest`, the rest of a chunk, behind it. Returns `None` at the end of
    /// the chunk, and always after [`StreamPart::Done`].
    pub(crate) fn next_part<'a>(&mut self, rest: &mut &'a [u8]) -> Option<StreamPart<'a>> {
        while !self.is_done
            && let Some(byte) = rest.first()
        {
            let part = match self.position {
                LinePosition::ByteOrderMark(len) => self.read_byte_order_mark(len, *byte, rest),
                LinePosition::AfterReturn => {
                    self.skip_optional(b'\n', LinePosition::Name(0), rest);
                    None
                }
                LinePosition::Name(len) => self.read_name(len, *byte, rest),
                LinePosition::DataStart => {
                    self.skip_optional(b' ', LinePosition::Data, rest);
                    None
                }
                LinePosition::Data => self.read_data(rest),
                LinePosition::Comment => self.skip_comment(rest),
                LinePosition::Ignored => {
                    self.skip_ignored(rest);
                    None
                }
            };
            if part.is_some() {
                return part;
            }
        }
        None
    }

    /// Skips the next byte of the byte order mark, of which `len` bytes were skipped. Returns a part at its end.
    fn read_byte_order_mark<'a>(
        &mut self,
        len: usize,
        byte: u8,
        rest: &mut &'a [u8],
    ) -> Option<StreamPart<'a>> {
        if BYTE_ORDER_MARK[len] != byte {
            // A part of the mark is the start of an unknown name.
            self.has_field = len > 0;
            self.position = if len > 0 { LinePosition::Ignored } else { LinePosition::Name(0) };
            return None;
        }
        skip(1, rest);
        if len + 1 < BYTE_ORDER_MARK.len() {
            self.position = LinePosition::ByteOrderMark(len + 1);
            return None;
        }
        self.position = LinePosition::Name(0);
        Some(StreamPart::NoEvent)
    }

    /// Skips this byte if it is the next one, and moves to the next position.
    fn skip_optional(&mut self, skipped: u8, next: LinePosition, rest: &mut &[u8]) {
        if rest.first() == Some(&skipped) {
            skip(1, rest);
        }
        self.position = next;
    }

    /// Reads the next byte of a line whose first `len` bytes are the start of `data`. Returns a part if the line is empty,
    /// or if a further line of data starts.
    fn read_name<'a>(&mut self, len: usize, byte: u8, rest: &mut &'a [u8]) -> Option<StreamPart<'a>> {
        if is_line_end(byte) {
            self.skip_line_end(byte, rest);
            return self.end_name(len);
        }
        if len == 0 && byte == b':' {
            self.position = LinePosition::Comment;
            return None;
        }
        self.has_field = true;
        if len == DATA.len() && byte == b':' {
            skip(1, rest);
            self.position = LinePosition::DataStart;
            return self.start_data();
        }
        if DATA.get(len) == Some(&byte) {
            skip(1, rest);
            self.position = LinePosition::Name(len + 1);
        } else {
            self.position = LinePosition::Ignored;
        }
        None
    }

    /// Ends a line without a colon, whose first `len` bytes are the start of `data`. Returns a part if the line is empty, or if
    /// it is a further field `data`, whose value is empty.
    fn end_name<'a>(&mut self, len: usize) -> Option<StreamPart<'a>> {
        if len == 0 {
            return self.end_event();
        }
        if len == DATA.len() { self.start_data() } else { None }
    }

    /// Starts a line of data. Returns the LF before a further line of the same event, which joins the two lines.
    fn start_data<'a>(&mut self) -> Option<StreamPart<'a>> {
        if !self.has_data {
            self.has_data = true;
            return None;
        }
        self.compare_with_done(b"\n");
        Some(StreamPart::Data(b"\n"))
    }

    /// Returns the data up to the end of the line or of the chunk, or skips the end of the line.
    fn read_data<'a>(&mut self, rest: &mut &'a [u8]) -> Option<StreamPart<'a>> {
        let chunk_rest = *rest;
        let len = line_len(chunk_rest);
        if len == 0 {
            self.skip_line_end(chunk_rest[0], rest);
            return None;
        }
        skip(len, rest);
        let data = &chunk_rest[..len];
        self.compare_with_done(data);
        Some(StreamPart::Data(data))
    }

    /// Skips the rest of a comment. Returns a part at its end, if the event has no field so far.
    fn skip_comment<'a>(&mut self, rest: &mut &'a [u8]) -> Option<StreamPart<'a>> {
        skip(line_len(rest), rest);
        let byte = *rest.first()?;
        self.skip_line_end(byte, rest);
        if self.has_field { None } else { Some(StreamPart::NoEvent) }
    }

    /// Skips the rest of a line, or its end.
    fn skip_ignored(&mut self, rest: &mut &[u8]) {
        skip(line_len(rest), rest);
        if let Some(byte) = rest.first() {
            self.skip_line_end(*byte, rest);
        }
    }

    /// Skips a CR or LF that ends a line.
    fn skip_line_end(&mut self, byte: u8, rest: &mut &[u8]) {
        skip(1, rest);
        self.position = if byte == b'\r' { LinePosition::AfterReturn } else { LinePosition::Name(0) };
    }

    /// Ends the event at its empty line. Returns [`StreamPart::NoEvent`] if it has no data.
    fn end_event<'a>(&mut self) -> Option<StreamPart<'a>> {
        self.has_field = false;
        if !self.has_data {
            return Some(StreamPart::NoEvent);
        }
        self.is_done = self.done_len == Some(DONE.len());
        self.has_data = false;
        self.done_len = Some(0);
        if self.is_done { Some(StreamPart::Done) } else { Some(StreamPart::EventEnd) }
    }

    /// Compares the next bytes of the event's data with the rest of `[DONE]`.
    fn compare_with_done(&mut self, data: &[u8]) {
        let Some(done_len) = self.done_len else { return };
        let missing = &DONE[done_len..];
        let compared_len = data.len().min(missing.len());
        let is_equal = data[..compared_len] == missing[..compared_len];
        self.done_len = if is_equal { Some(done_len + compared_len) } else { None };
    }
}

/// Moves `rest` forward by `len` bytes.
fn skip(len: usize, rest: &mut &[u8]) {
    *rest = &rest[len..];
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Counts the bytes before the end of the line, or all bytes if the line does not end in them.
fn line_len(bytes: &[u8]) -> usize {
    memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::{EventSplitter, StreamPart};

    /// Returns the data of each event, with a mark behind the last one if it is `[DONE]`.
    fn split<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut splitter = EventSplitter::new();
        let mut events = Vec::new();
        let mut data = Vec::new();
        for chunk in chunks {
            let mut rest = chunk;
            while let Some(part) = splitter.next_part(&mut rest) {
                match part {
                    StreamPart::Data(bytes) => data.extend_from_slice(bytes),
                    StreamPart::EventEnd => {
                        events.push(String::from_utf8(std::mem::take(&mut data)).unwrap())
                    }
                    StreamPart::NoEvent => {}
                    StreamPart::Done => events.push("done".to_owned()),
                }
            }
        }
        events
    }

    /// Checks the events of a stream in one chunk, byte by byte, and in every two chunks.
    fn check(stream: &str, expected: &[&str]) {
        let bytes = stream.as_bytes();
        assert_eq!(split([bytes]), expected, "{stream:?}");
        assert_eq!(split(bytes.chunks(1)), expected, "{stream:?} byte by byte");
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(split([first, second]), expected, "{stream:?} split at {at}");
        }
    }

    #[test]
    fn line_ends_of_every_kind_end_events() {
        check("data: 1\n\ndata: 2\r\rdata: 3\r\n\r\ndata: 4\r\n\ndata: 5\n\r\n", &["1", "2", "3", "4", "5"]);
        check("data: 1\n\r\rdata: 2\r\n\r\r\ndata: 3\n\r", &["1", "2", "3"]);
    }

    #[test]
    fn space_behind_the_colon_is_skipped_once() {
        check("data:1\n\ndata: 2\n\ndata:  3\n\n", &["1", "2", " 3"]);
    }

    #[test]
    fn data_lines_are_joined_with_a_line_feed() {
        check("data: [1,\r\nid: 7\r\ndata: 2]\r\n\r\n", &["[1,\n2]"]);
        check("data\ndata:\ndata\n\n", &["\n\n"]);
    }

    #[test]
    fn field_without_a_colon_has_an_empty_value() {
        check("data\n\ndata:\n\n", &["", ""]);
    }

    #[test]
    fn fields_other_than_data_are_ignored() {
        check(": data: 1\nevent: x\ndat: 2\ndatax: 3\n data: 4\nData: 5\n:\n\n\n", &[]);
        check("event: a\ndata: 1\nretry: 5\n\n", &["1"]);
    }

    #[test]
    fn event_without_an_empty_line_has_no_end() {
        check("data: 1\n\ndata: 2\n", &["1"]);
        check("data: 1\n\ndata: 2", &["1"]);
    }

    #[test]
    fn byte_order_mark_is_skipped_only_at_the_start() {
        check("\u{feff}data: 1\n\n\u{feff}data: 2\n\n", &["1"]);
        check("\u{feff}\u{feff}data: 1\n\n", &[]);
        check("\u{feff}\n\ndata: 1\n\n", &["1"]);
        check("\u{feee}data: 1\n\ndata: 2\n\n", &["2"]);
    }

    #[test]
    fn part_of_a_byte_order_mark_is_not_skipped() {
        for stream in [&b"\xEFdata: 1\n\n"[..], b"\xEF\xBBdata: 1\n\n"] {
            assert_eq!(split([stream]), [""; 0]);
            assert_eq!(split(stream.chunks(1)), [""; 0]);
        }
    }

    #[test]
    fn done_ends_the_stream() {
        check("data: 1\n\ndata: [DONE]\n\ndata: 2\n\n", &["1", "done"]);
        check("data:[DONE] and more\n\ndata: 2\n\n", &["done"]);
    }

    #[test]
    fn done_within_other_data_does_not_end_the_stream() {
        check("data:  [DONE]\n\ndata: [DON\ndata: E]\n\n", &[" [DONE]", "[DON\nE]"]);
        check("data: x[DONE]\n\ndata: [DONE\n\ndata: 2\n\n", &["x[DONE]", "[DONE", "2"]);
        check("event: [DONE]\ndata: 1\n\n", &["1"]);
    }
}
