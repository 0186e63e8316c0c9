//! The tokens of JSON: how far each goes in a chunk, and its states at the end of a chunk.
//!
//! The functions whose names end in `_len` read eight bytes per step: a word is loaded with its first byte lowest, and
//! each byte of interest sets its highest bit. A carry from one byte to the next can set more bits, but only above
//! a right one, so the lowest is always right.

const ONES: u64 = u64::MAX / 0xFF;
const HIGHS: u64 = ONES << 7;

/// Counts the bytes before the first that `marks` sets a bit for; `is_end` is the same test for one byte.
#[inline(always)]
fn len_until(bytes: &[u8], marks: impl Fn(u64) -> u64, is_end: impl Fn(u8) -> bool) -> usize {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    bytes.len() - rest.len() + rest.iter().position(|byte| is_end(*byte)).unwrap_or(rest.len())
}

/// Counts the ASCII characters of a string (RFC 8259 §7) before a quote, a backslash, a control or a byte that is
/// not ASCII.
#[inline(always)]
pub(super) fn ascii_text_len(bytes: &[u8]) -> usize {
    // With bit 1 flipped, the quote is the first character after the controls.
    let marks = |word: u64| {
        let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
        let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        (quote_or_control | backslash | word) & HIGHS
    };
    len_until(bytes, marks, |byte| !matches!(byte, b' '..0x80) || matches!(byte, b'"' | b'\\'))
}

/// A string that is whole in its chunk.
pub(super) struct WholeString<'a> {
    /// The bytes between the quotes.
    pub(super) text: &'a [u8],
    pub(super) has_escapes: bool,
    /// The bytes behind it.
    pub(super) rest: &'a [u8],
}

/// Reads a string, the first byte being its quote. Returns `None` if it is invalid, or if its end is not in `bytes`.
#[inline(always)]
pub(super) fn whole_string(bytes: &[u8]) -> Option<WholeString<'_>> {
    let (_, bytes) = bytes.split_first()?;
    let len = ascii_text_len(bytes);
    if *bytes.get(len)? == b'"' {
        return Some(WholeString { text: &bytes[..len], has_escapes: false, rest: &bytes[len + 1..] });
    }
    whole_special_string(bytes, len)
}

/// Reads a string with escapes, or with characters that are not ASCII, of which the first is `at` this position.
fn whole_special_string(bytes: &[u8], mut at: usize) -> Option<WholeString<'_>> {
    let mut has_escapes = false;
    loop {
        let byte = *bytes.get(at)?;
        if byte == b'"' {
            return Some(WholeString { text: &bytes[..at], has_escapes, rest: &bytes[at + 1..] });
        }
        has_escapes |= byte == b'\\';
        let mut part = StringPart::Text;
        loop {
            part = part.then(*bytes.get(at)?)?;
            at += 1;
            if part == StringPart::Text {
                break;
            }
        }
        at += ascii_text_len(&bytes[at..]);
    }
}

/// Counts white space (§2). Most of it is spaces, which indent.
pub(super) fn white_space_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while bytes.get(at).is_some_and(|byte| is_white_space(*byte)) {
        at += 1;
        at += len_until(&bytes[at..], |word| word ^ (ONES * u64::from(b' ')), |byte| byte != b' ');
    }
    at
}

/// Counts digits.
#[inline(always)]
fn digits_len(bytes: &[u8]) -> usize {
    let marks = |word: u64| (word.wrapping_sub(ONES * 0x30) | word.wrapping_add(ONES * 0x46)) & HIGHS;
    len_until(bytes, marks, |byte| !byte.is_ascii_digit())
}

/// The length of the number that `bytes` start with (§6); `None` if it is invalid, or if its end is not in `bytes`.
#[inline(always)]
pub(super) fn number_len(bytes: &[u8]) -> Option<usize> {
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let digits_from = |at: usize| Some(at + digits_len(&bytes[at..])).filter(|end| *end > at);
    let start = at;
    at = digits_from(at)?;
    if bytes[start] == b'0' && at > start + 1 {
        return None;
    }
    if *bytes.get(at)? == b'.' {
        at = digits_from(at + 1)?;
    }
    if matches!(bytes.get(at)?, b'e' | b'E') {
        let has_sign = matches!(bytes.get(at + 1)?, b'+' | b'-');
        at = digits_from(at + 1 + usize::from(has_sign))?;
    }
    (at < bytes.len()).then_some(at)
}

