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
    cursor: ScanCursor,
    /// The buffer for a batch of short slices.
    batch: Vec<u8>,
}

/// The position of the first unscanned byte: the index of its frame, and its index in this frame.
#[derive(Clone, Copy, Debug, Default)]
struct ScanCursor {
    frame_index: usize,
    byte_index: usize,
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

    /// Returns the next unscanned bytes, and moves the cursor behind them. Returns `None` if all bytes are scanned. The
    /// bytes are a slice of one frame or, if that slice is short, a copy of all short slices up to the next long one.
    pub(super) fn next_batch(&mut self) -> Option<&[u8]> {
        let slice_start = self.cursor;
        let slice_len = self.next_slice().len();
        if slice_len >= SHORT_SLICE {
            self.advance_cursor(slice_len);
            let frame = self.frame(slice_start.frame_index);
            return Some(&frame[slice_start.byte_index..slice_start.byte_index + slice_len]);
        }
        self.copy_short_slices();
        if self.batch.is_empty() { None } else { Some(&self.batch) }
    }

    /// Fills `batch` with the short slices at the cursor, and moves the cursor behind them. Stops before a long slice,
    /// or before the batch exceeds `MAX_BATCH`. If there is no short slice, the batch is empty.
    fn copy_short_slices(&mut self) {
        // The batch is moved out of `self`, because the slices borrow `self`.
        let mut batch = mem::take(&mut self.batch);
        batch.clear();
        loop {
            let slice = self.next_slice();
            let len = slice.len();
            let is_short = (1..SHORT_SLICE).contains(&len);
            if !is_short || batch.len() + len > MAX_BATCH {
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
        let ScanCursor { frame_index, byte_index } = self.cursor;
        let rest = self.frame(frame_index).get(byte_index..).unwrap_or_default();
        &rest[..rest.len().min(MAX_SLICE)]
    }

    /// Moves the cursor by `len` bytes, which are in one frame. At the end of the frame the next frame follows. The
    /// cursor stays at the end of the gathered frame, because more bytes may be appended to this frame.
    fn advance_cursor(&mut self, len: usize) {
        self.cursor.byte_index += len;
        if let Some(frame) = self.frames.get(self.cursor.frame_index)
            && self.cursor.byte_index >= frame.len()
        {
            self.cursor = ScanCursor { frame_index: self.cursor.frame_index + 1, byte_index: 0 };
        }
    }

    /// Returns the first frame.
    pub(super) fn front(&mut self) -> &[u8] {
        self.flush();
        self.frame(0)
    }

    /// Removes up to `len` bytes of the first complete frame, and returns them without a copy. If there is none, the
    /// result is empty. The cursor stays at its byte, whose indexes change: after the removal of 5 bytes, byte 7 of frame
    /// 0 is byte 2; after the removal of the whole frame 0, frame 1 is frame 0.
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        let Some(front) = self.frames.front_mut() else { return Bytes::new() };
        let is_whole_frame = front.len() <= len;
        let taken = front.split_to(len.min(front.len()));
        if is_whole_frame {
            self.frames.pop_front();
        }
        self.start += taken.len() as u64;
        self.len -= taken.len() as u64;
        if self.cursor.frame_index == 0 {
            self.cursor.byte_index = self.cursor.byte_index.saturating_sub(taken.len());
        } else if is_whole_frame {
            self.cursor.frame_index -= 1;
        }
        taken
    }

    /// Removes the first `len` bytes, or all bytes of complete frames if there are fewer.
    pub(super) fn remove(&mut self, len: usize) {
        let mut remaining_len = len;
        while remaining_len > 0 && !self.frames.is_empty() {
            remaining_len -= self.take(remaining_len).len();
        }
    }
}
