//! [`Wide`](crate::json::wide::Wide) by AVX2.

use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8, _mm256_cmpeq_epi8,
    _mm256_cmpgt_epi8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_epi64x, _mm256_set1_epi8,
    _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_sub_epi8, _pdep_u64,
};

use crate::json::wide::x86::numbers;

#[inline]
#[target_feature(enable = "avx2")]
fn load(block: &[u8; 32]) -> __m256i {
    let [a, b, c, d] = numbers(block);
    _mm256_set_epi64x(d, c, b, a)
}

#[inline]
#[target_feature(enable = "avx2")]
fn mask(block: __m256i) -> u32 {
    _mm256_movemask_epi8(block) as u32
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn stops(block: &[u8; 32]) -> u32 {
    // By the lower half of a byte: the quote or the backslash that has it, or a byte that has another.
    let [q, b, x] = [b'"', b'\\', 1].map(|byte| byte as i8);
    let which = _mm256_setr_epi8(
        x, 0, q, 0, 0, 0, 0, 0, 0, 0, 0, 0, b, 0, 0, 0, //
        x, 0, q, 0, 0, 0, 0, 0, 0, 0, 0, 0, b, 0, 0, 0,
    );
    let block = load(block);
    let ends = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(which, block), block);
    // As signed bytes, controls are below a space, and so is all that is not ASCII.
    let below = _mm256_cmpgt_epi8(_mm256_set1_epi8(b' ' as i8), block);
    mask(_mm256_or_si256(ends, below))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn digits(block: &[u8; 32]) -> u32 {
    // Moved to where they are the lowest of signed bytes.
    let moved = _mm256_sub_epi8(load(block), _mm256_set1_epi8((b'0' as i8).wrapping_sub(i8::MIN)));
    !mask(_mm256_cmpgt_epi8(moved, _mm256_set1_epi8(i8::MIN + 9)))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn odd(block: &[u8; 32]) -> u32 {
    mask(_mm256_cmpgt_epi8(_mm256_set1_epi8(b' ' as i8), load(block)))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn white(block: &[u8; 32]) -> u32 {
    // By the lower half of a byte: the white space that has it, or a byte that has another.
    let [s, t, n, r, x] = [b' ', b'\t', b'\n', b'\r', 1].map(|byte| byte as i8);
    let which = _mm256_setr_epi8(
        s, 0, x, x, x, x, x, x, x, t, n, x, x, r, x, x, //
        s, 0, x, x, x, x, x, x, x, t, n, x, x, r, x, x,
    );
    let block = load(block);
    mask(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(which, block), block))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn begin(block: &[u8; 32]) -> u32 {
    brace(block, b'{')
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn end(block: &[u8; 32]) -> u32 {
    brace(block, b'}')
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn braces(block: &[u8; 32]) -> u32 {
    // Braces are brackets with a bit set: it goes to where the sign is.
    mask(_mm256_slli_epi16::<2>(load(block)))
}

/// A brace, or the bracket that is one but for a bit.
#[inline]
#[target_feature(enable = "avx2")]
fn brace(block: &[u8; 32], brace: u8) -> u32 {
    let block = _mm256_or_si256(load(block), _mm256_set1_epi8(0x20));
    mask(_mm256_cmpeq_epi8(block, _mm256_set1_epi8(brace as i8)))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn equal(one: &[u8; 32], other: &[u8; 32]) -> u32 {
    mask(_mm256_cmpeq_epi8(load(one), load(other)))
}

/// The product, without carries, with a number that is all ones.
#[inline]
#[target_feature(enable = "pclmulqdq")]
pub(super) fn parity(bits: u64) -> u64 {
    let product = _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(bits as i64), _mm_set1_epi8(-1));
    _mm_cvtsi128_si64(product) as u64
}

#[inline]
#[target_feature(enable = "bmi1,bmi2")]
pub(super) fn place(bits: u64, before: usize) -> usize {
    _pdep_u64(1 << (before % 64), bits).trailing_zeros() as usize
}
