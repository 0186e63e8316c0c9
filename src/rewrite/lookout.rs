//! Whether a body can hold an id at all. Most work is not to do any: a body in which neither the id's
//! name nor `\u00` stands has nothing to name, however its frames are cut, and need not be parsed.

use memchr::memmem::Finder;

use super::amend::Members;

const ESCAPE: &[u8] = b"\\u00";

/// Watches frames go by.
pub(crate) struct Lookout {
    id: Finder<'static>,
    escape: Finder<'static>,
    /// The last bytes of the frames so far, one fewer than the longest text that is looked for.
    seam: Vec<u8>,
}

impl Lookout {
    pub(crate) fn new(members: Members) -> Self {
        Self { id: Finder::new(members.id()), escape: Finder::new(ESCAPE), seam: Vec::new() }
    }

    /// Whether this frame, with those before it, holds what may be an id.
    pub(crate) fn spots(&mut self, frame: &[u8]) -> bool {
        let reach = self.id.needle().len().max(ESCAPE.len()) - 1;
        self.seam.extend_from_slice(&frame[..frame.len().min(reach)]);
        if self.is_in(&self.seam) || self.is_in(frame) {
            return true;
        }
        if frame.len() >= reach {
            self.seam.clear();
            self.seam.extend_from_slice(&frame[frame.len() - reach..]);
        } else {
            self.seam.drain(..self.seam.len().saturating_sub(reach));
        }
        false
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        self.id.find(bytes).is_some() || self.escape.find(bytes).is_some()
    }
}
