//! One joint: what it means, how it is read, and how it is gone over.

use super::nest::{Nest, SHALLOW};
use super::token::ends_number;
use super::{Gaps, MAX_RAW_NAME, Member, Sink, Value};
use crate::rewrite::wide::{Wide, both};

/// What is looked at without asking again whether it is there: a joint, and what may follow it.
pub(super) const WINDOW: usize = 128;

/// The longest joint that is kept. Those of pretty pages are about 40 bytes long.
pub(super) const MAX_JOINT: usize = 63;

/// How many containers may end in a joint: with a page a row does, its array, the bucket, and its array.
pub(super) const MOST_CLOSED: usize = 4;

/// How many may begin in one: a bucket, an array in it, a row.
const MOST_OPENED: u8 = 3;

/// What stands between two values. Places are bytes from where the first value ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joint {
    pub(super) len: u8,
    /// The second value's member: where the white space before its name begins, its name, its colon.
    pub(super) gap: u8,
    pub(super) name: (u8, u8),
    pub(super) colon: u8,
    /// How many containers end.
    pub(super) closed: u8,
    /// Behind the bracket of each, the innermost first.
    pub(super) ends: [u8; MOST_CLOSED],
    /// What they are, and the one around them: a bit for each, the outermost first, set for an object.
    pub(super) around: u8,
    /// How many containers begin; the last is an object.
    pub(super) opened: u8,
    /// What they are, in the same way.
    pub(super) inside: u8,
    /// What the second value's member is, where it is wanted.
    pub(super) wanted: Option<Member>,
}

impl Joint {
    /// Whether a joint that was read elsewhere means the same here: the same containers may end here, and then a
    /// comma is followed by a name in an object, by an object in an array.
    #[inline(always)]
    pub(super) fn fits(&self, nest: &Nest) -> bool {
        let [closed, opened] = [self.closed, self.opened].map(usize::from);
        nest.ends_with(closed + 1, self.around) && nest.depth - closed + opened <= SHALLOW
    }

    /// Ends the containers that end in this joint, which begins at `from`, and begins those that begin.
    #[inline(always)]
    pub(super) fn enter(&self, from: u64, nest: &mut Nest, sink: &mut impl Sink) {
        if self.closed + self.opened == 0 {
            return;
        }
        let closed = usize::from(self.closed);
        for nth in 0..closed {
            sink.leave(from + u64::from(self.ends[nth % MOST_CLOSED]), nest.depth - nth);
        }
        nest.replace(closed, self.opened.into(), self.inside);
    }

    /// Goes over this joint and the scalar of `len` bytes behind it, if it fits and that may be told of.
    #[inline(always)]
    pub(super) fn pass(
        &self,
        window: &[u8; WINDOW],
        len: usize,
        from: u64,
        nest: &mut Nest,
        sink: &mut impl Sink,
    ) -> bool {
        if !self.fits(nest) {
            return false;
        }
        let Some(member) = self.wanted else {
            self.enter(from, nest, sink);
            return true;
        };
        let (text, behind) = window.split_at(usize::from(self.len) & MAX_JOINT);
        let Some((whole, [after, ..])) = behind.split_at_checked(len) else { return false };
        let value = match whole {
            // It is short, and has no escapes.
            [b'"', text @ .., _] => Value::Text(text, false),
            _ if ends_number(*after) => Value::Other,
            _ => return false,
        };
        self.enter(from, nest, sink);
        let at = from + u64::from(self.len);
        sink.whole(member, nest.depth, at..at + len as u64, self.gaps(text), value);
        true
    }

    /// The white space in the second value's member, the joint's text being this.
    #[inline(always)]
    pub(super) fn gaps<'a>(&self, text: &'a [u8]) -> Gaps<'a> {
        let [gap, start, end, colon] = [self.gap, self.name.0, self.name.1, self.colon].map(usize::from);
        if (start, colon, text.len()) == (gap + 1, end + 1, colon + 1) {
            return [&[]; 3];
        }
        [&text[gap..start - 1], &text[end + 1..colon], &text[colon + 1..]]
    }
}

/// Reads the joint that begins `window`, in an object; `None` where that needs more care, or more bytes.
#[inline(always)]
pub(super) fn read(
    wide: impl Wide,
    window: &[u8; WINDOW],
    nest: &Nest,
    sink: &mut impl Sink,
) -> Option<Joint> {
    let half = window.first_chunk()?;
    let white = both(half, |block| wide.white(block));
    let stops = both(half, |block| wide.stops(block));
    // The first marked byte from a place on, with its place; all are in the first half of the window.
    let first = |marks: u64, from: usize| {
        let at = (marks & u64::MAX.checked_shl(from as u32)?).trailing_zeros() as usize;
        (at <= MAX_JOINT).then(|| (at, window[at]))
    };
    let token = |from| first(!white, from);

    // It stands in an object.
    let (mut closed, mut ends, mut around) = (0, [0; MOST_CLOSED], 1);
    let (mut at, mut byte) = token(0)?;
    while matches!(byte, b'}' | b']') {
        if (byte == b'}') != (around & 1 == 1) {
            return None;
        }
        *ends.get_mut(closed)? = at as u8 + 1;
        closed += 1;
        around = around << 1 | u8::from(nest.is_object(nest.depth - closed)?);
        (at, byte) = token(at + 1)?;
    }
    if byte != b',' {
        return None;
    }
    let (mut opened, mut inside) = (0, 0);
    if around & 1 == 0 {
        (at, _) = token(at + 1).filter(|(_, byte)| *byte == b'{')?;
        (opened, inside) = (1, 1);
    }
    loop {
        let gap = at + 1;
        let (quote, b'"') = token(gap)? else { return None };
        let start = quote + 1;
        let (end, b'"') = first(stops, start)? else { return None };
        let (colon, b':') = token(end + 1)? else { return None };
        // A control, as behind a chunk's end, is no value: white space may yet stand there.
        let (value, byte) = token(colon + 1).filter(|(_, byte)| *byte > b' ')?;
        let name = &window[start..end];
        let wanted = if name.len() <= MAX_RAW_NAME { sink.wants(name, false) } else { None };
        // The value is an object, or an array of objects: the joint goes on to the value of the first member.
        let is_array = byte == b'[';
        let brace = if is_array { token(value + 1) } else { Some((value, byte)) };
        if let Some((brace, b'{')) = brace
            && let Some((_, b'"')) = token(brace + 1)
            && wanted.is_none()
            && opened + 2 <= MOST_OPENED
        {
            let (kinds, more) = if is_array { (0b10, 2) } else { (1, 1) };
            (inside, opened) = (inside | kinds << opened, opened + more);
            at = brace;
            continue;
        }
        let [len, gap, start, end, colon, closed] =
            [value, gap, start, end, colon, closed].map(|at| at as u8);
        return Some(Joint {
            len,
            gap,
            name: (start, end),
            colon,
            closed,
            ends,
            around,
            opened,
            inside,
            wanted,
        });
    }
}
