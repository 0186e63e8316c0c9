//! What kind of bytes these are: thirty-two at a time, a bit for each.
//!
//! [`Wide`] is that question; `Avx2`, `Sse2` and `Words` answer it, each for the machines that it can run on,
//! and all are tested against the plain words of RFC 8259. [`widest`] does a task with the best that the
//! machine has.

/// Judges thirty-two bytes: bit `n` of an answer is for byte `n`.
pub(crate) trait Wide: Copy {
    /// What is not plain in a string: a quote, a backslash, a control, a byte that is not ASCII.
    fn stops(self, block: &[u8; 32]) -> u32;
    /// Controls, and bytes that are not ASCII.
    fn odd(self, block: &[u8; 32]) -> u32;
    /// Digits.
    fn digits(self, block: &[u8; 32]) -> u32;
    /// White space (RFC 8259 §2).
    fn white(self, block: &[u8; 32]) -> u32;
    /// Brackets and braces.
    fn brackets(self, block: &[u8; 32]) -> u32;
    /// Where two blocks are equal.
    fn equal(self, one: &[u8; 32], other: &[u8; 32]) -> u32;
    /// For each bit, whether the number of bits that are set up to it, itself included, is odd.
    fn parity(self, bits: u64) -> u64;
    /// Does a task in code of its own, out of the way of what calls this.
    fn apart<T: Task>(self, task: T) -> T::Output;
}

/// What is asked of two blocks, one behind the other.
#[inline(always)]
pub(crate) fn both(blocks: &[u8; 64], ask: impl Fn(&[u8; 32]) -> u32) -> u64 {
    let ([one, two], _) = blocks.as_chunks() else { return 0 };
    u64::from(ask(one)) | u64::from(ask(two)) << 32
}

/// The parity of each bit, by halves.
#[inline(always)]
fn folded(mut bits: u64) -> u64 {
    for by in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << by;
    }
    bits
}

/// Something to be done with the best `Wide` there is. `run` has to be inlined, and all that it calls in a
/// loop: only then is it compiled for the machine that it runs on.
pub(crate) trait Task {
    type Output;
    fn run(self, wide: impl Wide) -> Self::Output;
}

/// What every machine of this target has.
#[cfg(target_arch = "x86_64")]
pub(crate) const BASE: x86::Sse2 = x86::Sse2;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const BASE: Words = Words;

#[inline(always)]
pub(crate) fn widest<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        return x86::run(task, avx2);
    }
    task.run(BASE)
}

/// How many bytes at the start of `bytes` are plain in a string.
#[inline(always)]
pub(crate) fn plain(wide: impl Wide, bytes: &[u8]) -> usize {
    until(bytes, |block| wide.stops(block))
}

/// How many bytes at the start of `bytes` are white space.
#[inline(always)]
pub(crate) fn white_space(wide: impl Wide, bytes: &[u8]) -> usize {
    until(bytes, |block| !wide.white(block))
}

/// The bytes before the first that is marked.
#[inline(always)]
fn until(bytes: &[u8], marks: impl Fn(&[u8; 32]) -> u32) -> usize {
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk::<32>() {
        let marked = marks(block);
        if marked != 0 {
            return bytes.len() - rest.len() + marked.trailing_zeros() as usize;
        }
        rest = after;
    }
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    bytes.len() - rest.len() + rest.len().min(marks(&last).trailing_zeros() as usize)
}

/// On x86-64, which has SSE2 always and AVX2 most often.
///
/// To call a function with a target feature is unsafe where the feature may be missing. A value of `Avx2` is
/// only made where it was found; SSE2 is part of the target. Beyond that nothing here is unsafe: a block is
/// loaded as numbers, by value, which compiles to the one instruction that it is.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use crate::rewrite::wide::{Task, Wide};
    use std::arch::is_x86_feature_detected;

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
            let [open, close] =
                [b'{', b'}'].map(|byte| _mm256_cmpeq_epi8(block, _mm256_set1_epi8(byte as i8)));
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
}

/// On any target, eight bytes at a time.
#[cfg(any(not(target_arch = "x86_64"), test, feature = "_internal"))]
#[derive(Clone, Copy)]
pub(crate) struct Words;

#[cfg(any(not(target_arch = "x86_64"), test, feature = "_internal"))]
impl Words {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGHS: u64 = Self::ONES << 7;

