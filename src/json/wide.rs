//! What kind of bytes these are, many at a time, a bit for each.
//!
//! [`Wide`] is that question for thirty-two bytes; `Avx2`, `Sse2` and `Words` answer it, each for the machines that it
//! can run on. [`Blocks`] asks for whole blocks: one by any of these, eight by AVX-512. All are tested against the plain
//! words of RFC 8259. [`widest`] does a task with the best that the machine has, and `Wide::by_blocks` with what judges
//! most blocks at once.

mod blocks;
#[cfg(any(test, feature = "_internal"))]
mod oracle;
#[cfg(any(not(target_arch = "x86_64"), test, feature = "_internal"))]
mod words;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86;

pub use self::blocks::{BLOCK, Bits, BlockTask, Blocks, ByOne, MOST_BLOCKS, Sequence, below, both, kind};
#[cfg(any(test, feature = "_internal"))]
pub use self::oracle::{Agrees, AgreesByBlocks};
#[cfg(any(not(target_arch = "x86_64"), test, feature = "_internal"))]
pub use self::words::Words;

/// Judges thirty-two bytes: bit `n` of an answer is for byte `n`.
pub trait Wide: Copy + 'static {
    /// What is not plain in a string: a quote, a backslash, a control, a byte that is not ASCII.
    fn stops(self, block: &[u8; 32]) -> u32;
    /// Controls, and bytes that are not ASCII.
    fn odd(self, block: &[u8; 32]) -> u32;
    /// Digits.
    fn digits(self, block: &[u8; 32]) -> u32;
    /// White space (RFC 8259 §2).
    fn white(self, block: &[u8; 32]) -> u32;
    /// Brackets and braces that begin a container.
    fn begin(self, block: &[u8; 32]) -> u32;
    /// Those that end one.
    fn end(self, block: &[u8; 32]) -> u32;
    /// Of brackets and braces, the braces; may mark other bytes too.
    fn braces(self, block: &[u8; 32]) -> u32;
    /// Where two blocks are equal.
    fn equal(self, one: &[u8; 32], other: &[u8; 32]) -> u32;
    /// For each bit, whether the number of bits that are set up to it, itself included, is odd.
    fn parity(self, bits: u64) -> u64;
    /// The place of the bit that so many others come before, fewer than there may be.
    fn place(self, bits: u64, before: usize) -> usize;
    /// Does a task in code of its own, out of the way of what calls this.
    fn apart<T: Task>(self, task: T) -> T::Output;
    /// The same, with what judges most blocks at once.
    fn by_blocks<T: BlockTask>(self, task: T) -> T::Output {
        self.apart(ByOne(task))
    }
}

/// The parity of each bit, by halves.
#[inline(always)]
fn folded(mut bits: u64) -> u64 {
    for by in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << by;
    }
    bits
}

/// Takes one bit after the other.
#[inline(always)]
fn nth_place(mut bits: u64, before: usize) -> usize {
    for _ in 0..before {
        bits &= bits.wrapping_sub(1);
    }
    bits.trailing_zeros() as usize
}

/// Something to be done with the best `Wide` there is. `run` has to be inlined, and all that it calls in a
/// loop: only then is it compiled for the machine that it runs on.
pub trait Task {
    type Output;
    fn run(self, wide: impl Wide) -> Self::Output;
}

/// What every machine of this target has.
#[cfg(target_arch = "x86_64")]
pub const BASE: x86::Sse2 = x86::Sse2;
#[cfg(not(target_arch = "x86_64"))]
pub const BASE: Words = Words;

#[inline(always)]
pub fn widest<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        return x86::run(task, avx2);
    }
    task.run(BASE)
}

/// How many bytes at the start of `bytes` are plain in a string.
#[inline(always)]
pub fn plain(wide: impl Wide, bytes: &[u8]) -> usize {
    until(bytes, |block| wide.stops(block))
}

/// How many bytes at the start of `bytes` are white space.
#[inline(always)]
pub fn white_space(wide: impl Wide, bytes: &[u8]) -> usize {
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

/// Does a task with each `Wide` that this machine has, and what comes of it by its name.
#[cfg(any(test, feature = "_internal"))]
pub fn each<T: Task>(task: impl Fn() -> T) -> Vec<(&'static str, T::Output)> {
    let mut done = vec![("words", task().run(Words)), ("what every machine has", task().run(BASE))];
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        done.push(("AVX2", x86::run(task(), avx2.alone())));
        done.push(("all that is there", x86::run(task(), avx2)));
    }
    done
}

#[cfg(test)]
mod tests;
