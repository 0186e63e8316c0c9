//! The pairs of a query string, and the items of their values.

use std::ops::Range;

use memchr::{memchr, memchr2_iter};
use percent_encoding::percent_decode_str;

use super::QueryNames;
use super::list_form::ListForm;
use crate::names::Label;

const GROUP_BY: &str = "group_by";

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
    /// The ids of an active label, such as `api_key_ids`, in a known form.
    Ids {
        label: u8,
        form: ListForm<'a>,
    },
    /// The names of an active label, such as `api_key_names`. The form is `None` if it is unknown or the parameter is
    /// misspelled.
    Names {
        label: u8,
        form: Option<ListForm<'a>>,
    },
    Other,
}

/// An item of a comma-separated value, and the comma before it as the client wrote it.
#[derive(Clone, Copy)]
pub(super) struct ListItem<'a> {
    pub(super) comma: &'a str,
    pub(super) text: &'a str,
}

/// Splits a query into its pairs.
pub(super) fn parse<'a>(query: &'a str, names: &QueryNames<'_>) -> impl Iterator<Item = Pair<'a>> {
    query.split('&').map(|pair| Pair::parse(pair, names))
}

/// Splits a value at its commas, which may be percent-encoded. The items of `a,b%2Cc` are `a` without a comma, `b` with
/// `,` and `c` with `%2C`. An empty value has one empty item.
pub(super) fn items(value: &str) -> impl Iterator<Item = ListItem<'_>> {
    // The items that are not returned yet, as one item. `None` after the last one.
    let mut unparsed = Some(ListItem { comma: "", text: value });
    std::iter::from_fn(move || {
        let ListItem { comma, text } = unparsed.take()?;
        let Some(next_comma) = find_comma(text) else { return Some(ListItem { comma, text }) };
        let item = ListItem { comma, text: &text[..next_comma.start] };
        let text_after_comma = &text[next_comma.end..];
        unparsed = Some(ListItem { comma: &text[next_comma], text: text_after_comma });
        Some(item)
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
    fn parse(text: &'a str, names: &QueryNames<'_>) -> Self {
        let equals = memchr(b'=', text.as_bytes());
        let (name, value) = equals.map_or((text, ""), |at| (&text[..at], &text[at + 1..]));
        Self { text, parameter: Parameter::parse(name, equals.is_some(), names), value }
    }

    /// The parameter and the equals sign.
    pub(super) fn text_before_value(&self) -> &'a str {
        &self.text[..self.text.len() - self.value.len()]
    }
}

impl<'a> Parameter<'a> {
    /// Parses the text before the equals sign. `has_value` is true if the pair has an equals sign. The parameter of one
    /// label may look like a misspelling of the parameter of another label, so it is compared with the parameters of
    /// all labels first. Returns `Other` if it belongs to no label.
    fn parse(text: &'a str, has_value: bool, names: &QueryNames<'_>) -> Self {
        if let Some(Ok(_)) = ListForm::parse(text, GROUP_BY.bytes()) {
            return if has_value { Self::GroupBy } else { Self::Other };
        }
        for (label, Label { id, name, .. }) in names.active_labels() {
            if let Some(Ok(form)) = ListForm::parse(text, plural(name)) {
                return Self::Names { label, form: Some(form) };
            }
            if let Some(Ok(form)) = ListForm::parse(text, plural(id)) {
                return Self::Ids { label, form };
            }
        }
        for (label, Label { name, .. }) in names.active_labels() {
            // The loop above has returned the known forms.
            let has_unknown_form = ListForm::parse(text, plural(name)).is_some();
            if has_unknown_form || is_misspelled(text, name) {
                return Self::Names { label, form: None };
            }
        }
        Self::Other
    }
}

/// The bytes of the list parameter of a member: the member and `s`.
fn plural(member: &str) -> impl Iterator<Item = u8> {
    member.bytes().chain(*b"s")
}

/// Returns true if a parameter has the letters of a list of names, such as `api_key_names`, or of its singular, with any
/// other characters between them.
fn is_misspelled(parameter: &str, name: &str) -> bool {
    let name_letters = letters(name.bytes());
    // A name such as `_` has no letters.
    if name_letters.clone().next().is_none() {
        return false;
    }
    let parameter_letters = letters(percent_decode_str(parameter).take_while(|byte| *byte != b'['));
    let is_singular = parameter_letters.clone().eq(name_letters.clone());
    is_singular || parameter_letters.eq(name_letters.chain(*b"s"))
}

/// The letters and digits of a text, in lower case.
fn letters(text: impl Iterator<Item = u8> + Clone) -> impl Iterator<Item = u8> + Clone {
    text.filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}
