//! The text between two values, and its meaning.

use super::simd::{digits_len, special, white_space};
use crate::json::scan::containers::{Containers, MAX_SHALLOW_DEPTH};
use crate::json::scan::plain::MemberOffsets;
use crate::json::scan::sink::{Member, MemberValue, Sink};
use crate::json::scan::token::is_white_space;
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
        self.is_in_one_object() || {
            let (closed, opened) = (usize::from(self.closed), usize::from(self.opened));
            containers.ends_with(closed + 1, self.outer)
                && containers.depth() - closed + opened <= MAX_SHALLOW_DEPTH
        }
    }

    /// Applies the text at this offset to the containers, and reports those that end.
    #[inline(always)]
    pub(super) fn enter(&self, offset: u64, containers: &mut Containers, sink: &mut impl Sink) {
        if !self.is_in_one_object() {
            let closed = usize::from(self.closed);
            for (nth, end) in self.ends.iter().take(closed).enumerate() {
                sink.container_end(offset + u64::from(*end), containers.depth() - nth);
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

    /// Applies the text at this offset and the scalar of `len` bytes behind it. The structure [fits](Self::fits).
    #[inline(always)]
    pub(super) fn pass(
        &self,
        window: &[u8; WINDOW],
        len: usize,
        offset: u64,
        containers: &mut Containers,
        sink: &mut impl Sink,
    ) {
        self.enter(offset, containers, sink);
        let Some(member) = self.wanted else { return };
        let (text, rest) = window.split_at(usize::from(self.len) & MAX_LEN);
        let value = match &rest[..len] {
            // A scalar of the fast path has no escapes.
            [b'"', raw @ .., _] => MemberValue::String { raw, has_escapes: false },
            _ => MemberValue::Other,
        };
        let [start, name, name_end, colon] =
            [self.member_start, self.name.0, self.name.1, self.colon].map(usize::from);
        let white_space = [&text[start..name - 1], &text[name_end + 1..colon], &text[colon + 1..]];
        let at = offset + u64::from(self.len);
        sink.whole_member(member, containers.depth(), at..at + len as u64, white_space, value);
    }

    /// Reads the text at the start of `window`; `None` if it is too long or not of this form.
    ///
    /// It goes on behind each value of which `constant_len` returns the length.
    #[inline(always)]
    pub(super) fn read(
        window: &[u8; WINDOW],
        containers: &Containers,
        constant_len: impl Fn(&Self) -> Option<usize>,
        sink: &mut impl Sink,
    ) -> Option<Self> {
        let start = Self { outer: 1, ..Self::default() };
        let mut structure = TextPart { window, start: 0 }.read(start, containers, sink)?;
        while structure.wanted.is_none()
            && let Some(value) = constant_len(&structure)
            && let part = (TextPart { window, start: usize::from(structure.len) + value })
            && let Some(longer) = part.read(structure, containers, sink)
            // A value that is a container is often in another text, which starts later.
            && !matches!(window[usize::from(longer.len)], b'{' | b'[')
        {
            structure = longer;
        }
        structure.is_simple = structure.is_in_one_object() && structure.wanted.is_none();
        structure.fits(containers).then_some(structure)
    }
}

/// The text from one value to the next, of at most [`MAX_PART`] bytes.
struct TextPart<'w> {
    window: &'w [u8; WINDOW],
    start: usize,
}

impl TextPart<'_> {
    /// The first token from this position on, and its first byte.
    #[inline(always)]
    fn token(&self, mut at: usize) -> Option<(usize, u8)> {
        // Compact pages have no white space.
        if is_white_space(*self.window.get(at)?) {
            let len = white_space(self.window[at..].first_chunk()?).trailing_ones();
            at += Some(len as usize).filter(|len| *len < 32)?;
        }
        (at < self.start + MAX_PART).then_some((at, *self.window.get(at)?))
    }

    /// Reads this part behind the text that `structure` describes.
    #[inline(always)]
    fn read(
        &self,
        mut structure: Structure,
        containers: &Containers,
        sink: &mut impl Sink,
    ) -> Option<Structure> {
        let (mut at, mut byte) = self.token(self.start)?;
        while matches!(byte, b'}' | b']') && structure.opened == 0 {
            if (byte == b'}') != (structure.outer & 1 == 1) {
                return None;
            }
            *structure.ends.get_mut(usize::from(structure.closed))? = at as u8 + 1;
            structure.closed += 1;
            let is_object = containers.is_object(containers.depth() - usize::from(structure.closed))?;
            structure.outer = structure.outer << 1 | u8::from(is_object);
            (at, byte) = self.token(at + 1)?;
        }
        if byte != b',' {
            return None;
        }
        if structure.opened == 0 && structure.outer & 1 == 0 {
            (at, _) = self.token(at + 1).filter(|(_, byte)| *byte == b'{')?;
            (structure.opened, structure.inner) = (1, 1);
        }
        loop {
            let member_start = at + 1;
            let (quote, b'"') = self.token(member_start)? else { return None };
            let name_end = string_end(self.window, quote + 1)?;
            let (colon, b':') = self.token(name_end + 1)? else { return None };
            let (value, byte) = self.token(colon + 1).filter(|(at, _)| *at <= MAX_LEN)?;
            let name = &self.window[quote + 1..name_end];
            let wanted = if name.len() <= MAX_RAW_NAME { sink.match_member(name, false) } else { None };
            // An object, or an array of objects: the text goes on to the value of its first member.
            let brace = if byte == b'[' { self.token(value + 1) } else { Some((value, byte)) };
            if let Some((brace, b'{')) = brace
                && let Some((_, b'"')) = self.token(brace + 1)
                && wanted.is_none()
                && structure.opened + 2 <= MAX_OPENED
            {
                let (kinds, count) = if byte == b'[' { (0b10, 2) } else { (0b1, 1) };
                structure.inner |= kinds << structure.opened;
                structure.opened += count;
                at = brace;
                continue;
            }
            let [len, member_start, name, name_end, colon, last_part] =
                [value, member_start, quote + 1, name_end, colon, self.start].map(|at| at as u8);
            return Some(Structure {
                len,
                member_start,
                name: (name, name_end),
                colon,
                wanted,
                last_part,
                ..structure
            });
        }
    }
}

