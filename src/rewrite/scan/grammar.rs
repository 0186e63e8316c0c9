//! The grammar of a block of a page, for all of its bytes at once.
//!
//! Which tokens begin where is a bit a byte; what may follow a token is such bits too, moved on by one, and over white
//! space. So a block is judged by some hundred operations whatever stands in it, and in whatever order.
//!
//! What is as it should be is said to be so. The rest (an error; an exponent; an escape in a name) is left for `step` to
//! judge.

use super::nest::Around;
use super::token::{character, ends_number, escape};
use crate::rewrite::wide::{Wide, both};

/// How many bytes are judged at once.
pub(super) const BLOCK: usize = 64;

/// What a block has to know of the one before it. Most are a bit that goes into the lowest place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Grammar {
    /// All ones within a string.
    inside: u64,
    /// The first byte is escaped.
    escaped: u64,
    /// Up to here characters were looked at as a whole, in bytes from the block's beginning.
    characters: usize,
    /// Within a name.
    name: u64,
    /// A name is to follow, a colon, a value, or what stands behind one; or a container began.
    names: u64,
    colons: u64,
    values: u64,
    ends: u64,
    begins: u64,
    /// Within a number or a literal.
    primitive: u64,
    number: Number,
    /// Where names began in the block before.
    named: u64,
}

/// What a block has to know of a number or a literal that goes on in it.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    /// Behind a leading zero; behind a digit.
    zero: u64,
    digit: u64,
    /// So much of a literal is left.
    literal: u64,
    /// Behind a decimal point; within a fraction.
    point: u64,
    fraction: u64,
    /// Either of these two: all else that goes on shows by more than digits.
    goes_on: u64,
}

/// What stands in a block.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// What is not as it should be, or cannot be told: from the lowest of these on nothing is certain.
    pub(super) faults: u64,
    pub(super) commas: u64,
    pub(super) brackets: u64,
    /// Those that end a container.
    pub(super) ended: u64,
    /// In names: what stands where it may make them wanted ones.
    pub(super) hints: u64,
}

/// Where in a block which tokens are.
struct Tokens {
    inside: u64,
    white: u64,
    /// The quotes that begin a string, and those that end one.
    opening: u64,
    closing: u64,
    colons: u64,
    commas: u64,
    /// What stands in an object.
    in_object: u64,
    /// The brackets that begin a container; those of them that begin an object; those that end one.
    begun: u64,
    objects: u64,
    ended: u64,
    /// The first bytes of numbers and literals, and the bytes behind the last.
    first: u64,
    passed: u64,
}

/// What follows tokens, of which the last bytes are given, and tokens that ended before these places; and some white
/// space, which is no token.
#[inline(always)]
fn following<const COMPACT: bool>(carry: &mut u64, last: u64, before: u64, white: u64) -> u64 {
    let behind = last << 1 | *carry | before;
    if COMPACT {
        *carry = last >> 63;
        return behind;
    }
    // The sum carries over white space.
    let (sum, over) = behind.overflowing_add(white);
    *carry = last >> 63 | u64::from(over);
    sum
}

impl Grammar {
    /// Behind a value.
    pub(super) fn after() -> Self {
        Self { ends: 1, ..Self::default() }
    }

    /// Judges the block that stands in a chunk from `at` on.
    #[inline(always)]
    pub(super) fn judge(
        &mut self,
        wide: impl Wide,
        block: &[u8; BLOCK],
        chunk: &[u8],
        at: usize,
        around: &mut Around,
        (distance, hint): &(u32, [u8; BLOCK / 2]),
    ) -> Seen {
        let is = |byte: u8| both(block, |half| wide.equal(half, &[byte; BLOCK / 2]));
        let mut faults = 0;
        let escapes = is(b'\\');
        let mut quotes = is(b'"');
        if escapes | self.escaped != 0 {
            let (escaped, invalid) = self.escaped(escapes, &chunk[at..]);
            quotes &= !escaped;
            faults |= invalid;
        }
        let inside = wide.parity(quotes) ^ self.inside;
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        let odd = both(block, |half| wide.odd(half)) & inside;
        if odd != 0 {
            faults |= self.not_text(odd, &chunk[at..]);
        }

        let outside = !(inside | quotes);
        let white = both(block, |half| wide.white(half)) & outside;
        let colons = is(b':') & outside;
        let commas = is(b',') & outside;
        let brackets = both(block, |half| wide.brackets(half)) & outside;
        let primitive = outside & !(white | colons | commas | brackets);

        let mut in_object = if around.in_object() { u64::MAX } else { 0 };
        let (mut begun, mut objects) = (0, 0);
        let mut left = brackets;
        while left != 0 {
            let nth = left.trailing_zeros();
            let (bracket, bit) = (block[nth as usize % BLOCK], 1 << nth);
            left &= left - 1;
            if !around.pass(bracket) {
                faults |= bit;
                break;
            }
            begun |= u64::from(bracket >> 1 & 1) << nth;
            objects |= u64::from(bracket == b'{') << nth;
            let behind = u64::MAX << nth;
            in_object = if around.in_object() { in_object | behind } else { in_object & !behind };
        }
        let tokens = Tokens {
            inside,
            white,
            opening: quotes & inside,
            closing: quotes & !inside,
            colons,
            commas,
            in_object,
            begun,
            objects,
            ended: brackets & !begun,
            first: primitive & !(primitive << 1 | self.primitive),
            passed: (primitive << 1 | self.primitive) & !primitive,
        };
        self.primitive = primitive >> 63;
        let (named, wrong) = if white == 0 {
            self.order::<true>(&tokens, escapes)
        } else {
            self.order::<false>(&tokens, escapes)
        };
        faults |= wrong;

        let first = tokens.first;
        let digits = both(block, |half| wide.digits(half)) & primitive;
        let zeros = is(b'0') & first;
        faults |= (zeros << 1 | self.number.zero) & digits;
        self.number.zero = zeros >> 63;
        let others = primitive & !digits;
        if others | self.number.goes_on != 0 {
            faults |= self.number.others(is(b'.') & others, first, digits, others, &chunk[at..]);
        }
        self.number.digit = digits >> 63;

        let hints = both(block, |half| wide.equal(half, hint));
        let hints = hints & (named << distance | self.named >> 1 >> (63 - distance));
        self.named = named;
        Seen { faults, commas, brackets, ended: tokens.ended, hints }
    }

