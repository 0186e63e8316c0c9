//! What kind of bytes these are, for whole blocks of sixty-four: a bit for each.
//!
//! [`Blocks`] is that question, [`Bits`] an answer. `One` asks a [`Wide`] of one block after the other; a machine that
//! has AVX-512 is asked of eight at once.

use std::ops::{BitAnd, BitOr, Not};

use super::{Task, Wide};

/// How many bytes a block has, and a word bits.
pub const BLOCK: usize = u64::BITS as usize;

/// All places of a word before this one; all there are, where it is behind them.
#[inline(always)]
pub fn below(place: usize) -> u64 {
    if place < BLOCK { !(u64::MAX << place) } else { u64::MAX }
}

/// How many are judged at once, at most.
pub const MOST_BLOCKS: usize = 8;

/// The bits of one block, or of several: then those of the first are the lowest.
pub trait Bits: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> {
    /// A word for each block.
    type Words: Copy + Default + AsRef<[u64]> + AsMut<[u64]>;
    /// The places of those that are set, the first ones first.
    type Places: Iterator<Item = usize>;
    /// What goes over into the blocks that follow.
    type Carry: Copy;

    fn words(self) -> Self::Words;
    /// The blocks that have any: a bit for each.
    fn which(self) -> u64;

    #[inline(always)]
    fn is_none(self) -> bool {
        self.which() == 0
    }

    fn places(self) -> Self::Places;

    /// With these bits as those before the first ones: nothing, if there are none.
    fn carry(self) -> Self::Carry;
    /// Each bit one place on, and what came over into the lowest; and then what goes over.
    fn next(self, carry: &mut Self::Carry) -> Self;
    /// Each bit on to behind others that follow it without a gap, and what came over too; and then what goes over too.
    /// It is one sum, of numbers, and what it says of the others is not needed.
    fn through(self, others: Self, carry: &mut Self::Carry) -> Self;
    /// Whether there came anything over that `next` leaves to `through`.
    fn goes_through(carry: Self::Carry) -> bool;
    /// Each bit several places on, fewer than a block has, and into the lowest places what was before.
    fn moved(self, by: u32, before: Self) -> Self;
    /// The sum as numbers: `over` is what was carried out of the one before, and then what is out of this one. Only one
    /// of it and of the lowest bit may be set.
    fn plus(self, other: Self, over: &mut u64) -> Self;
}

impl Bits for u64 {
    type Words = [u64; 1];
    type Places = PlacesInWord;
    type Carry = u64;

    #[inline(always)]
    fn words(self) -> [u64; 1] {
        [self]
    }

    #[inline(always)]
    fn which(self) -> u64 {
        u64::from(self != 0)
    }

    #[inline(always)]
    fn places(self) -> PlacesInWord {
        PlacesInWord(self)
    }

    #[inline(always)]
    fn carry(self) -> u64 {
        self >> 63
    }

    #[inline(always)]
    fn next(self, carry: &mut u64) -> u64 {
        let next = self << 1 | *carry;
        *carry = self >> 63;
        next
    }

    #[inline(always)]
    fn through(self, others: u64, carry: &mut u64) -> u64 {
        let (sum, is_over) = self.overflowing_add(others);
        *carry |= u64::from(is_over);
        sum
    }

    #[inline(always)]
    fn goes_through(_: u64) -> bool {
        false
    }

    #[inline(always)]
    fn moved(self, by: u32, before: u64) -> u64 {
        self << by | before >> 1 >> (63 - by)
    }

    #[inline(always)]
    fn plus(self, other: u64, over: &mut u64) -> u64 {
        let (sum, is_over) = (self | *over).overflowing_add(other);
        *over = u64::from(is_over);
        sum
    }
}

/// The places of the bits of a word, the first ones first.
#[derive(Clone, Copy)]
pub struct PlacesInWord(pub(super) u64);

impl Iterator for PlacesInWord {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let place = (self.0 != 0).then(|| self.0.trailing_zeros() as usize);
        self.0 &= self.0.wrapping_sub(1);
        place
    }
}

