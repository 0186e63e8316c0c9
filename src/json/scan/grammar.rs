//! The grammar of some blocks of a page, for all of their bytes at once.
//!
//! Which tokens begin where is a bit a byte; what may follow a token is such bits too, moved on by one, and over white
//! space. So blocks are judged by some hundred operations whatever stands in them, and in whatever order.
//!
//! What is as it should be is said to be so. The rest (an error; an escape in a name; what reaches over a chunk's end) is
//! left for `step` to judge.

use super::nest::Around;
use super::token::{character, ends_number, escape, literal};
use crate::json::wide::{BLOCK, Bits, Blocks, Sequence, kind};

/// What blocks have to know of those before them.
pub(super) struct Grammar<B: Bits> {
    /// All ones within a string.
    inside: u64,
    /// The first byte is escaped.
    is_escaped: bool,
    /// Up to here characters were looked at as a whole, in bytes from where the blocks begin.
    characters: usize,
    /// Within a name.
    name: u64,
    /// A name is to follow, a colon, a value, or what stands behind one; or a container began.
    names: B::Carry,
    colons: B::Carry,
    values: B::Carry,
    ends: B::Carry,
    begins: B::Carry,
    /// Within a number or a literal.
    primitive: B::Carry,
    number: Number<B>,
    /// Where names began.
    named: B,
}

/// What blocks have to know of a number or a literal that goes on in them.
struct Number<B: Bits> {
    /// Behind a leading zero; behind a digit.
    zero: B::Carry,
    digit: B::Carry,
    /// So much of a literal is left.
    literal: u64,
    /// Behind a decimal point; within a fraction.
    point: B::Carry,
    fraction: u64,
    /// There may be either of these two: all else that goes on shows by more than digits.
    goes_on: bool,
}

/// What stands in some blocks.
pub(super) struct Seen<B> {
    /// What is not as it should be, or cannot be told: from the lowest of these on nothing is certain.
    pub(super) faults: B,
    pub(super) commas: B,
    pub(super) brackets: B,
    /// These in their order.
    pub(super) sequence: Sequence,
    /// In names: what stands where it may make them wanted ones.
    pub(super) hints: B,
}

impl<B> Seen<B> {
    /// Whether a container ends in them.
    #[inline(always)]
    pub(super) fn ends(&self) -> bool {
        (self.sequence.begin.count_ones() as usize) < self.sequence.many
    }
}

/// Where which tokens are.
struct Tokens<B> {
    inside: B,
    white: B,
    /// The quotes that begin a string, and those that end one.
    opening: B,
    closing: B,
    colons: B,
    commas: B,
    /// What stands in an object.
    in_object: B,
    /// The brackets that begin a container; those of them that begin an object; those that end one.
    begun: B,
    objects: B,
    ended: B,
    /// The first bytes of numbers and literals, and the bytes behind the last.
    first: B,
    passed: B,
}

/// What follows tokens, of which the last bytes are given, and white space behind them, which is no token.
#[inline(always)]
fn behind<const COMPACT: bool, B: Bits>(tokens: B, white: B, carry: &mut B::Carry) -> B {
    let next = tokens.next(carry);
    if COMPACT { next } else { next.through(white, carry) }
}

impl<B: Bits> Grammar<B> {
    /// Behind a value.
    #[inline(always)]
    pub(super) fn after<A: Blocks<Bits = B>>(by: A) -> Self {
        let none = by.bits(|_| 0);
        let nothing = none.carry();
        let last = by.bits(|nth| u64::from(nth + 1 == A::MANY) << 63);
        Self {
            inside: 0,
            is_escaped: false,
            characters: 0,
            name: 0,
            names: nothing,
            colons: nothing,
            values: nothing,
            ends: last.carry(),
            begins: nothing,
            primitive: nothing,
            number: Number {
                zero: nothing,
                digit: nothing,
                literal: 0,
                point: nothing,
                fraction: 0,
                goes_on: false,
            },
            named: none,
        }
    }

