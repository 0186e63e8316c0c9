//! Writes the settled edits into the buffered frames.

use bytes::Bytes;

use super::edits::{Edits, NewValue};
use super::frames::FrameBuffer;
use crate::KeyNames;

/// The largest chunk of edited output. It is a multiple of what a socket takes at once.
pub(super) const MAX_CHUNK: usize = 64 * 1024;

/// Moves the next settled bytes with their edits from the buffer to a chunk of the output. Returns `None` if none is left.
///
/// The bytes before the input offset `settled` are settled: they can no longer change. If the offset is `None`, all bytes
/// are settled. A frame without edits becomes a chunk without a copy. A chunk with edits has at most [`MAX_CHUNK`] bytes.
pub(super) fn next_chunk(
    frames: &mut FrameBuffer,
    edits: &mut Edits,
    names: &KeyNames,
    settled: Option<u64>,
) -> Option<Bytes> {
    let buffered_end = frames.end();
    let settled_end = settled.unwrap_or(buffered_end).min(buffered_end);
    if settled_end <= frames.start {
        return None;
    }
    let settled_len = settled_end - frames.start;
    let first_len = settled_len.min(frames.front().len() as u64);
    let first_end = frames.start + first_len;
    let is_first_unchanged = edits.next_change().is_none_or(|change_at| change_at >= first_end);
    if is_first_unchanged {
        return Some(frames.take(first_len as usize));
    }
    let output_len = settled_len.saturating_add_signed(edits.growth);
    let mut chunk = Vec::with_capacity(output_len.min(MAX_CHUNK as u64) as usize);
    while frames.start < settled_end {
        let is_full = copy_frame(frames, edits, names, settled_end, &mut chunk);
        if is_full || edits.next_change().is_none() {
            break;
        }
    }
    Some(chunk.into())
}

/// Moves the first frame, up to the input offset `settled_end`, with its edits to the end of `chunk`. Returns true if
/// the chunk is full before the end of the frame. The rest of the frame stays in the buffer then.
fn copy_frame(
    frames: &mut FrameBuffer,
    edits: &mut Edits,
    names: &KeyNames,
    settled_end: u64,
    chunk: &mut Vec<u8>,
) -> bool {
    let frame_start = frames.start;
    let whole_frame = frames.front();
    let frame = &whole_frame[..whole_frame.len().min((settled_end - frame_start) as usize)];
    let chunk_len_before = chunk.len();
    let edited = copy_edited(frame, frame_start, edits, names, chunk);
    let copied_len = chunk.len() - chunk_len_before;
    let growth = copied_len as i64 - edited.end as i64;
    edits.remove(edited.edit_count, growth);
    // The bytes after the last edit. If a replaced value extends into the next frame, there are none.
    let rest_end = edited.next_edit.unwrap_or(frame.len());
    let rest = frame.get(edited.end..rest_end).unwrap_or_default();
    let fitting = &rest[..rest.len().min(MAX_CHUNK - chunk.len())];
    chunk.extend_from_slice(fitting);
    let is_full = edited.next_edit.is_some() || fitting.len() < rest.len();
    let moved_len = edited.end + fitting.len();
    frames.remove(moved_len);
    is_full
}

/// The result of [`copy_edited`].
struct Edited {
    /// The number of edits that were written or that change nothing.
    edit_count: usize,
    /// The position in the frame after the last written edit.
    end: usize,
    /// The position of the next edit in the frame, if the chunk has no room for this edit.
    next_edit: Option<usize>,
}

/// Copies a frame with the input offset `start` to the end of `chunk`, up to the last settled edit in it.
///
/// Stops before an edit that has no room in the chunk, or whose position is in a later frame. With the frame `"a","b"` and
/// an insertion of `,1` at its position 3, the chunk gets `"a",1`, and the result's `end` is 3.
/// The loop has a function of its own, because it is slower if it shares its registers with other code.
#[inline(never)]
fn copy_edited(frame: &[u8], start: u64, edits: &Edits, names: &KeyNames, chunk: &mut Vec<u8>) -> Edited {
    let mut edited = Edited { edit_count: 0, end: 0, next_edit: None };
    for edit in edits.settled() {
        if edit.value == NewValue::Unchanged {
            edited.edit_count += 1;
            continue;
        }
        let at = (edit.at - start) as usize;
        if at >= frame.len() {
            break;
        }
        // Always in range, because edits ascend and do not overlap.
        let Some(unchanged) = frame.get(edited.end..at) else { break };
        let (prefix, value) = edits.bytes(edit, names);
        if unchanged.len() + prefix.len() + value.len() > MAX_CHUNK - chunk.len() {
            edited.next_edit = Some(at);
            break;
        }
        chunk.extend_from_slice(unchanged);
        chunk.extend_from_slice(prefix);
        chunk.extend_from_slice(value);
        edited.end = at + edit.replaced as usize;
        edited.edit_count += 1;
    }
    edited
}
