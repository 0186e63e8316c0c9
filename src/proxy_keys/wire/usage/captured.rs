//! The copy of one value, whose bytes arrive in chunks.

use super::{MAX_USAGE, RawMembers};

/// The bytes of a value between two offsets of its document.
#[derive(Debug, Default)]
pub(super) struct CapturedValue {
    /// The bytes so far.
    text: Vec<u8>,
    /// The offset of the first byte. `None` if there is no value, or if it is too long.
    start: Option<u64>,
    /// True if the value is an object that is too long.
    is_too_long: bool,
    /// The offset behind the last byte. `None` as long as the value is open.
    end: Option<u64>,
}

impl CapturedValue {
    /// Removes the value, and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.start = None;
        self.end = None;
        self.is_too_long = false;
    }

    /// True if the value is an object longer than [`MAX_USAGE`].
    pub(super) fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// Starts a value at this offset. No value is open.
    pub(super) fn start(&mut self, at: u64) {
        self.start = Some(at);
    }

    /// Ends the value before this offset.
    pub(super) fn end(&mut self, at: u64) {
        self.end = Some(at);
    }

    /// Copies the bytes of the value that a chunk contains. A value that becomes longer than [`MAX_USAGE`] is removed.
    pub(super) fn copy_from(&mut self, chunk: &[u8], chunk_start: u64) {
        let Some(value_start) = self.start else { return };
        let chunk_end = chunk_start + chunk.len() as u64;
        let copy_start = value_start.max(chunk_start);
        let copy_end = self.end.unwrap_or(chunk_end);
        if copy_start >= copy_end {
            return;
        }
        let copied = &chunk[(copy_start - chunk_start) as usize..(copy_end - chunk_start) as usize];
        if self.text.len() + copied.len() > MAX_USAGE {
            let is_object = self.text.first().or(copied.first()) == Some(&b'{');
            self.clear();
            self.is_too_long = is_object;
        } else {
            self.text.extend_from_slice(copied);
        }
    }

    /// Returns the members of the value if it is an object. Returns `None` if there is no value in the document, or if a
    /// name is not Unicode text.
    pub(super) fn parse_object(&self) -> Option<RawMembers<'_>> {
        // Most events of a stream have the value `null`.
        if self.text.first() != Some(&b'{') {
            return None;
        }
        serde_json::from_slice(&self.text).ok()
    }
}
