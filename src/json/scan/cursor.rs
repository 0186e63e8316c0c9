//! A position in a chunk, with a view of the bytes before it.

use std::borrow::Cow;
use std::ops::Range;

use super::ScanError;
use super::token::white_space_len;

/// A chunk and a position in it.
pub(super) struct Cursor<'a> {
    chunk: &'a [u8],
    /// The offset of the chunk's end in the body.
    end: u64,
    /// The last bytes before the chunk.
    tail: &'a [u8],
    /// The part of the chunk that is not scanned yet.
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tail: &'a [u8], chunk: &'a [u8], offset: u64) -> Self {
        Self { chunk, end: offset + chunk.len() as u64, tail, rest: chunk }
    }

    /// The offset of the position in the body.
    #[inline(always)]
    pub(super) fn offset(&self) -> u64 {
        self.end - self.rest.len() as u64
    }

    /// Skips white space, and returns the first byte of the next token, or `None` at the end of the chunk.
    #[inline(always)]
    pub(super) fn next_token(&mut self) -> Option<u8> {
        if let [..=b' ', ..] = self.rest {
            self.advance(white_space_len(self.rest));
        }
        self.peek()
    }

    /// Returns the next byte without moving on.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Moves on by `len` bytes. The rest must contain them.
    #[inline(always)]
    pub(super) fn advance(&mut self, len: usize) {
        self.rest = &self.rest[len..];
    }

    /// The error of a byte that no valid document has at this position.
    #[cold]
    pub(super) fn error(&self) -> ScanError {
        ScanError::NotJson { offset: self.offset() }
    }

    /// Returns the bytes of a range of body offsets that ends in this chunk.
    ///
    /// If the range starts before the chunk, its first bytes are in the tail, and the result is a copy.
    #[inline(always)]
    pub(super) fn bytes(&self, range: &Range<u64>) -> Cow<'a, [u8]> {
        let chunk_start = self.end - self.chunk.len() as u64;
        if range.start < chunk_start {
            return Cow::Owned(self.copy_from_tail(range, chunk_start));
        }
        let start_in_chunk = (range.start - chunk_start) as usize;
        let end_in_chunk = (range.end - chunk_start) as usize;
        Cow::Borrowed(&self.chunk[start_in_chunk..end_in_chunk])
    }

    /// Copies the bytes of a range of body offsets that starts in the tail, and ends there or in the chunk.
    ///
    /// With a tail at 90..100 and a chunk at 100..200, the range 95..103 is the tail's 5..10 and the chunk's 0..3.
    #[cold]
    fn copy_from_tail(&self, range: &Range<u64>, chunk_start: u64) -> Vec<u8> {
        let tail_start = chunk_start - self.tail.len() as u64;
        let start_in_tail = (range.start - tail_start) as usize;
        if range.end <= chunk_start {
            let end_in_tail = (range.end - tail_start) as usize;
            return self.tail[start_in_tail..end_in_tail].to_vec();
        }
        let len_in_chunk = (range.end - chunk_start) as usize;
        [&self.tail[start_in_tail..], &self.chunk[..len_in_chunk]].concat()
    }
}
