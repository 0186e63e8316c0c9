//! How far a run of bytes of one kind goes: sixteen bytes at a time where the target has SSE2 (every x86-64
//! has), eight elsewhere. Both twins are always compiled and tested against each other where both can be.

/// How many bytes at the start of `bytes` are plain in a string: ASCII, no control, no quote, no backslash.
#[inline(always)]
pub(crate) fn plain(bytes: &[u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: see `sse2`.
    #[allow(unsafe_code)]
    return unsafe { sse2::plain(bytes) };
    #[cfg(not(target_arch = "x86_64"))]
    return words::plain(bytes);
}

/// How many bytes at the start of `bytes` are digits.
#[inline(always)]
pub(crate) fn digits(bytes: &[u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: see `sse2`.
    #[allow(unsafe_code)]
    return unsafe { sse2::digits(bytes) };
    #[cfg(not(target_arch = "x86_64"))]
    return words::digits(bytes);
}

/// How many bytes at the start of `bytes` are white space (RFC 8259 §2).
#[inline(always)]
pub(crate) fn white_space(bytes: &[u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: see `sse2`.
    #[allow(unsafe_code)]
    return unsafe { sse2::white_space(bytes) };
    #[cfg(not(target_arch = "x86_64"))]
    return words::white_space(bytes);
}

/// Whether `bytes` begin with the first `len` bytes of `text`; `len` is 1 to 64.
#[inline(always)]
pub(crate) fn begins_with(bytes: &[u8], text: &[u8; 64], len: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: see `sse2`.
    #[allow(unsafe_code)]
    return unsafe { sse2::begins_with(bytes, text, len) };
    #[cfg(not(target_arch = "x86_64"))]
    return words::begins_with(bytes, text, len);
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=0x7F) && byte != b'"' && byte != b'\\'
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Sixteen bytes at a time.
///
/// To call a function with a target feature is unsafe where the feature may be missing. SSE2 is part of
/// x86-64: there is no such target without it. Beyond that nothing here is unsafe: each block is loaded as a
/// number, by index, which compiles to the one instruction that it is.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8, _mm_sub_epi8,
    };

    use crate::rewrite::wide::{is_plain, is_white};

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(block: &[u8; 16]) -> __m128i {
        let number = u128::from_le_bytes(*block);
        _mm_set_epi64x((number >> 64) as i64, number as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn all(byte: u8) -> __m128i {
        _mm_set1_epi8(byte as i8)
    }

    /// The bytes before the first that is marked; `ends` judges those after the last block.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn until(bytes: &[u8], marks: impl Fn(__m128i) -> u32, ends: impl Fn(u8) -> bool) -> usize {
        let mut rest = bytes;
        while let Some((block, after)) = rest.split_first_chunk::<16>() {
            let marked = marks(load(block));
            if marked != 0 {
                return bytes.len() - rest.len() + marked.trailing_zeros() as usize;
            }
            rest = after;
        }
        bytes.len() - rest.len() + rest.iter().position(|byte| ends(*byte)).unwrap_or(rest.len())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn begins_with(bytes: &[u8], text: &[u8; 64], len: usize) -> bool {
        /// A bit for each of 32 bytes that are equal.
        #[inline]
        #[target_feature(enable = "sse2")]
        fn equal(bytes: &[u8; 32], text: &[u8; 32]) -> u64 {
            let ([low, high], _) = bytes.as_chunks::<16>() else { return 0 };
            let ([text_low, text_high], _) = text.as_chunks::<16>() else { return 0 };
            let low = _mm_movemask_epi8(_mm_cmpeq_epi8(load(low), load(text_low))) as u32;
            let high = _mm_movemask_epi8(_mm_cmpeq_epi8(load(high), load(text_high))) as u32;
            u64::from(low | high << 16)
        }
        let ([text_low, text_high], _) = text.as_chunks::<32>() else { return false };
        if len <= 32
            && let Some(bytes) = bytes.first_chunk::<32>()
        {
            // The bits of `len` bytes, the lowest first.
            return !equal(bytes, text_low) << (64 - len) == 0;
        }
        match bytes.first_chunk::<64>().map(|bytes| bytes.as_chunks::<32>().0) {
            Some([low, high]) => {
                let equal = equal(low, text_low) | equal(high, text_high) << 32;
                !equal << (64 - len) == 0
            }
            _ => bytes.starts_with(&text[..len]),
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn plain(bytes: &[u8]) -> usize {
        let marks = |block| {
            let quote = _mm_cmpeq_epi8(block, all(b'"'));
            let escape = _mm_cmpeq_epi8(block, all(b'\\'));
            // As signed bytes, controls are below a space, and so is all that is not ASCII.
            let below = _mm_cmplt_epi8(block, all(b' '));
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, escape), below)) as u32
        };
        until(bytes, marks, |byte| !is_plain(byte))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn digits(bytes: &[u8]) -> usize {
        let marks = |block| {
            let value = _mm_sub_epi8(block, all(b'0'));
            let digit = _mm_cmpeq_epi8(_mm_min_epu8(value, all(9)), value);
            _mm_movemask_epi8(digit) as u32 ^ 0xFFFF
        };
        until(bytes, marks, |byte| !byte.is_ascii_digit())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn white_space(bytes: &[u8]) -> usize {
        let marks = |block| {
            let is = |byte| _mm_cmpeq_epi8(block, all(byte));
            let white = _mm_or_si128(_mm_or_si128(is(b' '), is(b'\n')), _mm_or_si128(is(b'\r'), is(b'\t')));
            _mm_movemask_epi8(white) as u32 ^ 0xFFFF
        };
        until(bytes, marks, |byte| !is_white(byte))
    }
}

/// Eight bytes at a time, on any target.
#[cfg(any(not(target_arch = "x86_64"), test))]
mod words {
    use crate::rewrite::wide::{is_plain, is_white};

    const ONES: u64 = u64::MAX / 0xFF;
    const HIGHS: u64 = ONES << 7;

    #[inline(always)]
    pub(super) fn begins_with(bytes: &[u8], text: &[u8; 64], len: usize) -> bool {
        bytes.starts_with(&text[..len])
    }

    #[inline(always)]
    pub(super) fn plain(bytes: &[u8]) -> usize {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut at = 0;
        for word in words {
            let word = u64::from_le_bytes(*word);
            // In each test the lowest byte that is marked is one that should be; those above may not be.
            let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
            let marks = word
                | below(word, u64::from(b' '))
                | below(word ^ (ONES * u64::from(b'"')), 1)
                | below(word ^ (ONES * u64::from(b'\\')), 1);
            if marks & HIGHS != 0 {
                return at + ((marks & HIGHS).trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
        at + rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len())
    }

    #[inline(always)]
    pub(super) fn digits(bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len())
    }

    #[inline(always)]
    pub(super) fn white_space(bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| !is_white(*byte)).unwrap_or(bytes.len())
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::words;

    #[test]
    fn twins_agree_on_every_byte_at_every_place() {
        for fill in [b'a', b'0', b' ', b'\n'] {
            for len in 0..40 {
                let mut bytes = vec![fill; len];
                for at in 0..len {
                    for byte in 0..=255 {
                        bytes[at] = byte;
                        assert_eq!(super::plain(&bytes), words::plain(&bytes), "{bytes:?}");
                        assert_eq!(super::digits(&bytes), words::digits(&bytes), "{bytes:?}");
                        assert_eq!(super::white_space(&bytes), words::white_space(&bytes), "{bytes:?}");
                    }
                    bytes[at] = fill;
                }
            }
        }
    }

    #[test]
    fn twins_agree_on_beginnings() {
        let text: [u8; 64] = std::array::from_fn(|n| n as u8);
        for len in 1..=64 {
            for have in 0..=70 {
                let mut bytes: Vec<u8> = (0..have).collect();
                assert_eq!(super::begins_with(&bytes, &text, len), usize::from(have) >= len);
                for at in 0..bytes.len() {
                    bytes[at] ^= 0x80;
                    let expected = words::begins_with(&bytes, &text, len);
                    assert_eq!(super::begins_with(&bytes, &text, len), expected, "{len} {have} {at}");
                    bytes[at] ^= 0x80;
                }
            }
        }
    }

    #[test]
    fn runs_end_where_they_end() {
        assert_eq!(super::plain(b"abcdefghijklmnopqrstuvwxyz~\x7f!\""), 29);
        assert_eq!(super::plain("abcdefghijklmnopqrstuvwxyz\u{e9}".as_bytes()), 26);
        assert_eq!(super::digits(b"01234567890123456789."), 20);
        assert_eq!(super::white_space(b" \n\r\t          \t\t\t\t\t\t\t\t\t\x0b"), 23);
    }
}
