//! What RFC 8259 calls each byte, beside what each `Wide` and each `Blocks` makes of it.

use super::{BLOCK, Bits, BlockTask, Blocks, Sequence, Task, Wide, below, kind};

fn is(kind: usize, byte: u8, hint: u8) -> bool {
    match kind {
        kind::QUOTE => byte == b'"',
        kind::BACKSLASH => byte == b'\\',
        kind::WHITE => matches!(byte, b' ' | b'\n' | b'\r' | b'\t'),
        kind::COLON => byte == b':',
        kind::COMMA => byte == b',',
        kind::BEGIN => matches!(byte, b'[' | b'{'),
        kind::END => matches!(byte, b']' | b'}'),
        kind::ODD => !matches!(byte, b' '..=0x7F),
        kind::BRACE => matches!(byte, b'{' | b'}'),
        kind::DIGIT => byte.is_ascii_digit(),
        kind::ZERO => byte == b'0',
        kind::POINT => byte == b'.',
        _ => byte == hint,
    }
}

/// Makes sure that a block is judged as it should be.
pub struct Agrees<'a>(pub &'a [u8; 32]);

impl Task for Agrees<'_> {
    type Output = ();

    fn run(self, wide: impl Wide) {
        let block = self.0;
        let all = |kind: usize| (0..32).fold(0, |mask, n| mask | u32::from(is(kind, block[n], 0)) << n);
        let brackets = all(kind::BEGIN) | all(kind::END);
        assert_eq!(wide.stops(block), all(kind::QUOTE) | all(kind::BACKSLASH) | all(kind::ODD), "{block:?}");
        assert_eq!(wide.odd(block), all(kind::ODD), "{block:?}");
        assert_eq!(wide.begin(block), all(kind::BEGIN), "{block:?}");
        assert_eq!(wide.end(block), all(kind::END), "{block:?}");
        assert_eq!(wide.braces(block) & brackets, all(kind::BRACE), "{block:?}");
        assert_eq!(wide.digits(block), all(kind::DIGIT), "{block:?}");
        assert_eq!(wide.white(block), all(kind::WHITE), "{block:?}");
        let bits = u64::from(wide.digits(block)) << 31 | u64::from(wide.odd(block));
        let parity = (0..64).fold(0, |mask, n| mask | u64::from((bits << (63 - n)).count_ones() % 2) << n);
        assert_eq!(wide.parity(bits), parity, "{bits:b}");
        for (nth, place) in (0..64).filter(|n| bits >> n & 1 == 1).enumerate() {
            assert_eq!(wide.place(bits, nth), place, "{bits:b}");
        }
        assert_eq!(wide.equal(block, block), u32::MAX);
        for at in 0..32 {
            let mut other = *block;
            other[at] ^= 1 << (at % 8);
            assert_eq!(wide.equal(block, &other), !(1 << at), "{block:?}");
        }
    }
}

/// Makes sure that bytes are judged as they should be, blocks after blocks. There are two times as many as are judged at
/// once, at least.
pub struct AgreesByBlocks<'a> {
    pub bytes: &'a [u8; 1024],
    pub hint: u8,
}

impl Task for AgreesByBlocks<'_> {
    type Output = ();

    fn run(self, wide: impl Wide) {
        wide.by_blocks(self);
    }
}

