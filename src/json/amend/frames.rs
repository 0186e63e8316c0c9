//! The buffered frames of a body, with a cursor for the scanner.

use std::collections::VecDeque;
use std::mem;

use bytes::{Buf, Bytes, BytesMut};

/// The most bytes that are scanned at once. It bounds the edits that one large frame can add.
pub const MAX_SLICE: usize = 32 * 1024;

/// A frame shorter than this is copied to the end of the one before it, so that the memory of the buffer is close to
/// its length.
const GATHERED: usize = 1024;

/// Slices shorter than this are scanned together, because the scanner's fast path starts anew at each slice.
const SHORT: usize = 2 * 1024;

/// The most bytes of short slices that are scanned together.
const MAX_BATCH: usize = 16 * 1024;

/// The frames between the first byte that was not sent and the last one received.
#[derive(Debug, Default)]
pub struct Frames {
    frames: VecDeque<Bytes>,
    /// The frame after `frames`, in which short ones are gathered.
    gathered: BytesMut,
    /// The offset of the first buffered byte in the body.
    start: u64,
    len: u64,
    /// The frame with the first unscanned byte, and the position of that byte in it.
    cursor: (usize, usize),
    /// The number of bytes after the cursor.
    unscanned: u64,
    /// The buffer for a batch of short slices.
    batch: Vec<u8>,
}

impl Frames {
    pub fn push(&mut self, frame: Bytes) {
        self.len += frame.len() as u64;
        self.unscanned += frame.len() as u64;
        if frame.len() < GATHERED {
            self.gathered.extend_from_slice(&frame);
            if self.gathered.len() >= GATHERED {
                self.flush();
            }
        } else {
            self.flush();
            self.frames.push_back(frame);
        }
    }

    /// Ends the gathered frame.
    fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.frames.push_back(self.gathered.split().freeze());
            self.advance_cursor(0);
        }
    }

    /// The offset of the first buffered byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The offset after the last buffered byte.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// The number of buffered bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The buffered bytes, frame by frame.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|frame| &**frame).chain([&*self.gathered]).filter(|frame| !frame.is_empty())
    }

    /// True if the unscanned bytes are enough for a batch, although more may come.
    ///
    /// The first frame always is, so that an error at the start is found early. After it, as many bytes as were
    /// scanned are, up to the length of a batch.
    pub fn has_batch(&self) -> bool {
        self.unscanned >= (self.end() - self.unscanned).min(MAX_BATCH as u64)
    }

    /// Returns the next unscanned bytes: a slice of a frame, or a copy of several short slices.
    pub fn next_batch(&mut self) -> Option<&[u8]> {
        let (frame, from) = self.cursor;
        let len = self.next_slice().len();
        if len == 0 {
            return None;
        }
        if len >= SHORT {
            self.advance_cursor(len);
            return Some(&self.frame(frame)[from..from + len]);
        }
        let mut batch = mem::take(&mut self.batch);
        batch.clear();
        loop {
            let next = self.next_slice();
            let len = next.len();
            if len == 0 || len >= SHORT || batch.len() + len > MAX_BATCH {
                break;
            }
            batch.extend_from_slice(next);
            self.advance_cursor(len);
        }
        self.batch = batch;
        Some(&self.batch)
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.frames.get(index).map_or(&*self.gathered, |frame| &**frame)
    }

    /// The bytes at the cursor, up to the end of their frame.
    fn next_slice(&self) -> &[u8] {
        let (frame, from) = self.cursor;
        let rest = self.frame(frame).get(from..).unwrap_or_default();
        &rest[..rest.len().min(MAX_SLICE)]
    }

    /// Moves the cursor, which is never at the end of a frame that has a successor.
    fn advance_cursor(&mut self, len: usize) {
        let (frame, from) = &mut self.cursor;
        *from += len;
        self.unscanned -= len as u64;
        if self.frames.get(*frame).is_some_and(|this| *from >= this.len()) {
            (*frame, *from) = (*frame + 1, 0);
        }
    }

    /// Returns the first frame.
    pub fn front(&mut self) -> &[u8] {
        self.flush();
        self.frame(0)
    }

    /// Takes the first `len` bytes, which are in the first frame, without a copy.
    pub fn take(&mut self, len: usize) -> Bytes {
        self.flush();
        match self.frames.front_mut() {
            Some(front) if front.len() > len => {
                let taken = front.split_to(len);
                self.update_start(len, false);
                taken
            }
            _ => {
                let taken = self.frames.pop_front().unwrap_or_default();
                self.update_start(taken.len(), true);
                taken
            }
        }
    }

    /// Removes the first `len` bytes.
    pub fn remove(&mut self, mut len: usize) {
        while let Some(front) = self.frames.front_mut().filter(|_| len > 0) {
            let removed = len.min(front.len());
            front.advance(removed);
            let is_whole = front.is_empty();
            if is_whole {
                self.frames.pop_front();
            }
            self.update_start(removed, is_whole);
            len -= removed;
        }
    }

    /// Updates the positions after `len` bytes of the first frame were removed, or the rest of it.
    fn update_start(&mut self, len: usize, is_whole: bool) {
        self.start += len as u64;
        self.len -= len as u64;
        self.cursor = match self.cursor {
            (0, from) => (0, from.saturating_sub(len)),
            (frame, from) => (frame - usize::from(is_whole), from),
        };
    }
}
