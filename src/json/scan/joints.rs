//! What stands between two values, from the end of one to the beginning of the next, is a *joint*: a comma, a
//! name, a colon; perhaps the end of one row or bucket and the beginning of the next. Rows repeat their joints in
//! their order. So each joint that was read is kept with what it means, and with which one followed; where the same
//! bytes stand again, in containers of the same kinds, they mean the same again.
//!
//! Rows repeat values too: what the page was not grouped by is null in each, and some strings and zeros stand in all.
//! A value that came twice is made a part of the joint, so that it is compared with what stands around it. It stays one
//! where something else comes for once: as a bucket's end does, and a page's.

use std::mem;
use std::sync::Mutex;

use super::Sink;
use super::joint::{Joint, MAX_JOINT, WINDOW};
use super::nest::Nest;
use super::token::is_white;
use super::value::scalar;
use crate::json::wide::{BASE, Wide};

/// How many joints are kept. A page of the APIs has about 15 different ones.
const MAX_JOINTS: usize = 128;

/// Twice as many, so that few have to be looked for.
const SLOTS: usize = 2 * MAX_JOINTS;

/// How many may be expected after one: behind a row's last member the next row, the next bucket, and the page's end.
const FOLLOWERS: usize = 3;

/// No joint is expected.
const NONE: u8 = u8::MAX;

/// After so many surprises, less those that were made good, nothing is expected for a while: the members come in no
/// order.
const PATIENCE: u32 = 48;

/// After how many it is again, behind that while and in the next body: enough to learn, from row to row and from body
/// to body, the order of members that have one after all.
const WARY: u32 = 8;

/// So many bytes that came as expected, in one go, make a surprise good: four members, about.
const WORTH: u32 = 128;

/// How many bytes that while is.
const PAUSE: usize = 64 * 1024;

/// A joint that was read.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Its text, and what stood behind it when it was read the last time.
    text: [u8; MAX_JOINT + 1],
    /// A bit for each byte of the text, of each quarter.
    masks: [u32; 4],
    joint: Joint,
    /// It leads from a member to the next, and nobody wants to know.
    is_plain: bool,
    /// Those that came after this one, in the order in which they are asked for.
    then: [u8; FOLLOWERS],
}

impl Known {
    fn new(joint: Joint) -> Self {
        let mask = !(u128::MAX << joint.len);
        let is_plain = joint.stays() && joint.wanted.is_none();
        let masks = [0, 32, 64, 96].map(|from| (mask >> from) as u32);
        Self { text: [0; MAX_JOINT + 1], masks, joint, is_plain, then: [NONE; FOLLOWERS] }
    }

    fn text(&self) -> &[u8] {
        &self.text[..self.joint.len.into()]
    }

    /// Expects a joint after this one: before those that are, or behind the first of them.
    fn expect(&mut self, joint: u8, is_second: bool) {
        let [first, second, third] = self.then;
        if first != joint {
            let other = if second == joint { third } else { second };
            self.then = if is_second { [first, joint, other] } else { [joint, first, other] };
        }
    }

    #[inline(always)]
    fn begins(&self, wide: impl Wide, window: &[u8; WINDOW]) -> bool {
        let (blocks, _) = window.as_chunks::<32>();
        let (text, _) = self.text.as_chunks::<32>();
        let is = |nth: usize| !wide.equal(&blocks[nth], &text[nth]) & self.masks[nth] == 0;
        // Few joints are as long as two blocks, and fewer longer.
        is(0) && (self.masks[1] == 0 || is(1) && (self.masks[2] == 0 || is(2) && is(3)))
    }
}

/// The joints of one body so far.
#[derive(Clone, Debug)]
pub(super) struct Joints {
    known: Vec<Known>,
    /// For each hash, the first joint that had it, and behind it others.
    by_hash: [u8; SLOTS],
    /// The joint that was passed last, and the one that came next the last time.
    last: u8,
    next: u8,
    /// The joint that came first in a body the last time; and whether none came yet in this one.
    first: u8,
    begins: bool,
    /// How many more surprises are borne.
    patience: u32,
    /// For how many bytes more nothing is expected.
    pause: usize,
}

impl Default for Joints {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            by_hash: [NONE; SLOTS],
            last: NONE,
            next: NONE,
            first: NONE,
            begins: false,
            patience: PATIENCE,
            pause: 0,
        }
    }
}

