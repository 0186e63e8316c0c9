//! Where the scanner stands in a chunk, and what it finds when it looks back.

use std::ops::Range;

use super::ScanError;
use crate::json::wide::{self, BASE};

/// A chunk, and the place in it.
pub(super) struct Cursor<'a> {
    pub(super) chunk: &'a [u8],
    pub(super) at: usize,
    /// The offset of the chunk's first byte.
    pub(super) base: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    pub(super) fn fault(&self) -> Result<(), ScanError> {
        Err(ScanError::NotJson { offset: self.offset() })
    }

    /// The bytes of a range that ends in this chunk, where it begins in it too.
    pub(super) fn slice(&self, range: &Range<u64>) -> Option<&'a [u8]> {
        let start = range.start.checked_sub(self.base)?;
        Some(&self.chunk[start as usize..(range.end - self.base) as usize])
    }

    #[inline(always)]
    pub(super) fn skip_white_space(&mut self) {
        self.at += wide::white_space(BASE, &self.chunk[self.at..]);
    }
}

/// The bytes of a range that began in an earlier chunk: `tail` ends where the cursor's chunk begins, and
/// [`LOOK_BACK`](super::LOOK_BACK) sees to it that it reaches back far enough.
pub(super) fn join<'a>(
    joined: &'a mut Vec<u8>,
    tail: &[u8],
    cursor: &Cursor<'_>,
    range: &Range<u64>,
) -> &'a [u8] {
    let tail_at = cursor.base - tail.len() as u64;
    let from = (range.start - tail_at) as usize;
    let to = tail.len().min((range.end - tail_at) as usize);
    joined.clear();
    joined.extend_from_slice(&tail[from..to]);
    joined.extend_from_slice(&cursor.chunk[..range.end.saturating_sub(cursor.base) as usize]);
    joined
}
