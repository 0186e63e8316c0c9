//! Laws of the query rewriting, with a slow and plain parser as the oracle.

use std::collections::HashSet;

use crate::unstructured::Unstructured;
use tower_api_key_name::_internal::query::{FilterError, rewrite};
use tower_api_key_name::KeyNames;

/// Checks one query: `group_by` contains the id in place of the name, `api_key_ids` contains the ids of all requested
/// names, other pairs are unchanged, and a second rewriting changes nothing.
pub fn check(input: &[u8]) {
    let mut source = Unstructured::new(input);
    let max_length = match source.byte() {
        length @ 0..=99 => 4 * usize::from(length),
        _ => MAX_LENGTH,
    };
    let query = query(&mut source);
    let names = names();
    let has_name =
        query.split('&').flat_map(dimensions).any(|dimension| decode(&dimension) == "api_key_name");
    match (rewrite(&query, &names, max_length), requested_ids(&query, &names)) {
        (Ok(None), Ok(None)) => assert!(!has_name, "{query}"),
        (Ok(Some(after)), Ok(ids)) => {
            assert!(after.len() <= max_length, "{query}");
            assert_eq!(rewrite(&after, &names, max_length), Ok(None), "{query}");
            match ids {
                Some(ids) => check_ids(&query, &after, &ids),
                None => assert!(has_name && after.len() <= query.len(), "{query}"),
            }
            check_other_pairs(&query, &after);
        }
        (Err(FilterError::TooLong), Ok(_)) => {
            let after = rewrite(&query, &names, usize::MAX).ok().flatten();
            assert!(after.is_some_and(|after| after.len() > max_length), "{query}");
        }
        (Err(error), Err(expected)) => check_error(&query, error, expected),
        (result, expected) => panic!("{query}: {result:?}, not {expected:?}"),
    }
}

/// The maximum length of a URI.
pub const MAX_LENGTH: usize = 65_534;

/// Names of one key and of several keys, with commas and with characters that have to be percent-encoded.
pub fn names() -> KeyNames {
    let pairs = [
        ("key_1", "checkout"),
        ("key_2", "billing"),
        ("key_s1", "Secret Key"),
        ("key_s2", "Secret Key"),
        ("key_s3", "Secret Key"),
        ("key_c", "ops, EU"),
        ("key_ab", "a,b"),
        ("key_a", "a"),
        ("key_b", "b"),
        ("key ü&=+%/", "Zürich – 50%+"),
    ];
    KeyNames::new(pairs).unwrap_or_default()
}

/// Pieces of queries that clients send, and of similar ones.
const PARTS: &[&str] = &[
    "&",
    "&",
    "&",
    "=",
    "=",
    ",",
    ",",
    "%2C",
    "%2c",
    "group_by=",
    "group_by",
    "group%5Fby",
    "group_by[]=",
    "group_by%5B%5D=",
    "group_by=api_key_name",
    "api_key_name",
    "api%5fkey_name",
    "api_key_id",
    "api%5Fkey_id",
    "model",
    "api_key_names",
    "api_key_names=",
    "api_key_names[]=",
    "&api_key_names[]=",
    "api_key_names%5B%5D=",
    "api_key_names[1]=",
    "API_KEY_NAMES",
    "apiKeyNames",
    "&api_key_name=",
    "api_key_ids",
    "api%5Fkey_ids",
    "api_key_ids=",
    "&api_key_ids[]=",
    "api_key_ids%5b0%5d=",
    "[]",
    "[2]",
    "[",
    "]",
    "%5B",
    "%5D",
    "0",
    "18446744073709551615",
    "checkout",
    "billing",
    "Secret+Key",
    "Secret%20Key",
    "ops,+EU",
    "a",
    "b",
    "key_1",
    "key_s2",
    "absent",
    "Z%C3%BCrich+%E2%80%93+50%25%2B",
    "%",
    "%2",
    "%25",
    "é",
    "%FF",
    "+",
    "x",
    ".0",
    "_",
];

