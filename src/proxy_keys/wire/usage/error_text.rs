//! The texts of errors in a response with a success status, which are hidden before they pass.
//!
//! The text of an error may contain the id and the limits of the organization that owns the real key. It is the string at
//! `message` (an event `error` of the Responses API), `error`, `error.message`, `response.error` or `response.error.message`.
//!
//! Each byte between its quotes is replaced by one of [`OWN_TEXT`]. So the length of the body stays, and no byte is held:
//!
//! ```text
//! {"type":"error","error":{"type":"rate_limit_error","message":"Organization org-1234 is over its limit of 500 requests."}}
//! {"type":"error","error":{"type":"rate_limit_error","message":"The provider reported an error. Its text is not repeated."}}
//! ```

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// The text in place of that of an error. A shorter text has its start, and a longer one has spaces behind it.
const OWN_TEXT: &[u8] = b"The provider reported an error. Its text is not repeated.";

/// The part of an error text in a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HiddenText {
    /// The bytes of the part in the chunk.
    pub(crate) bytes: Range<usize>,
    /// The offset of the part in the text.
    text_offset: u64,
}

impl HiddenText {
    /// Moves the part forward by this number of bytes, because the chunk is a part of a longer one.
    pub(crate) fn shift(&mut self, len: usize) {
        self.bytes.start += len;
        self.bytes.end += len;
    }
}

/// Returns the chunk with [`OWN_TEXT`] in place of the hidden texts. The chunk is copied only if there are any.
pub(crate) fn hide_texts(chunk: Bytes, hidden_texts: &[HiddenText]) -> Bytes {
    if hidden_texts.is_empty() {
        return chunk;
    }
    let mut copy = BytesMut::from(&chunk[..]);
    for hidden in hidden_texts {
        for (nth, byte) in copy[hidden.bytes.clone()].iter_mut().enumerate() {
            let text_offset = hidden.text_offset as usize + nth;
            *byte = OWN_TEXT.get(text_offset).copied().unwrap_or(b' ');
        }
    }
    copy.freeze()
}

/// The error texts of a document, by their offsets. The quotes are no part of them.
#[derive(Debug, Default)]
pub(super) struct ErrorTexts {
    /// The texts that have ended in the current chunk.
    ended: Vec<Range<u64>>,
    /// The start of the text without an end so far.
    open_start: Option<u64>,
    /// The number of bytes in the chunks so far.
    scanned: u64,
}

impl ErrorTexts {
    /// Removes the texts of the last document.
    pub(super) fn clear(&mut self) {
        self.ended.clear();
        self.open_start = None;
        self.scanned = 0;
    }

    /// Starts a text at this offset.
    pub(super) fn start(&mut self, at: u64) {
        self.open_start = Some(at);
    }

    /// Ends the text before this offset.
    pub(super) fn end(&mut self, at: u64) {
        if let Some(start) = self.open_start.take() {
            self.ended.push(start..at);
        }
    }

    /// Adds the parts of the texts in a chunk to `hidden_texts`. The chunk was scanned before.
    pub(super) fn find_in(&mut self, chunk: &[u8], chunk_start: u64, hidden_texts: &mut Vec<HiddenText>) {
        self.scanned = chunk_start + chunk.len() as u64;
        let open_text = self.open_start.map(|start| start..self.scanned);
        for text in self.ended.drain(..).chain(open_text) {
            let part_start = text.start.max(chunk_start);
            // A text that starts at the end of the chunk has no part in it.
            if part_start < text.end {
                let bytes = (part_start - chunk_start) as usize..(text.end - chunk_start) as usize;
                hidden_texts.push(HiddenText { bytes, text_offset: part_start - text.start });
            }
        }
    }

    /// Adds a chunk behind an error of the grammar to `hidden_texts`, if the error is in an error text.
    pub(super) fn hide_rest(&mut self, chunk: &[u8], hidden_texts: &mut Vec<HiddenText>) {
        if self.open_start.is_some() {
            let chunk_start = self.scanned;
            self.find_in(chunk, chunk_start, hidden_texts);
        }
    }
}
