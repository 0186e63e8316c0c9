//! [`Wide`](crate::json::wide::Wide) by SSE2.

use std::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
    _mm_set1_epi8, _mm_slli_epi16, _mm_sub_epi8,
};

use crate::json::wide::x86::numbers;
use crate::json::wide::{folded, nth_place};

/// Both halves of a block.
#[inline]
#[target_feature(enable = "sse2")]
fn load(block: &[u8; 32]) -> [__m128i; 2] {
    let [a, b, c, d] = numbers(block);
    [_mm_set_epi64x(b, a), _mm_set_epi64x(d, c)]
}

#[inline]
#[target_feature(enable = "sse2")]
fn mask([low, high]: [__m128i; 2]) -> u32 {
    _mm_movemask_epi8(low) as u32 | (_mm_movemask_epi8(high) as u32) << 16
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn stops(block: &[u8; 32]) -> u32 {
    mask(load(block).map(|half| {
        let quote = _mm_cmpeq_epi8(half, _mm_set1_epi8(b'"' as i8));
        let escape = _mm_cmpeq_epi8(half, _mm_set1_epi8(b'\\' as i8));
        let below = _mm_cmplt_epi8(half, _mm_set1_epi8(b' ' as i8));
        _mm_or_si128(_mm_or_si128(quote, escape), below)
    }))
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn digits(block: &[u8; 32]) -> u32 {
    mask(load(block).map(|half| {
        let value = _mm_sub_epi8(half, _mm_set1_epi8(b'0' as i8));
        _mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(9)), value)
    }))
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn white(block: &[u8; 32]) -> u32 {
    mask(load(block).map(|half| {
        let [a, b, c, d] =
            [b' ', b'\n', b'\r', b'\t'].map(|byte| _mm_cmpeq_epi8(half, _mm_set1_epi8(byte as i8)));
        _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))
    }))
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn odd(block: &[u8; 32]) -> u32 {
    mask(load(block).map(|half| _mm_cmplt_epi8(half, _mm_set1_epi8(b' ' as i8))))
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn begin(block: &[u8; 32]) -> u32 {
    brace(block, b'{')
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn end(block: &[u8; 32]) -> u32 {
    brace(block, b'}')
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn braces(block: &[u8; 32]) -> u32 {
    // Braces are brackets with a bit set: it goes to where the sign is.
    mask(load(block).map(|half| _mm_slli_epi16::<2>(half)))
}

/// A brace, or the bracket that is one but for a bit.
#[inline]
#[target_feature(enable = "sse2")]
fn brace(block: &[u8; 32], brace: u8) -> u32 {
    let bit = _mm_set1_epi8(0x20);
    mask(load(block).map(|half| _mm_cmpeq_epi8(_mm_or_si128(half, bit), _mm_set1_epi8(brace as i8))))
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn equal(one: &[u8; 32], other: &[u8; 32]) -> u32 {
    let ([a, b], [c, d]) = (load(one), load(other));
    mask([_mm_cmpeq_epi8(a, c), _mm_cmpeq_epi8(b, d)])
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn parity(bits: u64) -> u64 {
    folded(bits)
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn place(bits: u64, before: usize) -> usize {
    nth_place(bits, before)
}