    /// Judges blocks of these kinds of bytes, with which `bytes` begin. A wanted name has a hint so far from its quote.
    #[inline(always)]
    pub(super) fn judge(
        &mut self,
        by: impl Blocks<Bits = B>,
        kinds: impl Fn(usize) -> B,
        bytes: &[u8],
        around: &mut Around,
        distance: u32,
    ) -> Seen<B> {
        let mut faults = by.bits(|_| 0);
        let (mut quotes, escapes) = (kinds(kind::QUOTE), kinds(kind::BACKSLASH));
        if self.is_escaped || !escapes.is_none() {
            let (escaped, invalid) = self.escaped(escapes.places(), bytes);
            quotes = quotes & !by.bits(|nth| escaped.as_ref()[nth]);
            faults = by.bits(|nth| invalid.as_ref()[nth]);
        }
        let inside = by.parity(quotes, &mut self.inside);
        let odd = kinds(kind::ODD) & inside;
        if !odd.is_none() {
            let not_text = self.not_text(odd.places(), bytes);
            faults = faults | by.bits(|nth| not_text.as_ref()[nth]);
        }

        let outside = !(inside | quotes);
        let white = kinds(kind::WHITE) & outside;
        let (colons, commas) = (kinds(kind::COLON) & outside, kinds(kind::COMMA) & outside);
        let (begun, ended) = (kinds(kind::BEGIN) & outside, kinds(kind::END) & outside);
        let brackets = begun | ended;
        let primitive = outside & !(white | colons | commas | brackets);
        let (in_object, sequence, unpaired) = containers(by, brackets, begun, kinds(kind::BRACE), around);
        if let Some(place) = unpaired {
            faults = faults | by.bits(|nth| u64::from(nth == place / BLOCK) << (place % BLOCK));
        }
        let behind = primitive.next(&mut self.primitive);
        let first = primitive & !behind;
        let tokens = Tokens {
            inside,
            white,
            opening: quotes & inside,
            closing: quotes & !inside,
            colons,
            commas,
            in_object,
            begun,
            objects: kinds(kind::BRACE) & begun,
            ended,
            first,
            passed: behind & !primitive,
        };
        let carries = [self.names, self.colons, self.values, self.ends, self.begins];
        let is_compact = white.is_none() && !carries.into_iter().any(B::goes_through);
        let (named, misplaced) = if is_compact {
            self.order::<true>(&tokens, escapes)
        } else {
            self.order::<false>(&tokens, escapes)
        };

        faults = faults | misplaced | self.number.judge(by, &kinds, primitive, first, bytes);

        let hints = kinds(kind::HINT) & named.moved(distance, self.named);
        self.named = named;
        Seen { faults, commas, brackets, sequence, hints }
    }

    /// Where names begin, and which tokens do not stand where they may.
    #[inline(always)]
    fn order<const COMPACT: bool>(&mut self, tokens: &Tokens<B>, escapes: B) -> (B, B) {
        let Tokens {
            inside,
            white,
            opening,
            closing,
            colons,
            commas,
            in_object,
            begun,
            objects,
            ended,
            first,
            passed,
        } = *tokens;
        let names = behind::<COMPACT, B>(objects | commas & in_object, white, &mut self.names);
        let named = opening & names;
        // The sum carries over the name.
        let over_names = named.plus(inside, &mut self.name);
        let name_ends = over_names & closing;
        let mut faults = escapes & inside & !over_names;

        let to_colon = behind::<COMPACT, B>(name_ends, white, &mut self.colons);
        let to_value =
            behind::<COMPACT, B>(colons | begun & !objects | commas & !in_object, white, &mut self.values);
        let mut ends = (closing & !name_ends | ended).next(&mut self.ends) | passed;
        if !COMPACT {
            ends = ends.through(white, &mut self.ends);
        }
        faults = faults | opening & !(names | to_value);
        faults = faults | (first | begun) & !to_value;
        faults = faults | colons & !to_colon;
        faults = faults | commas & !ends;
        // What is empty ends where it began.
        let begins = behind::<COMPACT, B>(begun, white, &mut self.begins);
        faults = faults | ended & !(ends | begins);
        (named, faults)
    }

