//! A template: a text, its structure and its predictions.

use super::simd::{MAX_LEN, Window, equal};
use super::structure::Structure;

/// The index of no template.
pub(super) const NONE: u8 = u8::MAX;

/// A text that was between two values.
#[derive(Clone, Debug)]
pub(super) struct Template<M> {
    /// The text, followed by zeros up to the end of the last vector that is compared.
    pub(super) bytes: [u8; MAX_LEN + 17],
    /// A set bit for each of the first 16 bytes that belongs to the text: 0b111 for a text of 3 bytes.
    first_vector_mask: u32,
    pub(super) structure: Structure<M>,
    /// The result of [`Structure::is_silent`].
    pub(super) is_silent: bool,
    /// The indexes of the templates that came after this one, the longest first. Unused places contain [`NONE`].
    pub(super) followers: [u8; 3],
}

impl<M: Copy> Template<M> {
    /// Creates the template of the text at the start of `window`.
    pub(super) fn new(structure: Structure<M>, window: &Window) -> Self {
        let len = structure.len();
        let mut bytes = [0; MAX_LEN + 17];
        bytes[..len].copy_from_slice(&window[..len]);
        let first_vector_mask = !(u32::MAX << len.min(16));
        let is_silent = structure.is_silent();
        Self { bytes, first_vector_mask, structure, is_silent, followers: [NONE; 3] }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[..self.structure.len()]
    }

    /// True if `window` starts with the text.
    ///
    /// Compares vectors of 16 bytes from both ends. They overlap: those of a text of 70 bytes start at 0, 16, 32 and 48, and
    /// at 54, 38, 22 and 6. Only the vector of a text of less than 16 bytes needs a mask.
    #[inline(always)]
    pub(super) fn is_start_of(&self, window: &Window) -> bool {
        let equal_at = |start: usize| equal(window, &self.bytes, start & MAX_LEN);
        let len = self.structure.len();
        let first_and_last = equal_at(0) & equal_at(len.saturating_sub(16));
        let different_bytes = !first_and_last.to_bitmask();
        let has_equal_ends = different_bytes & self.first_vector_mask == 0;
        if len <= 32 || !has_equal_ends {
            return has_equal_ends;
        }
        let mut middle = equal_at(16) & equal_at(len - 32);
        if len > 64 {
            middle = middle & equal_at(32) & equal_at(48) & equal_at(len - 64) & equal_at(len - 48);
        }
        middle.to_bitmask() == 0xFFFF
    }
}
