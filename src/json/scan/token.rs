//! What may follow within a token: a number, an escape, a character.

/// The parts of a number, each named for what was just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    Zero,
    Int,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Number {
    pub(super) fn may_end(self) -> bool {
        use Number::{Exponent, Fraction, Int, Zero};
        matches!(self, Zero | Int | Fraction | Exponent)
    }

    pub(super) fn then(self, byte: u8) -> Option<Self> {
        use Number::{E, Exponent, Fraction, Int, Minus, Point, Sign, Zero};
        Some(match (self, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Int, b'0'..=b'9') => Int,
            (Zero | Int, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Int | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => Sign,
            (E | Sign | Exponent, b'0'..=b'9') => Exponent,
            _ => return None,
        })
    }
}

/// Whether this byte, behind a backslash, is the whole of an escape (RFC 8259 §7).
pub(super) fn is_short_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// How many bytes follow this one in a UTF-8 sequence, and the bounds of the next (RFC 3629 §4).
pub(super) fn utf8_follows(lead: u8) -> Option<(u8, u8, u8)> {
    Some(match lead {
        0xC2..=0xDF => (1, 0x80, 0xBF),
        0xE0 => (2, 0xA0, 0xBF),
        0xE1..=0xEC | 0xEE..=0xEF => (2, 0x80, 0xBF),
        0xED => (2, 0x80, 0x9F),
        0xF0 => (3, 0x90, 0xBF),
        0xF1..=0xF3 => (3, 0x80, 0xBF),
        0xF4 => (3, 0x80, 0x8F),
        _ => return None,
    })
}

/// The length of the escape that begins `bytes` with its backslash, where all of it is seen (§7).
pub(super) fn escape(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\\', short, ..] if is_short_escape(*short) => Some(2),
        [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
            Some(6)
        }
        _ => None,
    }
}

/// The length of the character that begins `bytes` and is not ASCII, where all of it is seen.
pub(super) fn character(bytes: &[u8]) -> Option<usize> {
    let (&[lead, second], rest) = bytes.split_first_chunk()?;
    let (more, low, high) = utf8_follows(lead)?;
    let others = rest.get(..usize::from(more) - 1)?;
    let is_valid = (low..=high).contains(&second) && others.iter().all(|byte| byte & 0xC0 == 0x80);
    is_valid.then_some(1 + usize::from(more))
}

/// The length of the literal that begins `bytes`, where eight of these are seen. It is one question for all three,
/// for which one it is cannot be foreseen: which it may be is looked up by the first letter.
#[inline(always)]
pub(super) fn literal(bytes: &[u8]) -> Option<usize> {
    /// What may stand there, by bits 3 and 4 of the first letter; the last one never does.
    const LITERALS: [u64; 4] = [
        u64::from_le_bytes(*b"false\0\0\0"),
        u64::from_le_bytes(*b"null\0\0\0\0"),
        u64::from_le_bytes(*b"true\0\0\0\0"),
        u64::MAX,
    ];
    let first = u64::from_le_bytes(*bytes.first_chunk()?);
    let len = 4 + usize::from(bytes[0] == b'f');
    (first & (u64::MAX >> (64 - 8 * len)) == LITERALS[(first >> 3) as usize % LITERALS.len()]).then_some(len)
}

/// Whether a number may end before this byte.
pub(super) fn ends_number(byte: u8) -> bool {
    is_white(byte) || matches!(byte, b',' | b'}' | b']')
}

/// White space (§2).
pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