/// The joints that one body leaves to the next, which is probably made of the same.
///
/// They say what bytes mean that are there: with them the same is read in fewer steps.
#[derive(Debug, Default)]
pub struct TemplateCache(Mutex<Joints>);

impl TemplateCache {
    /// That nothing is to be expected.
    #[cfg(any(test, feature = "_internal"))]
    pub fn disabled() -> Self {
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

    /// Says that a body begins.
    pub(super) fn begin(&mut self) {
        (self.last, self.next, self.begins) = (NONE, self.first, true);
    }

    /// Says that joints may have been passed unseen.
    pub(super) fn lose(&mut self) {
        (self.last, self.begins) = (NONE, false);
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
        let mut passed = Passed { rest: bytes, value: 0, last: usize::from(*last), next: usize::from(*next) };
        let mut is_met = false;
        while let Some((this, len)) = over_plain(wide, known, &mut passed) {
            let joint = &this.joint;
            let from = end - passed.rest.len() as u64;
            let window = passed.rest.first_chunk();
            if let (Some(window), Some(len)) = (window, len)
                && joint.pass(window, len, from, nest, sink)
            {
                let (before, nth, stays) = (passed.last, passed.next, joint.stays());
                passed.pass(this, len);
                // Where one that ends a row came, most will.
                if !stays && let Some(before) = known.get_mut(before) {
                    before.expect(nth as u8, false);
                }
                continue;
            }
            is_met = true;
            (passed.last, passed.next) = (passed.next, usize::from(this.then[0]));
            break;
        }
        let many = (bytes.len() - passed.rest.len()) as u32;
        *patience = PATIENCE.min(*patience + many / WORTH);
        (*last, *next) = (passed.last as u8, passed.next as u8);
        let met = known.get(passed.last).filter(|_| is_met).map(|known| &known.joint);
        Followed { rest: passed.rest, value: passed.value, met }
    }

    /// Whether nothing is expected here.
    pub(super) fn pauses(&self) -> bool {
        self.pause > 0
    }

    /// Says that so many bytes were passed meanwhile.
    pub(super) fn rest(&mut self, bytes: usize) {
        self.pause = self.pause.saturating_sub(bytes);
    }

    /// The length of the value behind this joint, if that is what stood there when its last part was read before. Not
    /// where it was expected after the last joint and something else came: that is read member by member from then on.
    pub(super) fn again(&self, joint: &Joint, window: &[u8; WINDOW]) -> Option<usize> {
        if self.known.get(usize::from(self.last)).is_some_and(|last| last.then[0] != NONE) {
            return None;
        }
        let [part, len] = [joint.part, joint.len].map(usize::from);
        let text = &window[part..len];
        let slot = self.slot(text, usize::from(joint.name.1) - part);
        let known = self.known.get(usize::from(self.by_hash[slot]))?;
        let value = scalar(BASE, window, len)?;
        let before = known.text[len - part..].get(..value);
        (before == Some(&window[len..len + value])).then_some(value)
    }

    /// Whether a joint at a chunk's end, behind which stand zeros, would be the same if more were seen: the value behind it
    /// is, and it is the document's last, or did not come before, and no joint is expected that goes on behind it. `depth`
    /// is that of the value.
    fn is_whole(&self, joint: &Joint, window: &[u8; WINDOW], depth: usize) -> bool {
        let len = usize::from(joint.len);
        let Some(value) = scalar(BASE, window, len) else { return false };
        let behind = window[len + value..].iter().find(|byte| !is_white(**byte));
        let is_last = depth == 1 && behind == Some(&b'}');
        let expected = self.known.get(usize::from(self.last)).map_or([NONE; FOLLOWERS], |last| last.then);
        let may_go_on = || {
            self.again(joint, window).is_some()
                || expected.into_iter().any(|nth| self.goes_on(nth, &window[..len]))
        };
        let is_seen = window.get(len + value).is_some_and(|byte| *byte != 0);
        is_seen && (is_last || !may_go_on())
    }

    /// Whether a joint begins with this text.
    fn goes_on(&self, nth: u8, text: &[u8]) -> bool {
        self.known.get(usize::from(nth)).is_some_and(|known| known.text().starts_with(text))
    }

    /// Where in `by_hash` this joint is, or is to be.
    fn slot(&self, text: &[u8], name_end: usize) -> usize {
        let mut slot = hash(text, name_end);
        while let Some(known) = self.known.get(usize::from(self.by_hash[slot]))
            && known.text() != text
        {
            slot = (slot + 1) % SLOTS;
        }
        slot
    }

    /// Keeps a joint that begins `window`. The second time it is expected after the last; the first time there is no
    /// telling which of its values come again.
    #[inline(never)]
    pub(super) fn learn(&mut self, joint: Joint, window: &[u8; WINDOW], nest: &Nest, is_end: bool) {
        // At a chunk's end it may be seen in part only.
        if is_end && !self.is_whole(&joint, window, joint.depth(nest)) {
            return;
        }
        let text = &window[..joint.len.into()];
        let mut slot = self.slot(text, joint.name.1.into());
        let is_new = self.by_hash[slot] == NONE;
        if is_new {
            if self.known.len() == MAX_JOINTS {
                self.known.clear();
                (self.by_hash, self.last, self.first) = ([NONE; SLOTS], NONE, NONE);
                slot = self.slot(text, joint.name.1.into());
            }
            self.by_hash[slot] = self.known.len() as u8;
            // Room for the joints of a usual page at once.
            self.known.reserve(if self.known.is_empty() { 16 } else { 1 });
            self.known.push(Known::new(joint));
        }
        let this = self.by_hash[slot];
        self.known[usize::from(this)].text.copy_from_slice(&window[..MAX_JOINT + 1]);
        // Both may stand here, where one goes on behind the other: the longer one is asked for first.
        let next = self.known.get(usize::from(self.last)).map_or(NONE, |last| last.then[0]);
        let is_second = self.goes_on(next, text);
        if (!is_new || joint.part > 0)
            && let Some(last) = self.known.get_mut(usize::from(self.last))
        {
            last.expect(this, is_second);
        }
        if self.last == NONE && self.begins {
            (self.first, self.begins) = (this, false);
        }
        (self.last, self.next) = (this, self.known[usize::from(this)].then[0]);
        self.patience -= 1;
        if self.patience == 0 {
            (self.patience, self.pause, self.next) = (WARY, PAUSE, NONE);
        }
    }
}

/// How far members came as they came before.
struct Passed<'a> {
    /// Behind the last value, and its length.
    rest: &'a [u8],
    value: usize,
    /// The last joint, and the one that is expected.
    last: usize,
    next: usize,
}

