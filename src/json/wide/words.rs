//! On any target, eight bytes at a time: the twin of what has intrinsics.

use super::{Task, Wide, folded, nth_place};

#[derive(Clone, Copy)]
pub struct Words;

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
    fn begin(self, block: &[u8; 32]) -> u32 {
        Self::mask(block, |word| Self::is(word | (Self::ONES * 0x20), b'{'))
    }

    #[inline(always)]
    fn end(self, block: &[u8; 32]) -> u32 {
        Self::mask(block, |word| Self::is(word | (Self::ONES * 0x20), b'}'))
    }

    #[inline(always)]
    fn braces(self, block: &[u8; 32]) -> u32 {
        Self::mask(block, |word| word << 2)
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

    #[inline(always)]
    fn place(self, bits: u64, before: usize) -> usize {
        nth_place(bits, before)
    }

    fn apart<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }
}
