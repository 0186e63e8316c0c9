//! What stands between two values, from the end of one to the beginning of the next, is a *joint*: a comma, a
//! name, a colon; perhaps the end of one row or bucket and the beginning of the next. Members that are null in each row,
//! as those that nobody asked for, are a part of it. Rows repeat their joints in their order. So each joint that was
//! read is kept with what it means, and with which one followed; where the same bytes stand again, in containers of
//! the same kinds, they mean the same again.

use std::mem;
use std::sync::Mutex;

use super::Sink;
use super::joint::{Joint, MAX_JOINT, WINDOW};
use super::nest::Nest;
use super::value::scalar;
use crate::rewrite::wide::{BASE, Wide};

/// How many joints are kept. A page of the APIs has about 15 different ones.
const MAX_JOINTS: usize = 128;

/// No joint is expected.
const NONE: u8 = u8::MAX;

/// After so many surprises, less those that were made good, nothing is expected for a while: the members come in no
/// order.
const PATIENCE: u32 = 32;

/// After how many it is again, behind that while and in the next body: enough to learn, from row to row and from body
/// to body, the order of members that have one after all.
const WARY: u32 = 8;

/// So many bytes that came as expected, in one go, make a surprise good: four members, about.
const WORTH: u32 = 128;

/// How many bytes that while is.
const PAUSE: usize = 64 * 1024;

/// A joint that was read, and its text.
#[derive(Clone, Debug)]
pub(super) struct Known {
    text: [u8; 64],
    /// A bit for each byte of the text, of each half.
    masks: [u32; 2],
    joint: Joint,
    /// It leads from a member to the next, and nobody wants to know.
    is_plain: bool,
    /// The joint that came after this one the last time, and the other one that did before.
    next: u8,
    other: u8,
    /// More than these two did: what comes is not always of the same literals.
    varies: bool,
}

impl Known {
    #[inline(always)]
    fn begins(&self, wide: impl Wide, window: &[u8; WINDOW]) -> bool {
        let ([one, two, ..], _) = window.as_chunks::<32>() else { return false };
        let ([text_one, text_two], _) = self.text.as_chunks::<32>() else { return false };
        let [mask_one, mask_two] = self.masks;
        !wide.equal(one, text_one) & mask_one == 0
            // Few joints are that long.
            && (mask_two == 0 || !wide.equal(two, text_two) & mask_two == 0)
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
    /// How many more surprises are borne.
    patience: u32,
    /// For how many bytes more nothing is expected.
    pause: usize,
}

impl Default for Joints {
    fn default() -> Self {
        Self { known: Vec::new(), by_hash: [0; 256], last: NONE, next: NONE, patience: PATIENCE, pause: 0 }
    }
}

/// The joints that one body leaves to the next, which is probably made of the same.
///
/// They say what a text means where it comes, not that it comes: who has them reads the same in fewer steps.
#[derive(Debug, Default)]
pub(crate) struct Learnt(Mutex<Joints>);

impl Learnt {
    /// That nothing is to be expected.
    #[cfg(any(test, feature = "_internal"))]
    pub(crate) fn disorder() -> Self {
        Self(Mutex::new(Joints { pause: usize::MAX, ..Joints::default() }))
    }

    /// Gives some for those that are here. Nobody waits: where two bodies come at once, one learns anew.
    pub(super) fn trade(&self, joints: &mut Joints) {
        if let Ok(mut here) = self.0.try_lock() {
            mem::swap(&mut *here, joints);
        }
    }
}

/// What was gone over, from the end of a value.
pub(super) struct Followed<'a, 'j> {
    /// Behind the last value.
    pub(super) rest: &'a [u8],
    /// The length of the last value; 0 where there was none. What follows a number was not looked at.
    pub(super) value: usize,
    /// The joint that begins `rest`, where it came as expected too: it or the value behind it needs more care.
    pub(super) met: Option<&'j Joint>,
}

impl Joints {
    /// Makes them ready for another body, which may come in order even if this one did not.
    pub(super) fn refresh(&mut self) {
        (self.patience, self.pause) = (self.patience.max(WARY), 0);
    }

    /// Says that joints may have been passed unseen.
    pub(super) fn lose(&mut self) {
        self.last = NONE;
    }

    /// Goes over as many members as come as they came before; `bytes` end at `end`.
    #[inline(always)]
    pub(super) fn follow<'a>(
        &mut self,
        wide: impl Wide,
        bytes: &'a [u8],
        end: u64,
        nest: &mut Nest,
        sink: &mut impl Sink,
    ) -> Followed<'a, '_> {
        let Self { known, last, next, patience, .. } = self;
        let (mut at_last, mut at_next) = (usize::from(*last), usize::from(*next));
        let mut followed = Followed { rest: bytes, value: 0, met: None };
        while let Some(window) = followed.rest.first_chunk::<WINDOW>()
            && let Some((nth, known)) = expected(wide, known, at_last, at_next, window)
        {
            at_next = nth;
            let at = usize::from(known.joint.len) & MAX_JOINT;
            let len = scalar(wide, window, at);
            let from = end - followed.rest.len() as u64;
            if len == 0 || !known.is_plain && !known.joint.pass(window, len, from, nest, sink) {
                followed.met = Some(&known.joint);
                (*last, *next) = (at_next as u8, known.next);
                break;
            }
            (at_last, at_next) = (at_next, usize::from(known.next));
            followed.value = len;
            followed.rest = &followed.rest[at + len..];
        }
        let passed = (bytes.len() - followed.rest.len()) as u32;
        *patience = PATIENCE.min(*patience + passed / WORTH);
        if followed.met.is_none() {
            (*last, *next) = (at_last as u8, at_next as u8);
        }
        followed
    }

