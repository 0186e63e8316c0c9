//! What kind of bytes these are: thirty-two at a time, a bit for each.
//!
//! [`Wide`] is that question; `Avx2`, `Sse2` and `Words` answer it, each for the machines that it can run on,
//! and all are tested against the plain words of RFC 8259. [`widest`] does a task with the best that the
//! machine has.

#[cfg(any(not(target_arch = "x86_64"), test, feature = "_internal"))]
mod words;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86;

#[cfg(any(not(target_arch = "x86_64"), test, feature = "_internal"))]
pub(crate) use self::words::Words;

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
