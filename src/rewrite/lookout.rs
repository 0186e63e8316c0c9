//! Whether a body can hold an id at all. Most work is not to do any: a body in which neither the id's
//! name nor `\u00` stands has nothing to name, however its frames are cut, and need not be parsed.

use memchr::memchr;
use memchr::memmem::Finder;

use super::rules::Members;

const ESCAPE: &[u8] = b"\\u00";

/// Watches frames go by. It takes longer to make than to look through a small body with.
#[derive(Clone)]
pub(crate) struct Lookout {
    id: Finder<'static>,
    escape: Finder<'static>,
}

/// The last bytes of the frames of one body so far, one fewer than the longest text that is looked for.
#[derive(Default)]
pub(crate) struct Seam(Vec<u8>);

impl Lookout {
    pub(crate) fn new(members: Members) -> Self {
        Self { id: Finder::new(members.id()), escape: Finder::new(ESCAPE) }
    }

    /// Whether this frame, with those before it, holds what may be an id.
    pub(crate) fn spots(&self, frame: &[u8], Seam(seam): &mut Seam) -> bool {
        let reach = self.id.needle().len().max(ESCAPE.len()) - 1;
        if !seam.is_empty() {
            seam.extend_from_slice(&frame[..frame.len().min(reach)]);
        }
        if self.is_in(seam) || self.is_in(frame) {
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

    fn is_in(&self, bytes: &[u8]) -> bool {
        // One byte is looked for faster than four, and most bodies have no backslash.
        self.id.find(bytes).is_some()
            || memchr(ESCAPE[0], bytes).is_some_and(|from| self.escape.find(&bytes[from..]).is_some())
    }
}
