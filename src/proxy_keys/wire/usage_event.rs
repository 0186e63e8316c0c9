//! The removal of the event with nothing but usage from a streamed response of Chat Completions or Completions.
//!
//! The gate requests this event in each streamed call, because the meter reads it. A client that did not request it must
//! not receive it: the event has no choice, and programs that use `choices[0]` fail there.

mod document;

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use self::document::is_usage_document;
use super::events::{EventSplitter, StreamPart};

/// The longest event that is removed, from its first field to the first byte of the end of its empty line.
pub(crate) const MAX_EVENT: usize = 64 * 1024;

/// The removal of at most one event from one stream.
///
/// The removed event has one JSON object as its data, with an empty array `choices` and an object `usage`. The first chunk
/// of Azure has an empty array `choices` without usage, and passes. All other bytes pass unchanged and in order. The bytes
/// of an event are held up to its end. Comments and empty lines between events are not held. An event longer than
/// [`MAX_EVENT`] passes as it arrives.
#[derive(Debug)]
pub(crate) struct UsageEventRemover {
    splitter: EventSplitter,
    /// The bytes of the current event in the chunks so far.
    held: BytesMut,
    /// The data of the current event so far.
    data: Vec<u8>,
    /// True if the current event is longer than [`MAX_EVENT`], so that its bytes are not held.
    is_long_event: bool,
    /// True if the rest of the stream passes: the event was removed, or no event follows.
    passes_rest: bool,
    /// An LF at the start of the next chunk belongs to the CR at the end of the last chunk.
    line_feed: NextLineFeed,
}

/// The LF at the start of the next chunk, after a CR at the end of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextLineFeed {
    /// It is a part of the next event.
    Unrelated,
    /// It ends lines that passed.
    Passes,
    /// It ends the removed event.
    Removed,
}

impl UsageEventRemover {
    pub(crate) fn new() -> Self {
        Self {
            splitter: EventSplitter::new(),
            held: BytesMut::new(),
            data: Vec::new(),
            is_long_event: false,
            passes_rest: false,
            line_feed: NextLineFeed::Unrelated,
        }
    }

    /// Reads the next chunk of the stream, and adds the bytes that pass to `output`.
    ///
    /// An example, with events E1 and E2 of which E2 has nothing but usage. The chunks are `E1 E2a` and `E2b [DONE]`:
    ///
    /// ```text
    /// push("E1 E2a")     output E1                   held E2a, the start of an event
    /// push("E2b [DONE]") output [DONE]               held nothing: E2 is removed, and the rest passes
    /// ```
    pub(crate) fn push(&mut self, chunk: Bytes, output: &mut VecDeque<Bytes>) {
        let chunk = self.take_line_feed(chunk, output);
        if self.passes_rest {
            push_bytes(output, chunk);
            return;
        }
        let mut event_start = 0;
        let mut rest = &chunk[..];
        while let Some(part) = self.splitter.next_part(&mut rest) {
            let part_end = chunk.len() - rest.len();
            match part {
                StreamPart::Data(data) => self.add_data(data),
                StreamPart::EventEnd if self.is_usage_event(part_end - event_start) => {
                    self.remove_event(&chunk, event_start..part_end, output);
                    return;
                }
                StreamPart::EventEnd | StreamPart::NoEvent => {
                    self.end_event(output);
                    event_start = self.skip_line_feed(&chunk, part_end, NextLineFeed::Passes);
                }
                StreamPart::Done => {
                    self.end_event(output);
                    self.passes_rest = true;
                    event_start = chunk.len();
                }
            }
        }
        push_bytes(output, chunk.slice(..event_start));
        self.hold(chunk.slice(event_start..), output);
    }

    /// Ends the stream. Returns the held bytes of an event without an end, which may be empty.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }

    /// Removes the LF that continues the end of the last chunk. Returns the rest of the chunk.
    fn take_line_feed(&mut self, mut chunk: Bytes, output: &mut VecDeque<Bytes>) -> Bytes {
        if chunk.is_empty() || self.line_feed == NextLineFeed::Unrelated {
            return chunk;
        }
        if chunk[0] == b'\n' {
            let line_feed = chunk.split_to(1);
            // The splitter skips the LF.
            let part = self.splitter.next_part(&mut &line_feed[..]);
            debug_assert_eq!(part, None, "an LF behind a CR ends no further line");
            if self.line_feed == NextLineFeed::Passes {
                push_bytes(output, line_feed);
            }
        }
        self.line_feed = NextLineFeed::Unrelated;
        chunk
    }

    /// Returns the offset behind lines that end before `end`, with the LF behind their CR. If the chunk ends at the CR, the
    /// LF may be in the next chunk, and `line_feed` is stored for it.
    fn skip_line_feed(&mut self, chunk: &[u8], end: usize, line_feed: NextLineFeed) -> usize {
        if chunk[end - 1] != b'\r' {
            return end;
        }
        match chunk.get(end) {
            Some(b'\n') => end + 1,
            Some(_) => end,
            None => {
                self.line_feed = line_feed;
                end
            }
        }
    }

    /// Adds a part of the event's data, unless the event is too long.
    fn add_data(&mut self, data: &[u8]) {
        if self.data.len() + data.len() > MAX_EVENT {
            self.is_long_event = true;
        }
        if !self.is_long_event {
            self.data.extend_from_slice(data);
        }
    }

    /// True if the event that ends now is removed. `chunk_len` is the number of its bytes in the current chunk.
    fn is_usage_event(&self, chunk_len: usize) -> bool {
        let is_short = !self.is_long_event && self.held.len() + chunk_len <= MAX_EVENT;
        is_short && is_usage_document(&self.data)
    }

    /// Removes the event that ends in this range of the chunk. Adds the bytes of the chunk around it to the output.
    fn remove_event(&mut self, chunk: &Bytes, event: Range<usize>, output: &mut VecDeque<Bytes>) {
        push_bytes(output, chunk.slice(..event.start));
        let rest_start = self.skip_line_feed(chunk, event.end, NextLineFeed::Removed);
        push_bytes(output, chunk.slice(rest_start..));
        self.held = BytesMut::new();
        self.data = Vec::new();
        self.passes_rest = true;
    }

    /// Ends an event that passes, or lines between events. Adds the held bytes to the output.
    fn end_event(&mut self, output: &mut VecDeque<Bytes>) {
        push_bytes(output, self.held.split().freeze());
        self.data.clear();
        self.is_long_event = false;
    }

    /// Holds the bytes of an event without its end so far. If the event is too long, adds them to the output.
    fn hold(&mut self, bytes: Bytes, output: &mut VecDeque<Bytes>) {
        if !self.is_long_event && self.held.len() + bytes.len() <= MAX_EVENT {
            // Copied, because a short slice can keep the memory of a long chunk.
            self.held.extend_from_slice(&bytes);
            return;
        }
        self.is_long_event = true;
        push_bytes(output, self.held.split().freeze());
        push_bytes(output, bytes);
    }
}

/// Adds bytes to the output, unless there are none.
fn push_bytes(output: &mut VecDeque<Bytes>, bytes: Bytes) {
    if !bytes.is_empty() {
        output.push_back(bytes);
    }
}

#[cfg(test)]
mod tests;
