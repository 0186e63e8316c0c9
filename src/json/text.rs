//! The text of a JSON string (RFC 8259 §7).

use crate::KeyNames;
use crate::names::MAX_MEMBER_LEN;

/// The longest raw member name that is compared: each character of the longest name of a label is written as `\u00xx`.
pub(super) const MAX_RAW_NAME: usize = 6 * MAX_MEMBER_LEN;

/// The longest raw id that is looked up: each byte of the longest id of a map is written as `\u00xx`.
pub(super) const MAX_RAW_TEXT: usize = 6 * KeyNames::MAX_LEN;

/// Returns the text of a valid string without its quotes. The escapes are decoded into `out`, if there are any.
///
/// Returns `None` if a surrogate is alone: the string is not Unicode text (RFC 8259 §8.2).
pub(crate) fn unescape<'a>(raw: &'a [u8], out: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let Some(first_escape) = memchr::memchr(b'\\', raw) else { return Some(raw) };
    out.clear();
    out.extend_from_slice(&raw[..first_escape]);
    let mut bytes = raw[first_escape..].iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next()? {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0C),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let character = unicode_escape(&mut bytes)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            // A quote, a backslash or a slash.
            character => out.push(character),
        }
    }
    Some(out)
}

/// Decodes the rest of an escape after `\u`: four digits, and a second escape if they are a high surrogate.
/// Returns `None` if a surrogate is alone.
fn unicode_escape(bytes: &mut impl Iterator<Item = u8>) -> Option<char> {
    let unit = hex_digits(bytes)?;
    let is_high_surrogate = (0xD800..0xDC00).contains(&unit);
    if !is_high_surrogate {
        return char::from_u32(unit.into());
    }
    let has_second_escape = bytes.next()? == b'\\' && bytes.next()? == b'u';
    if !has_second_escape {
        return None;
    }
    char::decode_utf16([unit, hex_digits(bytes)?]).next()?.ok()
}

/// Returns the value of the next four hexadecimal digits.
fn hex_digits(bytes: &mut impl Iterator<Item = u8>) -> Option<u16> {
    let mut number = 0;
    for _ in 0..4 {
        number = number << 4 | char::from(bytes.next()?).to_digit(16)? as u16;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn unescape_decodes_every_kind_of_escape() {
        for (raw, text) in [
            ("plain", Some("plain")),
            (r#"a\"\\\/\b\f\n\r\tz"#, Some("a\"\\/\u{8}\u{c}\n\r\tz")),
            (r"\u0061\u00e9\u7530", Some("aé田")),
            (r"\ud83d\ude00", Some("😀")),
            (r"\ud83d", None),
            (r"\ud83dx", None),
            (r"\ud83d\u0061", None),
            (r"\ude00", None),
        ] {
            assert_eq!(unescape(raw.as_bytes(), &mut vec![b'x']), text.map(str::as_bytes), "{raw}");
        }
    }
}