    /// Gathers the highest bits of bytes.
    #[inline(always)]
    fn mask(block: &[u8; 32], highs: impl Fn(u64) -> u64) -> u32 {
        let (words, _) = block.as_chunks::<8>();
        words.iter().rev().fold(0, |mask, word| {
            let highs = (highs(u64::from_le_bytes(*word)) & Self::HIGHS) >> 7;
            // Brings bit 8 n to bit 56 + n.
            mask << 8 | (highs.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
        })
    }

    /// Marks bytes that are not zero: no carry goes from one byte to the next.
    #[inline(always)]
    fn some(word: u64) -> u64 {
        ((word & !Self::HIGHS) + !Self::HIGHS) | word
    }

    #[inline(always)]
    fn is(word: u64, byte: u8) -> u64 {
        !Self::some(word ^ (Self::ONES * u64::from(byte)))
    }

    /// Marks ASCII bytes from `limit` on, which is 1 to 0x80; may mark others.
    #[inline(always)]
    fn from(word: u64, limit: u8) -> u64 {
        (word & !Self::HIGHS) + Self::ONES * u64::from(0x80 - limit)
    }
}

#[cfg(any(not(target_arch = "x86_64"), test, feature = "_internal"))]
impl Wide for Words {
    #[inline(always)]
    fn stops(self, block: &[u8; 32]) -> u32 {
        Self::mask(block, |word| {
            word | !Self::from(word, b' ') | Self::is(word, b'"') | Self::is(word, b'\\')
        })
    }

    #[inline(always)]
    fn odd(self, block: &[u8; 32]) -> u32 {
        Self::mask(block, |word| word | !Self::from(word, b' '))
    }

    #[inline(always)]
    fn digits(self, block: &[u8; 32]) -> u32 {
        Self::mask(block, |word| Self::from(word, b'0') & !Self::from(word, b'9' + 1) & !word)
    }

    #[inline(always)]
    fn white(self, block: &[u8; 32]) -> u32 {
        Self::mask(block, |word| {
            Self::is(word, b' ') | Self::is(word, b'\n') | Self::is(word, b'\r') | Self::is(word, b'\t')
        })
    }

    #[inline(always)]
    fn brackets(self, block: &[u8; 32]) -> u32 {
        Self::mask(block, |word| {
            let brace = word | (Self::ONES * 0x20);
            Self::is(brace, b'{') | Self::is(brace, b'}')
        })
    }

    #[inline(always)]
    fn equal(self, one: &[u8; 32], other: &[u8; 32]) -> u32 {
        let differs = std::array::from_fn(|n| one[n] ^ other[n]);
        Self::mask(&differs, |word| !Self::some(word))
    }

    #[inline(always)]
    fn parity(self, bits: u64) -> u64 {
        folded(bits)
    }

    fn apart<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }
}

/// What RFC 8259 calls each byte, beside what each `Wide` makes of it.
#[cfg(any(test, feature = "_internal"))]
pub(crate) fn all_agree(block: &[u8; 32]) {
    agrees(Words, block);
    agrees(BASE, block);
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        agrees(avx2, block);
    }
}

#[cfg(any(test, feature = "_internal"))]
fn agrees(wide: impl Wide, block: &[u8; 32]) {
    let expect = |is: fn(u8) -> bool| (0..32).fold(0, |mask, n| mask | u32::from(is(block[n])) << n);
    let stops = |byte| !matches!(byte, b' '..=0x7F) || matches!(byte, b'"' | b'\\');
    assert_eq!(wide.stops(block), expect(stops), "{block:?}");
    assert_eq!(wide.odd(block), expect(|byte| !matches!(byte, b' '..=0x7F)), "{block:?}");
    assert_eq!(wide.brackets(block), expect(|byte| b"[]{}".contains(&byte)), "{block:?}");
    assert_eq!(wide.digits(block), expect(|byte| byte.is_ascii_digit()), "{block:?}");
    assert_eq!(wide.white(block), expect(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')), "{block:?}");
    let bits = u64::from(wide.digits(block)) << 31 | u64::from(wide.odd(block));
    let parity = (0..64).fold(0, |mask, n| mask | u64::from((bits << (63 - n)).count_ones() % 2) << n);
    assert_eq!(wide.parity(bits), parity, "{bits:b}");
    assert_eq!(wide.equal(block, block), u32::MAX);
    for at in 0..32 {
        let mut other = *block;
        other[at] ^= 1 << (at % 8);
        assert_eq!(wide.equal(block, &other), !(1 << at), "{block:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::{BASE, all_agree, plain, white_space};

    #[test]
    fn all_know_every_byte_at_every_place() {
        for fill in [b'a', b'0', b' ', b'"', 0x80, 0xFF, 0] {
            for at in 0..32 {
                for byte in 0..=255 {
                    let mut block = [fill; 32];
                    block[at] = byte;
                    all_agree(&block);
                }
            }
        }
    }

    #[test]
    fn runs_end_where_they_end() {
        for len in 0..100 {
            let mut text = vec![b'7'; len];
            assert_eq!(plain(BASE, &text), len);
            text.push(b'"');
            assert_eq!(plain(BASE, &text), len);
            text.fill(b'\t');
            assert_eq!(white_space(BASE, &text), len + 1);
            text.push(0x0b);
            assert_eq!(white_space(BASE, &text), len + 1);
        }
        let text = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop\u{e9}";
        assert_eq!(plain(BASE, text.as_bytes()), 42);
    }
}
