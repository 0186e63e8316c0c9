//! Whether a body can hold an id at all. Most work is not to do any: a body in which neither the id's
//! name nor `\u00` stands has nothing to name, however its frames are cut, and need not be parsed.

use memchr::{memchr, memmem};

use super::rules::Members;
use super::wide::{self, BLOCK, Task, Wide, both};

const ESCAPE: &[u8] = b"\\u00";

/// Watches the frames of one body go by.
#[derive(Default)]
pub struct Lookout {
    /// The last bytes of those so far, one fewer than the longest text that is looked for.
    seam: Vec<u8>,
}

impl Lookout {
    /// Whether this frame, with those before it, holds what may be an id.
    pub fn spots(&mut self, frame: &[u8], members: Members) -> bool {
        let Self { seam } = self;
        let id = members.id().as_bytes();
        let reach = id.len().max(ESCAPE.len()) - 1;
        if !seam.is_empty() {
            seam.extend_from_slice(&frame[..frame.len().min(reach)]);
            if is_in(seam, id) {
                return true;
            }
        }
        if is_in(frame, id) {
            return true;
        }
        if frame.len() >= reach {
            seam.clear();
            seam.extend_from_slice(&frame[frame.len() - reach..]);
        } else if seam.is_empty() {
            seam.extend_from_slice(frame);
        } else {
            seam.drain(..seam.len().saturating_sub(reach));
        }
        false
    }
}

fn is_in(bytes: &[u8], id: &[u8]) -> bool {
    // Without intrinsics, block by block is the slower way.
    if cfg!(target_arch = "x86_64") { wide::widest(Search { bytes, id }) } else { is_in_by_memchr(bytes, id) }
}

/// One after the other: the twin of [`Search`].
pub fn is_in_by_memchr(bytes: &[u8], id: &[u8]) -> bool {
    // One byte is looked for faster than four, and most bodies have no backslash.
    memmem::find(bytes, id).is_some()
        || memchr(ESCAPE[0], bytes).is_some_and(|from| memmem::find(&bytes[from..], ESCAPE).is_some())
}

/// How far from the end of the id's name two letters are that rarely stand so in others: the `y_i` of `api_key_id`.
const PAIR: [usize; 2] = [4, 2];

/// Looks for both texts in one go: for a backslash, and for a pair of letters of the id's name.
struct Search<'a> {
    bytes: &'a [u8],
    id: &'a [u8],
}

impl Task for Search<'_> {
    type Output = bool;

    #[inline(always)]
    fn run(self, wide: impl Wide) -> bool {
        /// A block, and the second letter of a pair that begins in it.
        const WINDOW: usize = BLOCK + PAIR[0] - PAIR[1];
        let Self { bytes, id } = self;
        let all = |block: &[u8; BLOCK], byte: u8| both(block, |half| wide.equal(half, &[byte; BLOCK / 2]));
        let [first, second] = PAIR.map(|behind| id[id.len() - behind]);
        let before = id.len() - PAIR[0];
        let mut rest = bytes;
        let mut padded;
        while !rest.is_empty() {
            let window = match rest.first_chunk::<WINDOW>() {
                Some(window) => window,
                None => {
                    padded = [0; WINDOW];
                    padded[..rest.len()].copy_from_slice(rest);
                    &padded
                }
            };
            let (Some(block), Some(ahead)) = (window.first_chunk(), window.last_chunk()) else { return true };
            let mut marks = all(block, ESCAPE[0]) | all(block, first) & all(ahead, second);
            let from = bytes.len() - rest.len();
            while marks != 0 {
                let at = from + marks.trailing_zeros() as usize;
                let is_id = || at.checked_sub(before).is_some_and(|from| bytes[from..].starts_with(id));
                if bytes[at..].starts_with(ESCAPE) || is_id() {
                    return true;
                }
                marks &= marks - 1;
            }
            rest = rest.get(BLOCK..).unwrap_or_default();
        }
        false
    }
}
