//! The text between two values, and its meaning.

use super::simd::{digits_len, special};
use crate::json::scan::containers::{Containers, MAX_SHALLOW_DEPTH};
use crate::json::scan::plain::MemberOffsets;
use crate::json::scan::sink::{Member, MemberValue, Sink};
use crate::json::scan::token::white_space_len;
use crate::json::text::MAX_RAW_NAME;

/// The bytes that a step of the fast path looks at: a text, and the scalar behind it.
pub(super) const WINDOW: usize = 192;

/// The longest text. It must be one less than a power of two, so that a mask replaces bounds checks.
pub(super) const MAX_LEN: usize = 127;

/// The longest text from one value to the next. Pretty pages have about 40 bytes there.
const MAX_PART: usize = 64;

/// The most containers that end in a text: at the end of a page a row, its array, the bucket and its array do.
const MAX_CLOSED: usize = 4;

/// The most containers that start in a text: a bucket, its array and a row.
const MAX_OPENED: u8 = 3;

/// The meaning of a text that starts behind a value in an object, and ends before the value of a member.
///
/// Positions are bytes from its start. Kinds of containers have a bit each, 1 for an object, the outermost lowest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Structure {
    pub(super) len: u8,
    /// The last member: the end of the punctuation before it, its name, and its colon.
    member_start: u8,
    name: (u8, u8),
    colon: u8,
    pub(super) wanted: Option<Member>,
    /// The number of containers that end, and the ends of their brackets, the innermost first.
    closed: u8,
    ends: [u8; MAX_CLOSED],
    /// The kinds of the containers that end and of the one around them.
    outer: u8,
    /// The number and the kinds of the containers that start. The last is an object.
    opened: u8,
    inner: u8,
    /// The end of the last constant in the text, or 0.
    pub(super) last_part: u8,
    /// True if no container ends or starts, and the sink does not want the member.
    pub(super) is_simple: bool,
}

impl Structure {
    /// True if the text leads from a member to another one of the same object.
    #[inline(always)]
    pub(super) fn is_in_one_object(&self) -> bool {
        self.closed + self.opened == 0
    }

    /// True if the text has this meaning here: containers of the same kinds are open.
    #[inline(always)]
    pub(super) fn fits(&self, containers: &Containers) -> bool {
        if self.is_in_one_object() {
            return true;
        }
        let closed = usize::from(self.closed);
        containers.ends_with(closed + 1, self.outer)
            && containers.depth() - closed + usize::from(self.opened) <= MAX_SHALLOW_DEPTH
    }

    /// Applies the text at this offset to the containers, and reports those that end.
    #[inline(always)]
    pub(super) fn enter(&self, offset: u64, containers: &mut Containers, sink: &mut impl Sink) {
        if !self.is_in_one_object() {
            let closed = usize::from(self.closed);
            for (index, end) in self.ends.iter().take(closed).enumerate() {
                sink.container_end(offset + u64::from(*end), containers.depth() - index);
            }
            containers.replace(closed, self.opened.into(), self.inner);
        }
    }

    /// The offsets of the last member of the text at this offset.
    pub(super) fn member(&self, offset: u64) -> MemberOffsets {
        let at = |position: u8| offset + u64::from(position);
        let name = at(self.name.0)..at(self.name.1);
        MemberOffsets { start: at(self.member_start), name, colon: at(self.colon) }
    }

    /// Applies the text at the start of `window`, which [fits](Self::fits), and the scalar of `value_len` bytes after it.
    #[inline(always)]
    pub(super) fn pass(
        &self,
        window: &[u8; WINDOW],
        value_len: usize,
        offset: u64,
        containers: &mut Containers,
        sink: &mut impl Sink,
    ) {
        self.enter(offset, containers, sink);
        let Some(member) = self.wanted else { return };
        let (text, rest) = window.split_at(usize::from(self.len) & MAX_LEN);
        let value = match &rest[..value_len] {
            // A scalar of the fast path has no escapes.
            [b'"', raw @ .., _] => MemberValue::String { raw, has_escapes: false },
            _ => MemberValue::Other,
        };
        let [start, name_start, name_end, colon] =
            [self.member_start, self.name.0, self.name.1, self.colon].map(usize::from);
        let white_space = [&text[start..name_start - 1], &text[name_end + 1..colon], &text[colon + 1..]];
        let value_start = offset + u64::from(self.len);
        let value_range = value_start..value_start + value_len as u64;
        sink.whole_member(member, containers.depth(), value_range, white_space, value);
    }

    /// Reads the text at the start of `window`. Returns `None` if the text is too long or not of this form.
    ///
    /// The text includes each value of which `constant_len` returns the length, and the part after that value.
    #[inline(always)]
    pub(super) fn read(
        window: &[u8; WINDOW],
        containers: &Containers,
        constant_len: impl Fn(&Self) -> Option<usize>,
        sink: &mut impl Sink,
    ) -> Option<Self> {
        let start = Self { outer: 1, ..Self::default() };
        let mut structure = TextPart { window, containers, start: 0 }.read(start, sink)?;
        while let Some(value_len) = constant_len(&structure) {
            let part = TextPart { window, containers, start: usize::from(structure.len) + value_len };
            let Some(longer) = part.read(structure, sink) else { break };
            // The text before a container is often another template, which starts after the constant.
            if matches!(window[usize::from(longer.len)], b'{' | b'[') {
                break;
            }
            structure = longer;
        }
        structure.is_simple = structure.is_in_one_object() && structure.wanted.is_none();
        if structure.fits(containers) { Some(structure) } else { None }
    }
}

