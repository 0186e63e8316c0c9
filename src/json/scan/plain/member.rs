//! The members that the sink receives: the offsets of their parts, and their values.

use std::ops::Range;

use super::{PlainScanner, ScanState};
use crate::json::scan::containers::MAX_DEPTH;
use crate::json::scan::cursor::Cursor;
use crate::json::scan::sink::{MemberValue, Sink, WhiteSpace};
use crate::json::scan::token::whole_string;
use crate::json::scan::{MAX_WHITE_SPACE, ScanError};
use crate::json::text::MAX_RAW_TEXT;

/// The offsets of a member's parts, between which its white space is.
#[derive(Clone, Debug)]
pub(in crate::json::scan) struct MemberOffsets {
    /// The end of the comma or brace before the member.
    pub(in crate::json::scan) start: u64,
    /// The name, without its quotes.
    pub(in crate::json::scan) name: Range<u64>,
    pub(in crate::json::scan) colon: u64,
}

impl MemberOffsets {
    /// The offsets before the first member.
    pub(in crate::json::scan) const NONE: Self = Self { start: 0, name: 0..0, colon: 0 };

    /// The white space before the name, before the colon, and before a value at this offset.
    pub(in crate::json::scan) fn white_space(&self, value_start: u64) -> [Range<u64>; 3] {
        [self.start..self.name.start - 1, self.name.end + 1..self.colon, self.colon + 1..value_start]
    }
}

impl<M: Copy> PlainScanner<M> {
    /// Reads the value of a wanted member, and reports the member.
    ///
    /// A short string that is whole in the chunk is reported in one call. The sink receives the end of any other value
    /// later. A member whose value cannot start here is not reported, because its error is at the start of the value.
    #[inline(never)]
    pub(super) fn read_wanted_value(
        &mut self,
        member: M,
        byte: u8,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink<Member = M>,
    ) -> Result<(), ScanError> {
        let depth = self.containers.depth();
        let value_start = cursor.offset();
        match byte {
            b'{' | b'[' if depth == MAX_DEPTH => return Err(ScanError::TooDeep { offset: value_start }),
            b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {}
            _ => return Err(cursor.error()),
        }
        let member_start = self.member.start;
        let ranges = self.member.white_space(value_start);
        let has_long_run = ranges.iter().any(|range| range.end - range.start > MAX_WHITE_SPACE as u64);
        // The bytes that `white_space` borrows.
        let member_bytes;
        let white_space: WhiteSpace<'_> = if has_long_run {
            [&[]; 3]
        } else {
            member_bytes = cursor.bytes(&(member_start..value_start));
            let position = |offset: u64| (offset - member_start) as usize;
            ranges.map(|range| &member_bytes[position(range.start)..position(range.end)])
        };
        if byte == b'"'
            && let Some(string) = whole_string(cursor.rest)
            && string.text.len() <= MAX_RAW_TEXT
        {
            cursor.rest = string.rest;
            self.state = ScanState::AfterValue;
            let value = MemberValue::String { raw: string.text, has_escapes: string.has_escapes };
            sink.whole_member(member, depth, value_start..cursor.offset(), white_space, value);
            return Ok(());
        }
        sink.member_start(member, depth);
        sink.value_start(value_start, white_space);
        self.read_value(byte, cursor, sink)
    }
}
