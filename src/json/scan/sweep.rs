//! The fast way through members in no order: block after block, or eight after eight, whatever stands in them.
//!
//! [`grammar`](super::grammar) says of blocks that all is as it should be; then what the sink wants to know of them is
//! told. From the last comma or bracket of what was swept, or the end of a wanted member, `step` goes on: where
//! something is not as usual, and at a chunk's end. Behind it what is left of the blocks is judged anew.

use super::grammar::Grammar;
use super::nest::Around;
use super::token::{ends_number, is_white};
use super::{Cursor, MAX_GAP, MAX_RAW_TEXT, Scanner, Sink, State, Value};
use crate::json::wide::{self, BLOCK, Bits, BlockTask, Blocks, MOST_BLOCKS, Sequence, Task, Wide, below};

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

impl<S: Sink> BlockTask for Sweep<'_, '_, S> {
    type Output = usize;

    #[inline(always)]
    fn run<B: Blocks>(self, by: B) -> usize {
        let Self { scanner, cursor, sink } = self;
        let chunk = cursor.chunk;
        let mut around = scanner.nest.around();
        let mut grammar = Grammar::after(by);
        // Behind the last comma or bracket that is as it should be, and behind the last value that was told of.
        let (mut token, mut value) = (0, cursor.at);
        let mut at = cursor.at;
        let (distance, hint) = sink.hint();
        let table = by.table(hint);
        let size = B::MANY * BLOCK;
        let mut padded;
        let upto = loop {
            let bytes = chunk.get(at..).unwrap_or_default();
            let blocks = match bytes.get(..size) {
                Some(blocks) => blocks,
                None if bytes.is_empty() => break chunk.len(),
                None => {
                    padded = [b' '; MOST_BLOCKS * BLOCK];
                    padded[..bytes.len()].copy_from_slice(bytes);
                    &padded[..size]
                }
            };
            let before = around;
            let seen = grammar.judge(by, by.kinds(blocks, &table), bytes, &mut around, distance);
            // So many bytes are as they should be.
            let mut sure = seen.faults.places().next().unwrap_or(size);
            if !seen.hints.is_none() || sink.watched().is_some() && seen.ends() {
                let (brackets, sequence) = (seen.brackets.words(), seen.sequence);
                let ends = &mut Ends { brackets, sequence, nth: 0, depth: before.depth() };
                let (hints, base) = (&mut seen.hints.places(), cursor.base);
                let told = by.wide().apart(Tell { hints, ends, sure, chunk, at, base, distance, sink });
                value = value.max(told.value);
                sure = told.sure;
            }
            if let Some(last) = last(seen.commas | seen.brackets, sure) {
                token = at + last + 1;
            }
            if sure < size {
                around = before;
                for nth in 0..seen.sequence.index(&seen.brackets.words(), sure) {
                    around.pass(seen.sequence.nth(nth));
                }
                break at + sure + 1;
            }
            at += size;
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

/// The last of some places before this one, if there is any.
#[inline(always)]
fn last(places: impl Bits, before: usize) -> Option<usize> {
    let words = places.words();
    let words = words.as_ref().iter().enumerate().rev();
    let mut words = words.map(|(nth, word)| (nth, word & below(before.saturating_sub(nth * BLOCK))));
    let (nth, word) = words.find(|(_, word)| *word != 0)?;
    Some(nth * BLOCK + word.ilog2() as usize)
}

/// What the sink wants to know of some blocks.
struct Tell<'a, S, P, W> {
    hints: &'a mut P,
    ends: &'a mut Ends<W>,
    /// So many bytes are as they should be.
    sure: usize,
    chunk: &'a [u8],
    /// Where they stand in the chunk, and the chunk in the body.
    at: usize,
    base: u64,
    /// How far hints are from their quotes.
    distance: u32,
    sink: &'a mut S,
}

/// What came of it.
#[derive(Clone, Copy)]
struct Told {
    /// Behind the last value.
    value: usize,
    /// So many bytes need no more care.
    sure: usize,
}

impl<S: Sink, P: Iterator<Item = usize>, W: AsRef<[u64]>> Task for Tell<'_, S, P, W> {
    type Output = Told;

    /// Tells of wanted members and of containers that end.
    #[inline(always)]
    fn run(self, wide: impl Wide) -> Told {
        let Self { hints, ends, sure, chunk, at, base, distance, sink } = self;
        let mut told = Told { value: 0, sure };
        for hint in hints.take_while(|hint| *hint < sure) {
            ends.tell(wide, hint, base + at as u64, sink);
            match member(wide, chunk, base, at + hint - distance as usize, ends.depth, sink) {
                Some(Found::Wanted(end)) => told.value = end,
                Some(Found::Other) => {}
                None => {
                    told.sure = hint;
                    return told;
                }
            }
        }
        ends.tell(wide, sure, base + at as u64, sink);
        told
    }
}

/// Tells of containers that end.
struct Ends<W> {
    brackets: W,
    sequence: Sequence,
    /// So many brackets were passed.
    nth: usize,
    depth: usize,
}

impl<W: AsRef<[u64]>> Ends<W> {
    /// Goes on to this place; all are somewhere behind this offset.
    #[inline(always)]
    fn tell(&mut self, wide: impl Wide, upto: usize, from: u64, sink: &mut impl Sink) {
        let last = self.sequence.index(&self.brackets, upto);
        while let Some(depth) = sink.watched()
            && let Some(nth) = self.next(last, depth)
        {
            (self.nth, self.depth) = (nth + 1, depth - 1);
            sink.leave(from + self.sequence.place(wide, &self.brackets, nth) as u64 + 1, depth);
        }
        let begin = (self.between(self.nth, last) & self.sequence.begin).count_ones() as usize;
        self.depth = self.depth + 2 * begin - (last - self.nth);
        self.nth = last;
    }

    /// The next bracket before the last one that ends a container at this depth.
    #[inline(always)]
    fn next(&self, last: usize, depth: usize) -> Option<usize> {
        let mut left = self.between(self.nth, last) & !self.sequence.begin;
        // How deep it is before the bracket, less those passed, but for twice as many ends.
        let mut depth_before = self.depth.wrapping_sub(self.nth);
        while left != 0 {
            let nth = left.trailing_zeros() as usize;
            if depth_before.wrapping_add(nth) == depth {
                return Some(nth);
            }
            depth_before = depth_before.wrapping_sub(2);
            left &= left - 1;
        }
        None
    }

    /// A bit for each of these brackets.
    #[inline(always)]
    fn between(&self, from: usize, to: usize) -> u64 {
        below(to) & !below(from)
    }
}

/// A wanted member, or another.
enum Found {
    Wanted(usize),
    Other,
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
