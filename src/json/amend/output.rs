//! Writes the settled edits into the buffered frames.

use bytes::Bytes;

use super::edits::{Edits, NewValue};
use super::frames::FrameBuffer;
use crate::KeyNames;

/// The largest chunk of edited output. It is a multiple of what a socket takes at once.
pub(super) const MAX_CHUNK: usize = 64 * 1024;

/// Returns the next chunk of the output, or `None` if no further byte of it is final.
///
/// The output is final before the input offset `settled`, or as a whole if that is `None`. A frame without edits is
/// passed on without a copy.
pub(super) fn next_chunk(
    frames: &mut FrameBuffer,
    edits: &mut Edits,
    names: &KeyNames,
    settled: Option<u64>,
) -> Option<Bytes> {
    let settled_end = settled.map_or(frames.end(), |offset| offset.min(frames.end()));
    if settled_end <= frames.start {
        return None;
    }
    let settled_len = settled_end - frames.start;
    let first_len = settled_len.min(frames.front().len() as u64);
    let is_first_unchanged = edits.next_change().is_none_or(|at| at >= frames.start + first_len);
    if is_first_unchanged {
        return Some(frames.take(first_len as usize));
    }
    let capacity = settled_len.saturating_add_signed(edits.growth).min(MAX_CHUNK as u64);
    let mut chunk = Vec::with_capacity(capacity as usize);
    while frames.start < settled_end {
        let is_full = copy_frame(frames, edits, names, settled_end, &mut chunk);
        if is_full || edits.next_change().is_none() {
            break;
        }
    }
    Some(chunk.into())
}

/// Moves the first frame, up to `settled_end`, with its edits to the end of `chunk`.
///
/// Returns true if the chunk is full. The rest of the frame stays in the buffer then.
fn copy_frame(
    frames: &mut FrameBuffer,
    edits: &mut Edits,
    names: &KeyNames,
    settled_end: u64,
    chunk: &mut Vec<u8>,
) -> bool {
    let start = frames.start;
    let front = frames.front();
    let frame = &front[..front.len().min((settled_end - start) as usize)];
    let old_len = chunk.len();
    let edited = copy_edited(frame, start, edits, names, chunk);
    let growth = (chunk.len() - old_len) as i64 - edited.end as i64;
    edits.remove(edited.edit_count, growth);
    let rest_end = edited.next_edit.unwrap_or(frame.len());
    // A replaced value may extend into the next frame. Then this frame has no rest.
    let rest = frame.get(edited.end..rest_end).unwrap_or_default();
    let fitting = &rest[..rest.len().min(MAX_CHUNK - chunk.len())];
    chunk.extend_from_slice(fitting);
    let is_full = edited.next_edit.is_some() || fitting.len() < rest.len();
    let copied_end = edited.end + fitting.len();
    frames.remove(copied_end);
    is_full
}

/// The result of [`copy_edited`].
struct Edited {
    /// The number of edits that were written or that change nothing.
    edit_count: usize,
    /// The position in the frame after the last written edit.
    end: usize,
    /// The position of the next edit, if the chunk has no room for it.
    next_edit: Option<usize>,
}

/// Copies a frame that begins at the input offset `start` to the end of `chunk`, up to the last edit in it.
///
/// Stops before an edit that has no room in the chunk, or whose position is in a later frame.
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
