//! [`Blocks`](crate::json::wide::Blocks), eight at a time, by AVX-512.
//!
//! Which kinds a byte is of is looked up in two tables, a bit for each kind. Such bits are then gathered: first those of
//! eight bytes that follow one another, by a product of matrices of eight times eight bits, then those of a block, then
//! those of all blocks.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512, _mm512_clmulepi64_epi128,
    _mm512_cmpeq_epi64_mask, _mm512_cmplt_epu64_mask, _mm512_gf2p8affine_epi64_epi8, _mm512_mask_sub_epi64,
    _mm512_maskz_permutex2var_epi8, _mm512_movepi64_mask, _mm512_movm_epi64, _mm512_or_si512,
    _mm512_permutexvar_epi8, _mm512_set_epi64, _mm512_set1_epi8, _mm512_set1_epi64, _mm512_shldi_epi64,
    _mm512_shldv_epi64, _mm512_shuffle_epi8, _mm512_shuffle_i64x2, _mm512_test_epi64_mask,
    _mm512_testn_epi8_mask, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512, _pdep_u64,
    _pext_u64,
};

use crate::json::wide::blocks::{PlacesInWord, kind};
use crate::json::wide::{BLOCK, MOST_BLOCKS, Sequence};

/// By ASCII byte, a bit for each of the first eight kinds, and for each of the others.
pub struct Table([[u8; 128]; 2]);

const KINDS: [[u8; 128]; 2] = {
    let mut kinds = [[0; 128]; 2];
    let mut byte = 0;
    while byte < 128 {
        let [first, second] = match byte as u8 {
            b'"' => [1 << kind::QUOTE, 0],
            b'\\' => [1 << kind::BACKSLASH, 0],
            b' ' => [1 << kind::WHITE, 0],
            b'\t' | b'\n' | b'\r' => [1 << kind::WHITE | 1 << kind::ODD, 0],
            b':' => [1 << kind::COLON, 0],
            b',' => [1 << kind::COMMA, 0],
            b'[' => [1 << kind::BEGIN, 0],
            b'{' => [1 << kind::BEGIN, 1 << kind::BRACE],
            b']' => [1 << kind::END, 0],
            b'}' => [1 << kind::END, 1 << kind::BRACE],
            0..b' ' => [1 << kind::ODD, 0],
            b'0' => [0, 1 << kind::DIGIT | 1 << kind::ZERO],
            b'1'..=b'9' => [0, 1 << kind::DIGIT],
            b'.' => [0, 1 << kind::POINT],
            _ => [0, 0],
        };
        (kinds[0][byte], kinds[1][byte]) = (first as u8, (second >> 8) as u8);
        byte += 1;
    }
    kinds
};

