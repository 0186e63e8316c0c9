//! Tokens that the end of a chunk cuts, and invalid tokens.

use std::borrow::Cow;

use super::{PlainScanner, ScanState};
use crate::json::scan::ScanError;
use crate::json::scan::cursor::Cursor;
use crate::json::scan::sink::Sink;
use crate::json::scan::token::{NumberPart, StringPart, ascii_text_len};
use crate::json::text::MAX_RAW_TEXT;

/// The replacement of a text that is too long to be used.
const TOO_LONG: &[u8] = &[b' '; MAX_RAW_TEXT + 1];

impl<M: Copy> PlainScanner<M> {
    /// Continues a token that the end of the last chunk has cut. Does nothing if no token was cut.
    pub(in crate::json::scan) fn resume_token(
        &mut self,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        match self.state {
            ScanState::String { is_name, has_escapes, part } => {
                self.read_rest_of_string(is_name, has_escapes, part, cursor, sink)
            }
            ScanState::Number(part) => self.read_rest_of_number(part, cursor, sink),
            ScanState::Literal(rest) => self.read_literal(rest, cursor, sink),
            _ => Ok(()),
        }
    }

    /// Reads a string that is invalid or continues in the next chunk.
    #[cold]
    pub(super) fn start_cut_string(
        &mut self,
        is_name: bool,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        cursor.advance(1);
        self.text_start = cursor.offset();
        self.read_rest_of_string(is_name, false, StringPart::Text, cursor, sink)
    }

    /// Reads a string from a position in its text, as far as the chunk contains it. `part` is that position. If the
    /// closing quote is not in the chunk, the position becomes the state. Returns an error at an invalid byte.
    fn read_rest_of_string(
        &mut self,
        is_name: bool,
        mut has_escapes: bool,
        mut part: StringPart,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        loop {
            if part == StringPart::Text {
                cursor.advance(ascii_text_len(cursor.rest));
            }
            let Some(byte) = cursor.peek() else {
                self.state = ScanState::String { is_name, has_escapes, part };
                return Ok(());
            };
            if part == StringPart::Text && byte == b'"' {
                self.end_cut_string(is_name, has_escapes, cursor, sink);
                return Ok(());
            }
            let Some(next_part) = part.then(byte) else { return Err(cursor.error()) };
            has_escapes |= next_part == StringPart::Escape;
            part = next_part;
            cursor.advance(1);
        }
    }

    /// Ends a cut name or string value at its closing quote, which is the next byte.
    fn end_cut_string(
        &mut self,
        is_name: bool,
        has_escapes: bool,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) {
        let start = self.text_start;
        let end = cursor.offset();
        cursor.advance(1);
        // The start of a longer text may no longer be in the tail.
        let raw = if end - start > MAX_RAW_TEXT as u64 {
            Cow::Borrowed(TOO_LONG)
        } else {
            cursor.bytes(&(start..end))
        };
        if is_name {
            self.end_name(&raw, start, has_escapes, end, sink);
        } else {
            self.end_string(&raw, has_escapes, cursor.offset(), sink);
        }
    }

    /// Reads a number byte by byte, as far as the chunk contains it. `part` is the position in the number. The first
    /// byte that cannot continue the number ends it, or is an error if the number is incomplete. If there is no such
    /// byte in the chunk, the position becomes the state.
    #[cold]
    pub(super) fn read_rest_of_number(
        &mut self,
        mut part: NumberPart,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        while let Some(byte) = cursor.peek() {
            let Some(next_part) = part.then(byte) else {
                if !part.may_end() {
                    return Err(cursor.error());
                }
                self.end_value(cursor.offset(), sink);
                return Ok(());
            };
            part = next_part;
            cursor.advance(1);
        }
        self.state = ScanState::Number(part);
        Ok(())
    }
}
