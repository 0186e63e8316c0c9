//! On x86-64, which has SSE2 always, AVX2 most often, and AVX-512 where it is new.
//!
//! To call a function with a target feature is unsafe where the feature may be missing. A value of `Avx2` or `Avx512`
//! is only made where it was found, and one of `Eight` by a value of `Avx512`; SSE2 is part of the target. Beyond that
//! nothing here is unsafe but to take a register for the words in it: a block is loaded as numbers, by value, which
//! compiles to the one instruction that it is.

#[forbid(unsafe_code)]
mod avx2;
#[forbid(unsafe_code)]
mod eight;
#[forbid(unsafe_code)]
mod sse2;

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::__m512i;
use std::ops::{BitAnd, BitOr, Not};

use super::{BLOCK, Bits, BlockTask, Blocks, ByOne, MOST_BLOCKS, Sequence, Task, Wide};

#[derive(Clone, Copy)]
pub struct Sse2;

/// There is AVX2 here, and what counts bits; and perhaps more.
#[derive(Clone, Copy)]
pub struct Avx2(Option<Avx512>);

/// There is AVX-512 here, as far as it is used, and AVX2.
#[derive(Clone, Copy)]
pub struct Avx512(());

impl Avx2 {
    #[inline(always)]
    pub fn detect() -> Option<Self> {
        // Every machine with AVX2 has the others too, but is not bound to.
        let is_there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("pclmulqdq");
        is_there.then(|| Self(Avx512::detect()))
    }

    /// Without what is more than that.
    #[cfg(any(test, feature = "_internal"))]
    pub fn alone(self) -> Self {
        Self(None)
    }
}

impl Avx512 {
    /// Where AVX2 was found.
    #[inline(always)]
    fn detect() -> Option<Self> {
        let is_there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("gfni")
            && is_x86_feature_detected!("vpclmulqdq");
        is_there.then_some(Self(()))
    }
}

/// Does a task in code that is compiled for AVX2.
#[inline(always)]
pub fn run<T: Task>(task: T, avx2: Avx2) -> T::Output {
    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
    fn compiled_for_it<T: Task>(task: T, avx2: Avx2) -> T::Output {
        task.run(avx2)
    }
    // SAFETY: `avx2` says that it is there.
    unsafe { compiled_for_it(task, avx2) }
}

/// Judges a block by functions of the same names.
macro_rules! judges_by {
    ($functions:ident: $($name:ident)*) => {
        $(
            #[inline(always)]
            fn $name(self, block: &[u8; 32]) -> u32 {
                // SAFETY: see this module's own words.
                unsafe { $functions::$name(block) }
            }
        )*
    };
}

/// Implements [`Wide`] by functions of a target feature, which the type's existence vouches for.
macro_rules! by_functions_of {
    ($wide:ty, $functions:ident, $run:expr, $by_blocks:expr) => {
        impl Wide for $wide {
            judges_by!($functions: stops odd digits white begin end braces);

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
            fn place(self, bits: u64, before: usize) -> usize {
                // SAFETY: see this module's own words.
                unsafe { $functions::place(bits, before) }
            }

            #[inline(always)]
            fn apart<T: Task>(self, task: T) -> T::Output {
                $run(task, self)
            }

            #[inline(always)]
            fn by_blocks<T: BlockTask>(self, task: T) -> T::Output {
                $by_blocks(task, self)
            }
        }
    };
}

by_functions_of!(Avx2, avx2, run, run_by_blocks);
by_functions_of!(Sse2, sse2, Task::run, |task, sse2| Task::run(ByOne(task), sse2));

/// Does a task in code that is compiled for the most that is there.
#[inline(always)]
fn run_by_blocks<T: BlockTask>(task: T, avx2: Avx2) -> T::Output {
    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi,avx512vbmi2,gfni,vpclmulqdq")]
    fn by_eight<T: BlockTask>(task: T, avx512: Avx512) -> T::Output {
        task.run(avx512)
    }
    match avx2.0 {
        // SAFETY: `avx512` says that it is there, and is made only where the others are.
        Some(avx512) => unsafe { by_eight(task, avx512) },
        None => run(ByOne(task), avx2),
    }
}

/// The bits of eight blocks. Only [`Avx512`] makes such.
#[derive(Clone, Copy)]
pub struct Eight(__m512i);

