//! One joint: what it means, how it is read, and how it is gone over.

use super::nest::{Nest, SHALLOW};
use super::token::ends_number;
use super::{MAX_RAW_NAME, Member, MemberValue, Sink, WhiteSpace};
use crate::json::wide::{Wide, both};

/// What is looked at without asking again whether it is there: a joint, and what may follow it.
pub(super) const WINDOW: usize = 192;

/// The longest joint that is kept. From one value to the next there are about 40 bytes in pretty pages; three to five
/// members that are always the same have room in one.
pub(super) const MAX_JOINT: usize = 127;

/// The most from one value to the next.
const PART: usize = 64;

/// How many containers may end in a joint: with a page a row does, its array, the bucket, and its array.
pub(super) const MOST_CLOSED: usize = 4;

/// How many may begin in one: a bucket, an array in it, a row.
const MOST_OPENED: u8 = 3;

/// What stands between two values; values that are the same in each row may be a part of it. Places are bytes from
/// where the first value ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Joint {
    pub(super) len: u8,
    /// The last value's member: where the white space before its name begins, its name, its colon.
    pub(super) gap: u8,
    pub(super) name: (u8, u8),
    pub(super) colon: u8,
    /// There is no white space in that member.
    pub(super) is_compact: bool,
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
    /// What the last value's member is, where it is wanted.
    pub(super) wanted: Option<Member>,
    /// Where its last part begins: behind the last value that is in it.
    pub(super) part: u8,
}

impl Joint {
    /// Whether a joint that was read elsewhere means the same here: the same containers may end here, and then a
    /// comma is followed by a name in an object, by an object in an array. It begins in an object, as it did there.
    #[inline(always)]
    pub(super) fn fits(&self, nest: &Nest) -> bool {
        if self.stays() {
            return true;
        }
        nest.ends_with(usize::from(self.closed) + 1, self.around) && self.depth(nest) <= SHALLOW
    }

    /// How many containers are around the value behind it, given those before it.
    #[inline(always)]
    pub(super) fn depth(&self, nest: &Nest) -> usize {
        nest.depth - usize::from(self.closed) + usize::from(self.opened)
    }

    /// Whether it leads from a member of an object to another.
    #[inline(always)]
    pub(super) fn stays(&self) -> bool {
        self.closed + self.opened == 0
    }

    /// Ends the containers that end in this joint, which begins at `from`, and begins those that begin.
    #[inline(always)]
    pub(super) fn enter(&self, from: u64, nest: &mut Nest, sink: &mut impl Sink) {
        if self.stays() {
            return;
        }
        let closed = usize::from(self.closed);
        for nth in 0..closed {
            sink.container_end(from + u64::from(self.ends[nth % MOST_CLOSED]), nest.depth - nth);
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
            [b'"', text @ .., _] => MemberValue::String { raw: text, has_escapes: false },
            _ if ends_number(*after) => MemberValue::Other,
            _ => return false,
        };
        self.enter(from, nest, sink);
        let at = from + u64::from(self.len);
        sink.whole_member(member, nest.depth, at..at + len as u64, self.gaps(text), value);
        true
    }

    /// The white space in the last value's member, the joint's text being this.
    #[inline(always)]
    pub(super) fn gaps<'a>(&self, text: &'a [u8]) -> WhiteSpace<'a> {
        if self.is_compact {
            return [&[]; 3];
        }
        let [gap, start, end, colon] = [self.gap, self.name.0, self.name.1, self.colon].map(usize::from);
        [&text[gap..start - 1], &text[end + 1..colon], &text[colon + 1..]]
    }
}

/// What stands from the end of a value to the beginning of the next.
struct Part<'w> {
    window: &'w [u8; WINDOW],
    from: usize,
    /// A bit for each byte from there on: white space, and what is not plain in a string.
    white: u64,
    stops: u64,
}

impl<'w> Part<'w> {
    #[inline(always)]
    fn new(wide: impl Wide, window: &'w [u8; WINDOW], from: usize) -> Option<Self> {
        let part = window.get(from..)?.first_chunk::<PART>()?;
        let white = both(part, |block| wide.white(block));
        let stops = both(part, |block| wide.stops(block));
        Some(Self { window, from, white, stops })
    }

