//! The short scalars behind a template's text. Their ends are found with SIMD, in steps without unpredictable branches.

use super::simd::{Window, digits_len, special};

/// Returns the length of the scalar at `start`, which is at most [`MAX_LEN`](super::simd::MAX_LEN).
///
/// Returns `None` if the plain scanner has to read the value: an array, an object, a string with escapes or of more than 64
/// bytes, or a number with a sign, with an exponent or with more than 32 digits on a side of its point.
#[inline(always)]
pub(super) fn scalar_len(window: &Window, start: usize) -> Option<usize> {
    match *window.get(start)? {
        b'"' => Some(string_end(window, start + 1)? + 1 - start),
        b'0'..=b'9' => unsigned_number_len(window, start),
        _ => literal_len(window[start..].first_chunk()?),
    }
}

/// Returns the length of the number at `start` (RFC 8259 §6); `None` if it has an exponent, is too long or is invalid.
#[inline(always)]
fn unsigned_number_len(window: &Window, start: usize) -> Option<usize> {
    let mut len = digits_len(window, start);
    // The two tests are one branch, because it cannot be predicted which numbers are 0.
    let has_leading_zero = (window[start] == b'0') & (len > 1);
    if has_leading_zero {
        return None;
    }
    if *window.get(start + len)? == b'.' {
        let fraction_len = digits_len(window, start + len + 1);
        if fraction_len == 0 {
            return None;
        }
        len += 1 + fraction_len;
    }
    let is_end = matches!(window.get(start + len)?, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
    if is_end { Some(len) } else { None }
}

/// Returns the position of the closing quote of a string whose text begins at `start`.
///
/// Returns `None` if the text has escapes, is not ASCII, or is longer than 64 bytes.
#[inline(always)]
pub(super) fn string_end(window: &Window, start: usize) -> Option<usize> {
    let mut block_start = start;
    let mut marks = special(window.get(block_start..)?.first_chunk()?);
    if marks == 0 {
        block_start += 32;
        marks = special(window.get(block_start..)?.first_chunk()?);
    }
    // Without a mark this is the position after the block.
    let end = block_start + marks.trailing_zeros() as usize;
    if *window.get(end)? == b'"' { Some(end) } else { None }
}

/// Returns the length of the literal at the start of `bytes`; `None` if there is none.
///
/// No branch depends on which of the three literals it is, since that cannot be predicted.
#[inline(always)]
fn literal_len(bytes: &[u8; 8]) -> Option<usize> {
    let len = 4 + usize::from(bytes[0] == b'f');
    let len_mask = u64::MAX >> (64 - 8 * len);
    let text = u64::from_le_bytes(*bytes) & len_mask;
    let is_text = |literal: &[u8; 8]| text == u64::from_le_bytes(*literal);
    let is_literal = is_text(b"null\0\0\0\0") | is_text(b"true\0\0\0\0") | is_text(b"false\0\0\0");
    if is_literal { Some(len) } else { None }
}

/// True if a template may contain this scalar: a literal, 0, or a string of lower-case letters, such as a type.
pub(super) fn is_constant(scalar: &[u8]) -> bool {
    match scalar {
        b"null" | b"true" | b"false" | b"0" => true,
        [b'"', text @ .., b'"'] => text.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'.' | b'_')),
        _ => false,
    }
}
