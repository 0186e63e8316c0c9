//! The forms of list parameters that clients send.

use percent_encoding::percent_decode_str;

/// The error of a parameter that begins with the name of a list and has no known form: `[x]`, `.0`, brackets encoded
/// twice, or another letter case.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnknownForm;

/// The form of a list parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ListForm<'a> {
    /// `a=1&a=2` or `a=1,2`.
    Plain,
    /// `a[]=1&a[]=2` or `a[0]=1&a[1]=2`, with the brackets as the client wrote them.
    Brackets { open: &'a str, index: Option<u64>, close: &'a str },
}

impl<'a> ListForm<'a> {
    /// Parses the form `name`, `name[]` or `name[0]`, percent-encoded or not. Returns `None` if the parameter has
    /// another name, and an error if the name is followed by another form or has another letter case.
    pub(super) fn parse(
        parameter: &'a str,
        name: impl Iterator<Item = u8>,
    ) -> Option<Result<Self, UnknownForm>> {
        let mut decoded = percent_decode_str(parameter);
        let mut has_same_case = true;
        for expected in name {
            let byte = decoded.next()?;
            if !byte.eq_ignore_ascii_case(&expected) {
                return None;
            }
            has_same_case &= byte == expected;
        }
        match decoded.next() {
            // The name continues, so it is another one.
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-') => None,
            None if has_same_case => Some(Ok(Self::Plain)),
            Some(b'[') if has_same_case => Some(Self::parse_brackets(parameter, decoded)),
            _ => Some(Err(UnknownForm)),
        }
    }

    /// Parses the index and the closing bracket. `decoded` has the bytes of `parameter` after the opening bracket.
    /// Returns an error unless they are digits, or none, and one closing bracket.
    fn parse_brackets(parameter: &'a str, decoded: impl Iterator<Item = u8>) -> Result<Self, UnknownForm> {
        let mut rest = decoded.peekable();
        let mut index: Option<u64> = None;
        while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
            let tens = index.unwrap_or(0).saturating_mul(10);
            index = Some(tens.saturating_add((digit - b'0').into()));
        }
        let is_closed = rest.eq([b']']);
        if !is_closed {
            return Err(UnknownForm);
        }
        // There is one bracket of each kind, written in one of these ways.
        let open = ["[", "%5B", "%5b"].into_iter().find(|open| parameter.contains(open));
        let close = ["]", "%5D", "%5d"].into_iter().find(|close| parameter.ends_with(close));
        match (open, close) {
            (Some(open), Some(close)) => Ok(Self::Brackets { open, index, close }),
            _ => Err(UnknownForm),
        }
    }
}
