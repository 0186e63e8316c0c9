//! The fast way through members in no order: block after block, whatever stands in it.
//!
//! [`grammar`](super::grammar) says of a block that all is as it should be; then what the sink wants to know of it is
//! told. From the last comma or bracket of what was swept, or the end of a wanted member, `step` goes on: where
//! something is not as usual, and at a chunk's end. Behind it what is left of a block is judged anew.

use super::grammar::{BLOCK, Grammar, Seen};
use super::nest::Around;
use super::token::{ends_number, is_white};
use super::{Cursor, MAX_GAP, MAX_RAW_TEXT, Scanner, Sink, State, Value};
use crate::rewrite::wide::{self, Task, Wide};

impl Scanner {
    /// Whether it is behind a value, not too deep, and far enough from the chunk's end to be worth it.
    #[inline(always)]
    pub(super) fn may_sweep(&self, cursor: &Cursor<'_>) -> bool {
        self.state == State::After
            && (1..=Around::MOST).contains(&self.nest.depth)
            && cursor.chunk.len() - cursor.at >= BLOCK
    }
}

/// Goes from behind a value to the chunk's end, or to what needs more care. Says up to where steps have to be taken.
pub(super) struct Sweep<'a, 'c, S> {
    pub(super) scanner: &'a mut Scanner,
    pub(super) cursor: &'a mut Cursor<'c>,
    pub(super) sink: &'a mut S,
}

impl<S: Sink> Task for Sweep<'_, '_, S> {
    type Output = usize;

    #[inline(always)]
    fn run(self, wide: impl Wide) -> usize {
        let Self { scanner, cursor, sink } = self;
        let chunk = cursor.chunk;
        let mut around = scanner.nest.around();
        let mut grammar = Grammar::after();
        // Behind the last comma or bracket that is as it should be, and behind the last value that was told of.
        let (mut token, mut value) = (0, cursor.at);
        let mut at = cursor.at;
        let (distance, hint) = sink.hint();
        let hint = (distance, [hint; BLOCK / 2]);
        let mut padded;
        let upto = loop {
            let rest = chunk.get(at..).unwrap_or_default();
            let block = match rest.first_chunk() {
                Some(block) => block,
                None if rest.is_empty() => break chunk.len(),
                None => {
                    padded = [b' '; BLOCK];
                    padded[..rest.len()].copy_from_slice(rest);
                    &padded
                }
            };
            let before = around;
            let seen = grammar.judge(wide, block, chunk, at, &mut around, &hint);
            let mut needs_care = seen.faults;
            if seen.hints != 0 || seen.ended != 0 && sink.watches() {
                let depth = before.depth();
                let tell = Tell { seen, chunk, at, base: cursor.base, depth, distance, sink };
                let told = wide.apart(tell);
                value = value.max(told.value);
                needs_care |= told.needs_care;
            }
            let mut certain = seen.commas | seen.brackets;
            if needs_care != 0 {
                certain &= before_first(needs_care);
                around = before;
                let mut left = seen.brackets & certain;
                while left != 0 {
                    around.pass(block[left.trailing_zeros() as usize % BLOCK]);
                    left &= left - 1;
                }
            }
            if certain != 0 {
                token = at + BLOCK - certain.leading_zeros() as usize;
            }
            if needs_care != 0 {
                break at + needs_care.trailing_zeros() as usize + 1;
            }
            at += BLOCK;
        };
        scanner.nest.set(around);
        (scanner.state, cursor.at) = match chunk[..token].last() {
            Some(b',') if token > value => (State::After, token - 1),
            Some(b'{') if token > value => (State::FirstName, token),
            Some(b'[') if token > value => (State::FirstValue, token),
            _ => (State::After, token.max(value)),
        };
        scanner.gap = cursor.offset();
        upto
    }
}

