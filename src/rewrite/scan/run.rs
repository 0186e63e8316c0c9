//! The fast way through what pages mostly are: members with plain names and scalar values, one after another,
//! that lie whole in a chunk and look like those before.
//!
//! What stands between two values, from the end of one to the beginning of the next, is a *joint*: a comma, a
//! name, a colon; perhaps the end of one row and the beginning of the next. Rows repeat their joints in their
//! order. So each joint that was read is kept with what it means, and with which one followed; where the same
//! bytes stand again, they mean the same again.
//!
//! Whatever is not as usual (an escape, a chunk's end, an error) is left where it stands, for `step` to judge.

use super::{Cursor, Fault, Nest, Scanner, Sink, State, Value};
use crate::rewrite::wide;

/// The longest joint that is kept. Those of pretty pages are about 40 bytes long.
const MAX_JOINT: usize = 64;

/// How many joints are kept. A page of the APIs has about 15 different ones.
const MAX_JOINTS: usize = 128;

/// What stands between two values. Places are bytes from where the first value ended.
#[derive(Clone, Copy, Debug)]
struct Joint {
    len: u8,
    /// The second value's member: where the white space before its name begins, its name, its colon.
    gap: u8,
    name: (u8, u8),
    colon: u8,
    /// The brace that closes the first value's object, and whether an object stands around that.
    closes: Option<(u8, bool)>,
    /// The brace that opens the second value's object.
    opens: Option<u8>,
    wanted: bool,
}

impl Joint {
    /// Whether it leads from a member to the next, and nobody wants to know.
    fn is_plain(&self) -> bool {
        self.closes.is_none() && self.opens.is_none() && !self.wanted
    }
}

/// A joint that was read, and its text.
#[derive(Clone, Debug)]
// A power of two in size: to find one is a shift.
#[repr(align(128))]
struct Known {
    text: [u8; MAX_JOINT],
    joint: Joint,
    is_plain: bool,
    /// The joint that came after this one, the last time.
    next: u8,
}

impl Known {
    #[inline(always)]
    fn begins(&self, bytes: &[u8]) -> bool {
        wide::begins_with(bytes, &self.text, self.joint.len.into())
    }
}

/// The joints of one body so far.
#[derive(Clone, Debug)]
pub(super) struct Joints {
    known: Vec<Known>,
    /// For each hash, the joint that had it last.
    by_hash: [u8; 256],
    /// The joint that was passed last, and the one that came next the last time.
    last: u8,
    next: u8,
}

impl Default for Joints {
    fn default() -> Self {
        Self { known: Vec::new(), by_hash: [0; 256], last: 0, next: 0 }
    }
}

impl Joints {
    /// The joint that begins `bytes`, if it came next the last time.
    #[inline(always)]
    fn expected(&mut self, bytes: &[u8]) -> Option<&Known> {
        let known = self.known.get(usize::from(self.next))?;
        if !known.begins(bytes) {
            return None;
        }
        (self.last, self.next) = (self.next, known.next);
        Some(known)
    }

    /// Keeps a joint that begins `bytes` as the one that comes after the last.
    fn learn(&mut self, joint: Joint, bytes: &[u8]) {
        let Some(text) = bytes.get(..joint.len.into()).filter(|text| text.len() <= MAX_JOINT) else { return };
        let hash = hash(text, joint.name.1.into());
        let mut this = self.by_hash[hash];
        let is_known = |known: &Known| known.joint.len == joint.len && known.begins(bytes);
        if !self.known.get(usize::from(this)).is_some_and(is_known) {
            if self.known.len() == MAX_JOINTS {
                self.known.clear();
            }
            this = self.known.len() as u8;
            let mut whole = [0; MAX_JOINT];
            whole[..text.len()].copy_from_slice(text);
            self.known.push(Known { text: whole, joint, is_plain: joint.is_plain(), next: 0 });
            self.by_hash[hash] = this;
        }
        if let Some(last) = self.known.get_mut(usize::from(self.last)) {
            last.next = this;
        }
        self.last = this;
        self.next = self.known.get(usize::from(this)).map_or(0, |known| known.next);
    }
}

