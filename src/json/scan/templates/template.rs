//! One template: a text, its meaning and its predictions.

use super::simd::equal;
use super::structure::{MAX_LEN, Structure, WINDOW};

/// The index of no template.
pub(super) const NONE: u8 = u8::MAX;

/// A text that was between two values, with its meaning.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The text, and the constant that followed it the last time.
    pub(super) text: [u8; MAX_LEN + 17],
    /// The position of the text's last 16 bytes, or 0 for a shorter text, and the bits of its bytes in them.
    tail: (u8, u32),
    /// The length of the constant, or 0.
    constant_len: u8,
    pub(super) structure: Structure,
    /// The templates that came after this one, in the order of the predictions.
    pub(super) followers: [u8; 3],
}

impl Template {
    pub(super) fn new(structure: Structure, window: &[u8; WINDOW]) -> Self {
        let mut text = [0; MAX_LEN + 17];
        text[..structure.len.into()].copy_from_slice(&window[..structure.len.into()]);
        let tail = (structure.len.saturating_sub(16), !(u32::MAX << structure.len.min(16)));
        Self { text, tail, constant_len: 0, structure, followers: [NONE; 3] }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.structure.len.into()]
    }

    /// The constant that followed the text the last time. It is empty if another value did.
    pub(super) fn constant(&self) -> &[u8] {
        &self.text[self.structure.len.into()..][..self.constant_len.into()]
    }

    /// Keeps the value of `value_len` bytes behind the text if it is a constant that fits.
    pub(super) fn set_constant(&mut self, window: &[u8; WINDOW], value_len: usize) {
        let start = usize::from(self.structure.len);
        let value = &window[start..start + value_len];
        self.constant_len = 0;
        if start + value_len <= MAX_LEN && is_constant(value) {
            self.text[start..start + value_len].copy_from_slice(value);
            self.constant_len = value_len as u8;
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
        let equal_at = |start: usize| equal(window, &self.text, start & MAX_LEN);
        let (len, (tail, mask)) = (usize::from(self.structure.len), self.tail);
        let ends = equal_at(0) & equal_at(tail.into());
        // The vectors from the start and those from the end overlap, so that only a text shorter than one needs a mask.
        let is_equal = match len {
            ..=32 => ends,
            33..=64 => ends & equal_at(16) & equal_at(len - 32),
            _ => [16, 32, 48, len - 64, len - 48, len - 32].iter().fold(ends, |all, at| all & equal_at(*at)),
        };
        !is_equal.to_bitmask() & mask == 0
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
