//! The plain scanner: the grammar of RFC 8259, token by token.
//!
//! A token that is whole in its chunk is read in one step. A token that the end of a chunk cuts leaves a state
//! from which the next chunk continues it byte by byte; a string continues in one step after the cut character.

mod cut;
mod member;

pub(super) use self::member::MemberOffsets;
use super::ScanError;
use super::containers::Containers;
use super::cursor::Cursor;
use super::sink::{MemberValue, Sink};
use super::token::{NumberPart, StringPart, number_len, whole_string};
use crate::json::text::{MAX_RAW_NAME, MAX_RAW_TEXT};

/// The next thing that the grammar allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanState {
    /// A value (RFC 8259 §3).
    Value,
    /// A value or `]`, after `[`.
    FirstValue,
    /// A name, after a comma in an object.
    Name,
    /// A name or `}`, after `{`.
    FirstName,
    /// The colon after a name.
    Colon,
    /// A comma or the end of the container; at depth 0 the end of the document.
    AfterValue,
    /// The rest of a string.
    String { is_name: bool, has_escapes: bool, part: StringPart },
    /// The rest of a number.
    Number(NumberPart),
    /// The rest of a literal.
    Literal(&'static [u8]),
}

/// The state of the scan between two tokens, or within one at the end of a chunk.
#[derive(Clone, Debug)]
pub(super) struct PlainScanner<M> {
    pub(super) state: ScanState,
    pub(super) containers: Containers,
    /// The last member.
    member: MemberOffsets,
    /// The member of the next value, if the sink has matched its name.
    wanted: Option<M>,
    /// The offset of the text of a cut string.
    text_start: u64,
}

impl<M: Copy> PlainScanner<M> {
    pub(super) fn new() -> Self {
        Self {
            state: ScanState::Value,
            containers: Containers::new(),
            member: MemberOffsets::NONE,
            wanted: None,
            text_start: 0,
        }
    }

    /// The offset from which the next chunk can refer to the bytes before it.
    pub(super) fn member_start(&self) -> u64 {
        self.member.start
    }

    /// True if the document may end here.
    pub(super) fn may_end(&self) -> bool {
        let is_complete = match self.state {
            ScanState::AfterValue => true,
            // A number is the only value without an end of its own.
            ScanState::Number(part) => part.may_end(),
            _ => false,
        };
        is_complete && self.containers.depth() == 0
    }

    /// Scans until the end of the chunk, or until `is_stop` returns true after a value or the end of a container.
    #[inline(always)]
    pub(super) fn scan_until(
        &mut self,
        is_stop: impl Fn(&Self, &Cursor<'_>) -> bool,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        while let Some(byte) = cursor.next_token() {
            self.read_member_or_end(byte, cursor, sink)?;
            if is_stop(self, cursor) {
                break;
            }
        }
        Ok(())
    }

    /// Reads the next member or element up to the end of its value, or the end of a container.
    ///
    /// After a value in an object, `,"a":1` is read in four steps: comma, name, colon and value. If the chunk ends between
    /// two steps, the state is the step with which the next call continues. `first_byte` is that of the next token.
    #[inline(always)]
    fn read_member_or_end(
        &mut self,
        first_byte: u8,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        let mut byte = first_byte;
        if self.state == ScanState::AfterValue {
            self.state = match (byte, self.containers.is_in_object()) {
                (b',', Some(true)) => ScanState::Name,
                (b',', Some(false)) => ScanState::Value,
                (b'}', Some(true)) | (b']', Some(false)) => return self.close_container(cursor, sink),
                _ => return Err(cursor.error()),
            };
            cursor.advance(1);
            self.member.start = cursor.offset();
            let Some(start_of_name_or_value) = cursor.next_token() else { return Ok(()) };
            byte = start_of_name_or_value;
        }
        if matches!(self.state, ScanState::Name | ScanState::FirstName) {
            match byte {
                b'"' => self.read_name(cursor, sink)?,
                b'}' if self.state == ScanState::FirstName => return self.close_container(cursor, sink),
                _ => return Err(cursor.error()),
            }
            let Some(colon) = cursor.next_token() else { return Ok(()) };
            byte = colon;
        }
        if self.state == ScanState::Colon {
            if byte != b':' {
                return Err(cursor.error());
            }
            self.member.colon = cursor.offset();
            cursor.advance(1);
            self.state = ScanState::Value;
            let Some(start_of_value) = cursor.next_token() else { return Ok(()) };
            byte = start_of_value;
        }
        // The state is `Value`, or `FirstValue` in an array that may be empty.
        if byte == b']' && self.state == ScanState::FirstValue {
            return self.close_container(cursor, sink);
        }
        sink.any_value_start(cursor.offset(), byte);
        match self.wanted.take() {
            Some(member) => self.read_wanted_value(member, byte, cursor, sink),
            None => self.read_value(byte, cursor, sink),
        }
    }