/// Draws a query of these pieces, or any text.
fn query(source: &mut Unstructured<'_>) -> String {
    if source.byte().is_multiple_of(4) {
        return String::from_utf8_lossy(source.take_rest()).into_owned();
    }
    let mut query = String::new();
    while !source.is_empty() {
        query += source.choose(PARTS);
    }
    query
}

// === The oracle's parser ===

type Pairs = Vec<(String, String)>;

/// Returns the decoded parameter and value of each pair.
fn pairs(query: &str) -> Pairs {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decode(name), decode(&value.replace('+', " ")))).collect()
}

/// Decodes percent-encoding. A `%` without two hexadecimal digits after it is literal.
fn decode(text: &str) -> String {
    let is_triplet =
        |bytes: &[u8]| bytes.len() > 2 && bytes[0] == b'%' && bytes[1..3].iter().all(u8::is_ascii_hexdigit);
    let mut rest = text.as_bytes();
    let mut out = Vec::new();
    while let Some(first) = rest.first() {
        if is_triplet(rest) {
            let digits = String::from_utf8_lossy(&rest[1..3]);
            out.extend(u8::from_str_radix(&digits, 16));
            rest = &rest[3..];
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Returns the form (`""`, `"[]"`, `"[7]"` or another suffix) and the value of each pair whose parameter begins with
/// `name`, unless the name continues as a word.
fn list<'a>(pairs: &'a Pairs, name: &str) -> Vec<(&'a str, &'a str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut list = Vec::new();
    for (parameter, value) in pairs {
        let Some((start, suffix)) = parameter.split_at_checked(name.len()) else { continue };
        if start.eq_ignore_ascii_case(name) && !suffix.starts_with(is_word) {
            // Another letter case is an unknown form.
            let form = if start == name { suffix } else { "?" };
            list.push((form, value.as_str()));
        }
    }
    list
}

fn is_unknown_form(form: &str) -> bool {
    let digits = form.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    !form.is_empty() && !digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Returns the pairs of a list in a known form.
fn known_list<'a>(pairs: &'a Pairs, name: &str) -> Vec<(&'a str, &'a str)> {
    let mut found = list(pairs, name);
    found.retain(|(form, _)| !is_unknown_form(form));
    found
}

/// Returns the values of a list. A single value without brackets is split at its commas, unless it is a name.
fn values(list: &[(&str, &str)], is_name: impl Fn(&str) -> bool) -> Vec<String> {
    match list {
        [("", value)] if !is_name(value) => value.split(',').map(Into::into).collect(),
        _ => list.iter().map(|(_, value)| value.to_string()).collect(),
    }
}

// === Dimensions ===

/// Returns the dimensions in a pair, as they are written. A pair without an equals sign has none.
fn dimensions(pair: &str) -> Vec<String> {
    let is_list = !known_list(&pairs(pair), "group_by").is_empty();
    match pair.split_once('=') {
        Some((_, value)) if is_list => {
            value.replace("%2C", ",").replace("%2c", ",").split(',').map(Into::into).collect()
        }
        _ => Vec::new(),
    }
}

/// Checks all pairs except those of names and ids. The first name becomes the id, unless the id is requested too. Other
/// names are removed, with the pair if it contains nothing else.
fn check_other_pairs(query: &str, after: &str) {
    let is_key_list = |pair: &&str| {
        let pair = pairs(pair);
        !known_list(&pair, "api_key_names").is_empty() || !known_list(&pair, "api_key_ids").is_empty()
    };
    let others = |query| str::split(query, '&').filter(|pair| !is_key_list(pair));
    let is_named = |dimension: &String, name| decode(dimension) == name;
    let mut has_id =
        query.split('&').flat_map(dimensions).any(|dimension| is_named(&dimension, "api_key_id"));
    let mut rest = others(after);
    for pair in others(query) {
        let requested = dimensions(pair);
        let mut expected = requested.clone();
        expected.retain_mut(|dimension| {
            if !is_named(dimension, "api_key_name") {
                return true;
            }
            *dimension = "api_key_id".into();
            let is_first_id = !has_id;
            has_id = true;
            is_first_id
        });
        if requested == expected {
            assert_eq!(rest.next(), Some(pair), "{query} became {after}");
        } else if !expected.is_empty() {
            let rewritten = rest.next().unwrap_or_default();
            assert_eq!(dimensions(rewritten), expected, "{query} became {after}");
            assert_eq!(rewritten.split('=').next(), pair.split('=').next(), "{query} became {after}");
        }
    }
    assert_eq!(rest.next(), None, "{query} became {after}");
}

// === The filter ===

/// Returns true if a parameter has the letters of `api_key_names` or its singular, but is not in a known form.
fn is_misspelled(parameter: &str) -> bool {
    let name = parameter.split('[').next().unwrap_or_default().to_ascii_lowercase();
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let form = parameter.strip_prefix("api_key_names");
    ["apikeynames", "apikeyname"].contains(&&*letters) && form.is_none_or(is_unknown_form)
}

/// Returns all requested ids in sorted order, or `None` if the query contains no names.
fn requested_ids(query: &str, names: &KeyNames) -> Result<Option<Vec<String>>, FilterError> {
    let pairs = pairs(query);
    let requested = list(&pairs, "api_key_names");
    let has_unknown_form = requested.iter().any(|(form, _)| is_unknown_form(form));
    if has_unknown_form || pairs.iter().any(|(name, _)| is_misspelled(name)) {
        return Err(FilterError::InvalidParameter);
    }
    if requested.is_empty() {
        return Ok(None);
    }
    let mut ids = values(&known_list(&pairs, "api_key_ids"), |_| false);
    for name in values(&requested, |value| names.iter().any(|(_, name)| name == value)) {
        let found: Vec<_> =
            names.iter().filter(|(_, known)| *known == name).map(|(id, _)| id.to_owned()).collect();
        if name.is_empty() {
            return Err(FilterError::EmptyName);
        }
        if found.is_empty() {
            let has_comma = requested.iter().any(|(_, value)| value.contains(',') && value.contains(&name));
            return Err(FilterError::UnknownName { name, has_comma });
        }
        for id in found {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    ids.sort();
    Ok(Some(ids))
}

/// Checks that the rewritten query contains exactly these ids, in one list.
fn check_ids(query: &str, after: &str, expected: &[String]) {
    let pairs_before = pairs(query);
    let pairs_after = pairs(after);
    let list_before = known_list(&pairs_before, "api_key_ids");
    let list_after = known_list(&pairs_after, "api_key_ids");
    let mut ids = values(&list_after, |_| false);
    ids.sort();
    assert_eq!(ids, expected, "{query}");
    let forms = |list: &[(&str, &str)]| {
        list.iter().map(|(form, _)| (form.len().min(3), *form == "[]")).collect::<HashSet<_>>().len()
    };
    assert!(forms(&list_after) <= forms(&list_before).max(1), "{query} became {after}");
    let duplicate_indexes = |list: &[(&str, &str)]| {
        let indexes = || list.iter().map(|(form, _)| *form).filter(|form| form.len() > 2);
        indexes().count() - indexes().collect::<HashSet<_>>().len()
    };
    assert_eq!(duplicate_indexes(&list_after), duplicate_indexes(&list_before), "{query} became {after}");
}

/// Compares two errors. A query with two errors may report either. The oracle does not determine `has_comma`
/// exactly.
fn check_error(query: &str, error: FilterError, expected: FilterError) {
    match (error, expected) {
        (FilterError::UnknownName { name, .. }, FilterError::UnknownName { name: expected, .. }) => {
            assert_eq!(name, expected, "{query}");
        }
        (FilterError::TooLong, FilterError::UnknownName { .. } | FilterError::EmptyName) => {}
        (error, expected) => assert_eq!(error, expected, "{query}"),
    }
}
