//! On x86-64, which has SSE2 always and AVX2 most often.
//!
//! To call a function with a target feature is unsafe where the feature may be missing. A value of `Avx2` is
//! only made where it was found; SSE2 is part of the target. Beyond that nothing here is unsafe: a block is
//! loaded as numbers, by value, which compiles to the one instruction that it is.

use std::arch::is_x86_feature_detected;

use super::{Task, Wide};

#[derive(Clone, Copy)]
pub(crate) struct Sse2;

/// There is AVX2 here, and what counts bits.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    #[inline(always)]
    pub(crate) fn detect() -> Option<Self> {
        // Every machine with AVX2 has the others too, but is not bound to.
        let is_there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("pclmulqdq");
        is_there.then_some(Self(()))
    }
}

/// Does a task in code that is compiled for AVX2.
#[inline(always)]
pub(crate) fn run<T: Task>(task: T, avx2: Avx2) -> T::Output {
    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
    fn compiled_for_it<T: Task>(task: T, avx2: Avx2) -> T::Output {
        task.run(avx2)
    }
    // SAFETY: `avx2` says that it is there.
    unsafe { compiled_for_it(task, avx2) }
}

/// Implements [`Wide`] by functions of a target feature, which the type's existence vouches for.
macro_rules! by_functions_of {
    ($wide:ty, $functions:ident, $run:expr) => {
        impl Wide for $wide {
            #[inline(always)]
            fn stops(self, block: &[u8; 32]) -> u32 {
                // SAFETY: see this module's own words.
                unsafe { $functions::stops(block) }
            }

            #[inline(always)]
            fn odd(self, block: &[u8; 32]) -> u32 {
                // SAFETY: see this module's own words.
                unsafe { $functions::odd(block) }
            }

            #[inline(always)]
            fn digits(self, block: &[u8; 32]) -> u32 {
                // SAFETY: see this module's own words.
                unsafe { $functions::digits(block) }
            }

            #[inline(always)]
            fn white(self, block: &[u8; 32]) -> u32 {
                // SAFETY: see this module's own words.
                unsafe { $functions::white(block) }
            }

            #[inline(always)]
            fn brackets(self, block: &[u8; 32]) -> u32 {
                // SAFETY: see this module's own words.
                unsafe { $functions::brackets(block) }
            }

            #[inline(always)]
            fn equal(self, one: &[u8; 32], other: &[u8; 32]) -> u32 {
                // SAFETY: see this module's own words.
                unsafe { $functions::equal(one, other) }
            }

            #[inline(always)]
            fn parity(self, bits: u64) -> u64 {
                // SAFETY: see this module's own words.
                unsafe { $functions::parity(bits) }
            }

            #[inline(always)]
            fn apart<T: Task>(self, task: T) -> T::Output {
                $run(task, self)
            }
        }
    };
}

by_functions_of!(Avx2, avx2, run);
by_functions_of!(Sse2, sse2, Task::run);

mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8,
        _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set_epi64x, _mm256_set1_epi8, _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_sub_epi8,
    };

    use crate::rewrite::wide::x86::numbers;

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
        let block = load(block);
        let quote = _mm256_cmpeq_epi8(block, _mm256_set1_epi8(b'"' as i8));
        let escape = _mm256_cmpeq_epi8(block, _mm256_set1_epi8(b'\\' as i8));
        // As signed bytes, controls are below a space, and so is all that is not ASCII.
        let below = _mm256_cmpgt_epi8(_mm256_set1_epi8(b' ' as i8), block);
        mask(_mm256_or_si256(_mm256_or_si256(quote, escape), below))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn digits(block: &[u8; 32]) -> u32 {
        let value = _mm256_sub_epi8(load(block), _mm256_set1_epi8(b'0' as i8));
        mask(_mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value))
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
    pub(super) fn brackets(block: &[u8; 32]) -> u32 {
        // Braces are brackets with a bit set.
        let block = _mm256_or_si256(load(block), _mm256_set1_epi8(0x20));
        let [open, close] = [b'{', b'}'].map(|byte| _mm256_cmpeq_epi8(block, _mm256_set1_epi8(byte as i8)));
        mask(_mm256_or_si256(open, close))
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
}

mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8, _mm_sub_epi8,
    };

    use crate::rewrite::wide::folded;
    use crate::rewrite::wide::x86::numbers;

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
    pub(super) fn brackets(block: &[u8; 32]) -> u32 {
        mask(load(block).map(|half| {
            let half = _mm_or_si128(half, _mm_set1_epi8(0x20));
            let [open, close] = [b'{', b'}'].map(|byte| _mm_cmpeq_epi8(half, _mm_set1_epi8(byte as i8)));
            _mm_or_si128(open, close)
        }))
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
}

#[inline(always)]
fn numbers(block: &[u8; 32]) -> [i64; 4] {
    let (words, _) = block.as_chunks::<8>();
    std::array::from_fn(|n| i64::from_le_bytes(words[n]))
}