/// The brackets of some blocks in their order, as far as they are no more than [`MOST`](Self::MOST).
#[derive(Clone, Copy)]
pub struct Sequence {
    pub many: usize,
    /// Those that begin a container, and those that are braces: a bit for each, the first the lowest.
    pub begin: u64,
    pub braces: u64,
    /// A byte for each block: how many come before it, 127 at most.
    pub(super) before: u64,
}

impl Sequence {
    pub const MOST: usize = u64::BITS as usize;
    /// `before` where there is one block: no bracket is in another.
    const ONE: u64 = 0x7F7F_7F7F_7F7F_7F00;

    /// The bits of one of them.
    #[inline(always)]
    pub fn nth(&self, nth: usize) -> [u64; 2] {
        [self.begin, self.braces].map(|bits| bits >> nth & 1)
    }

    /// How many of them come before this place, given all their places; right where they are no more than are known.
    #[inline(always)]
    pub fn index(&self, places: &impl AsRef<[u64]>, place: usize) -> usize {
        let nth = place / BLOCK;
        let Some(word) = places.as_ref().get(nth) else { return self.many };
        (self.before >> (8 * nth)) as usize % 0x80 + (word & below(place % BLOCK)).count_ones() as usize
    }

    /// The place of the one that so many come before.
    #[inline(always)]
    pub fn place(&self, wide: impl Wide, places: &impl AsRef<[u64]>, index: usize) -> usize {
        // In the last block that no more come before: a byte for each, with its highest bit for yes.
        const ONES: u64 = u64::MAX / 0xFF;
        let are_before = (ONES * (index as u64 | 0x80)).wrapping_sub(self.before) & (ONES << 7);
        let nth = (are_before.count_ones() as usize).saturating_sub(1);
        let Some(word) = places.as_ref().get(nth) else { return 0 };
        nth * BLOCK + wide.place(*word, index - (self.before >> (8 * nth)) as usize % 0x80)
    }
}

/// The kinds of bytes.
pub mod kind {
    pub const QUOTE: usize = 0;
    pub const BACKSLASH: usize = 1;
    /// White space (RFC 8259 §2).
    pub const WHITE: usize = 2;
    pub const COLON: usize = 3;
    pub const COMMA: usize = 4;
    /// Brackets and braces that begin a container, and those that end one.
    pub const BEGIN: usize = 5;
    pub const END: usize = 6;
    /// Controls, and bytes that are not ASCII.
    pub const ODD: usize = 7;
    /// Of brackets and braces, the braces; perhaps other bytes too.
    pub const BRACE: usize = 8;
    pub const DIGIT: usize = 9;
    pub const ZERO: usize = 10;
    pub const POINT: usize = 11;
    /// What was asked for besides.
    pub const HINT: usize = 12;
    /// How many kinds there are.
    #[cfg(target_arch = "x86_64")]
    pub const MANY: usize = 13;
}

/// Judges so many blocks at once.
pub trait Blocks: Copy {
    type Bits: Bits;
    type Wide: Wide;
    /// How to tell kinds apart.
    type Table;
    /// How many blocks.
    const MANY: usize;

    fn wide(self) -> Self::Wide;
    /// Bits, given the word for each block.
    fn bits(self, word: impl FnMut(usize) -> u64) -> Self::Bits;
    /// To tell kinds apart, and this byte.
    fn table(self, hint: u8) -> Self::Table;
    /// Which of `MANY` blocks of bytes are of each [kind].
    fn kinds<'b>(self, blocks: &'b [u8], table: &'b Self::Table) -> impl Fn(usize) -> Self::Bits + 'b;
    /// For each bit, whether the number of bits that are set up to it, itself included, is odd; `odd` is all ones if it
    /// was before, and then if it is in the end.
    fn parity(self, bits: Self::Bits, odd: &mut u64) -> Self::Bits;
    /// Goes over brackets in their order: `then` is told of each whether it begins a container, and whether it is a
    /// brace, as bits. From each on, up to the next, all bits are what `then` says; before the first, what they were
    /// `before`.
    fn walk(
        self,
        brackets: Self::Bits,
        begin: Self::Bits,
        braces: Self::Bits,
        before: u64,
        then: impl FnMut([u64; 2]) -> u64,
    ) -> (Self::Bits, Sequence);
}

