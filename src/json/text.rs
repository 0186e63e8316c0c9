//! What the text of a JSON string says (RFC 8259 §7).

use crate::KeyNames;

/// The longest name that a member may be looked for by.
pub(crate) const MAX_NAME: usize = 16;

/// The longest member name that is compared, raw: each character written as `\u00xx`.
pub(crate) const MAX_RAW_NAME: usize = 6 * MAX_NAME;

/// The longest id that is looked up, raw: each byte of the longest one in a map written as `\u00xx`.
pub(crate) const MAX_RAW_TEXT: usize = 6 * KeyNames::MAX_ID;

/// Undoes the escapes of a valid text, into `out`; `None` where it says no Unicode text, a surrogate being
/// alone (RFC 8259 §8.2).
pub(crate) fn unescape<'a>(raw: &'a [u8], out: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return Some(raw) };
    out.clear();
    out.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\\' {
            out.push(byte);
            rest = after;
            continue;
        }
        let (&kind, after) = after.split_first()?;
        rest = after;
        out.push(match kind {
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut unit = hex4(&mut rest)?;
                if (0xD800..0xDC00).contains(&unit) {
                    rest = rest.strip_prefix(b"\\u")?;
                    let low = hex4(&mut rest)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                    unit = 0x10000 + ((unit - 0xD800) << 10) + low;
                }
                let character = char::from_u32(unit)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            itself => itself,
        });
    }
    Some(out)
}

fn hex4(rest: &mut &[u8]) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}
