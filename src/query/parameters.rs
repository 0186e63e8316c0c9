//! The decoded parameters of a query that this crate serves itself.

use std::collections::BTreeMap;

use super::list_form::ListForm;
use super::list_parameter::{ListPair, ListParameter};
use super::lookup::decode;
use super::pair::{Pair, Parameter, items};

/// A parameter of a query, in any of the list forms that clients send.
pub(crate) struct QueryParameter<'a> {
    list: ListParameter<'a>,
}

/// The error of a parameter with another name than the expected ones, or in no known list form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownParameter {
    /// The text before the equals sign, decoded.
    pub(crate) name: String,
}

/// Returns the parameters of a query by their names. Each name is one of `known`, and occurs in the query. Returns an error for
/// the first pair with another parameter.
pub(crate) fn parse_parameters<'a>(
    query: &'a str,
    known: &[&'static str],
) -> Result<BTreeMap<&'static str, QueryParameter<'a>>, UnknownParameter> {
    let mut pairs_by_name: BTreeMap<&'static str, Vec<ListPair<'a>>> = BTreeMap::new();
    for text in query.split('&').filter(|text| !text.is_empty()) {
        let (name_text, value) = text.split_once('=').unwrap_or((text, ""));
        let Some((name, form)) = find_name(name_text, known) else {
            return Err(UnknownParameter { name: decode(name_text) });
        };
        let pair = Pair { text, parameter: Parameter::Other, value };
        pairs_by_name.entry(name).or_default().push(ListPair { form, pair });
    }
    let mut parameters = BTreeMap::new();
    for (name, pairs) in pairs_by_name {
        parameters.insert(name, QueryParameter { list: ListParameter::new(pairs) });
    }
    Ok(parameters)
}

/// Returns the known name of a parameter with its form, or `None` if the parameter has no known name and form.
fn find_name<'a>(text: &'a str, known: &[&'static str]) -> Option<(&'static str, ListForm<'a>)> {
    for name in known {
        if let Some(Ok(form)) = ListForm::parse(text, name.bytes()) {
            return Some((name, form));
        }
    }
    None
}

impl QueryParameter<'_> {
    /// Returns the values of a filter. A value is split at its commas only if it is the only one and has no brackets.
    pub(crate) fn filter_values(&self) -> Vec<String> {
        self.list.values().into_iter().map(decode).collect()
    }

    /// Returns the values of a filter whose values may contain commas. None of them is split.
    pub(crate) fn unsplit_values(&self) -> Vec<String> {
        self.list.pairs.iter().map(|list_pair| decode(list_pair.pair.value)).collect()
    }

    /// Returns the values of a list such as `group_by`, whose values never contain a comma. Each text is split at its commas.
    pub(crate) fn comma_separated_values(&self) -> Vec<String> {
        let pairs = self.list.pairs.iter();
        pairs.flat_map(|list_pair| items(list_pair.pair.value)).map(|item| decode(item.text)).collect()
    }

    /// Returns the value of a parameter that is no list, or `None` if it occurs twice or with brackets.
    pub(crate) fn single_value(&self) -> Option<String> {
        match &self.list.pairs[..] {
            [ListPair { form: ListForm::Plain, pair }] => Some(decode(pair.value)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a query whose only known parameters are `ids` and `limit`.
    fn parse(query: &str) -> Result<BTreeMap<&'static str, QueryParameter<'_>>, UnknownParameter> {
        parse_parameters(query, &["ids", "limit"])
    }

    fn values(query: &str) -> Vec<String> {
        parse(query).unwrap()["ids"].filter_values()
    }

    #[test]
    fn list_in_each_form_has_its_values() {
        for query in ["ids=a&ids=b", "ids[]=a&ids[]=b", "ids%5B0%5D=a&ids[1]=b", "ids=a,b", "ids=a%2cb"] {
            assert_eq!(values(query), ["a", "b"], "{query}");
        }
        assert_eq!(values("ids=%61+b%20c"), ["a b c"]);
        assert_eq!(values("ids="), [""]);
        assert_eq!(values("ids"), [""]);
    }

    #[test]
    fn value_in_brackets_is_not_split() {
        assert_eq!(values("ids[]=a,b"), ["a,b"]);
        assert_eq!(values("ids=a,b&ids=c"), ["a,b", "c"]);
    }

    #[test]
    fn unsplit_values_keep_their_commas() {
        assert_eq!(parse("ids=a,+b").unwrap()["ids"].unsplit_values(), ["a, b"]);
    }

    #[test]
    fn comma_separated_values_are_split_in_each_form() {
        assert_eq!(
            parse("ids[]=a,b&ids=c%2Cd").unwrap()["ids"].comma_separated_values(),
            ["a", "b", "c", "d"]
        );
    }

    #[test]
    fn single_value_occurs_once_without_brackets() {
        assert_eq!(parse("limit=3").unwrap()["limit"].single_value().as_deref(), Some("3"));
        assert_eq!(parse("limit=3&limit=3").unwrap()["limit"].single_value(), None);
        assert_eq!(parse("limit[]=3").unwrap()["limit"].single_value(), None);
    }

    #[test]
    fn empty_pairs_are_ignored() {
        assert!(parse("&&").unwrap().is_empty());
    }

    #[test]
    fn unknown_parameter_is_an_error_with_its_decoded_name() {
        for (query, name) in [
            ("limit=1&id=a", "id"),
            ("ids[x]=a", "ids[x]"),
            ("IDS=a", "IDS"),
            ("%69ds.0=a", "ids.0"),
            ("=a", ""),
        ] {
            let error = parse(query).err();
            assert_eq!(error, Some(UnknownParameter { name: name.to_owned() }), "{query}");
        }
    }
}