    /// The bytes that are escaped, and the backslashes that begin no valid escape (RFC 8259 §7).
    #[inline(never)]
    fn escaped(&mut self, escapes: B::Places, bytes: &[u8]) -> (B::Words, B::Words) {
        let (mut escaped, mut invalid) = (B::Words::default(), B::Words::default());
        let mut last = self.is_escaped.then_some(0);
        escaped.as_mut()[0] = u64::from(self.is_escaped);
        self.is_escaped = false;
        for place in escapes {
            if last == Some(place) {
                continue;
            }
            last = Some(place + 1);
            self.is_escaped = !set(&mut escaped, place + 1, 1);
            if escape(&bytes[place..]).is_none() {
                set(&mut invalid, place, 1);
            }
        }
        (escaped, invalid)
    }

    /// What of these bytes, which are odd, may not stand in a string: controls, and what is not UTF-8 (§7, §8.1).
    #[inline(never)]
    fn not_text(&mut self, odd: B::Places, bytes: &[u8]) -> B::Words {
        let mut faults = B::Words::default();
        for place in odd {
            if place < self.characters {
                continue;
            }
            let Some(len) = character(&bytes[place..]) else {
                set(&mut faults, place, 1);
                break;
            };
            self.characters = place + len;
        }
        self.characters = self.characters.saturating_sub(faults.as_ref().len() * BLOCK);
        faults
    }
}

/// Sets bits from a place on, as far as there are such places. Says whether there is the first.
#[inline(always)]
fn set(words: &mut impl AsMut<[u64]>, place: usize, bits: u64) -> bool {
    let words = words.as_mut().get_mut(place / BLOCK..).unwrap_or_default();
    let bits = u128::from(bits) << (place % BLOCK);
    for (word, bits) in words.iter_mut().zip([bits as u64, (bits >> 64) as u64]) {
        *word |= bits;
    }
    !words.is_empty()
}

impl<B: Bits> Number<B> {
    /// What of numbers and literals, of which these are the bytes and the first bytes, stands where it may not (§3, §6).
    #[inline(always)]
    fn judge(
        &mut self,
        by: impl Blocks<Bits = B>,
        kinds: &impl Fn(usize) -> B,
        primitive: B,
        first: B,
        bytes: &[u8],
    ) -> B {
        let digits = kinds(kind::DIGIT) & primitive;
        let behind_digits = digits.next(&mut self.digit);
        let behind_zeros = (kinds(kind::ZERO) & first).next(&mut self.zero);
        let faults = behind_zeros & digits;
        let others = primitive & !digits;
        if others.is_none() && !self.goes_on {
            return faults;
        }
        let points = kinds(kind::POINT) & others;
        let behind_points = points.next(&mut self.point);
        let faults = faults | points & !behind_digits | behind_points & !digits;
        // The sum carries over the fraction.
        let over_fractions = behind_points.plus(digits, &mut self.fraction);
        self.goes_on = !points.is_none() || self.fraction != 0;
        // Behind a digit nothing else may stand.
        let exponents = others & behind_digits & !points;
        let literals = self.literals((first & others).places(), exponents.places(), bytes);
        let literals = by.bits(|nth| literals.as_ref()[nth]);
        faults | over_fractions & !digits & points | others & !(points | literals)
    }

    /// What is as it should be of the literals, and the signs of numbers, that begin at the first of these places, of
    /// the exponents that begin at the others, and of what goes on.
    fn literals(&mut self, first: B::Places, exponents: B::Places, bytes: &[u8]) -> B::Words {
        let mut literals = B::Words::default();
        let size = literals.as_ref().len() * BLOCK;
        literals.as_mut()[0] = std::mem::take(&mut self.literal);
        let first = first.map(|place| (place, literal_or_sign(&bytes[place..])));
        let exponents = exponents.map(|place| (place, exponent(&bytes[place..])));
        for (place, len) in first.chain(exponents) {
            set(&mut literals, place, !(u64::MAX << len));
            self.literal |= !(u64::MAX << (place + len).saturating_sub(size));
        }
        literals
    }
}

