//! Laws of the query rewriting, with a slow and plain parser as the oracle.

mod oracle;

use std::collections::HashSet;

use self::oracle::{Oracle, decode, dimensions, known_list, pairs, values};
use crate::unstructured::Unstructured;
use tower_api_key_name::_internal::query::{
    FilterError, FilterErrorKind, QueryNames, RewrittenQuery, rewrite,
};
use tower_api_key_name::KeyNames;
use tower_api_key_name::names::{Labels, Provider};

/// Checks one query: for each label, `group_by` contains the id in place of the name, the filter by id contains the ids
/// of all requested names, other pairs are unchanged, and a second rewriting changes nothing.
pub fn check(input: &[u8]) {
    let mut source = Unstructured::new(input);
    let max_length = match source.byte() {
        length @ 0..=99 => 4 * usize::from(length),
        _ => MAX_LENGTH,
    };
    let oracle = Oracle {
        labels: source.choose(&[&LABELS[..1], &LABELS[..2], LABELS]),
        map: map(),
        provider: source.choose(&[None, Some(Provider::OpenAi), Some(Provider::Anthropic)]),
        accepts_names_as_ids: source.byte() % 4 == 1,
    };
    let query = query(&mut source);
    let labels = labels(oracle.labels);
    let rewrite = |query: &str, max_length| {
        let names = QueryNames {
            provider: oracle.provider,
            accepts_names_as_ids: oracle.accepts_names_as_ids,
            ..QueryNames::new(&labels, &oracle.map, max_length)
        };
        rewrite(query, &names)
    };
    match (rewrite(&query, max_length), oracle.requested(&query)) {
        (Ok(None), Ok(requested)) => assert!(requested.sent.is_empty(), "{query}: {:?}", requested.sent),
        (Ok(Some(RewrittenQuery { query: after, sent, .. })), Ok(requested)) => {
            assert!(after.len() <= max_length, "{query}");
            assert_eq!(rewrite(&after, max_length), Ok(None), "{query} became {after}");
            assert_eq!(sent, requested.sent, "{query}");
            for ((id, _), ids) in oracle.labels.iter().zip(&requested.ids) {
                check_ids(&query, &after, &format!("{id}s"), ids);
            }
            let has_filter = sent.iter().any(|part| part.ends_with(" ids"));
            assert!(has_filter || after.len() <= query.len(), "{query} became {after}");
            check_other_pairs(&oracle, &query, &after);
        }
        (Err(FilterError { kind: FilterErrorKind::TooLong, .. }), Ok(_)) => {
            let after = rewrite(&query, usize::MAX).ok().flatten();
            assert!(after.is_some_and(|after| after.query.len() > max_length), "{query}");
        }
        (Err(error), Err(expected)) => check_error(&query, error, expected),
        (result, expected) => panic!("{query}: {result:?}, not {expected:?}"),
    }
}

/// The maximum length of a URI.
const MAX_LENGTH: usize = 65_534;

/// The id member and the name member of each label. The parameters of the last one look like misspellings of the first.
const LABELS: &[(&str, &str)] =
    &[("api_key_id", "api_key_name"), ("project_id", "project_name"), ("apiKeyId", "apiKeyName")];

fn labels(list: &[(&str, &str)]) -> Labels {
    list[1..].iter().fold(Labels::default(), |labels, (id, name)| labels.with(id, name).unwrap_or_default())
}

/// Names of one id and of several ids, with commas and with characters that have to be percent-encoded. Some names occur
/// in several sections, for both providers, or are ids themselves.
fn map() -> KeyNames {
    let keys = [
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
        ("apikey_1", "checkout"),
        ("apikey_2", "api"),
        ("key_id", "key_1"),
    ];
    let projects = [("proj_1", "checkout"), ("proj_2", "storefront"), ("proj_3", "a,b")];
    let others = [("1", "checkout"), ("2", "Secret Key"), ("a", "x")];
    let map = KeyNames::new(keys).and_then(|map| map.with_section("project_id", projects));
    map.and_then(|map| map.with_section("apiKeyId", others)).unwrap_or_default()
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
    "project_name",
    "project%5Fid",
    "apiKeyName",
    "model",
    "api_key_names",
    "api_key_names=",
    "api_key_names[]=",
    "&api_key_names[]=",
    "api_key_names%5B%5D=",
    "api_key_names[1]=",
    "API_KEY_NAMES",
    "apiKeyNames",
    "&apiKeyNames[]=",
    "&apiKeyIds=",
    "&project_names=",
    "&project_ids[]=",
    "projectNames",
    "&user_names=",
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
    "proj_1",
    "storefront",
    "api",
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

/// Checks all pairs except those of names and ids. The first name of a label becomes the id, unless the id is requested
/// too. Other names are removed, with the pair if it contains nothing else.
fn check_other_pairs(oracle: &Oracle<'_>, query: &str, after: &str) {
    let others = |query| str::split(query, '&').filter(|pair| !oracle.is_list(pair));
    let mut sent_ids: HashSet<&str> = HashSet::new();
    for dimension in query.split('&').flat_map(dimensions) {
        sent_ids.extend(oracle.labels.iter().map(|(id, _)| *id).filter(|id| decode(&dimension) == *id));
    }
    let mut rest = others(after);
    for pair in others(query) {
        let requested = dimensions(pair);
        let mut expected = requested.clone();
        expected.retain_mut(|dimension| {
            let label = oracle.labels.iter().find(|(_, name)| decode(dimension) == *name);
            let Some((id, _)) = label else { return true };
            *dimension = id.to_string();
            sent_ids.insert(id)
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

/// Checks that the rewritten query contains exactly these ids of a label, in one list.
fn check_ids(query: &str, after: &str, parameter: &str, expected: &[String]) {
    let pairs_before = pairs(query);
    let pairs_after = pairs(after);
    let list_before = known_list(&pairs_before, parameter);
    let list_after = known_list(&pairs_after, parameter);
    let mut ids = values(&list_after, |_| false);
    ids.sort();
    assert_eq!(ids, expected, "{query} became {after}");
    let forms = |list: &[(&str, &str)]| {
        list.iter().map(|(form, _)| (form.len().min(3), *form == "[]")).collect::<HashSet<_>>().len()
    };
    assert!(forms(&list_after) <= forms(&list_before).max(1), "{query} became {after}");
    let duplicate_indexes = |list: &[(&str, &str)]| {
        let indexes = || list.iter().map(|(form, _)| *form).filter(|form| form.len() > 2);
        indexes().count() - indexes().collect::<HashSet<_>>().len()
    };
    assert!(duplicate_indexes(&list_after) <= duplicate_indexes(&list_before), "{query} became {after}");
}

/// Compares two errors. A query with two errors may report either. The oracle does not determine `has_comma`
/// exactly.
fn check_error(query: &str, error: FilterError, expected: FilterError) {
    if error.kind == FilterErrorKind::TooLong {
        return;
    }
    assert_eq!(error.label, expected.label, "{query}");
    match (error.kind, expected.kind) {
        (FilterErrorKind::UnknownName { name, .. }, FilterErrorKind::UnknownName { name: expected, .. }) => {
            assert_eq!(name, expected, "{query}");
        }
        (error, expected) => assert_eq!(error, expected, "{query}"),
    }
}