/// Of a joint's length and the end of its name, where names differ most.
fn hash(text: &[u8], name_end: usize) -> usize {
    let end = text[..name_end].last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
    ((end ^ text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize
}

impl Scanner {
    /// From the end or the beginning of a value in an object, over as many whole members as there are. Stops
    /// where it may go no further, which may be where it began.
    #[inline(never)]
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), Fault> {
        let chunk = cursor.chunk;
        let mut rest = &chunk[cursor.at..];
        let mut at_value = self.state == State::Value;
        loop {
            if at_value {
                let len = scalar(rest);
                if len == 0 {
                    break;
                }
                if self.wanted {
                    cursor.at = chunk.len() - rest.len();
                    self.read_wanted(len, cursor, sink);
                }
                rest = &rest[len..];
            }
            at_value = true;
            let joint = match self.joints.expected(rest) {
                Some(Known { joint, is_plain: true, .. }) => {
                    self.gap = cursor.base + (chunk.len() - rest.len() + usize::from(joint.gap)) as u64;
                    rest = &rest[usize::from(joint.len)..];
                    continue;
                }
                expected => expected.map(|known| known.joint),
            };
            let joint = match joint {
                Some(joint) if fits(joint, &self.nest) => joint,
                _ => match read_joint(rest, &self.nest, sink) {
                    Some(joint) => {
                        self.joints.learn(joint, rest);
                        joint
                    }
                    None => {
                        at_value = false;
                        break;
                    }
                },
            };
            cursor.at = chunk.len() - rest.len();
            self.pass(joint, cursor, sink)?;
            rest = &rest[usize::from(joint.len)..];
        }
        cursor.at = chunk.len() - rest.len();
        self.state = if at_value { State::Value } else { State::After };
        Ok(())
    }

    /// Does what the joint at the cursor means.
    fn pass(&mut self, joint: Joint, cursor: &Cursor<'_>, sink: &mut impl Sink) -> Result<(), Fault> {
        let from = cursor.offset();
        if let Some((brace, _)) = joint.closes {
            let end = from + u64::from(brace) + 1;
            sink.close(end, self.nest.depth);
            self.nest.pop();
            self.end_value(Value::Other, end, sink);
        }
        if let Some(brace) = joint.opens
            && !self.nest.push(true)
        {
            return Err(Fault::TooDeep { offset: from + u64::from(brace) });
        }
        self.gap = from + u64::from(joint.gap);
        if joint.wanted {
            self.name = from + u64::from(joint.name.0)..from + u64::from(joint.name.1);
            self.colon = from + u64::from(joint.colon);
            self.wanted = true;
            let name = cursor.at + usize::from(joint.name.0)..cursor.at + usize::from(joint.name.1);
            sink.found(&cursor.chunk[name], false, self.nest.depth);
        }
        Ok(())
    }

    /// Tells of a wanted scalar of `len` bytes.
    #[inline(never)]
    fn read_wanted(&mut self, len: usize, cursor: &Cursor<'_>, sink: &mut impl Sink) {
        self.wanted = false;
        self.tell_begin(cursor, sink);
        let whole = &cursor.chunk[cursor.at..cursor.at + len];
        let value = match whole {
            [b'"', text @ .., b'"'] if text.len() <= super::MAX_RAW_TEXT => Value::Text(text, false),
            [b'"', ..] => Value::LongText,
            _ => Value::Other,
        };
        sink.end(cursor.offset() + len as u64, value);
    }
}

/// The length of the scalar that begins `bytes`, where it and its end are seen and it is plain; else 0.
#[inline(always)]
fn scalar(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b'"') => {
            let text = 1 + wide::plain(&bytes[1..]);
            if bytes.get(text) == Some(&b'"') { text + 1 } else { 0 }
        }
        Some(b'0'..=b'9' | b'-') => number(bytes),
        Some(b'n') if bytes.starts_with(b"null") => 4,
        Some(b't') if bytes.starts_with(b"true") => 4,
        Some(b'f') if bytes.starts_with(b"false") => 5,
        _ => 0,
    }
}

/// Whether a joint that was read elsewhere means the same here: after its closing brace, a comma is followed
/// by a name in an object, by an object in an array.
#[inline(always)]
fn fits(joint: Joint, nest: &Nest) -> bool {
    joint.closes.is_none_or(|(_, object)| nest.is_object(nest.depth - 1) == Some(object))
}

#[inline(never)]
/// Reads the joint that begins `bytes`, in an object; `None` where that needs more care, or more bytes.
fn read_joint(bytes: &[u8], nest: &Nest, sink: &mut impl Sink) -> Option<Joint> {
    let mut at = 0;
    let mut closes = None;
    let mut opens = None;
    if token(bytes, &mut at)? == b'}' {
        let object = nest.is_object(nest.depth - 1)?;
        closes = Some((place(at)?, object));
        at += 1;
        if token(bytes, &mut at)? != b',' {
            return None;
        }
        at += 1;
        if !object {
            if token(bytes, &mut at)? != b'{' {
                return None;
            }
            opens = Some(place(at)?);
            at += 1;
        }
    } else if bytes.get(at) == Some(&b',') {
        at += 1;
    } else {
        return None;
    }
    loop {
        let gap = place(at)?;
        if token(bytes, &mut at)? != b'"' {
            return None;
        }
        let start = at + 1;
        let end = start + wide::plain(&bytes[start..]);
        if bytes.get(end) != Some(&b'"') {
            return None;
        }
        at = end + 1;
        if token(bytes, &mut at)? != b':' {
            return None;
        }
        let colon = place(at)?;
        at += 1;
        let value = token(bytes, &mut at)?;
        let wanted = end - start <= super::MAX_RAW_NAME && sink.wants(&bytes[start..end], false);
        if value == b'{' && !wanted && opens.is_none() {
            // The value is an object: the joint goes on to the value of its first member.
            opens = Some(place(at)?);
            at += 1;
            continue;
        }
        let name = (place(start)?, place(end)?);
        return Some(Joint { len: place(at)?, gap, name, colon, closes, opens, wanted });
    }
}

fn place(at: usize) -> Option<u8> {
    u8::try_from(at).ok()
}

/// The next byte that is no white space.
#[inline(always)]
fn token(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let byte = *bytes.get(*at)?;
    if byte > b' ' {
        return Some(byte);
    }
    *at += wide::white_space(&bytes[*at..]);
    bytes.get(*at).copied()
}

/// The length of a number without an exponent that begins `bytes`, where its end is seen; else 0.
#[inline(always)]
fn number(bytes: &[u8]) -> usize {
    let first = usize::from(bytes[0] == b'-');
    let whole = wide::digits(&bytes[first..]);
    // RFC 8259 §6: no leading zero.
    if whole == 0 || whole > 1 && bytes[first] == b'0' {
        return 0;
    }
    let mut at = first + whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = wide::digits(&bytes[at + 1..]);
        if fraction == 0 {
            return 0;
        }
        at += 1 + fraction;
    }
    match bytes.get(at) {
        Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') => at,
        _ => 0,
    }
}