/// The text from one value to the next, of at most [`MAX_PART`] bytes.
struct TextPart<'w> {
    window: &'w [u8; WINDOW],
    /// The containers around the start of the text.
    containers: &'w Containers,
    start: usize,
}

impl TextPart<'_> {
    /// Returns the position and first byte of the next token; `None` if the part would be too long.
    #[inline(always)]
    fn token(&self, start: usize) -> Option<(usize, u8)> {
        let at = start + white_space_len(self.window.get(start..)?);
        if at < self.start + MAX_PART { Some((at, *self.window.get(at)?)) } else { None }
    }

    /// Reads the brackets that end containers, and adds them to `structure`. Returns the position of the comma.
    #[inline(always)]
    fn read_ends(&self, structure: &mut Structure) -> Option<usize> {
        let (mut at, mut byte) = self.token(self.start)?;
        while matches!(byte, b'}' | b']') && structure.opened == 0 {
            let is_in_object = structure.outer & 1 == 1;
            if is_in_object != (byte == b'}') {
                return None;
            }
            *structure.ends.get_mut(usize::from(structure.closed))? = at as u8 + 1;
            structure.closed += 1;
            let depth = self.containers.depth() - usize::from(structure.closed);
            let is_object = self.containers.is_object(depth)?;
            structure.outer = structure.outer << 1 | u8::from(is_object);
            (at, byte) = self.token(at + 1)?;
        }
        if byte == b',' { Some(at) } else { None }
    }

    /// Reads this part after the text that `structure` describes. Returns the structure of both.
    #[inline(always)]
    fn read(&self, mut structure: Structure, sink: &mut impl Sink) -> Option<Structure> {
        let mut punctuation = self.read_ends(&mut structure)?;
        let is_in_array = structure.opened == 0 && structure.outer & 1 == 0;
        if is_in_array {
            let (brace, b'{') = self.token(punctuation + 1)? else { return None };
            punctuation = brace;
            structure.opened = 1;
            structure.inner = 0b1;
        }
        loop {
            let member_start = punctuation + 1;
            let (quote, b'"') = self.token(member_start)? else { return None };
            let name_end = string_end(self.window, quote + 1)?;
            let (colon, b':') = self.token(name_end + 1)? else { return None };
            let (value, byte) = self.token(colon + 1)?;
            if value > MAX_LEN {
                return None;
            }
            let name = &self.window[quote + 1..name_end];
            let wanted = if name.len() <= MAX_RAW_NAME { sink.match_member(name, false) } else { None };
            // If the value is an object or an array of objects, the text continues to the value of its first member.
            let brace = if byte == b'[' { self.token(value + 1) } else { Some((value, byte)) };
            if let Some((brace, b'{')) = brace
                && let Some((_, b'"')) = self.token(brace + 1)
                && wanted.is_none()
                && structure.opened + 2 <= MAX_OPENED
            {
                let (kinds, count) = if byte == b'[' { (0b10, 2) } else { (0b1, 1) };
                structure.inner |= kinds << structure.opened;
                structure.opened += count;
                punctuation = brace;
                continue;
            }
            structure.len = value as u8;
            structure.member_start = member_start as u8;
            structure.name = (quote as u8 + 1, name_end as u8);
            structure.colon = colon as u8;
            structure.wanted = wanted;
            structure.last_part = self.start as u8;
            return Some(structure);
        }
    }
}

/// Returns the length of the scalar at `start`, or `None` if the plain scanner has to read the value.
#[inline(always)]
pub(super) fn scalar_len(window: &[u8; WINDOW], start: usize) -> Option<usize> {
    let at = start & MAX_LEN;
    let first = window[at..].first_chunk()?;
    match first[0] {
        b'"' => Some(string_end(window, at + 1)? + 1 - at),
        b'0'..=b'9' => {
            let mut len = digits_len(window, at);
            // One test for all numbers: it cannot be predicted which of them are 0 (RFC 8259 §6).
            if (first[0] == b'0') & (len > 1) {
                return None;
            }
            if window[at + len] == b'.' {
                let fraction_len = digits_len(window, at + len + 1);
                if fraction_len == 0 {
                    return None;
                }
                len += 1 + fraction_len;
            }
            let is_end = matches!(window.get(at + len)?, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            if is_end { Some(len) } else { None }
        }
        _ => literal_len(first),
    }
}

/// Returns the position of a string's closing quote; `None` if it has escapes, is not ASCII, or is longer than 64 bytes.
#[inline(always)]
fn string_end(window: &[u8; WINDOW], start: usize) -> Option<usize> {
    let mut end = start;
    let mut marks = special(window[end..].first_chunk()?);
    if marks == 0 {
        end += 32;
        marks = special(window.get(end..)?.first_chunk()?);
    }
    end += marks.trailing_zeros() as usize;
    if *window.get(end)? == b'"' { Some(end) } else { None }
}

/// Returns the length of a literal. No branch depends on which of the three it is, since that cannot be predicted.
#[inline(always)]
fn literal_len(bytes: &[u8; 32]) -> Option<usize> {
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    let len = 4 + usize::from(bytes[0] == b'f');
    let text = word & (u64::MAX >> (64 - 8 * len));
    let is = |literal: &[u8; 8]| text == u64::from_le_bytes(*literal);
    if is(b"null\0\0\0\0") | is(b"true\0\0\0\0") | is(b"false\0\0\0") { Some(len) } else { None }
}