impl Passed<'_> {
    #[inline(always)]
    fn pass(&mut self, this: &Known, len: usize) {
        (self.last, self.next) = (self.next, usize::from(this.then[0]));
        self.value = len;
        self.rest = &self.rest[(usize::from(this.joint.len) & MAX_JOINT) + len..];
    }
}

/// Goes over as many plain joints and scalars behind them as come as expected. Gives the joint that stands behind them
/// as expected too, and the length of the scalar behind it. In a loop of its own: in one with what is told of the others,
/// each member would wait for what their telling takes of the registers.
#[inline(always)]
fn over_plain<'j>(
    wide: impl Wide,
    known: &'j [Known],
    passed: &mut Passed<'_>,
) -> Option<(&'j Known, Option<usize>)> {
    loop {
        let window = passed.rest.first_chunk::<WINDOW>()?;
        let (nth, this) = expected(wide, known, passed.last, passed.next, window)?;
        passed.next = nth;
        match scalar(wide, window, this.joint.len.into()) {
            Some(len) if this.is_plain => passed.pass(this, len),
            len => return Some((this, len)),
        }
    }
}

/// The joint that begins `window`, with its number: one of those that came after the last one before.
#[inline(always)]
fn expected<'j>(
    wide: impl Wide,
    known: &'j [Known],
    last: usize,
    next: usize,
    window: &[u8; WINDOW],
) -> Option<(usize, &'j Known)> {
    let as_before = |nth: usize| Some((nth, known.get(nth).filter(|known| known.begins(wide, window))?));
    as_before(next).or_else(|| {
        let [_, second, third] = known.get(last)?.then.map(usize::from);
        as_before(second).or_else(|| as_before(third))
    })
}

/// Of a joint's length and the end of its name, where names differ most.
fn hash(text: &[u8], name_end: usize) -> usize {
    let end = text[..name_end].last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
    ((end ^ text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize
}

#[cfg(test)]
mod tests;
