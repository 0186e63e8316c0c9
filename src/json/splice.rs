//! The unsent bytes of a body, and the writing of its edits into them.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use bytes::{Buf, Bytes, BytesMut};

use super::amend::Amender;
use super::edit::Splice;
use crate::KeyNames;

/// The largest piece that is put together at once; a multiple of what goes through a socket at once.
pub const MAX_PIECE: usize = 64 * 1024;

/// How much is fed at once: a frame may be of any size, and the edits found in it wait all together.
pub const SLICE: usize = 32 * 1024;

/// A frame smaller than this is copied to the end of the one before it, so that what is held weighs
/// about what it measures.
const SMALL: usize = 1024;

/// A frame smaller than this, as one that was cut to fit a packet, is fed together with those beside it: at the beginning
/// of what it is fed the scanner has to find its place again.
const SHORT: usize = 2 * 1024;

/// As how many bytes such frames are fed, at most.
const BATCH: usize = 16 * 1024;

/// Frames in the order they came, from the first byte that was not sent.
#[derive(Default)]
pub struct Unsent {
    frames: VecDeque<Bytes>,
    /// Where small frames are gathered; it comes after all of `frames`.
    gathered: BytesMut,
    /// The offset of the first unsent byte.
    at: u64,
    len: u64,
}

impl Unsent {
    pub fn push(&mut self, frame: Bytes) {
        self.len += frame.len() as u64;
        if frame.len() < SMALL {
            self.gathered.extend_from_slice(&frame);
            if self.gathered.len() >= SMALL {
                self.flush();
            }
        } else {
            self.flush();
            self.frames.push_back(frame);
        }
    }

    fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.frames.push_back(self.gathered.split().freeze());
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// All that is held, frame by frame.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|frame| &**frame).chain([&*self.gathered]).filter(|frame| !frame.is_empty())
    }

    /// What is held from this offset on, in slices of at most [`SLICE`] bytes.
    pub fn slices(&self, offset: u64) -> impl Iterator<Item = &[u8]> {
        // It begins in the last frame, mostly.
        let (mut nth, mut from) = (self.frames.len(), self.at + self.len - self.gathered.len() as u64);
        while let Some(frame) = self.frames.get(nth.wrapping_sub(1)).filter(|_| from > offset) {
            nth -= 1;
            from -= frame.len() as u64;
        }
        let mut skip = (offset - from) as usize;
        std::iter::from_fn(move || {
            while nth <= self.frames.len() {
                let frame = self.frames.get(nth).map_or(&*self.gathered, |frame| &**frame);
                let slice = &frame[skip..frame.len().min(skip + SLICE)];
                if !slice.is_empty() {
                    skip += slice.len();
                    return Some(slice);
                }
                (nth, skip) = (nth + 1, 0);
            }
            None
        })
    }

    /// Whether enough is held from this offset on to be fed, though more may come: the first frame, then as much again,
    /// so that no fault is found late.
    pub fn has_batch(&self, offset: u64) -> bool {
        self.at + self.len - offset >= offset.min(BATCH as u64)
    }

    /// Gives what is held from this offset on, short frames as one, until no more is wanted.
    pub fn batches(&self, offset: u64, mut feed: impl FnMut(&[u8]) -> ControlFlow<()>) {
        let (mut slices, mut batch) = (self.slices(offset).peekable(), Vec::new());
        while let Some(slice) = slices.next() {
            let fits = |len: usize, next: &[u8]| next.len() < SHORT && len + next.len() <= BATCH;
            let mut fed = slice;
            if slices.peek().is_some_and(|next| slice.len() < SHORT && fits(slice.len(), next)) {
                batch.clear();
                batch.extend_from_slice(slice);
                while let Some(next) = slices.next_if(|next| fits(batch.len(), next)) {
                    batch.extend_from_slice(next);
                }
                fed = &batch;
            }
            if feed(fed).is_break() {
                return;
            }
        }
    }

    /// The next piece of the output, as far as it is settled. Without an edit in it, a frame is passed on
    /// as it is.
    pub fn next(&mut self, amender: &mut Amender, names: &KeyNames) -> Option<Bytes> {
        let settled = amender.settled().min(self.at + self.len);
        let left = settled.checked_sub(self.at).filter(|left| *left > 0)?;
        self.flush();
        let front = self.frames.front().map_or(0, Bytes::len) as u64;
        if amender.next().is_none_or(|at| at >= self.at + front.min(left)) {
            return Some(self.take(front.min(left)));
        }
        let mut piece = Vec::with_capacity(amender.grown(left).min(MAX_PIECE as u64) as usize);
        while self.at < settled && self.splice(settled, amender, names, &mut piece) {}
        Some(piece.into())
    }

    /// Writes the next frame into `piece`, up to `settled`, and says whether the piece goes on behind it: while
    /// there is room, and an edit still to come.
    fn splice(&mut self, settled: u64, amender: &mut Amender, names: &KeyNames, piece: &mut Vec<u8>) -> bool {
        let Some(front) = self.frames.front() else { return false };
        let len = front.len().min((settled - self.at) as usize);
        let before = piece.len();
        let Copied { edits, upto: mut at, full } = copy(&front[..len], self.at, amender.ready(names), piece);
        amender.wrote(edits, ((piece.len() - before) as u64).wrapping_sub(at as u64));
        let (end, mut is_full) = (full.unwrap_or(len), full.is_some());
        if at < end {
            let most = at + MAX_PIECE - piece.len();
            is_full |= end > most;
            piece.extend_from_slice(&front[at..end.min(most)]);
            at = end.min(most);
        }
        self.skip(at as u64);
        !is_full && amender.next().is_some()
    }

    fn take(&mut self, n: u64) -> Bytes {
        self.count(n);
        let Some(front) = self.frames.front_mut() else { return Bytes::new() };
        if front.len() as u64 > n {
            return front.split_to(n as usize);
        }
        self.frames.pop_front().unwrap_or_default()
    }

    fn skip(&mut self, mut n: u64) {
        self.count(n);
        while let Some(front) = self.frames.front_mut().filter(|_| n > 0) {
            let part = n.min(front.len() as u64) as usize;
            n -= part as u64;
            front.advance(part);
            if front.is_empty() {
                self.frames.pop_front();
            }
        }
    }

    fn count(&mut self, n: u64) {
        self.at += n;
        self.len -= n;
    }
}

/// How far a frame was copied.
struct Copied {
    /// So many edits were passed, with those that change nothing.
    edits: usize,
    /// Up to this place; a value that was cut may reach into the next frame.
    upto: usize,
    /// Where the next edit stands, if there was no room for it.
    full: Option<usize>,
}

/// Copies a frame that begins at `from`, up to the last edit in it, to the end of a piece. Out of line: what is in a loop
/// with it would be kept in the registers that it needs.
#[inline(never)]
fn copy<'a>(frame: &[u8], from: u64, edits: impl Iterator<Item = Splice<'a>>, piece: &mut Vec<u8>) -> Copied {
    let mut copied = Copied { edits: 0, upto: 0, full: None };
    for edit in edits {
        let Splice { at, cut, lead, text } = edit;
        if !text.is_empty() {
            let place = (at - from) as usize;
            let Some(before) = frame.get(copied.upto..place).filter(|_| place < frame.len()) else { break };
            if before.len() + lead.len() + text.len() > MAX_PIECE - piece.len() {
                copied.full = Some(place);
                break;
            }
            piece.extend_from_slice(before);
            piece.extend_from_slice(lead);
            piece.extend_from_slice(text);
            copied.upto = place + cut as usize;
        }
        copied.edits += 1;
    }
    copied
}
