//! The meaning of a text between two values.

use super::scalar::{is_constant, scalar_len, string_end};
use super::simd::{MAX_LEN, Window};
use crate::json::scan::containers::{Containers, MAX_DEPTH};
use crate::json::scan::plain::MemberOffsets;
use crate::json::scan::sink::{MemberValue, Sink};
use crate::json::scan::token::white_space_len;
use crate::json::text::MAX_RAW_NAME;

/// The meaning of a text that starts behind a value in an object, and ends before the value of a member.
///
/// At most one object ends in the text; objects may start behind its end. Positions are bytes from the start of the text.
/// For the text `},{"a":null,"b":` they are:
///
/// ```text
///  }  ,  {  "  a  "  :  n u l l  ,  "  b  "  :
///   closed.end = 1     member.start = 12, member.name = 13..14, member.colon = 15, len = 16
/// ```
#[derive(Clone, Debug)]
pub(super) struct Structure<M> {
    len: u8,
    closed: Option<ClosedObject>,
    /// The number of objects that start.
    opened_count: u8,
    /// The last member, whose value is behind the text.
    member: MemberOffsets,
    wanted: Option<M>,
}

/// The object that ends in a text.
#[derive(Clone, Copy, Debug)]
struct ClosedObject {
    /// The position behind the closing brace.
    end: u8,
    /// True if the container around the object is an object too, false if it is an array.
    is_in_object: bool,
}

impl<M: Copy> Structure<M> {
    /// The meaning of an empty text.
    pub(super) const EMPTY: Self =
        Self { len: 0, closed: None, opened_count: 0, member: MemberOffsets::NONE, wanted: None };

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len) & MAX_LEN
    }

    /// True if the text needs no event and no change of the containers.
    pub(super) fn is_silent(&self) -> bool {
        self.closed.is_none() && self.opened_count == 0 && self.wanted.is_none()
    }

    /// True if the text has this meaning in these containers: the object that ends is in a container of the same kind, and
    /// the objects that start are not nested too deeply.
    #[inline(always)]
    pub(super) fn is_valid_in(&self, containers: &Containers) -> bool {
        let depth = containers.depth();
        let is_same_outer =
            |closed: ClosedObject| containers.is_object(depth - 1) == Some(closed.is_in_object);
        let has_same_outer = self.closed.is_none_or(is_same_outer);
        has_same_outer && depth + usize::from(self.opened_count) <= MAX_DEPTH
    }

    /// Closes and opens the containers of the text, and reports its events to the sink: the end of an object, and then
    /// the wanted member with its value. `window` starts with the text, which is at this offset of the body and is
    /// [valid](Self::is_valid_in) there. The value is the scalar of `value_len` bytes behind the text.
    #[inline(always)]
    pub(super) fn report_events(
        &self,
        window: &Window,
        value_len: usize,
        offset: u64,
        containers: &mut Containers,
        sink: &mut impl Sink<Member = M>,
    ) {
        if let Some(closed) = self.closed {
            sink.container_end(offset + u64::from(closed.end), containers.depth());
            containers.pop();
        }
        for _ in 0..self.opened_count {
            containers.push(true);
        }
        let Some(member) = self.wanted else { return };
        let (text, rest) = window.split_at(self.len());
        let white_space_ranges = self.member.white_space(text.len() as u64);
        let white_space = white_space_ranges.map(|range| &text[range.start as usize..range.end as usize]);
        let value = match &rest[..value_len] {
            // A scalar behind a template has no escapes.
            [b'"', raw @ .., b'"'] => MemberValue::String { raw, has_escapes: false },
            _ => MemberValue::Other,
        };
        let value_start = offset + text.len() as u64;
        let value_range = value_start..value_start + value_len as u64;
        sink.whole_member(member, containers.depth(), value_range, white_space, value);
    }

    /// Parses the text at the start of `window`, which ends before the next value that is not a constant. The value of
    /// a wanted member is never part of the text. If `includes_constants` is false, no value is. Returns `None` if the
    /// text is too long or of another form, or if no short scalar is behind it.
    pub(super) fn parse(
        window: &Window,
        containers: &Containers,
        includes_constants: bool,
        sink: &mut impl Sink<Member = M>,
    ) -> Option<Self> {
        let mut parser = TextParser { window, containers, position: 0, value_len: 0 };
        let mut structure = parser.parse_part(Self::EMPTY, sink)?;
        while includes_constants && structure.wanted.is_none() {
            let value_end = parser.position + parser.value_len;
            if !is_constant(&window[parser.position..value_end]) {
                break;
            }
            parser.position = value_end;
            let Some(longer) = parser.parse_part(structure.clone(), sink) else { break };
            structure = longer;
        }
        if structure.is_valid_in(containers) { Some(structure) } else { None }
    }
}

