//! The pairs of a query string, in the list forms that clients send.

use std::ops::Range;

use memchr::{memchr, memchr2_iter};
use percent_encoding::percent_decode_str;

pub(super) const ID: &str = "api_key_id";
pub(super) const NAME: &str = "api_key_name";
pub(super) const IDS: &str = "api_key_ids";

const GROUP_BY: &str = "group_by";
const NAMES: &str = "api_key_names";

/// The letters of [`NAMES`] and of its singular. A parameter with only these letters is taken for a misspelling.
const MISSPELLED: [&str; 2] = ["apikeynames", "apikeyname"];

/// A pair of a query string, as the client wrote it.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) text: &'a str,
    pub(super) parameter: Parameter<'a>,
    /// The text after the first equals sign. Empty without an equals sign.
    pub(super) value: &'a str,
}

#[derive(Clone, Copy)]
pub(super) enum Parameter<'a> {
    /// `group_by` in a known form, with an equals sign.
    GroupBy,
    /// `api_key_ids` in a known form.
    KeyIds(ListForm<'a>),
    /// `api_key_names`. `None` if its form is unknown or the parameter is misspelled.
    KeyNames(Option<ListForm<'a>>),
    Other,
}

/// The form of a list parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ListForm<'a> {
    /// `a=1&a=2` or `a=1,2`.
    Plain,
    /// `a[]=1&a[]=2` or `a[0]=1&a[1]=2`, with the brackets as the client wrote them.
    Brackets { open: &'a str, index: Option<u64>, close: &'a str },
}

/// An item of a comma-separated value, and the comma before it as the client wrote it.
#[derive(Clone, Copy)]
pub(super) struct ListItem<'a> {
    pub(super) comma: &'a str,
    pub(super) text: &'a str,
}

/// Splits a query into its pairs.
pub(super) fn parse(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split('&').map(Pair::parse)
}

/// Splits a value at its commas, which may be percent-encoded.
pub(super) fn items(value: &str) -> impl Iterator<Item = ListItem<'_>> {
    // The rest of the list and the comma before it. `None` after the last item.
    let mut unparsed = Some(("", value));
    std::iter::from_fn(move || {
        let (comma, list) = unparsed.take()?;
        let Some(Range { start, end }) = find_comma(list) else {
            return Some(ListItem { comma, text: list });
        };
        unparsed = Some((&list[start..end], &list[end..]));
        Some(ListItem { comma, text: &list[..start] })
    })
}

/// Returns the position of the first comma, as it is or percent-encoded.
fn find_comma(text: &str) -> Option<Range<usize>> {
    memchr2_iter(b',', b'%', text.as_bytes()).find_map(|at| match text.as_bytes()[at..] {
        [b',', ..] => Some(at..at + 1),
        [b'%', b'2', b'C' | b'c', ..] => Some(at..at + 3),
        _ => None,
    })
}

/// Returns the first comma of a value, as the client wrote it.
pub(super) fn comma(value: &str) -> Option<&str> {
    items(value).nth(1).map(|item| item.comma)
}

/// Compares percent-encoded text with plain text.
pub(super) fn decodes_to(encoded: &str, plain: &str) -> bool {
    percent_decode_str(encoded).eq(plain.bytes())
}

impl<'a> Pair<'a> {
    fn parse(text: &'a str) -> Self {
        let equals = memchr(b'=', text.as_bytes());
        let (name, value) = equals.map_or((text, ""), |at| (&text[..at], &text[at + 1..]));
        Self { text, parameter: Parameter::parse(name, equals.is_some()), value }
    }

    /// Returns true if the pair groups or filters by key names.
    pub(super) fn contains_name(&self) -> bool {
        match self.parameter {
            Parameter::GroupBy => items(self.value).any(|item| decodes_to(item.text, NAME)),
            Parameter::KeyNames(_) => true,
            Parameter::KeyIds(_) | Parameter::Other => false,
        }
    }
}

impl<'a> Parameter<'a> {
    /// Parses the text before the equals sign. `has_value` is true if there is one.
    fn parse(text: &'a str, has_value: bool) -> Self {
        if let Some(form) = ListForm::parse(text, NAMES) {
            return Self::KeyNames(form.ok());
        }
        if is_misspelled(text) {
            return Self::KeyNames(None);
        }
        if let Some(Ok(form)) = ListForm::parse(text, IDS) {
            return Self::KeyIds(form);
        }
        match ListForm::parse(text, GROUP_BY) {
            Some(Ok(_)) if has_value => Self::GroupBy,
            _ => Self::Other,
        }
    }
}

/// Returns true if a parameter has the letters of `api_key_names` or `api_key_name`, with any other characters between
/// them.
fn is_misspelled(parameter: &str) -> bool {
    let letters = percent_decode_str(parameter)
        .take_while(|byte| *byte != b'[')
        .filter(u8::is_ascii_alphanumeric)
        .map(|byte| byte.to_ascii_lowercase());
    MISSPELLED.iter().any(|misspelled| letters.clone().eq(misspelled.bytes()))
}

/// The error of a parameter that begins with the name of a list and has no known form: `[x]`, `.0`, brackets encoded
/// twice, or another letter case.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnknownForm;

impl<'a> ListForm<'a> {
    /// Parses the form `name`, `name[]` or `name[0]`. Returns `None` if the parameter has another name.
    fn parse(parameter: &'a str, name: &str) -> Option<Result<Self, UnknownForm>> {
        let mut decoded = percent_decode_str(parameter);
        let mut is_exact = true;
        for expected in name.bytes() {
            let byte = decoded.next()?;
            if !byte.eq_ignore_ascii_case(&expected) {
                return None;
            }
            is_exact &= byte == expected;
        }
        match decoded.next() {
            // The name continues, so it is another one.
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-') => None,
            None if is_exact => Some(Ok(Self::Plain)),
            Some(b'[') if is_exact => Some(Self::parse_brackets(parameter, decoded)),
            _ => Some(Err(UnknownForm)),
        }
    }

    /// Parses the index and the closing bracket, which are the rest of `parameter` as `decoded` bytes.
    fn parse_brackets(parameter: &'a str, decoded: impl Iterator<Item = u8>) -> Result<Self, UnknownForm> {
        let mut rest = decoded.peekable();
        let mut index: Option<u64> = None;
        while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
            let tens = index.unwrap_or(0).saturating_mul(10);
            index = Some(tens.saturating_add((digit - b'0').into()));
        }
        if !rest.eq([b']']) {
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
