//! One query string: `group_by=api_key_name` becomes `group_by=api_key_id`, and nothing else changes.
//!
//! A query is read pair by pair, as `application/x-www-form-urlencoded` writers make it, in every array
//! form that clients send: `group_by`, `group_by[]` and `group_by[0]`, repeated or with commas, any of it
//! percent-encoded. It is never written anew: a matched token gives way to the other in place, so that
//! each byte outside of it stays as it was.

use super::amend::Members;

/// The parameter that names the dimensions of an answer.
const GROUP_BY: &[u8] = b"group_by";

/// The query with the name's token replaced by the id's; `None` where the name is not asked for. Where the
/// id is asked for as well, the name's token goes, with one separator: sent twice, it would be one
/// dimension too many. Never longer than `query`, where the id's name is not longer than the name's.
pub(crate) fn rewrite(query: &str, members: Members) -> Option<String> {
    let is_name = |token: &[u8]| decodes_to(token, members.name().as_bytes());
    let is_id = |token: &[u8]| decodes_to(token, members.id().as_bytes());
    let asked = || query.split('&').filter_map(dimensions).flat_map(|(_, value)| tokens(value));
    if !asked().any(|token| is_name(token.text)) {
        return None;
    }
    let mut has_id = asked().any(|token| is_id(token.text));

    let mut out = Vec::with_capacity(query.len());
    let mut first = true;
    for pair in query.split('&') {
        let before = out.len();
        if !first {
            out.push(b'&');
        }
        match dimensions(pair) {
            None => out.extend_from_slice(pair.as_bytes()),
            Some((parameter, value)) => {
                out.extend_from_slice(parameter.as_bytes());
                let mut kept = 0;
                for token in tokens(value) {
                    let name = is_name(token.text);
                    if name && has_id {
                        continue;
                    }
                    if kept > 0 {
                        out.extend_from_slice(token.separator);
                    }
                    out.extend_from_slice(if name { members.id().as_bytes() } else { token.text });
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
    String::from_utf8(out).ok()
}

/// A pair that names dimensions, cut after its equals sign.
fn dimensions(pair: &str) -> Option<(&str, &str)> {
    let (parameter, value) = pair.split_at(pair.find('=')? + 1);
    let mut decoded = decode(&parameter.as_bytes()[..parameter.len() - 1]);
    let named = GROUP_BY.iter().all(|byte| decoded.next() == Some(*byte));
    let fits = named
        && match decoded.next() {
            None => true,
            Some(b'[') => {
                decoded.find(|byte| !byte.is_ascii_digit()) == Some(b']') && decoded.next().is_none()
            }
            Some(_) => false,
        };
    fits.then_some((parameter, value))
}

/// One of the values between commas, and the comma before it, as it was written.
struct Token<'a> {
    separator: &'a [u8],
    text: &'a [u8],
}

/// The values of a list, which commas divide, percent-encoded or not.
fn tokens(value: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = Some((&b""[..], value.as_bytes()));
    std::iter::from_fn(move || {
        let (separator, list) = rest.take()?;
        let mut commas = memchr::memchr2_iter(b',', b'%', list);
        let comma = commas.find_map(|at| match list[at..] {
            [b',', ..] => Some((at, at + 1)),
            [_, b'2', b'C' | b'c', ..] => Some((at, at + 3)),
            _ => None,
        });
        let Some((end, next)) = comma else { return Some(Token { separator, text: list }) };
        rest = Some((&list[end..next], &list[next..]));
        Some(Token { separator, text: &list[..end] })
    })
}

fn decodes_to(token: &[u8], text: &[u8]) -> bool {
    decode(token).eq(text.iter().copied())
}

/// Undoes percent-encoding (RFC 3986 §2.1). A `%` that begins no triplet stands for itself.
fn decode(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (&byte, after) = rest.split_first()?;
        let triplet = (byte == b'%').then(|| after.split_at_checked(2)).flatten();
        let hex = |digit: u8| char::from(digit).to_digit(16);
        if let Some((&[high, low], after)) = triplet
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            rest = after;
            return Some((high << 4 | low) as u8);
        }
        rest = after;
        Some(byte)
    })
}

#[cfg(test)]
mod tests;