    /// Where names begin, and which tokens do not stand where they may.
    #[inline(always)]
    fn order<const COMPACT: bool>(&mut self, tokens: &Tokens, escapes: u64) -> (u64, u64) {
        let Tokens {
            inside, white, opening, closing, colons, commas, in_object, begun, objects, ended, ..
        } = *tokens;
        let names = following::<COMPACT>(&mut self.names, objects | commas & in_object, 0, white);
        let named = opening & names;
        // The sum carries over the name.
        let (sum, over) = inside.overflowing_add(named | self.name);
        let name_ends = sum & closing;
        let mut faults = escapes & name_ends.wrapping_sub(named | self.name);
        self.name = u64::from(over);

        let to_colon = following::<COMPACT>(&mut self.colons, name_ends, 0, white);
        let to_value = colons | begun & !objects | commas & !in_object;
        let to_value = following::<COMPACT>(&mut self.values, to_value, 0, white);
        let ends = following::<COMPACT>(&mut self.ends, closing & !name_ends | ended, tokens.passed, white);
        faults |= opening & !(names | to_value);
        faults |= (tokens.first | begun) & !to_value;
        faults |= colons & !to_colon;
        faults |= commas & !ends;
        // What is empty ends where it began.
        let begins = following::<COMPACT>(&mut self.begins, begun, 0, white);
        faults |= ended & !(ends | begins);
        (named, faults)
    }

    /// The bytes that are escaped, and the backslashes that begin no valid escape (RFC 8259 §7).
    #[inline(never)]
    fn escaped(&mut self, escapes: u64, bytes: &[u8]) -> (u64, u64) {
        let (mut escaped, mut invalid) = (self.escaped, 0);
        let mut left = escapes & !self.escaped;
        self.escaped = 0;
        while left != 0 {
            let (nth, bit) = (left.trailing_zeros() as usize, left & left.wrapping_neg());
            left &= !(bit | bit << 1);
            escaped |= bit << 1;
            self.escaped = bit >> 63;
            if escape(&bytes[nth..]).is_none() {
                invalid |= bit;
            }
        }
        (escaped, invalid)
    }

    /// What of these bytes, which are odd, may not stand in a string: controls, and what is not UTF-8 (§7, §8.1).
    #[inline(never)]
    fn not_text(&mut self, odd: u64, bytes: &[u8]) -> u64 {
        let mut left = odd;
        while left != 0 {
            let nth = left.trailing_zeros() as usize;
            left &= left - 1;
            if nth < self.characters {
                continue;
            }
            match character(&bytes[nth..]) {
                Some(len) => self.characters = nth + len,
                None => return 1 << nth,
            }
        }
        self.characters = self.characters.saturating_sub(BLOCK);
        0
    }
}

impl Number {
    /// What of these parts of numbers and literals, which are no digits, stands where it may not (§3, §6).
    #[inline(always)]
    fn others(&mut self, points: u64, first: u64, digits: u64, others: u64, bytes: &[u8]) -> u64 {
        let mut faults = points & !(digits << 1 | self.digit) | (points << 1 | self.point) & !digits;
        // The sum carries over the fraction.
        let (sum, over) = (points << 1 | self.point | self.fraction).overflowing_add(digits);
        faults |= sum & !digits & points;
        (self.point, self.fraction) = (points >> 63, u64::from(over));

        let (mut literals, mut more) = (self.literal, 0);
        let mut left = first & others;
        while left != 0 {
            let nth = left.trailing_zeros() as usize;
            left &= left - 1;
            let len = match bytes[nth..] {
                [b'-', b'0', b'0'..=b'9', ..] => 0,
                [b'-', b'0'..=b'9', ..] => 1,
                [b'n', b'u', b'l', b'l', end, ..] if ends_number(end) => 4,
                [b't', b'r', b'u', b'e', end, ..] if ends_number(end) => 4,
                [b'f', b'a', b'l', b's', b'e', end, ..] if ends_number(end) => 5,
                _ => 0,
            };
            let literal = u128::from(!(u64::MAX << len)) << nth;
            literals |= literal as u64;
            more |= (literal >> 64) as u64;
        }
        self.literal = more;
        self.goes_on = self.point | self.fraction;
        faults | others & !(points | literals)
    }
}