/// Something to be done with the best `Blocks` there are; see [`Task`].
pub trait BlockTask {
    type Output;
    fn run<B: Blocks>(self, by: B) -> Self::Output;
}

/// One block at a time.
#[derive(Clone, Copy)]
pub struct One<W>(pub W);

/// A task done one block at a time.
pub struct ByOne<T>(pub T);

impl<T: BlockTask> Task for ByOne<T> {
    type Output = T::Output;

    #[inline(always)]
    fn run(self, wide: impl Wide) -> T::Output {
        self.0.run(One(wide))
    }
}

impl<W: Wide> Blocks for One<W> {
    type Bits = u64;
    type Wide = W;
    type Table = [u8; BLOCK / 2];
    const MANY: usize = 1;

    #[inline(always)]
    fn wide(self) -> W {
        self.0
    }

    #[inline(always)]
    fn bits(self, mut word: impl FnMut(usize) -> u64) -> u64 {
        word(0)
    }

    #[inline(always)]
    fn table(self, hint: u8) -> Self::Table {
        [hint; BLOCK / 2]
    }

    #[inline(always)]
    fn kinds<'b>(self, blocks: &'b [u8], hint: &'b Self::Table) -> impl Fn(usize) -> u64 + 'b {
        let wide = self.0;
        let block = blocks.first_chunk().unwrap_or(&[0; BLOCK]);
        let is = move |byte: u8| both(block, |half| wide.equal(half, &[byte; BLOCK / 2]));
        // Each where it is asked for: all together would need more registers than there are.
        move |kind| match kind {
            kind::QUOTE => is(b'"'),
            kind::BACKSLASH => is(b'\\'),
            kind::WHITE => both(block, |half| wide.white(half)),
            kind::COLON => is(b':'),
            kind::COMMA => is(b','),
            kind::BEGIN => both(block, |half| wide.begin(half)),
            kind::END => both(block, |half| wide.end(half)),
            kind::ODD => both(block, |half| wide.odd(half)),
            kind::BRACE => both(block, |half| wide.braces(half)),
            kind::DIGIT => both(block, |half| wide.digits(half)),
            kind::ZERO => is(b'0'),
            kind::POINT => is(b'.'),
            _ => both(block, |half| wide.equal(half, hint)),
        }
    }

    #[inline(always)]
    fn walk(
        self,
        brackets: u64,
        begin: u64,
        braces: u64,
        mut before: u64,
        mut then: impl FnMut([u64; 2]) -> u64,
    ) -> (u64, Sequence) {
        let mut sequence = Sequence { many: 0, begin: 0, braces: 0, before: Sequence::ONE };
        let (mut bits, mut left) = (before.wrapping_neg(), brackets);
        while left != 0 {
            let place = left.trailing_zeros();
            left &= left - 1;
            let [begins, brace] = [begin, braces].map(|bits| bits >> place & 1);
            sequence.begin |= begins << sequence.many;
            sequence.braces |= brace << sequence.many;
            let is = then([begins, brace]);
            bits ^= (std::mem::replace(&mut before, is) ^ is).wrapping_neg() << place;
            sequence.many += 1;
        }
        (bits, sequence)
    }

    #[inline(always)]
    fn parity(self, bits: u64, odd: &mut u64) -> u64 {
        let parity = self.0.parity(bits) ^ *odd;
        *odd = (parity.cast_signed() >> 63).cast_unsigned();
        parity
    }
}

/// What is asked of two halves, one behind the other.
#[inline(always)]
pub fn both(block: &[u8; BLOCK], ask: impl Fn(&[u8; BLOCK / 2]) -> u32) -> u64 {
    let ([one, two], _) = block.as_chunks() else { return 0 };
    u64::from(ask(one)) | u64::from(ask(two)) << 32
}