    /// The first marked byte from a place on, with its place.
    #[inline(always)]
    fn first(&self, marks: u64, from: usize) -> Option<(usize, u8)> {
        let marks = marks & u64::MAX.checked_shl((from - self.from) as u32)?;
        let at = self.from + marks.trailing_zeros() as usize;
        (marks != 0).then(|| (at, self.window[at]))
    }

    #[inline(always)]
    fn token(&self, from: usize) -> Option<(usize, u8)> {
        self.first(!self.white, from)
    }

    /// The joint that ended before it, with this part.
    #[inline(always)]
    fn read(&self, mut joint: Joint, nest: &Nest, sink: &mut impl Sink) -> Option<Joint> {
        let (mut at, mut byte) = self.token(self.from)?;
        while matches!(byte, b'}' | b']') && joint.opened == 0 {
            if (byte == b'}') != (joint.around & 1 == 1) {
                return None;
            }
            *joint.ends.get_mut(usize::from(joint.closed))? = at as u8 + 1;
            joint.closed += 1;
            let is_object = nest.is_object(nest.depth - usize::from(joint.closed))?;
            joint.around = joint.around << 1 | u8::from(is_object);
            (at, byte) = self.token(at + 1)?;
        }
        if byte != b',' {
            return None;
        }
        if joint.opened == 0 && joint.around & 1 == 0 {
            (at, _) = self.token(at + 1).filter(|(_, byte)| *byte == b'{')?;
            (joint.opened, joint.inside) = (1, 1);
        }
        loop {
            let gap = at + 1;
            let (quote, b'"') = self.token(gap)? else { return None };
            let start = quote + 1;
            let (end, b'"') = self.first(self.stops, start)? else { return None };
            let (colon, b':') = self.token(end + 1)? else { return None };
            // A control, as behind a chunk's end, is no value: white space may yet stand there.
            let (value, byte) =
                self.token(colon + 1).filter(|(at, byte)| *at <= MAX_JOINT && *byte > b' ')?;
            let name = &self.window[start..end];
            let wanted = if name.len() <= MAX_RAW_NAME { sink.match_member(name, false) } else { None };
            // The value is an object, or an array of objects: the joint goes on to the value of the first member.
            let is_array = byte == b'[';
            let brace = if is_array { self.token(value + 1) } else { Some((value, byte)) };
            if let Some((brace, b'{')) = brace
                && let Some((_, b'"')) = self.token(brace + 1)
                && wanted.is_none()
                && joint.opened + 2 <= MOST_OPENED
            {
                let (kinds, more) = if is_array { (0b10, 2) } else { (1, 1) };
                (joint.inside, joint.opened) = (joint.inside | kinds << joint.opened, joint.opened + more);
                at = brace;
                continue;
            }
            let is_compact = (start, colon, value) == (gap + 1, end + 1, colon + 1);
            let [len, gap, start, end, colon, part] =
                [value, gap, start, end, colon, self.from].map(|at| at as u8);
            return Some(Joint { len, gap, name: (start, end), colon, is_compact, wanted, part, ..joint });
        }
    }
}

