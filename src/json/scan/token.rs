//! The tokens of JSON: how far each goes in a chunk, and its states at the end of a chunk.
//!
//! The functions whose names end in `_len` read eight bytes per step: a word is loaded with its first byte lowest, and
//! each byte of interest sets its highest bit. A carry from one byte to the next can set more bits, but only above
//! a right one, so the lowest is always right.

const ONES: u64 = u64::MAX / 0xFF;
const HIGHS: u64 = ONES << 7;

/// Counts the bytes before the first that ends the token, or all bytes if there is none.
///
/// `mark_ends` sets a bit in each byte of a word that ends the token; `is_end` is the same test for one byte.
#[inline(always)]
fn len_until(bytes: &[u8], mark_ends: impl Fn(u64) -> u64, is_end: impl Fn(u8) -> bool) -> usize {
    let mut rest = bytes;
    while let Some((word, after_word)) = rest.split_first_chunk() {
        let marks = mark_ends(u64::from_le_bytes(*word));
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
        }
        rest = after_word;
    }
    // Less than eight bytes.
    let len_in_rest = rest.iter().position(|byte| is_end(*byte)).unwrap_or(rest.len());
    bytes.len() - rest.len() + len_in_rest
}

/// Counts the ASCII characters of a string (RFC 8259 §7) before a quote, a backslash, a control or a byte that is
/// not ASCII.
#[inline(always)]
pub(super) fn ascii_text_len(bytes: &[u8]) -> usize {
    let mark_ends = |word: u64| {
        // With bit 1 flipped, the controls are 0x00 to 0x1F, and the quote is 0x20. The subtraction of 0x21 sets the
        // highest bit of these bytes.
        let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
        // The backslash becomes 0, and the subtraction of 1 sets its highest bit.
        let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        (quote_or_control | backslash | word) & HIGHS
    };
    len_until(bytes, mark_ends, |byte| matches!(byte, ..b' ' | 0x80.. | b'"' | b'\\'))
}

/// A string that is whole in its chunk.
pub(super) struct WholeString<'a> {
    /// The bytes between the quotes.
    pub(super) text: &'a [u8],
    pub(super) has_escapes: bool,
    /// The bytes after the closing quote.
    pub(super) rest: &'a [u8],
}

/// Reads the string at the start of `bytes`. Returns `None` if the string is invalid, or if its end is not in `bytes`.
#[inline(always)]
pub(super) fn whole_string(bytes: &[u8]) -> Option<WholeString<'_>> {
    let (_, after_quote) = bytes.split_first()?;
    let len = ascii_text_len(after_quote);
    if *after_quote.get(len)? == b'"' {
        return Some(WholeString {
            text: &after_quote[..len],
            has_escapes: false,
            rest: &after_quote[len + 1..],
        });
    }
    whole_special_string(after_quote, len)
}

/// Reads a string with escapes, or with characters that are not ASCII.
///
/// `after_quote` starts after the opening quote; the first special character is at `first_special`. Returns `None` if the
/// string is invalid, or if its end is not in `after_quote`.
fn whole_special_string(after_quote: &[u8], first_special: usize) -> Option<WholeString<'_>> {
    let mut has_escapes = false;
    let mut at = first_special;
    loop {
        let byte = *after_quote.get(at)?;
        if byte == b'"' {
            return Some(WholeString { text: &after_quote[..at], has_escapes, rest: &after_quote[at + 1..] });
        }
        has_escapes |= byte == b'\\';
        at += special_character_len(&after_quote[at..])?;
        at += ascii_text_len(&after_quote[at..]);
    }
}

/// Counts the bytes of the escape or UTF-8 sequence at the start of `bytes`; `None` if it is invalid or cut.
#[inline(always)]
fn special_character_len(bytes: &[u8]) -> Option<usize> {
    let mut part = StringPart::Text;
    for (index, byte) in bytes.iter().enumerate() {
        part = part.then(*byte)?;
        if part == StringPart::Text {
            return Some(index + 1);
        }
    }
    None
}

/// Counts white space (RFC 8259 §2). Most of it is spaces, which indent.
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
    let mark_ends = |word: u64| (word.wrapping_sub(ONES * 0x30) | word.wrapping_add(ONES * 0x46)) & HIGHS;
    len_until(bytes, mark_ends, |byte| !byte.is_ascii_digit())
}