/// The length of what begins an exponent, where that is as it should be up to the number's end; else 0.
fn exponent(bytes: &[u8]) -> usize {
    let len = match bytes {
        [b'e' | b'E', b'+' | b'-', ..] => 2,
        [b'e' | b'E', ..] => 1,
        _ => return 0,
    };
    let digits = bytes[len..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_right = digits > 0 && bytes.get(len + digits).is_some_and(|byte| ends_number(*byte));
    if is_right { len } else { 0 }
}

/// The length of a literal, or of the sign of a number, where it and what follows is as it should be; else 0.
fn literal_or_sign(bytes: &[u8]) -> usize {
    match (literal(bytes), bytes) {
        (Some(len), _) if bytes.get(len).is_some_and(|byte| ends_number(*byte)) => len,
        (_, [b'-', b'1'..=b'9', ..]) => 1,
        (_, [b'-', b'0', behind, ..]) if !behind.is_ascii_digit() => 1,
        _ => 0,
    }
}

/// What stands in an object; and which bracket may not stand where it does, or is one too many to be looked at.
#[inline(always)]
fn containers<B: Bits>(
    by: impl Blocks<Bits = B>,
    brackets: B,
    begun: B,
    braces: B,
    around: &mut Around,
) -> (B, Sequence, Option<usize>) {
    let (before, mut are_pairs) = (*around, true);
    let (in_object, sequence) = by.walk(brackets, begun, braces, around.in_object(), |bracket| {
        are_pairs &= around.pass(bracket);
        around.in_object()
    });
    if are_pairs && sequence.many <= Sequence::MOST {
        return (in_object, sequence, None);
    }
    let mut around = before;
    let unpaired = (0..Sequence::MOST.min(sequence.many)).find(|nth| !around.pass(sequence.nth(*nth)));
    let place = sequence.place(by.wide(), &brackets.words(), unpaired.unwrap_or(Sequence::MOST));
    (in_object, sequence, Some(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::wide::{self, BlockTask, MOST_BLOCKS, Task, Wide};

    /// Makes sure that a text is all right. It begins behind a value in an array, and fills all blocks.
    struct IsRight<'a>(&'a [u8]);

    impl Task for IsRight<'_> {
        type Output = ();

        fn run(self, wide: impl Wide) {
            wide.by_blocks(self);
        }
    }

    impl BlockTask for IsRight<'_> {
        type Output = ();

        fn run<B: Blocks>(self, by: B) {
            let (mut grammar, mut around, table) = (Grammar::after(by), Around::of(0, 1), by.table(b'"'));
            for from in (0..self.0.len()).step_by(B::MANY * BLOCK) {
                let bytes = &self.0[from..];
                let seen = grammar.judge(by, by.kinds(bytes, &table), bytes, &mut around, 0);
                let fault = seen.faults.places().next();
                assert_eq!(fault, None, "behind {from}: {}", String::from_utf8_lossy(self.0));
            }
        }
    }

    /// What is left for `step` though it is right makes the scanner slow, not wrong: no other test would tell.
    #[test]
    fn what_is_right_is_said_to_be() {
        let compact =
            r#",{"a":null,"é田🔑":[true,false,-0,10,-12.75,0.25,"\\\"\u00e9\n"],"b":{},"c":[[]],"d":"é🔑"}"#;
        let spaced =
            compact.replace(',', " , ").replace(':', "\t:\n").replace("[]", "[ ]").replace("{}", "{ }");
        // These go through all of eight blocks.
        let (x, white, zeros) = ("x".repeat(1100), " \n".repeat(550), "0".repeat(1100));
        let long = format!(r#",{{"{x}":"{x}",{white}"b"{white}:{white}1.{zeros}{white},"c":1{zeros}}}"#);
        for row in [compact, &spaced] {
            for pad in 0..row.len() {
                let mut text = format!(",\"{}\"{}{long}{row}", "x".repeat(pad), row.repeat(6));
                let len = text.len().next_multiple_of(MOST_BLOCKS * BLOCK);
                text.push_str(&" ".repeat(len - text.len()));
                wide::each(|| IsRight(text.as_bytes()));
            }
        }
    }
}