    /// Reads the name of a member, as far as the chunk contains it.
    #[inline(always)]
    fn read_name(
        &mut self,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        let text_start = cursor.offset() + 1;
        let Some(string) = whole_string(cursor.rest) else {
            return self.start_cut_string(true, cursor, sink);
        };
        cursor.rest = string.rest;
        self.end_name(string.text, text_start, string.has_escapes, cursor.offset() - 1, sink);
        Ok(())
    }

    /// Reads a scalar, as far as the chunk contains it, or the start of a container. `byte` is the first of the value.
    /// Returns an error if no value starts with this byte, or if the scalar is invalid.
    #[inline(always)]
    fn read_value(
        &mut self,
        byte: u8,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        match byte {
            b'"' => {
                let Some(string) = whole_string(cursor.rest) else {
                    return self.start_cut_string(false, cursor, sink);
                };
                cursor.rest = string.rest;
                self.end_string(string.text, string.has_escapes, cursor.offset(), sink);
                Ok(())
            }
            b'{' | b'[' => self.open_container(byte == b'{', cursor),
            b'-' | b'0'..=b'9' => {
                let Some(len) = number_len(cursor.rest) else {
                    cursor.advance(1);
                    return self.read_rest_of_number(NumberPart::first(byte), cursor, sink);
                };
                cursor.advance(len);
                self.end_value(cursor.offset(), sink);
                Ok(())
            }
            b't' => self.read_literal(b"true", cursor, sink),
            b'f' => self.read_literal(b"false", cursor, sink),
            b'n' => self.read_literal(b"null", cursor, sink),
            _ => Err(cursor.error()),
        }
    }

    /// Ends a name, and stores its member in `wanted` if the sink matches the name. `raw` is the text between the
    /// quotes, at the offsets `start..end`.
    #[inline(always)]
    fn end_name(
        &mut self,
        raw: &[u8],
        start: u64,
        has_escapes: bool,
        end: u64,
        sink: &mut impl Sink<Member = M>,
    ) {
        self.state = ScanState::Colon;
        if raw.len() > MAX_RAW_NAME {
            sink.long_name();
        } else if let Some(member) = sink.match_member(raw, has_escapes) {
            self.wanted = Some(member);
            self.member.name = start..end;
        }
    }

    /// Ends a string value, and reports it if the sink awaits it. `end` is the offset after the closing quote.
    #[inline(always)]
    fn end_string(&mut self, raw: &[u8], has_escapes: bool, end: u64, sink: &mut impl Sink<Member = M>) {
        self.state = ScanState::AfterValue;
        if sink.is_value_awaited(self.containers.depth()) {
            let value = if raw.len() > MAX_RAW_TEXT {
                MemberValue::LongString
            } else {
                MemberValue::String { raw, has_escapes }
            };
            sink.value_end(end, value);
        }
    }

    /// Ends a number or a literal, and reports it if the sink awaits it.
    #[inline(always)]
    fn end_value(&mut self, end: u64, sink: &mut impl Sink<Member = M>) {
        self.state = ScanState::AfterValue;
        if sink.is_value_awaited(self.containers.depth()) {
            sink.value_end(end, MemberValue::Other);
        }
    }

    /// Reads a literal, or the rest of a literal that the last chunk has cut.
    ///
    /// If the chunk ends within the literal, the missing bytes become the state: after `tr`, the literal `true` lacks `ue`.
    /// Returns an error at the first byte that differs from the literal.
    #[inline(always)]
    fn read_literal(
        &mut self,
        literal: &'static [u8],
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        if let Some(rest) = cursor.rest.strip_prefix(literal) {
            cursor.rest = rest;
            self.end_value(cursor.offset(), sink);
            return Ok(());
        }
        let mut missing = literal;
        while let (Some(byte), [expected, after_expected @ ..]) = (cursor.peek(), missing) {
            if byte != *expected {
                return Err(cursor.error());
            }
            cursor.advance(1);
            missing = after_expected;
        }
        self.state = ScanState::Literal(missing);
        Ok(())
    }

    /// Opens a container. Returns an error if it is nested too deeply.
    #[inline(always)]
    fn open_container(&mut self, is_object: bool, cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
        if !self.containers.push(is_object) {
            return Err(ScanError::TooDeep { offset: cursor.offset() });
        }
        cursor.advance(1);
        self.member.start = cursor.offset();
        self.state = if is_object { ScanState::FirstName } else { ScanState::FirstValue };
        Ok(())
    }

    /// Closes the innermost container. Never fails; the result is for callers that return it.
    #[inline(always)]
    fn close_container(
        &mut self,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        cursor.advance(1);
        sink.container_end(cursor.offset(), self.containers.depth());
        self.containers.pop();
        self.state = ScanState::AfterValue;
        Ok(())
    }
}