/// Returns the position after the digits at `start`, or `None` if there is no digit.
#[inline(always)]
fn digits_end(bytes: &[u8], start: usize) -> Option<usize> {
    let len = digits_len(&bytes[start..]);
    if len > 0 { Some(start + len) } else { None }
}

/// Returns the length of the number at the start of `bytes` (RFC 8259 §6), such as 7 for `-12.5e3,`. Returns `None` if
/// the number is invalid, or if it may continue in the next chunk.
#[inline(always)]
pub(super) fn number_len(bytes: &[u8]) -> Option<usize> {
    let integer_start = usize::from(bytes.first() == Some(&b'-'));
    let mut end = digits_end(bytes, integer_start)?;
    let has_leading_zero = bytes[integer_start] == b'0' && end > integer_start + 1;
    if has_leading_zero {
        return None;
    }
    if *bytes.get(end)? == b'.' {
        end = digits_end(bytes, end + 1)?;
    }
    if matches!(bytes.get(end)?, b'e' | b'E') {
        let has_sign = matches!(bytes.get(end + 1)?, b'+' | b'-');
        end = digits_end(bytes, end + 1 + usize::from(has_sign))?;
    }
    if end < bytes.len() { Some(end) } else { None }
}

/// True for white space (RFC 8259 §2).
#[inline(always)]
pub(super) fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// A position in a number (RFC 8259 §6), named after the last byte.
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

    /// True if a number may end here.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Exponent)
    }

    /// Returns the part after the next byte, or `None` if the number cannot continue with this byte.
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

/// A position in a string (RFC 8259 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringPart {
    /// Between two characters.
    Text,
    /// After a backslash.
    Escape,
    /// After `\u`, where this number of hexadecimal digits is missing.
    Hex(u8),
    /// In a UTF-8 sequence, where this number of bytes is missing. The next byte is within the two bounds.
    Utf8 { missing: u8, low: u8, high: u8 },
}

impl StringPart {
    /// Returns the part after the first byte of a UTF-8 sequence of several bytes (RFC 3629 §4), or `None` if no sequence
    /// starts with this byte.
    fn utf8(lead: u8) -> Option<Self> {
        let (missing, low, high) = match lead {
            0xC2..=0xDF => (1, 0x80, 0xBF),
            0xE0 => (2, 0xA0, 0xBF),
            0xE1..=0xEC | 0xEE..=0xEF => (2, 0x80, 0xBF),
            0xED => (2, 0x80, 0x9F),
            0xF0 => (3, 0x90, 0xBF),
            0xF1..=0xF3 => (3, 0x80, 0xBF),
            0xF4 => (3, 0x80, 0x8F),
            _ => return None,
        };
        Some(Self::Utf8 { missing, low, high })
    }

    /// Returns the part after the next byte, or `None` if this byte is invalid here. The closing quote is never passed.
    pub(super) fn then(self, byte: u8) -> Option<Self> {
        match self {
            Self::Text => match byte {
                b'\\' => Some(Self::Escape),
                b' '..0x80 => Some(Self::Text),
                lead => Self::utf8(lead),
            },
            Self::Escape => match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(Self::Text),
                b'u' => Some(Self::Hex(4)),
                _ => None,
            },
            Self::Hex(_) if !byte.is_ascii_hexdigit() => None,
            Self::Hex(1) => Some(Self::Text),
            Self::Hex(missing) => Some(Self::Hex(missing - 1)),
            Self::Utf8 { low, high, .. } if !(low..=high).contains(&byte) => None,
            Self::Utf8 { missing: 1, .. } => Some(Self::Text),
            Self::Utf8 { missing, .. } => Some(Self::Utf8 { missing: missing - 1, low: 0x80, high: 0xBF }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_length_stops_at_every_special_byte() {
        for byte in 0..=255 {
            let is_special = !(b' '..0x80).contains(&byte) || byte == b'"' || byte == b'\\';
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
        let valid = "0 -0 12 1234567890123 0.5 -12345678.123456789 1e5 1E+5 0e-0 1.5e12345678";
        let invalid = "- 01 -01 1. .5 1e 1e+ 1..2 +1 --1 1.e5 x";
        for text in valid.split(' ').chain(invalid.split(' ')).chain([""]) {
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