impl BlockTask for AgreesByBlocks<'_> {
    type Output = ();

    fn run<B: Blocks>(self, by: B) {
        let Self { bytes, hint } = self;
        let table = by.table(hint);
        let many = bytes.len();
        let all = |kind: usize| bytes.map(|byte| is(kind, byte, hint));
        let [quotes, white, digits, begin, end, braces] =
            [kind::QUOTE, kind::WHITE, kind::DIGIT, kind::BEGIN, kind::END, kind::BRACE].map(all);
        let brackets: Vec<bool> = (0..many).map(|n| begin[n] | end[n]).collect();
        // Strings, with the quotes that begin them.
        let mut inside = vec![];
        for n in 0..many {
            inside.push(quotes[n] ^ (n > 0 && inside[n - 1]));
        }
        // What stands behind digits, with white space between or without.
        let behind = |n: usize| n > 0 && (0..n).rev().find(|n| !white[*n]).is_some_and(|n| digits[n]);

        let none = by.bits(|_| 0);
        let (mut next, mut through, mut odd, mut over, mut last) = (none.carry(), none.carry(), 0, 0, none);
        let mut around = 0;
        let size = B::MANY * BLOCK;
        for from in (0..many).step_by(size) {
            let kinds = by.kinds(&bytes[from..], &table);
            let agree = |what: &str, these: B::Bits, but: B::Bits, expected: &dyn Fn(usize) -> bool| {
                let (these, but) = (these.words(), but.words());
                for n in 0..size {
                    let bit =
                        |words: &<B::Bits as Bits>::Words| words.as_ref()[n / BLOCK] >> (n % BLOCK) & 1 == 1;
                    assert!(
                        bit(&but) || bit(&these) == expected(from + n),
                        "{what} at {}: {bytes:?}",
                        from + n
                    );
                }
            };
            let places = kinds(kind::BEGIN) | kinds(kind::END);
            for kind in kind::QUOTE..=kind::HINT {
                let but = if kind == kind::BRACE { !places } else { none };
                agree(&format!("kind {kind}"), kinds(kind), but, &|n| is(kind, bytes[n], hint));
            }
            let quoted = by.parity(kinds(kind::QUOTE), &mut odd);
            agree("parity", quoted, none, &|n| inside[n]);
            agree("next", kinds(kind::DIGIT).next(&mut next), none, &|n| n > 0 && digits[n - 1]);
            let these = kinds(kind::DIGIT).next(&mut through).through(kinds(kind::WHITE), &mut through);
            agree("through", these, kinds(kind::WHITE), &behind);
            for distance in [0, 1, 17, 63] {
                let these = kinds(kind::DIGIT).moved(distance, last);
                agree("moved", these, none, &|n| n >= distance as usize && digits[n - distance as usize]);
            }
            last = kinds(kind::DIGIT);
            let closing =
                (kinds(kind::QUOTE) & quoted).plus(quoted, &mut over) & kinds(kind::QUOTE) & !quoted;
            agree("plus", closing, none, &|n| quotes[n] && !inside[n]);
            let bits = by.bits(|nth| u64::from(bytes[from + nth * BLOCK]));
            agree("bits", bits, none, &|n| n % BLOCK < 8 && bytes[n - n % BLOCK] >> (n % BLOCK) & 1 == 1);
            let which = (0..B::MANY).filter(|nth| bytes[from + nth * BLOCK] != 0);
            assert_eq!(bits.which(), which.fold(0, |which, nth| which | 1 << nth));
            let found: Vec<usize> = places.places().map(|place| from + place).collect();
            let expected: Vec<usize> = (from..from + size).filter(|n| brackets[*n]).collect();
            assert_eq!(found, expected);

            let begun = kinds(kind::BEGIN);
            let (bits, sequence) = by.walk(places, begun, kinds(kind::BRACE), around, |[_, brace]| brace);
            let unknown = expected.get(Sequence::MOST).map_or(size, |n| n - from);
            let unknown = by.bits(|nth| !below(unknown.saturating_sub(nth * BLOCK)));
            agree("walk", bits, unknown, &|n| {
                (0..=n).rev().find(|n| brackets[*n]).is_some_and(|n| braces[n])
            });
            around = u64::from(expected.last().map_or(around == 1, |n| braces[*n]));
            assert_eq!(sequence.many, expected.len());
            for (nth, place) in expected.iter().take(Sequence::MOST).enumerate() {
                assert_eq!(sequence.nth(nth), [begin[*place], braces[*place]].map(u64::from));
                assert_eq!(sequence.place(by.wide(), &places.words(), nth), place - from);
                assert_eq!(sequence.index(&places.words(), place - from), nth);
            }
        }
    }
}