/// A parser of the text at the start of a window.
struct TextParser<'a> {
    window: &'a Window,
    /// The containers around the start of the text.
    containers: &'a Containers,
    position: usize,
    /// The length of the scalar at the position, which is behind the last part.
    value_len: usize,
}

impl TextParser<'_> {
    /// Parses the part of a text from the end of a value to the start of the next one, which must be a short scalar.
    /// `before` is the structure of the parts before. Returns that of all parts, or `None` if they are too long or of
    /// another form.
    ///
    /// A part is `,"a":`, or `},"a":` at the end of an object, or `},{"a":` at the end of a row. If the value of `a` is an
    /// object, the part continues to the value of the first member: `,"a":{"b":`.
    fn parse_part<M: Copy>(
        &mut self,
        before: Structure<M>,
        sink: &mut impl Sink<Member = M>,
    ) -> Option<Structure<M>> {
        let mut structure = before;
        let mut starts_row = false;
        if self.next_token()? == b'}' {
            let has_brace = structure.closed.is_some() || structure.opened_count > 0;
            if has_brace {
                return None;
            }
            let end = self.skip_token(b'}')? as u8;
            let is_in_object = self.containers.is_object(self.containers.depth() - 1)?;
            structure.closed = Some(ClosedObject { end, is_in_object });
            starts_row = !is_in_object;
        }
        let mut member_start = self.skip_token(b',')?;
        if starts_row {
            member_start = self.skip_token(b'{')?;
            structure.opened_count = 1;
        }
        self.parse_name(member_start, &mut structure, sink)?;
        while self.next_token()? == b'{' && structure.wanted.is_none() {
            member_start = self.skip_token(b'{')?;
            structure.opened_count += 1;
            self.parse_name(member_start, &mut structure, sink)?;
        }
        self.value_len = scalar_len(self.window, self.position)?;
        if self.position > MAX_LEN {
            return None;
        }
        structure.len = self.position as u8;
        Some(structure)
    }

    /// Parses the name and the colon of a member, which starts at `member_start`, and makes it the last member of
    /// `structure`. Returns `None` if there is no name, or if the name is longer than 64 bytes or has escapes.
    fn parse_name<M: Copy>(
        &mut self,
        member_start: usize,
        structure: &mut Structure<M>,
        sink: &mut impl Sink<Member = M>,
    ) -> Option<()> {
        let name_start = self.skip_token(b'"')?;
        let name_end = string_end(self.window, name_start)?;
        self.position = name_end + 1;
        let colon_end = self.skip_token(b':')?;
        structure.member = MemberOffsets {
            start: member_start as u64,
            name: name_start as u64..name_end as u64,
            colon: colon_end as u64 - 1,
        };
        let name = &self.window[name_start..name_end];
        structure.wanted = if name.len() <= MAX_RAW_NAME { sink.match_member(name, false) } else { None };
        Some(())
    }

    /// Skips white space, and returns the first byte of the next token, or `None` at the end of the window.
    fn next_token(&mut self) -> Option<u8> {
        self.position += white_space_len(self.window.get(self.position..)?);
        self.window.get(self.position).copied()
    }

    /// Skips the next token, which must be this byte. Returns the position behind the token, or `None` for another token.
    fn skip_token(&mut self, token: u8) -> Option<usize> {
        if self.next_token()? != token {
            return None;
        }
        self.position += 1;
        Some(self.position)
    }
}