pub(super) fn table(hint: u8) -> Table {
    let mut kinds = KINDS;
    if let Some(kinds) = kinds[1].get_mut(usize::from(hint)) {
        *kinds |= 1 << (kind::HINT - 8);
    }
    Table(kinds)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(words: [u64; 8]) -> __m512i {
    let [a, b, c, d, e, f, g, h] = words.map(u64::cast_signed);
    _mm512_set_epi64(h, g, f, e, d, c, b, a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[u8; BLOCK]) -> __m512i {
    let (words, _) = bytes.as_chunks::<8>();
    load(std::array::from_fn(|nth| u64::from_le_bytes(words[nth])))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
pub(super) fn kinds(blocks: &[u8; MOST_BLOCKS * BLOCK], table: &Table) -> [__m512i; kind::MANY] {
    // Of eight bytes the last one first: so the product wants them.
    const REVERSED: [u8; BLOCK] = {
        let mut places = [0; BLOCK];
        let mut n = 0;
        while n < BLOCK {
            places[n] = (n ^ 7) as u8 & 15;
            n += 1;
        }
        places
    };
    // The first bytes of all words, then the second ones.
    const GATHERED: [u8; BLOCK] = {
        let mut places = [0; BLOCK];
        let mut n = 0;
        while n < BLOCK {
            places[n] = (n % 8 * 8 + n / 8) as u8;
            n += 1;
        }
        places
    };
    let (reversed, gathered) = (load_bytes(&REVERSED), load_bytes(&GATHERED));
    // Asks for the lowest bits of eight bytes, then for the next ones: each is a byte of the product.
    let bits = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
    // The bit of what is odd.
    let high = _mm512_set1_epi8(i8::MIN);
    let halves = |table: &[u8; 128]| {
        let (halves, _) = table.as_chunks::<BLOCK>();
        [load_bytes(&halves[0]), load_bytes(&halves[1])]
    };
    let tables = [halves(&table.0[0]), halves(&table.0[1])];
    let (blocks, _) = blocks.as_chunks::<BLOCK>();
    let gather =
        |kinds: __m512i| _mm512_permutexvar_epi8(gathered, _mm512_gf2p8affine_epi64_epi8::<0>(bits, kinds));
    let (mut first, mut others) = ([high; MOST_BLOCKS], [high; MOST_BLOCKS]);
    for (nth, block) in blocks.iter().enumerate() {
        let block = _mm512_shuffle_epi8(load_bytes(block), reversed);
        // What is not ASCII is odd, and nothing else.
        let ascii = _mm512_testn_epi8_mask(block, high);
        let [one, two] = tables.map(|[low, high]| _mm512_maskz_permutex2var_epi8(ascii, low, block, high));
        first[nth] = gather(_mm512_or_si512(one, _mm512_and_si512(block, high)));
        others[nth] = gather(two);
    }
    let (first, others) = (turned(first), turned(others));
    std::array::from_fn(|kind| if kind < 8 { first[kind] } else { others[kind - 8] })
}

/// Rows of words for columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn turned(rows: [__m512i; 8]) -> [__m512i; 8] {
    let pairs = |nth: usize| {
        let (one, two) = (rows[2 * nth], rows[2 * nth + 1]);
        [_mm512_unpacklo_epi64(one, two), _mm512_unpackhi_epi64(one, two)]
    };
    let [a, b, c, d] = std::array::from_fn(pairs);
    let columns = |n: usize| {
        let [one, two] = [
            _mm512_shuffle_i64x2::<0b01_00_01_00>(a[n], b[n]),
            _mm512_shuffle_i64x2::<0b01_00_01_00>(c[n], d[n]),
        ];
        let [three, four] = [
            _mm512_shuffle_i64x2::<0b11_10_11_10>(a[n], b[n]),
            _mm512_shuffle_i64x2::<0b11_10_11_10>(c[n], d[n]),
        ];
        [
            _mm512_shuffle_i64x2::<0b10_00_10_00>(one, two),
            _mm512_shuffle_i64x2::<0b11_01_11_01>(one, two),
            _mm512_shuffle_i64x2::<0b10_00_10_00>(three, four),
            _mm512_shuffle_i64x2::<0b11_01_11_01>(three, four),
        ]
    };
    let ([a, c, e, g], [b, d, f, h]) = (columns(0), columns(1));
    [a, b, c, d, e, f, g, h]
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn and(one: __m512i, other: __m512i) -> __m512i {
    _mm512_and_si512(one, other)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn or(one: __m512i, other: __m512i) -> __m512i {
    _mm512_or_si512(one, other)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn not(bits: __m512i) -> __m512i {
    _mm512_xor_si512(bits, _mm512_set1_epi64(-1))
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn which(bits: __m512i) -> u64 {
    _mm512_test_epi64_mask(bits, bits).into()
}

/// Each word one place on, and into the first the last one before.
#[inline]
#[target_feature(enable = "avx512f")]
fn words_before(bits: __m512i, last: __m512i) -> __m512i {
    _mm512_alignr_epi64::<7>(bits, last)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vbmi2")]
pub(super) fn next(bits: __m512i, last: __m512i) -> __m512i {
    _mm512_shldi_epi64::<1>(bits, words_before(bits, last))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vbmi2")]
pub(super) fn moved(bits: __m512i, by: u32, last: __m512i) -> __m512i {
    _mm512_shldv_epi64(bits, words_before(bits, last), _mm512_set1_epi64(by.into()))
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn plus(one: __m512i, other: __m512i, over: &mut u64) -> __m512i {
    let sum = _mm512_add_epi64(one, other);
    let ones = _mm512_set1_epi64(-1);
    // A word is one more if the one before went over, or if it would have with one more. Sums of such bits again.
    let is_over = u64::from(_mm512_cmplt_epu64_mask(sum, one));
    let is_full = u64::from(_mm512_cmpeq_epi64_mask(sum, ones));
    let more = ((is_over << 1 | *over) + is_full) ^ is_full;
    *over = more >> 8;
    _mm512_mask_sub_epi64(sum, more as u8, sum, ones)
}

/// The bits of all brackets are brought together, so that how many there are in a block decides nothing.
#[inline]
#[target_feature(enable = "bmi2,popcnt,avx512f,avx512dq,vpclmulqdq")]
pub(super) fn walk(
    brackets: [u64; 8],
    begin: [u64; 8],
    braces: [u64; 8],
    mut before: u64,
    mut then: impl FnMut([u64; 2]) -> u64,
) -> (__m512i, Sequence) {
    let mut odd = before.wrapping_neg();
    let mut sequence = together(brackets, begin, braces, |bits, behind| bits.wrapping_shl(behind));
    if sequence.many > Sequence::MOST {
        let put = |bits: u64, behind| bits.checked_shl(behind).unwrap_or(0);
        sequence = together(brackets, begin, braces, put);
    }
    let mut changes = 0;
    for nth in 0..sequence.many.min(Sequence::MOST) {
        let is = then(sequence.nth(nth));
        changes |= (std::mem::replace(&mut before, is) ^ is) << nth;
    }
    let changes = brackets.map(|brackets| {
        let spread = _pdep_u64(changes, brackets);
        changes = changes.wrapping_shr(brackets.count_ones());
        spread
    });
    (parity(load(changes), &mut odd), sequence)
}

#[inline]
#[target_feature(enable = "bmi2,popcnt")]
fn together(
    brackets: [u64; 8],
    begin: [u64; 8],
    braces: [u64; 8],
    put: impl Fn(u64, u32) -> u64,
) -> Sequence {
    let (mut sequence, mut many) = (Sequence { many: 0, begin: 0, braces: 0, before: 0 }, 0);
    for (nth, brackets) in brackets.into_iter().enumerate() {
        sequence.begin |= put(_pext_u64(begin[nth], brackets), many);
        sequence.braces |= put(_pext_u64(braces[nth], brackets), many);
        sequence.before |= u64::from(many.min(0x7F)) << (8 * nth);
        many += brackets.count_ones();
    }
    Sequence { many: many as usize, ..sequence }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,vpclmulqdq")]
pub(super) fn parity(bits: __m512i, odd: &mut u64) -> __m512i {
    let ones = _mm512_set1_epi64(-1);
    let (low, high) =
        (_mm512_clmulepi64_epi128::<0x00>(bits, ones), _mm512_clmulepi64_epi128::<0x01>(bits, ones));
    let parity = _mm512_unpacklo_epi64(low, high);
    // The same again for words: which of them end within, and then begin.
    let mut within = u64::from(_mm512_movepi64_mask(parity));
    for by in [1, 2, 4] {
        within ^= within << by;
    }
    let begin = (within << 1) ^ *odd;
    *odd = ((begin >> 8) & 1).wrapping_neg();
    _mm512_xor_si512(parity, _mm512_movm_epi64(begin as u8))
}

/// The places of the bits of eight words.
#[derive(Clone, Copy)]
pub struct Places {
    words: [u64; MOST_BLOCKS],
    /// The words behind this one that have any: a bit for each.
    others: u64,
    word: PlacesInWord,
    /// Where this one begins.
    from: usize,
}

impl Places {
    #[inline(always)]
    pub(super) fn new(words: [u64; MOST_BLOCKS], which: u64) -> Self {
        Self { words, others: which, word: PlacesInWord(0), from: 0 }
    }
}

impl Iterator for Places {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.word.0 == 0 {
            let nth = self.others.trailing_zeros() as usize;
            (self.word, self.from) = (PlacesInWord(*self.words.get(nth)?), nth * BLOCK);
            self.others &= self.others - 1;
        }
        Some(self.from + self.word.next()?)
    }
}
