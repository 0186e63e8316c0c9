//! A search that finds out whether a body can contain an id at all.
//!
//! The name of the id member is plain text. JSON can write it in two ways: as it is, or with `\u00` escapes. A
//! body with neither contains no id and is not scanned. Both texts are also found across two or more chunks.

use memchr::{memchr, memmem};

use crate::names::KEY_ID as ID;

/// The start of every escape that can replace a character of the member name.
const ESCAPE: &[u8] = b"\\u00";

/// The most bytes of a text that can be in the chunks before its last byte. The id's name is the longer text.
const MAX_SEAM: usize = ID.len() - 1;

/// A search for the id's member name over the chunks of one body.
#[derive(Debug, Default)]
pub struct Prefilter {
    /// The last bytes of the chunks so far, at most [`MAX_SEAM`].
    seam: Vec<u8>,
}

impl Prefilter {
    /// Returns true if this chunk, or its seam with the chunks before, may contain the id's member name.
    pub fn finds(&mut self, chunk: &[u8]) -> bool {
        if can_contain_id(chunk) {
            return true;
        }
        self.seam.extend_from_slice(&chunk[..chunk.len().min(MAX_SEAM)]);
        if can_contain_id(&self.seam) {
            return true;
        }
        if chunk.len() >= MAX_SEAM {
            self.seam.clear();
            self.seam.extend_from_slice(&chunk[chunk.len() - MAX_SEAM..]);
        } else {
            let surplus = self.seam.len().saturating_sub(MAX_SEAM);
            self.seam.drain(..surplus);
        }
        false
    }
}

fn can_contain_id(bytes: &[u8]) -> bool {
    // A search for one byte is faster than one for four, and most bodies have no backslash.
    memmem::find(bytes, ID.as_bytes()).is_some()
        || memchr(ESCAPE[0], bytes).is_some_and(|at| memmem::find(&bytes[at..], ESCAPE).is_some())
}

#[cfg(test)]
mod tests {
    use super::Prefilter;

    fn finds<'a>(mut chunks: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut prefilter = Prefilter::default();
        chunks.any(|chunk| prefilter.finds(chunk))
    }

    #[test]
    fn prefilter_finds_both_texts_across_seams() {
        for body in [&b"{\"api_key_id\":1}"[..], b"{\"\\u0061\":1}"] {
            for size in 1..=body.len() {
                assert!(finds(body.chunks(size)), "chunks of {size} bytes");
            }
        }
    }

    #[test]
    fn prefilter_finds_nothing_in_similar_text() {
        let body = b"{\"api_key_name\":1,\"\\u1234\":\"api_key_\", \"id\":2, \"\\\\\":\"u00\"}";
        for size in 1..=body.len() {
            assert!(!finds(body.chunks(size)), "chunks of {size} bytes");
        }
    }
}