/// What the sink wants to know of a block.
struct Tell<'a, S> {
    seen: Seen,
    chunk: &'a [u8],
    /// Where the block stands in the chunk, and the chunk in the body.
    at: usize,
    base: u64,
    /// How many containers there are around the block's beginning.
    depth: usize,
    /// How far hints are from their quotes.
    distance: u32,
    sink: &'a mut S,
}

/// What came of it.
#[derive(Default)]
struct Told {
    /// Behind the last value.
    value: usize,
    /// The name that needs more care, as the bit of its hint; what follows was not told.
    needs_care: u64,
}

/// A wanted member, or another.
enum Found {
    Wanted(usize),
    Other,
}

/// All places before the first of these, if there is any.
fn before_first(places: u64) -> u64 {
    (places & places.wrapping_neg()).wrapping_sub(1)
}

impl<S: Sink> Task for Tell<'_, S> {
    type Output = Told;

    /// Tells of wanted members and of containers that end.
    #[inline(always)]
    fn run(self, wide: impl Wide) -> Told {
        let Self { seen, chunk, at, base, depth, distance, sink } = self;
        let mut told = Told::default();
        let sure = before_first(seen.faults);
        let (hints, ended) = (seen.hints & sure, seen.ended & sure);
        let begun = seen.brackets & !seen.ended;
        let mut left = if sink.watches() { hints | ended } else { hints };
        while left != 0 {
            let bit = left & left.wrapping_neg();
            let behind = !(bit | (bit - 1));
            let many = |brackets: u64| (brackets & (bit - 1)).count_ones() as usize;
            let depth = depth + many(begun) - many(ended);
            let place = at + bit.trailing_zeros() as usize;
            if ended & bit != 0 {
                let place = base + place as u64 + 1;
                sink.leave(place, depth);
            } else {
                match member(wide, chunk, base, place - distance as usize, depth, sink) {
                    Some(Found::Wanted(end)) => told.value = end,
                    Some(Found::Other) => {}
                    None => {
                        told.needs_care = bit;
                        break;
                    }
                }
            }
            left = behind & if sink.watches() { hints | ended } else { hints };
        }
        told
    }
}

/// Tells of the member whose name begins with the quote at `open`, if it is wanted. `None` where it needs more care.
#[inline(always)]
fn member(
    wide: impl Wide,
    chunk: &[u8],
    base: u64,
    open: usize,
    depth: usize,
    sink: &mut impl Sink,
) -> Option<Found> {
    let quote = |from: usize| {
        let end = from + wide::plain(wide, &chunk[from..]);
        chunk.get(end).filter(|byte| **byte == b'"').map(|_| end)
    };
    let token = |at: usize| match chunk.get(at) {
        Some(byte) if is_white(*byte) => at + wide::white_space(wide, &chunk[at..]),
        _ => at,
    };
    let name_end = quote(open + 1)?;
    let Some(member) = sink.wants(&chunk[open + 1..name_end], false) else { return Some(Found::Other) };
    let colon = token(name_end + 1);
    chunk.get(colon).filter(|byte| **byte == b':')?;
    let at = token(colon + 1);
    let (end, value) = match chunk[at..] {
        [b'"', ..] => {
            let end = quote(at + 1)?;
            let text = &chunk[at + 1..end];
            (end + 1, if text.len() > MAX_RAW_TEXT { Value::LongText } else { Value::Text(text, false) })
        }
        [b'n', b'u', b'l', b'l', end, ..] if ends_number(end) => (at + 4, Value::Other),
        _ => return None,
    };
    let gap = chunk[..open].iter().rev().take(MAX_GAP + 1).take_while(|byte| is_white(**byte)).count();
    let mut gaps = [&chunk[open - gap..open], &chunk[name_end + 1..colon], &chunk[colon + 1..at]];
    if gaps.iter().any(|gap| gap.len() > MAX_GAP) {
        gaps = [&[]; 3];
    }
    sink.whole(member, depth, base + at as u64..base + end as u64, gaps, value);
    Some(Found::Wanted(end))
}
