//! How long a value is that holds no member, where the whole of it is seen.

use super::joint::{MAX_JOINT, WINDOW};
use super::token::{character, escape, literal};
use crate::json::wide::{self, BASE, Wide};

/// The length of the scalar that stands `at` this place, of up to about 60 bytes; `None` where it needs more care.
/// What follows a number is not looked at.
#[inline(always)]
pub(super) fn scalar(wide: impl Wide, window: &[u8; WINDOW], at: usize) -> Option<usize> {
    let at = at & MAX_JOINT;
    let block = |at: usize| window[at..].first_chunk::<32>();
    let (first, second) = (block(at)?, block(at + 32)?);
    match first[0] {
        b'"' => {
            // Without the quote that begins it.
            let stops = wide.stops(first) & !1;
            if stops != 0 {
                let len = stops.trailing_zeros() as usize;
                return (first[len] == b'"').then_some(len + 1);
            }
            let stops = wide.stops(second);
            if stops != 0 {
                let len = stops.trailing_zeros() as usize;
                return (second[len] == b'"').then_some(32 + len + 1);
            }
            None
        }
        digit @ b'0'..=b'9' => {
            let len = (!wide.digits(first)).trailing_zeros() as usize;
            // RFC 8259 §6: no leading zero, so a zero is as long as one, and others as long as a block. It is one question,
            // for whether a number is 0 cannot be foreseen.
            if len > 1 + 32 * usize::from(digit - b'0') {
                return None;
            }
            if window[at + len] != b'.' {
                return Some(len);
            }
            match (!wide.digits(block(at + len + 1)?)).trailing_zeros() as usize {
                0 | 32 => None,
                digits => Some(len + 1 + digits),
            }
        }
        _ => literal(first),
    }
}

/// The length of the value that begins `bytes`, where its end is seen, and it is a string, an empty container
/// or an array of neither; else 0. None of these can hold a member.
#[inline(never)]
pub(super) fn flat(bytes: &[u8]) -> usize {
    match bytes {
        [b'"', ..] => text(bytes),
        [b'{', b'}', ..] | [b'[', b']', ..] => 2,
        [b'[', rest @ ..] => array(rest).map_or(0, |len| 1 + len),
        _ => 0,
    }
}

/// Of what follows the bracket.
fn array(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    loop {
        rest = &rest[wide::white_space(BASE, rest)..];
        let len = scalar(BASE, rest.first_chunk()?, 0).unwrap_or_else(|| text(rest));
        if len == 0 {
            return None;
        }
        rest = &rest[len..];
        rest = &rest[wide::white_space(BASE, rest)..];
        let (&end, after) = rest.split_first()?;
        rest = after;
        match end {
            b',' => {}
            b']' => return Some(bytes.len() - rest.len()),
            _ => return None,
        }
    }
}

/// The length of the string that begins `bytes`, where its end is seen; else 0.
fn text(bytes: &[u8]) -> usize {
    let Some((b'"', _)) = bytes.split_first() else { return 0 };
    let mut at = 1;
    loop {
        at += wide::plain(BASE, &bytes[at..]);
        let rest = &bytes[at..];
        let len = match rest {
            [b'"', ..] => return at + 1,
            [b'\\', ..] => escape(rest),
            _ => character(rest),
        };
        let Some(len) = len else { return 0 };
        at += len;
    }
}
