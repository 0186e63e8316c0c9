//! Query strings, beside what someone reads in them who takes them apart the slow and plain way.

use std::collections::HashSet;

use crate::choices::Choices;
use tower_api_key_name::_internal::MEMBERS;
use tower_api_key_name::_internal::query::names::{self as filter, Fault};
use tower_api_key_name::_internal::query::rewrite;
use tower_api_key_name::KeyNames;

/// `group_by` names the id once where it named the name, `api_key_ids` asks for the keys that were asked for by name, in
/// the room that there is; every other pair stays, and twice is once.
pub fn hold(input: &[u8]) {
    let mut choices = Choices::new(input);
    let room = match choices.byte() {
        room @ 0..=99 => 4 * usize::from(room),
        _ => ROOM,
    };
    let query = query(&mut choices);
    let grouped = is_grouped(&query).unwrap_or(query);
    if let Some(filtered) = is_filtered(&grouped, room) {
        assert_eq!(rewrite(&filtered, MEMBERS), None, "{grouped}");
    }
}

/// What a URI takes.
pub const ROOM: usize = 65_534;

/// Names of one key and of several, with commas, and what has to be percent-encoded.
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

/// What clients write, in pieces, and what comes near.
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
    "nobody",
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

/// Made of such pieces, or any text.
fn query(choices: &mut Choices<'_>) -> String {
    if choices.byte().is_multiple_of(4) {
        return String::from_utf8_lossy(choices.rest()).into_owned();
    }
    let mut query = String::new();
    while !choices.is_over() {
        query += choices.of(PARTS);
    }
    query
}

// === Pairs, as someone else reads them ===

type Pairs = Vec<(String, String)>;

fn pairs(query: &str) -> Pairs {
    let cut = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    // In a parameter, no plus belongs to a word that is looked for.
    cut.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect()
}

