//! One query string: `group_by=api_key_name` becomes `group_by=api_key_id`, and nothing else changes. The filter by
//! name is in `names`.
//!
//! A query is read pair by pair, as `application/x-www-form-urlencoded` writers make it, in every array
//! form that clients send: `group_by`, `group_by[]` and `group_by[0]`, repeated or with commas, any of it
//! percent-encoded. It is never written anew: a matched token gives way to the other in place, so that
//! each byte outside of it stays as it was.

pub mod names;
#[cfg(test)]
mod tests;

use crate::json::rules::Members;

/// The parameter that names the dimensions of an answer.
const GROUP_BY: &str = "group_by";

/// The query with the name's token replaced by the id's; `None` where the name is not asked for. Where the
/// id is asked for as well, the name's token goes, with one separator: sent twice, it would be one
/// dimension too many. Never longer than `query`, where the id's name is not longer than the name's.
pub fn rewrite(query: &str, members: Members) -> Option<String> {
    let is_name = |token: &str| decode(token).eq(members.name().bytes());
    let is_id = |token: &str| decode(token).eq(members.id().bytes());
    let asked = || pairs(query).filter_map(dimensions).flat_map(|(_, value)| tokens(value));
    if !asked().any(|token| is_name(token.text)) {
        return None;
    }
    let mut has_id = asked().any(|token| is_id(token.text));

    let mut out = String::with_capacity(query.len());
    let mut first = true;
    for pair in pairs(query) {
        let before = out.len();
        if !first {
            out.push('&');
        }
        match dimensions(pair) {
            None => out.push_str(pair),
            Some((parameter, value)) => {
                out.push_str(parameter);
                let mut kept = 0;
                for token in tokens(value) {
                    let name = is_name(token.text);
                    if name && has_id {
                        continue;
                    }
                    if kept > 0 {
                        out.push_str(token.comma);
                    }
                    out.push_str(if name { members.id() } else { token.text });
                    has_id |= name;
                    kept += 1;
                }
                if kept == 0 {
                    out.truncate(before);
                    continue;
                }
            }
        }
        first = false;
    }
    Some(out)
}

/// The pairs of a query.
fn pairs(query: &str) -> impl Iterator<Item = &str> {
    let ends = memchr::memchr_iter(b'&', query.as_bytes()).chain([query.len()]);
    ends.scan(0, |from, end| Some(&query[std::mem::replace(from, end + 1)..end]))
}

/// Where a pair's equals sign is.
fn equals(pair: &str) -> Option<usize> {
    memchr::memchr(b'=', pair.as_bytes())
}

/// A pair that names dimensions, cut after its equals sign.
fn dimensions(pair: &str) -> Option<(&str, &str)> {
    let (parameter, value) = pair.split_at(equals(pair)? + 1);
    match Form::of(&parameter[..parameter.len() - 1], GROUP_BY)? {
        Form::Plain | Form::Array { .. } => Some((parameter, value)),
        Form::Odd => None,
    }
}

/// How a parameter says that it is a list.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form<'a> {
    /// Not at all: it is repeated, or its value holds commas.
    Plain,
    /// With `[]` or `[0]`; the brackets as they were written.
    Array { open: &'a str, index: Option<u64>, close: &'a str },
    /// In a way that no client is known for: `[x]`, `.0`, brackets that were encoded twice, other letter case.
    Odd,
}

impl<'a> Form<'a> {
    /// The form of a parameter of this name; `None` for any other.
    fn of(parameter: &'a str, name: &str) -> Option<Self> {
        let mut text = decode(parameter);
        let mut is_exact = true;
        for byte in name.bytes() {
            let read = text.next()?;
            if !read.eq_ignore_ascii_case(&byte) {
                return None;
            }
            is_exact &= read == byte;
        }
        let opens = text.at;
        match text.next() {
            // The name goes on, and is another.
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-') => return None,
            None if is_exact => return Some(Self::Plain),
            Some(b'[') if is_exact => {}
            _ => return Some(Self::Odd),
        }
        // What was read so far is ASCII, and so is what is cut off below: no character is cut in two.
        let open = &parameter[opens..text.at];
        let mut index = None;
        loop {
            let closes = text.at;
            match text.next() {
                Some(digit @ b'0'..=b'9') => {
                    let digit = u64::from(digit - b'0');
                    index = Some(index.unwrap_or(0_u64).saturating_mul(10).saturating_add(digit));
                }
                Some(b']') if text.at == parameter.len() => {
                    return Some(Self::Array { open, index, close: &parameter[closes..] });
                }
                _ => return Some(Self::Odd),
            }
        }
    }
}

/// One of the values between commas, and the comma before it, as it was written.
struct Token<'a> {
    comma: &'a str,
    text: &'a str,
}

/// The values of a list, which commas divide, percent-encoded or not.
fn tokens(value: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = Some(("", value));
    std::iter::from_fn(move || {
        let (comma, list) = rest.take()?;
        let mut commas = memchr::memchr2_iter(b',', b'%', list.as_bytes());
        let next = commas.find_map(|at| match list.as_bytes()[at..] {
            [b',', ..] => Some((at, at + 1)),
            [_, b'2', b'C' | b'c', ..] => Some((at, at + 3)),
            _ => None,
        });
        let Some((end, next)) = next else { return Some(Token { comma, text: list }) };
        rest = Some((&list[end..next], &list[next..]));
        Some(Token { comma, text: &list[..end] })
    })
}

/// Undoes percent-encoding (RFC 3986 §2.1), byte by byte. A `%` that begins no triplet stands for itself.
fn decode(text: &str) -> Decode<'_> {
    Decode { text: text.as_bytes(), at: 0 }
}

struct Decode<'a> {
    text: &'a [u8],
    /// Where the next byte begins.
    at: usize,
}

impl Iterator for Decode<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        let (&byte, rest) = self.text[self.at..].split_first()?;
        if let (b'%', &[high, low, ..]) = (byte, rest)
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            self.at += 3;
            return Some((high << 4 | low) as u8);
        }
        self.at += 1;
        Some(byte)
    }
}