/// What goes over from eight blocks into the next.
#[derive(Clone, Copy)]
pub struct Carry {
    /// The bits themselves, of which the highest does.
    last: Eight,
    /// What goes through others.
    over: u64,
}

impl BitAnd for Eight {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        // SAFETY: see this module's own words.
        Self(unsafe { eight::and(self.0, other.0) })
    }
}

impl BitOr for Eight {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        // SAFETY: see this module's own words.
        Self(unsafe { eight::or(self.0, other.0) })
    }
}

impl Not for Eight {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        // SAFETY: see this module's own words.
        Self(unsafe { eight::not(self.0) })
    }
}

impl Bits for Eight {
    type Words = [u64; MOST_BLOCKS];
    type Places = eight::Places;
    type Carry = Carry;

    #[inline(always)]
    fn words(self) -> [u64; MOST_BLOCKS] {
        // SAFETY: it is as long, and any bits are words.
        unsafe { std::mem::transmute(self.0) }
    }

    #[inline(always)]
    fn which(self) -> u64 {
        // SAFETY: see this module's own words.
        unsafe { eight::which(self.0) }
    }

    #[inline(always)]
    fn places(self) -> eight::Places {
        eight::Places::new(self.words(), self.which())
    }

    #[inline(always)]
    fn carry(self) -> Carry {
        Carry { last: self, over: 0 }
    }

    #[inline(always)]
    fn next(self, carry: &mut Carry) -> Self {
        let last = std::mem::replace(&mut carry.last, self);
        // SAFETY: see this module's own words.
        Self(unsafe { eight::next(self.0, last.0) })
    }

    #[inline(always)]
    fn through(self, others: Self, carry: &mut Carry) -> Self {
        self.plus(others, &mut carry.over)
    }

    #[inline(always)]
    fn goes_through(carry: Carry) -> bool {
        carry.over != 0
    }

    #[inline(always)]
    fn moved(self, by: u32, before: Self) -> Self {
        // SAFETY: see this module's own words.
        Self(unsafe { eight::moved(self.0, by, before.0) })
    }

    #[inline(always)]
    fn plus(self, other: Self, over: &mut u64) -> Self {
        // SAFETY: see this module's own words.
        Self(unsafe { eight::plus(self.0, other.0, over) })
    }
}

impl Blocks for Avx512 {
    type Bits = Eight;
    type Wide = Avx2;
    type Table = eight::Table;
    const MANY: usize = MOST_BLOCKS;

    #[inline(always)]
    fn wide(self) -> Avx2 {
        Avx2(Some(self))
    }

    #[inline(always)]
    fn bits(self, word: impl FnMut(usize) -> u64) -> Eight {
        // SAFETY: see this module's own words.
        Eight(unsafe { eight::load(std::array::from_fn(word)) })
    }

    #[inline(always)]
    fn table(self, hint: u8) -> eight::Table {
        eight::table(hint)
    }

    #[inline(always)]
    fn kinds<'b>(self, blocks: &'b [u8], table: &'b eight::Table) -> impl Fn(usize) -> Eight + 'b {
        let blocks = blocks.first_chunk().unwrap_or(&[0; MOST_BLOCKS * BLOCK]);
        // SAFETY: see this module's own words.
        let kinds = unsafe { eight::kinds(blocks, table) };
        move |kind| Eight(kinds[kind])
    }

    #[inline(always)]
    fn parity(self, bits: Eight, odd: &mut u64) -> Eight {
        // SAFETY: see this module's own words.
        Eight(unsafe { eight::parity(bits.0, odd) })
    }

    #[inline(always)]
    fn walk(
        self,
        brackets: Eight,
        begin: Eight,
        braces: Eight,
        before: u64,
        then: impl FnMut([u64; 2]) -> u64,
    ) -> (Eight, Sequence) {
        let [brackets, begin, braces] = [brackets, begin, braces].map(Eight::words);
        // SAFETY: see this module's own words.
        let (bits, sequence) = unsafe { eight::walk(brackets, begin, braces, before, then) };
        (Eight(bits), sequence)
    }
}

#[inline(always)]
fn numbers(block: &[u8; 32]) -> [i64; 4] {
    let (words, _) = block.as_chunks::<8>();
    std::array::from_fn(|n| i64::from_le_bytes(words[n]))
}
