//! The window of the fast path, and tests of 16 or 32 bytes at once. Bit `n` of a mask is for byte `n`.

use wide::{u8x16, u8x32};

/// The bytes that a step of the fast path looks at: a text, and the scalar behind it.
pub(super) type Window = [u8; 192];

/// The longest text. It is one less than a power of two, so that a mask replaces bounds checks.
pub(super) const MAX_LEN: usize = 127;

/// True if the target has vectors of 16 bytes. Without them the templates are slower than the plain scanner.
pub(super) const HAS_SIMD: bool =
    cfg!(any(target_feature = "sse2", target_feature = "neon", target_feature = "simd128"));

/// The mask of the bytes that end a string's plain text: quotes, backslashes, controls, and bytes that are not ASCII.
#[inline(always)]
pub(super) fn special(block: &[u8; 32]) -> u32 {
    let bytes = u8x32::new(*block);
    let is_control = bytes.min(u8x32::splat(0x1F)).simd_eq(bytes);
    let is_quote = bytes.simd_eq(u8x32::splat(b'"'));
    let is_backslash = bytes.simd_eq(u8x32::splat(b'\\'));
    // The mask takes the highest bit of each byte, which is set in those that are not ASCII.
    (bytes | is_control | is_quote | is_backslash).to_bitmask()
}

/// The 16 bytes at a position.
#[inline(always)]
fn vector(bytes: &[u8], at: usize) -> u8x16 {
    bytes[at..].first_chunk().map_or(u8x16::ZERO, |block| u8x16::new(*block))
}

/// Counts up to 32 digits from a position on. Few numbers have more than 16.
#[inline(always)]
pub(super) fn digits_len(bytes: &[u8], at: usize) -> usize {
    let len_in_vector = |start: usize| {
        let values = vector(bytes, start) - u8x16::splat(b'0');
        values.min(u8x16::splat(9)).simd_eq(values).to_bitmask().trailing_ones() as usize
    };
    let len = len_in_vector(at);
    if len < 16 { len } else { 16 + len_in_vector(at + 16) }
}

/// Compares the 16 bytes at a position: the equal ones have all bits set.
#[inline(always)]
pub(super) fn equal(a: &[u8], b: &[u8], at: usize) -> u8x16 {
    vector(a, at).simd_eq(vector(b, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(block: &[u8; 32], test: impl Fn(u8) -> bool) -> u32 {
        (0..32).map(|at| u32::from(test(block[at])) << at).sum()
    }

    #[test]
    fn masks_of_every_byte_agree_with_the_grammar() {
        for first in 0..=255_u8 {
            let block = std::array::from_fn(|at| first.wrapping_add(at as u8));
            let is_special = |byte| !matches!(byte, b' '..0x80) || matches!(byte, b'"' | b'\\');
            assert_eq!(special(&block), mask(&block, is_special));
            let digits = block.iter().take_while(|byte| byte.is_ascii_digit()).count();
            assert_eq!(digits_len(&block, 0), digits);
            assert_eq!(equal(&block, &[first; 32], 0).to_bitmask(), 1);
        }
    }
}