    /// Whether nothing is expected here.
    pub(super) fn pauses(&self) -> bool {
        self.pause > 0
    }

    /// Says that so many bytes were passed meanwhile.
    pub(super) fn rest(&mut self, bytes: usize) {
        self.pause = self.pause.saturating_sub(bytes);
    }

    /// Whether the joint that comes after the last is to go on over literals.
    pub(super) fn fold(&self) -> bool {
        self.known.get(usize::from(self.last)).is_none_or(|last| !last.varies)
    }

    /// Keeps a joint that begins `window` as the one that comes after the last.
    #[inline(never)]
    pub(super) fn learn(&mut self, joint: Joint, window: &[u8; WINDOW]) {
        let text = &window[..joint.len.into()];
        let hash = hash(text, joint.name.1.into());
        let mut this = self.by_hash[hash];
        let is_known = |known: &Known| known.joint.len == joint.len && known.begins(BASE, window);
        if !self.known.get(usize::from(this)).is_some_and(is_known) {
            if self.known.len() == MAX_JOINTS {
                self.known.clear();
            }
            // Room for the joints of a usual page at once.
            self.known.reserve(if self.known.is_empty() { 16 } else { 1 });
            this = self.known.len() as u8;
            let mut whole = [0; 64];
            whole[..text.len()].copy_from_slice(text);
            let mask = !(u64::MAX << text.len());
            let is_plain = joint.closed + joint.opened == 0 && joint.wanted.is_none();
            self.known.push(Known {
                text: whole,
                masks: [mask as u32, (mask >> 32) as u32],
                joint,
                is_plain,
                next: NONE,
                other: NONE,
                varies: false,
            });
            self.by_hash[hash] = this;
        }
        self.patience -= 1;
        if let Some(last) = self.known.get_mut(usize::from(self.last))
            && last.next != this
        {
            last.varies |= last.other != this && last.other != NONE;
            (last.next, last.other) = (this, last.next);
        }
        self.last = this;
        self.next = self.known.get(usize::from(this)).map_or(NONE, |known| known.next);
        if self.patience == 0 {
            (self.patience, self.pause, self.next) = (WARY, PAUSE, NONE);
        }
    }
}

/// The joint that begins `window`, with its number: the one that came next the last time, or before that.
#[inline(always)]
fn expected<'j>(
    wide: impl Wide,
    known: &'j [Known],
    last: usize,
    next: usize,
    window: &[u8; WINDOW],
) -> Option<(usize, &'j Known)> {
    let as_before = |nth: usize| Some((nth, known.get(nth).filter(|known| known.begins(wide, window))?));
    as_before(next).or_else(|| as_before(known.get(last)?.other.into()))
}

/// Of a joint's length and the end of its name, where names differ most.
fn hash(text: &[u8], name_end: usize) -> usize {
    let end = text[..name_end].last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
    ((end ^ text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_not_folded() {
        let mut joints = Joints::default();
        let mut learn = |text: &str| {
            let mut window = [b' '; WINDOW];
            window[..text.len()].copy_from_slice(text.as_bytes());
            let name = (2, text.len() as u8 - 2);
            joints.learn(Joint { len: text.len() as u8, name, around: 1, ..Joint::default() }, &window);
            joints.fold()
        };
        // Row after row, the same comes first; two things may come after it.
        for follows in [r#","user_id":null,"c":"#, r#","user_id":"#, r#","user_id":null,"c":"#] {
            assert!(learn(r#","project":"#));
            assert!(learn(follows));
        }
        assert!(learn(r#","project":"#));
        assert!(learn(r#","user_id":null,"c":null,"d":"#));
        assert!(!learn(r#","project":"#));
    }

    #[test]
    fn one_body_leaves_its_joints_to_the_next() {
        let learnt = Learnt::default();
        let mut window = [b' '; WINDOW];
        window[..5].copy_from_slice(b",\"a\":");
        let joint = Joint { len: 5, gap: 1, name: (2, 3), colon: 4, around: 1, ..Joint::default() };
        let mut first = Joints::default();
        first.learn(joint, &window);
        learnt.trade(&mut first);

        let (mut second, mut third) = (Joints::default(), Joints::default());
        {
            let _somebody_is_at_it = learnt.0.lock().unwrap();
            learnt.trade(&mut second);
            assert!(second.known.is_empty(), "nobody waits");
        }
        learnt.trade(&mut second);
        learnt.trade(&mut third);
        assert!(second.known[0].begins(BASE, &window), "what the first body taught");
        assert!(third.known.is_empty(), "one body at a time");
    }
}
