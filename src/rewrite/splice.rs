//! The unsent bytes of a body, and the writing of its edits into them.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::amend::Amender;
use crate::KeyNames;

/// The largest piece that is put together at once; a multiple of what goes through a socket at once.
pub(crate) const MAX_PIECE: usize = 64 * 1024;

/// A frame smaller than this is copied to the end of the one before it, so that what is held weighs
/// about what it measures.
const SMALL: usize = 1024;

/// Frames in the order they came, from the first byte that was not sent.
#[derive(Default)]
pub(crate) struct Unsent {
    frames: VecDeque<Bytes>,
    /// Where small frames are gathered; it comes after all of `frames`.
    gathered: BytesMut,
    /// The offset of the first unsent byte.
    at: u64,
    len: u64,
}

impl Unsent {
    pub(crate) fn push(&mut self, frame: Bytes) {
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

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// All that is held, frame by frame.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|frame| &**frame).chain([&*self.gathered]).filter(|frame| !frame.is_empty())
    }

    /// The next piece of the output, as far as it is settled. Without an edit in it, a frame is passed on
    /// as it is.
    pub(crate) fn next(&mut self, amender: &mut Amender, names: &KeyNames) -> Option<Bytes> {
        let settled = amender.settled().min(self.at + self.len);
        let mut left = settled.checked_sub(self.at).filter(|left| *left > 0)?;
        self.flush();
        let front = self.frames.front().map_or(0, Bytes::len) as u64;
        if amender.next(names).is_none_or(|edit| edit.at >= self.at + front.min(left)) {
            return Some(self.take(front.min(left)));
        }
        let mut piece = BytesMut::with_capacity(MAX_PIECE.min(left as usize + left as usize / 8 + 256));
        while left > 0 {
            let room = MAX_PIECE - piece.len();
            let Some(edit) = amender.next(names) else {
                // The frames after this one are passed on as they are.
                let front = self.frames.front().map_or(0, Bytes::len);
                self.copy(left.min(room.min(front) as u64), &mut piece);
                break;
            };
            let before = edit.at - self.at;
            let put = edit.lead.len() + edit.text.len();
            if before + put as u64 > room as u64 {
                self.copy(before.min(room as u64), &mut piece);
                break;
            }
            self.copy(before, &mut piece);
            piece.put_slice(edit.lead);
            piece.put_slice(edit.text);
            self.skip(edit.cut);
            left -= before + edit.cut;
            amender.pop();
        }
        Some(piece.freeze())
    }

    fn take(&mut self, n: u64) -> Bytes {
        self.count(n);
        let Some(front) = self.frames.front_mut() else { return Bytes::new() };
        if front.len() as u64 > n {
            return front.split_to(n as usize);
        }
        self.frames.pop_front().unwrap_or_default()
    }

    fn copy(&mut self, n: u64, piece: &mut BytesMut) {
        self.each(n, |bytes| piece.put_slice(bytes));
    }

    fn skip(&mut self, n: u64) {
        self.each(n, |_| ());
    }

    fn each(&mut self, mut n: u64, mut visit: impl FnMut(&[u8])) {
        self.count(n);
        while let Some(front) = self.frames.front_mut().filter(|_| n > 0) {
            let part = n.min(front.len() as u64) as usize;
            visit(&front[..part]);
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
