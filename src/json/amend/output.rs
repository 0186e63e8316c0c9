//! Writes the settled edits into the buffered frames.

use bytes::Bytes;

use super::edits::{Edits, NewValue};
use super::frames::FrameBuffer;
use crate::KeyNames;

/// The largest chunk of edited output. It is a multiple of what a socket takes at once.
pub(super) const MAX_CHUNK: usize = 64 * 1024;

/// Returns the next chunk of the output, which is final before the input offset `settled`, or as a whole.
///
/// A frame without edits is passed on without a copy.
pub(super) fn next_chunk(
    frames: &mut FrameBuffer,
    edits: &mut Edits,
    names: &KeyNames,
    settled: Option<u64>,
) -> Option<Bytes> {
    let settled = settled.map_or(frames.end(), |settled| settled.min(frames.end()));
    let available = settled.checked_sub(frames.start).filter(|available| *available > 0)?;
    let first = available.min(frames.front().len() as u64);
    if edits.next_change().is_none_or(|at| at >= frames.start + first) {
        return Some(frames.take(first as usize));
    }
    let capacity = available.saturating_add_signed(edits.growth).min(MAX_CHUNK as u64);
    let mut chunk = Vec::with_capacity(capacity as usize);
    while frames.start < settled {
        let is_full = copy_frame(frames, edits, names, settled, &mut chunk);
        if is_full || edits.next_change().is_none() {
            break;
        }
    }
    Some(chunk.into())
}

/// Moves the first frame, up to `settled`, with its edits to the end of `chunk`. Returns true if the chunk is full.
fn copy_frame(
    frames: &mut FrameBuffer,
    edits: &mut Edits,
    names: &KeyNames,
    settled: u64,
    chunk: &mut Vec<u8>,
) -> bool {
    let start = frames.start;
    let frame = frames.front();
    let frame = &frame[..frame.len().min((settled - start) as usize)];
    let before = chunk.len();
    let Edited { edits: count, end, next } = copy_edited(frame, start, edits, names, chunk);
    edits.remove(count, (chunk.len() - before) as i64 - end as i64);
    // A replaced value may reach into the next frame.
    let rest = frame.get(end..next.unwrap_or(frame.len())).unwrap_or_default();
    let fitting = &rest[..rest.len().min(MAX_CHUNK - chunk.len())];
    chunk.extend_from_slice(fitting);
    let is_full = next.is_some() || fitting.len() < rest.len();
    let end = end + fitting.len();
    frames.remove(end);
    is_full
}

/// The result of [`copy_edited`].
struct Edited {
    /// The number of edits that were written or that change nothing.
    edits: usize,
    /// The position in the frame after the last edit.
    end: usize,
    /// The position of the next edit, if the chunk has no room for it.
    next: Option<usize>,
}

/// Copies a frame that begins at the input offset `start` to the end of `chunk`, up to the last edit in it.
///
/// It is a function of its own because the loop is slower if it shares its registers with other code.
#[inline(never)]
fn copy_edited(frame: &[u8], start: u64, edits: &Edits, names: &KeyNames, chunk: &mut Vec<u8>) -> Edited {
    let mut edited = Edited { edits: 0, end: 0, next: None };
    for edit in edits.settled() {
        if edit.value != NewValue::Unchanged {
            let at = (edit.at - start) as usize;
            let Some(unchanged) = frame.get(edited.end..at).filter(|_| at < frame.len()) else { break };
            let (prefix, value) = edits.bytes(edit, names);
            if unchanged.len() + prefix.len() + value.len() > MAX_CHUNK - chunk.len() {
                edited.next = Some(at);
                break;
            }
            chunk.extend_from_slice(unchanged);
            chunk.extend_from_slice(prefix);
            chunk.extend_from_slice(value);
            edited.end = at + edit.replaced as usize;
        }
        edited.edits += 1;
    }
    edited
}