/// The length of the scalar at this position, if it is at most about 60 bytes long; `None` if the plain scanner has
/// to read the value.
#[inline(always)]
pub(super) fn scalar_len(window: &[u8; WINDOW], at: usize) -> Option<usize> {
    let at = at & MAX_LEN;
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
                let fraction = digits_len(window, at + len + 1);
                if fraction == 0 {
                    return None;
                }
                len += 1 + fraction;
            }
            let next = *window.get(at + len)?;
            (matches!(next, b',' | b'}' | b']') || is_white_space(next)).then_some(len)
        }
        _ => literal_len(first),
    }
}

/// The position of the quote that ends a string, if it has no escapes, is ASCII, and ends within 64 bytes.
#[inline(always)]
fn string_end(window: &[u8; WINDOW], start: usize) -> Option<usize> {
    let mut end = start;
    let mut marks = special(window[end..].first_chunk()?);
    if marks == 0 {
        end += 32;
        marks = special(window.get(end..)?.first_chunk()?);
    }
    end += marks.trailing_zeros() as usize;
    (*window.get(end)? == b'"').then_some(end)
}

/// The length of a literal. The three are compared without a branch, since which one it is cannot be predicted.
#[inline(always)]
fn literal_len(bytes: &[u8; 32]) -> Option<usize> {
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    let len = 4 + usize::from(bytes[0] == b'f');
    let text = word & (u64::MAX >> (64 - 8 * len));
    let is = |literal: &[u8; 8]| text == u64::from_le_bytes(*literal);
    (is(b"null\0\0\0\0") | is(b"true\0\0\0\0") | is(b"false\0\0\0")).then_some(len)
}
