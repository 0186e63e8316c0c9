//! One template: a text, its meaning and its predictions.

use super::simd::equal;
use super::structure::{MAX_LEN, Structure, WINDOW, scalar_len};

/// The index of no template.
pub(super) const NONE: u8 = u8::MAX;

/// A text that was between two values, with its meaning.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The text, and the constant that followed it the last time.
    pub(super) text: [u8; MAX_LEN + 1],
    /// The bits of the text's bytes, in blocks of 32.
    masks: [u32; 4],
    pub(super) structure: Structure,
    /// The templates that came after this one, in the order of the predictions.
    pub(super) followers: [u8; 3],
}

impl Template {
    pub(super) fn new(structure: Structure, window: &[u8; WINDOW]) -> Self {
        let len = usize::from(structure.len);
        let mut text = [0; MAX_LEN + 1];
        text[..len].copy_from_slice(&window[..len]);
        let mask = !(u128::MAX << len);
        let masks = [0, 32, 64, 96].map(|shift| (mask >> shift) as u32);
        Self { text, masks, structure, followers: [NONE; 3] }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.structure.len.into()]
    }

    /// Keeps the value behind the text if it is a constant that fits.
    pub(super) fn set_constant(&mut self, window: &[u8; WINDOW]) {
        let constant = &mut self.text[self.structure.len.into()..];
        constant.fill(0);
        let len = scalar_len(window, self.structure.len.into()).unwrap_or_default();
        let value = &window[usize::from(self.structure.len)..][..len];
        if len <= constant.len() && is_constant(value) {
            constant[..len].copy_from_slice(value);
        }
    }

    /// Predicts a template after this one: as the first, or as the second.
    pub(super) fn predict(&mut self, index: u8, is_second: bool) {
        let [first, second, third] = self.followers;
        if first != index {
            let other = if second == index { third } else { second };
            self.followers = if is_second { [first, index, other] } else { [index, first, other] };
        }
    }

    /// True if `window` starts with the text.
    #[inline(always)]
    pub(super) fn matches(&self, window: &[u8; WINDOW]) -> bool {
        let ((window, _), (text, _)) = (window.as_chunks::<32>(), self.text.as_chunks::<32>());
        let is_equal = |nth: usize| !equal(&window[nth], &text[nth]) & self.masks[nth] == 0;
        is_equal(0)
            && (self.masks[1] == 0 || is_equal(1) && (self.masks[2] == 0 || is_equal(2) && is_equal(3)))
    }
}

/// True for values that a template may contain: literals, 0, and strings of lower-case letters such as types and units.
pub(super) fn is_constant(value: &[u8]) -> bool {
    match value {
        b"null" | b"true" | b"false" | b"0" => true,
        [b'"', text @ .., b'"'] => text.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'.' | b'_')),
        _ => false,
    }
}
