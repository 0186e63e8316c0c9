//! The text of a JSON string (RFC 8259 §7).

use super::rules::NAME;
use crate::KeyNames;

/// The longest raw member name that is compared: each character of the longer name is written as `\u00xx`.
pub(super) const MAX_RAW_NAME: usize = 6 * NAME.len();

/// The longest raw id that is looked up: each byte of the longest id of a map is written as `\u00xx`.
pub(super) const MAX_RAW_TEXT: usize = 6 * KeyNames::MAX_LEN;

/// Decodes the escapes of a valid string into `out`, unless there are none.
///
/// Returns `None` if a surrogate is alone: the string is not Unicode text (§8.2).
pub(super) fn unescape<'a>(raw: &'a [u8], out: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return Some(raw) };
    out.clear();
    let (text, mut rest) = raw.split_at(first);
    out.extend_from_slice(text);
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (kind, after) = rest.split_first()?;
        rest = after;
        match kind {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0C),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => out.extend_from_slice(unicode_escape(&mut rest)?.encode_utf8(&mut [0; 4]).as_bytes()),
            // A quote, a backslash or a slash.
            character => out.push(*character),
        }
    }
    Some(out)
}

/// Decodes what follows `\u`: four digits, and a second escape if they are a high surrogate.
fn unicode_escape(rest: &mut &[u8]) -> Option<char> {
    let mut code = hex_digits(rest)?;
    if (0xD800..0xDC00).contains(&code) {
        *rest = rest.strip_prefix(b"\\u")?;
        let low = hex_digits(rest)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
        code = 0x10000 + ((code - 0xD800) << 10) + low;
    }
    char::from_u32(code)
}

fn hex_digits(rest: &mut &[u8]) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
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