/// Reads the joint that begins `window`, in an object; `None` where that needs more care, or more bytes. It goes on
/// behind values that are expected: `again` says how long the one behind it is, if it is.
#[inline(always)]
pub(super) fn read(
    wide: impl Wide,
    window: &[u8; WINDOW],
    nest: &Nest,
    again: impl Fn(&Joint) -> Option<usize>,
    sink: &mut impl Sink,
) -> Option<Joint> {
    // It stands in an object.
    let first = Joint { around: 1, ..Joint::default() };
    let mut joint = Part::new(wide, window, 0)?.read(first, nest, sink)?;
    while joint.wanted.is_none()
        && let Some(value) = again(&joint)
        && let Some(part) = Part::new(wide, window, usize::from(joint.len) + value)
        && let Some(longer) = part.read(joint, nest, sink)
        // Before a container the way ends: it may be in a joint that begins later.
        && !matches!(window[usize::from(longer.len)], b'{' | b'[')
    {
        joint = longer;
    }
    Some(joint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::scan::value::scalar;
    use crate::json::wide::BASE;

    /// Wants ids, and does not listen.
    struct Deaf;

    impl Sink for Deaf {
        fn match_member(&mut self, raw: &[u8], _: bool) -> Option<Member> {
            (raw == b"id").then_some(Member::Id)
        }
        fn member_start(&mut self, _: Member, _: usize) {}
        fn value_start(&mut self, _: u64, _: WhiteSpace<'_>) {}
        fn is_value_awaited(&self, _: usize) -> bool {
            false
        }
        fn value_end(&mut self, _: u64, _: MemberValue<'_>) {}
        fn object_end(&mut self, _: u64, _: usize) {}
    }

    #[test]
    fn a_joint_goes_on_behind_what_comes_again() {
        let long = |len| format!(r#","a":null,"{}":1"#, "b".repeat(len));
        let many = |len| format!(r#"{},"{}":1"#, r#","a":null"#.repeat(13), "b".repeat(len));
        let longer = |len| format!(r#","a":"{}","b":1"#, "c".repeat(len));
        for (text, whole, part) in [
            (r#","a":1"#, r#","a":"#, r#","a":"#),
            (r#","a":null,"b":1"#, r#","a":null,"b":"#, r#","a":"#),
            (r#","a": "x" , "b" : 0,"c":-1"#, r#","a": "x" , "b" : 0,"c":"#, r#","a": "#),
            (r#","a":null},{"b":1"#, r#","a":null},{"b":"#, r#","a":"#),
            (r#"},{"a":null,"b":1"#, r#"},{"a":null,"b":"#, r#"},{"a":"#),
            (r#","a":null}]},{"b":[{"c":null,"d":"e""#, r#","a":null}]},{"b":[{"c":null,"d":"#, r#","a":"#),
            // None ends behind one that began.
            (r#"},{"a":null},{"b":1"#, r#"},{"a":"#, r#"},{"a":"#),
            // A wanted one is told of.
            (r#","a":null,"id":null,"b":1"#, r#","a":null,"id":"#, r#","a":"#),
            // What is no scalar, or has no room, or nothing behind it.
            (r#","a":nulls,"b":1"#, r#","a":"#, r#","a":"#),
            (r#","a":12e3,"b":1"#, r#","a":"#, r#","a":"#),
            (r#","a":null],"b":1"#, r#","a":"#, r#","a":"#),
            (r#","a":null"#, r#","a":"#, r#","a":"#),
            (r#","a":null,"b":[1]"#, r#","a":"#, r#","a":"#),
            (r#","a":null,"b":{}"#, r#","a":"#, r#","a":"#),
            (&long(59), &long(59)[..9 + PART - 1], r#","a":"#),
            (&long(60), r#","a":"#, r#","a":"#),
            (&many(4), &many(4)[..13 * 9 + 8], r#","a":"#),
            (&many(6), &many(6)[..MAX_JOINT], r#","a":"#),
            (&many(7), &many(7)[..12 * 9 + 5], r#","a":"#),
            (&longer(58), &longer(58)[..70], r#","a":"#),
        ] {
            // In a row of a bucket.
            let mut nest = Nest::default();
            assert!([true, false, true, false, true].iter().all(|object| nest.push(*object)));
            let mut window = [0; WINDOW];
            window[..text.len()].copy_from_slice(text.as_bytes());
            for (comes_again, expected) in [(true, whole), (false, part)] {
                let again =
                    |joint: &Joint| comes_again.then(|| scalar(BASE, &window, joint.len.into())).flatten();
                let joint = read(BASE, &window, &nest, again, &mut Deaf).unwrap();
                assert_eq!(&text[..joint.len.into()], expected, "{text} {comes_again}");
                let name = &text[joint.name.0.into()..joint.name.1.into()];
                assert_eq!(joint.wanted, (name == "id").then_some(Member::Id), "{text} {comes_again}");
                let count = |bracket| expected.matches(bracket).count();
                assert_eq!(usize::from(joint.closed), count(['}', ']']), "{text} {comes_again}");
                assert_eq!(usize::from(joint.opened), count(['{', '[']), "{text} {comes_again}");
                let last = expected[..joint.name.0.into()].rfind(',').map_or(0, |comma| comma);
                assert!(usize::from(joint.part) <= last, "{text} {comes_again}");
            }
        }
    }
}