/// True for white space (§2).
#[inline(always)]
pub(super) fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// A part of a number (§6), named for the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberPart {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl NumberPart {
    /// The part after the first byte of a number.
    pub(super) fn first(byte: u8) -> Self {
        match byte {
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            _ => Self::Integer,
        }
    }

    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Exponent)
    }

    pub(super) fn then(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::E,
            (Self::E, b'+' | b'-') => Self::Sign,
            (Self::E | Self::Sign | Self::Exponent, b'0'..=b'9') => Self::Exponent,
            _ => return None,
        })
    }
}

/// A position in a string (§7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringPart {
    /// Between two characters.
    Text,
    /// After a backslash.
    Escape,
    /// After `\u`, where this number of hexadecimal digits is missing.
    Hex(u8),
    /// In a UTF-8 sequence, where this number of bytes is missing. The next is within the two bounds.
    Utf8(u8, u8, u8),
}

impl StringPart {
    /// The part after the first byte of a UTF-8 sequence of several bytes (RFC 3629 §4).
    fn utf8(lead: u8) -> Option<Self> {
        Some(match lead {
            0xC2..=0xDF => Self::Utf8(1, 0x80, 0xBF),
            0xE0 => Self::Utf8(2, 0xA0, 0xBF),
            0xE1..=0xEC | 0xEE..=0xEF => Self::Utf8(2, 0x80, 0xBF),
            0xED => Self::Utf8(2, 0x80, 0x9F),
            0xF0 => Self::Utf8(3, 0x90, 0xBF),
            0xF1..=0xF3 => Self::Utf8(3, 0x80, 0xBF),
            0xF4 => Self::Utf8(3, 0x80, 0x8F),
            _ => return None,
        })
    }

    /// The part after the next byte, which is not the quote at the end.
    pub(super) fn then(self, byte: u8) -> Option<Self> {
        Some(match self {
            Self::Text => match byte {
                b'\\' => Self::Escape,
                b' '..0x80 => Self::Text,
                lead => return Self::utf8(lead),
            },
            Self::Escape => match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Self::Text,
                b'u' => Self::Hex(4),
                _ => return None,
            },
            Self::Hex(1) if byte.is_ascii_hexdigit() => Self::Text,
            Self::Hex(left) if byte.is_ascii_hexdigit() => Self::Hex(left - 1),
            Self::Utf8(1, low, high) if (low..=high).contains(&byte) => Self::Text,
            Self::Utf8(left, low, high) if (low..=high).contains(&byte) => Self::Utf8(left - 1, 0x80, 0xBF),
            Self::Hex(_) | Self::Utf8(..) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_length_stops_at_every_special_byte() {
        for byte in 0..=255 {
            let is_special = !matches!(byte, b' '..0x80) || matches!(byte, b'"' | b'\\');
            for before in 0..20 {
                let text = [&[b'a'; 20][..before], &[byte], b"\"\x80 aaaaaaaaaaa"].concat();
                let expected = if is_special { before } else { before + 1 };
                assert_eq!(ascii_text_len(&text), expected, "{byte} after {before}");
            }
        }
    }

    #[test]
    fn white_space_length_counts_every_kind() {
        for text in ["", " ", "\n", "\n\r\t ", "\n            \t      \r\n         "] {
            for after in ["", "x", "\"aaaaaaaa", "\u{b}       "] {
                assert_eq!(white_space_len(format!("{text}{after}").as_bytes()), text.len());
            }
        }
    }

    #[test]
    fn number_length_agrees_with_the_states() {
        for text in [
            "0",
            "-0",
            "12",
            "1234567890123",
            "0.5",
            "-12345678.123456789",
            "1e5",
            "1E+5",
            "0e-0",
            "1.5e12345678",
            "-",
            "01",
            "-01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1..2",
            "+1",
            "--1",
            "1.e5",
            "x",
            "",
        ] {
            let mut parts = text.bytes();
            let first = parts.next().filter(|byte| matches!(byte, b'-' | b'0'..=b'9')).map(NumberPart::first);
            let last = first.and_then(|first| parts.try_fold(first, NumberPart::then));
            let expected = last.filter(|part| part.may_end()).map(|_| text.len());
            let followed = format!("{text},");
            assert_eq!(number_len(followed.as_bytes()), expected, "{text}");
            assert_eq!(number_len(text.as_bytes()), None, "{text} at the end of a chunk");
        }
    }
}