/// A `%` that no two hexadecimal digits follow stands for itself.
fn decoded(text: &str) -> String {
    let is_triplet = |bytes: &[u8]| bytes.len() > 2 && bytes[1..3].iter().all(u8::is_ascii_hexdigit);
    let (mut rest, mut out) = (text.as_bytes(), Vec::new());
    while let [first, after @ ..] = rest {
        let digits = (*first == b'%' && is_triplet(rest)).then(|| String::from_utf8_lossy(&after[..2]));
        let byte = digits.and_then(|digits| u8::from_str_radix(&digits, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = &after[if byte.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The pairs of a list: what stands behind its name, `""`, `"[]"`, `"[7]"` or what is no form; and the value. Not those
/// where the name goes on as a word.
fn list<'a>(pairs: &'a Pairs, name: &str) -> Vec<(&'a str, &'a str)> {
    let ours = pairs.iter().filter_map(|(this, value)| {
        let begins =
            this.as_bytes().get(..name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name.as_bytes()));
        let form = this.get(name.len()..).filter(|_| begins)?;
        // In another case of letters, it is as odd as any.
        Some((if this.starts_with(name) { form } else { "?" }, form, value.as_str()))
    });
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    ours.filter(|(_, form, _)| !form.starts_with(is_word)).map(|(form, _, value)| (form, value)).collect()
}

fn is_odd(form: &str) -> bool {
    let digits = form.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    !form.is_empty() && !digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// A list without what is no form.
fn proper<'a>(pairs: &'a Pairs, name: &str) -> Vec<(&'a str, &'a str)> {
    let mut found = list(pairs, name);
    found.retain(|(form, _)| !is_odd(form));
    found
}

// === Dimensions ===

/// The dimensions that a pair names, as they are written: none without an equals sign.
fn dimensions(pair: &str) -> Vec<String> {
    let is_list = pair.contains('=') && !proper(&pairs(pair), "group_by").is_empty();
    let Some((_, value)) = pair.split_once('=').filter(|_| is_list) else { return Vec::new() };
    value.replace("%2C", ",").replace("%2c", ",").split(',').map(Into::into).collect()
}

/// Gives the query with the id, where it asked for the name.
fn is_grouped(query: &str) -> Option<String> {
    let is = |dimension: &String, name| decoded(dimension) == name;
    let asks = |name| query.split('&').flat_map(dimensions).any(|dimension| is(&dimension, name));
    let Some(after) = rewrite(query, MEMBERS) else {
        assert!(!asks("api_key_name"), "{query}");
        return None;
    };
    assert!(after.len() <= query.len(), "{query}");
    assert_eq!(rewrite(&after, MEMBERS), None, "{query}");
    // The first name is the id, if that is not asked for; other names go, and a pair goes that named nothing else.
    let mut has_id = asks("api_key_id");
    let mut left = after.split('&');
    for pair in query.split('&') {
        let asked = dimensions(pair);
        let mut expected = asked.clone();
        expected.retain_mut(|dimension| match is(dimension, "api_key_name") {
            false => true,
            true => {
                *dimension = "api_key_id".into();
                !std::mem::replace(&mut has_id, true)
            }
        });
        if asked == expected {
            assert_eq!(left.next(), Some(pair), "{query} became {after}");
        } else if !expected.is_empty() {
            let left = left.next().unwrap_or_default();
            assert_eq!(dimensions(left), expected, "{query} became {after}");
            assert_eq!(left.split('=').next(), pair.split('=').next(), "{query} became {after}");
        }
    }
    assert_eq!(left.next(), None, "{query} became {after}");
    Some(after)
}

// === The filter ===

/// The values of a list.
fn values(found: &[(&str, &str)], is_name: impl Fn(&str) -> bool) -> Vec<String> {
    match found {
        [("", value)] if !is_name(value) => value.split(',').map(Into::into).collect(),
        _ => found.iter().map(|(_, value)| value.to_string()).collect(),
    }
}

/// The same letters, or those of the singular, with anything between them, and none of the forms.
fn is_nearly_names(parameter: &str) -> bool {
    let name = parameter.split('[').next().unwrap_or_default().to_ascii_lowercase();
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let form = parameter.strip_prefix("api_key_names");
    ["apikeynames", "apikeyname"].contains(&&*letters) && form.is_none_or(is_odd)
}

/// Every id that is asked for, or what is wrong.
fn asked_for(query: &str, names: &KeyNames) -> Result<Option<Vec<String>>, Fault> {
    let pairs = pairs(query);
    let asked = list(&pairs, "api_key_names");
    if pairs.iter().any(|(name, _)| is_nearly_names(name)) || asked.iter().any(|(form, _)| is_odd(form)) {
        return Err(Fault::Form);
    }
    if asked.is_empty() {
        return Ok(None);
    }
    let mut ids = values(&proper(&pairs, "api_key_ids"), |_| false);
    for name in values(&asked, |value| names.iter().any(|(_, name)| name == value)) {
        let found: Vec<_> =
            names.iter().filter(|(_, known)| *known == name).map(|(id, _)| id.to_owned()).collect();
        if name.is_empty() {
            return Err(Fault::Empty);
        }
        if found.is_empty() {
            let commas = asked.iter().any(|(_, value)| value.contains(',') && value.contains(&name));
            return Err(Fault::Unknown { name, commas });
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

/// Gives the query with ids, where it asked for names and can be put so.
fn is_filtered(query: &str, room: usize) -> Option<String> {
    let names = names();
    let after = match (filter::rewrite(query, &names, room), asked_for(query, &names)) {
        (Ok(Some(after)), Ok(Some(expected))) => {
            let read = pairs(&after);
            let mut found = values(&proper(&read, "api_key_ids"), |_| false);
            found.sort();
            assert_eq!(found, expected, "{query}");
            after
        }
        (Ok(None), Ok(None)) => return None,
        (Err(Fault::TooLong), Ok(Some(_))) => {
            // With more room there would be an answer, of a length that this room does not have.
            let after = filter::rewrite(query, &names, usize::MAX).ok().flatten();
            assert!(after.is_some_and(|after| after.len() > room), "{query}");
            return None;
        }
        (Err(fault), Err(expected)) => {
            is_the_same_fault(query, fault, expected);
            return None;
        }
        (got, expected) => panic!("{query}: {got:?}, not {expected:?}"),
    };
    assert!(after.len() <= room);
    assert_eq!(filter::rewrite(&after, &names, room), Ok(None), "{query}");
    // Every other pair stands there as it was, and in its order.
    let is_ours = |pair: &&str| {
        let read = pairs(pair);
        !proper(&read, "api_key_names").is_empty() || !proper(&read, "api_key_ids").is_empty()
    };
    let others = |query: &str| query.split('&').filter(|p| !is_ours(p)).collect::<Vec<_>>().join("&");
    assert_eq!(others(&after), others(query));
    is_one_list(query, &after);
    Some(after)
}

/// Which of two faults is found first is nobody's business, nor is a question refused for its length that is wrong too.
fn is_the_same_fault(query: &str, fault: Fault, expected: Fault) {
    match (fault, expected) {
        (Fault::Unknown { name, .. }, Fault::Unknown { name: expected, .. }) => {
            assert_eq!(name, expected, "{query}");
        }
        (Fault::TooLong, Fault::Unknown { .. } | Fault::Empty) => {}
        (fault, expected) => assert_eq!(fault, expected, "{query}"),
    }
}

/// The new ids stand in the form of those that were there, where these were in one; no number is given out that is taken.
fn is_one_list(query: &str, after: &str) {
    let (now, before) = (pairs(after), pairs(query));
    let (now, before) = (proper(&now, "api_key_ids"), proper(&before, "api_key_ids"));
    let kinds = |found: &[(&str, &str)]| {
        found.iter().map(|(form, _)| (form.len().min(3), *form == "[]")).collect::<HashSet<_>>().len()
    };
    assert!(kinds(&now) <= kinds(&before).max(1), "{query} became {after}");
    let taken_twice = |found: &[(&str, &str)]| {
        let numbers = || found.iter().map(|(form, _)| *form).filter(|form| form.len() > 2);
        numbers().count() - numbers().collect::<HashSet<_>>().len()
    };
    assert_eq!(taken_twice(&now), taken_twice(&before), "{query} became {after}");
}
