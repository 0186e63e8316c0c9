//! A search that finds out whether a body can contain an id at all.
//!
//! The name of an id member is plain text. JSON can write it in two ways: as it is, or with `\u00` escapes. A body
//! with neither contains no id and is not scanned. The texts are also found across two or more chunks.

use memchr::{memchr, memmem};

use super::rules::Rules;
use crate::names::{LabelSet, Labels};

/// The start of every escape that can replace a character of a member name.
const ESCAPE: &[u8] = b"\\u00";

/// A search for the id members of the active labels over the chunks of one body.
#[derive(Debug)]
pub struct Prefilter {
    labels: Labels,
    active: LabelSet,
    /// The length of the longest searched text without its last byte, or without its first one.
    max_seam_len: usize,
    /// The last bytes of the chunks so far, at most `max_seam_len`. A searched text may begin in them.
    seam: Vec<u8>,
}

impl Prefilter {
    /// Creates a search for the labels that are active by these rules.
    pub fn new(rules: &Rules) -> Self {
        let text_lens = rules.labels.list().iter().map(|label| label.id.len());
        let max_text_len = text_lens.fold(ESCAPE.len(), usize::max);
        Self {
            labels: rules.labels.clone(),
            active: rules.active,
            max_seam_len: max_text_len - 1,
            seam: Vec::new(),
        }
    }

    /// Returns true if the name of an id member may end in this chunk. The name may begin in an earlier chunk. After a
    /// result of true, the caller scans the body and does not call this method again.
    pub fn finds(&mut self, chunk: &[u8]) -> bool {
        if self.can_contain_id(chunk) {
            return true;
        }
        // A name that begins in an earlier chunk has at most `max_seam_len` bytes in this one.
        let start_len = chunk.len().min(self.max_seam_len);
        self.seam.extend_from_slice(&chunk[..start_len]);
        if self.can_contain_id(&self.seam) {
            return true;
        }
        self.keep_last_bytes(chunk);
        false
    }

    /// Reduces the seam to the last `max_seam_len` bytes so far. The seam ends with the start of the chunk.
    fn keep_last_bytes(&mut self, chunk: &[u8]) {
        if chunk.len() >= self.max_seam_len {
            let end = &chunk[chunk.len() - self.max_seam_len..];
            self.seam.clear();
            self.seam.extend_from_slice(end);
        } else {
            let excess_len = self.seam.len().saturating_sub(self.max_seam_len);
            self.seam.drain(..excess_len);
        }
    }

    /// True if the bytes contain the id member of an active label, or an escape that may be a part of one.
    fn can_contain_id(&self, bytes: &[u8]) -> bool {
        for (index, label) in self.labels.list().iter().enumerate() {
            let is_active = self.active.contains(index as u8);
            if is_active && label.id_finder.find(bytes).is_some() {
                return true;
            }
        }
        // A search for one byte is faster than one for four, and most bodies have no backslash.
        memchr(ESCAPE[0], bytes).is_some_and(|at| memmem::find(&bytes[at..], ESCAPE).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three labels, of which the second is not active.
    fn prefilter() -> Prefilter {
        let labels = Labels::default().with("user_id", "user_name").unwrap();
        let labels = labels.with("service_account_id", "service_account_name").unwrap();
        let mut active = LabelSet::KEYS;
        active.insert(2);
        Prefilter::new(&Rules { labels, active, ..Rules::new(0) })
    }

    fn finds<'a>(mut chunks: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut prefilter = prefilter();
        chunks.any(|chunk| prefilter.finds(chunk))
    }

    #[test]
    fn prefilter_finds_each_text_across_seams() {
        for body in [&b"{\"api_key_id\":1}"[..], b"{\"\\u0061\":1}", b"{\"service_account_id\":1}"] {
            for size in 1..=body.len() {
                assert!(finds(body.chunks(size)), "chunks of {size} bytes");
            }
        }
    }

    #[test]
    fn prefilter_finds_nothing_in_similar_text() {
        let body = b"{\"api_key_name\":1,\"\\u1234\":\"api_key_\", \"id\":2, \"\\\\\":\"u00\",\"service_account\":3}";
        for size in 1..=body.len() {
            assert!(!finds(body.chunks(size)), "chunks of {size} bytes");
        }
    }

    #[test]
    fn label_that_is_not_active_is_not_searched() {
        assert!(!finds(b"{\"user_id\":1}".chunks(100)));
    }
}
