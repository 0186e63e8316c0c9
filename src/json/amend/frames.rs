//! The buffered frames of a body, with a cursor for the scanner.

use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};

/// The most bytes that are scanned at once. It bounds the edits that one large frame can add.
pub(super) const MAX_SLICE: usize = 32 * 1024;

/// A frame shorter than this is copied to the end of the one before it, so that the memory of the buffer is close to
/// its length.
const MIN_FRAME: usize = 1024;

/// Slices shorter than this are scanned together, because the scanner's fast path starts anew at each slice.
const SHORT_SLICE: usize = 2 * 1024;

/// The most bytes of short slices that are scanned together.
const MAX_BATCH: usize = 16 * 1024;

/// The frames between the first byte that was not sent and the last one received.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    frames: VecDeque<Bytes>,
    /// The frame after `frames`, in which short ones are gathered.
    gathered: BytesMut,
    /// The offset of the first buffered byte in the body.
    pub(super) start: u64,
    /// The number of buffered bytes.
    pub(super) len: u64,
    /// The frame with the first unscanned byte, and the position of that byte in it.
    cursor: (usize, usize),
    /// The buffer for a batch of short slices.
    batch: Vec<u8>,
}

impl FrameBuffer {
    /// Appends a frame. A short one is copied to the gathered frame, which ends when it is long enough.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.len += frame.len() as u64;
        if frame.len() < MIN_FRAME {
            self.gathered.extend_from_slice(&frame);
            if self.gathered.len() >= MIN_FRAME {
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

    /// The offset after the last buffered byte.
    pub(super) fn end(&self) -> u64 {
        self.start + self.len
    }

    /// The buffered bytes, frame by frame.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|frame| &**frame).chain([&*self.gathered]).filter(|frame| !frame.is_empty())
    }

    /// True if the bytes after the first `scanned` ones are enough for a batch, although more may come.
    ///
    /// The first frame is always enough, so that an error at the start is found early. A later batch is at least as long
    /// as the scanned bytes, or `MAX_BATCH`.
    pub(super) fn has_batch(&self, scanned: u64) -> bool {
        self.end() - scanned >= scanned.min(MAX_BATCH as u64)
    }

    /// Returns the next unscanned bytes, if there are any: a slice of a frame, or a copy of several short slices.
    pub(super) fn next_batch(&mut self) -> Option<&[u8]> {
        let (frame, from) = self.cursor;
        let len = self.next_slice().len();
        if len >= SHORT_SLICE {
            self.advance_cursor(len);
            return Some(&self.frame(frame)[from..from + len]);
        }
        self.copy_short_slices();
        if self.batch.is_empty() { None } else { Some(&self.batch) }
    }

    /// Copies the short slices at the cursor to `batch`, of at most `MAX_BATCH` bytes. The batch is empty if there are none.
    fn copy_short_slices(&mut self) {
        // Taken out of `self`, from which the slices are borrowed.
        let mut batch = mem::take(&mut self.batch);
        batch.clear();
        loop {
            let slice = self.next_slice();
            let len = slice.len();
            if len == 0 || len >= SHORT_SLICE || batch.len() + len > MAX_BATCH {
                break;
            }
            batch.extend_from_slice(slice);
            self.advance_cursor(len);
        }
        self.batch = batch;
    }

    /// The frame with this index. The gathered frame has the index after the last one.
    fn frame(&self, index: usize) -> &[u8] {
        self.frames.get(index).map_or(&*self.gathered, |frame| &**frame)
    }

    /// The bytes at the cursor, up to the end of their frame or the maximum of one slice.
    fn next_slice(&self) -> &[u8] {
        let (frame, from) = self.cursor;
        let rest = self.frame(frame).get(from..).unwrap_or_default();
        &rest[..rest.len().min(MAX_SLICE)]
    }

    /// Moves the cursor by `len` bytes. At the end of a complete frame it moves to the start of the next one.
    fn advance_cursor(&mut self, len: usize) {
        let (index, from) = self.cursor;
        let end = from + len;
        let is_frame_end = self.frames.get(index).is_some_and(|frame| end >= frame.len());
        self.cursor = if is_frame_end { (index + 1, 0) } else { (index, end) };
    }

    /// Returns the first frame.
    pub(super) fn front(&mut self) -> &[u8] {
        self.flush();
        self.frame(0)
    }

    /// Takes up to `len` bytes of the first frame, without a copy. The cursor stays at its byte.
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        let Some(front) = self.frames.front_mut() else { return Bytes::new() };
        let is_whole_frame = front.len() <= len;
        let taken = front.split_to(len.min(front.len()));
        if is_whole_frame {
            self.frames.pop_front();
        }
        self.start += taken.len() as u64;
        self.len -= taken.len() as u64;
        // The cursor counts from the start of the first frame, or of the frame with its index.
        let (cursor_index, from) = self.cursor;
        if cursor_index == 0 {
            self.cursor = (0, from.saturating_sub(taken.len()));
        } else if is_whole_frame {
            self.cursor = (cursor_index - 1, from);
        }
        taken
    }

    /// Removes the first `len` bytes, or all bytes if there are fewer.
    pub(super) fn remove(&mut self, len: usize) {
        let mut missing = len;
        while missing > 0 && !self.frames.is_empty() {
            missing -= self.take(missing).len();
        }
    }
}
