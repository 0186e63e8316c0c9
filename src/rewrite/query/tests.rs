use proptest::prelude::*;

use super::rewrite;
use crate::rewrite::amend::Members;

const MEMBERS: Members = Members::new("api_key_id", "api_key_name");

#[track_caller]
fn becomes(query: &str, expected: &str) {
    assert_eq!(rewrite(query, MEMBERS).as_deref(), Some(expected), "{query}");
    assert_eq!(rewrite(expected, MEMBERS), None, "twice: {query}");
}

#[track_caller]
fn stays(query: &str) {
    assert_eq!(rewrite(query, MEMBERS), None, "{query}");
}

#[test]
fn every_form_that_clients_send() {
    becomes("group_by=api_key_name", "group_by=api_key_id");
    becomes("group_by[]=api_key_name", "group_by[]=api_key_id");
    becomes("group_by%5B%5D=api_key_name", "group_by%5B%5D=api_key_id");
    becomes("group_by%5b%5d=api_key_name", "group_by%5b%5d=api_key_id");
    becomes("group_by%5B0%5D=api_key_name", "group_by%5B0%5D=api_key_id");
    becomes("group_by[12]=api_key_name", "group_by[12]=api_key_id");
    becomes("group%5Fby=api%5Fkey%5fname", "group%5Fby=api_key_id");
    becomes("group_by=a&group_by=api_key_name", "group_by=a&group_by=api_key_id");
    becomes("group_by=a,api_key_name,b", "group_by=a,api_key_id,b");
    becomes("group_by=a%2Capi_key_name%2cb", "group_by=a%2Capi_key_id%2cb");
    becomes(
        "start_time=1&group_by=project_id,api_key_name,model&limit=7&page=AAA%3D",
        "start_time=1&group_by=project_id,api_key_id,model&limit=7&page=AAA%3D",
    );
}

#[test]
fn asked_for_both_one_is_sent() {
    becomes("group_by=api_key_id,api_key_name", "group_by=api_key_id");
    becomes("group_by=api_key_name,api_key_id", "group_by=api_key_id");
    becomes("group_by=api_key_name,a,api_key_id", "group_by=a,api_key_id");
    becomes("group_by=a%2Capi_key_name,b%2capi_key_id", "group_by=a,b%2capi_key_id");
    becomes("group_by=api_key_name&group_by=api_key_id", "group_by=api_key_id");
    becomes("group_by=api_key_id&group_by=api_key_name&x=1", "group_by=api_key_id&x=1");
    becomes("x=1&group_by[]=api_key_name&y=2&group_by[]=api%5Fkey_id", "x=1&y=2&group_by[]=api%5Fkey_id");
    becomes(
        "group_by[0]=api_key_id&group_by[1]=api_key_name&group_by[2]=model",
        "group_by[0]=api_key_id&group_by[2]=model",
    );
    becomes("group_by=api_key_name,api_key_name", "group_by=api_key_id");
    becomes("group_by=api_key_name&a&group_by[]=api_key_name", "group_by=api_key_id&a");
    becomes("group_by=api_key_name,api_key_name&group_by=api_key_id&", "group_by=api_key_id&");
}

#[test]
fn all_else_stays() {
    stays("");
    stays("group_by");
    stays("group_by=");
    stays("group_by=api_key_id");
    stays("group_by=api_key_id,api_key_id");
    stays("group_by=api_key_names");
    stays("group_by=api_key_nam");
    stays("group_by=API_KEY_NAME");
    stays("group_by=%61pi_key_nam%6");
    stays("Group_by=api_key_name");
    stays("group_by[=api_key_name");
    stays("group_by]=api_key_name");
    stays("group_by[a]=api_key_name");
    stays("group_by[]]=api_key_name");
    stays("group_by[][]=api_key_name");
    stays("group_bys=api_key_name");
    stays("xgroup_by=api_key_name");
    stays("models=api_key_name&x=group_by=api_key_name");
    stays("group_by=x=api_key_name");
    stays("group_by=api_key_name%00");
    stays("group_by=a%252Capi_key_name");
}

#[test]
fn other_bytes_stay() {
    becomes(
        "a=+%20%zz%&&b=[]{}|^&group_by=api_key_name&=&c=%E2%82%AC&d",
        "a=+%20%zz%&&b=[]{}|^&group_by=api_key_id&=&c=%E2%82%AC&d",
    );
    becomes("group_by=,api_key_name,,%", "group_by=,api_key_id,,%");
    becomes("?group_by=1&group_by=%2,api_key_name", "?group_by=1&group_by=%2,api_key_id");
}

/// What the query asks for, read by someone else's parser and a plain split.
fn dimensions(query: &str) -> Vec<String> {
    let pairs = url_pairs(query);
    let is_dimension = |name: &str| {
        let index = name.strip_prefix("group_by");
        index.is_some_and(|index| {
            let digits = index.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            index.is_empty() || digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    pairs
        .into_iter()
        .filter(|(name, _)| is_dimension(name))
        .flat_map(|(_, value)| value.split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn url_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut bytes = text.as_bytes();
        let mut out = Vec::new();
        while let [first, rest @ ..] = bytes {
            let hex = rest.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
            match hex.filter(|h| !h.starts_with('+')).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => (out.push(byte), bytes = &rest[2..]).1,
                None => (out.push(*first), bytes = rest).1,
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    query.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (decode(n), decode(v))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_dimension_for_both_and_nothing_else(
        parts in prop::collection::vec(prop::sample::select(vec![
            "group_by", "group%5Fby", "[]", "%5B%5D", "[3]", "=", "=", "&", "&", ",", "%2C", "%2c", "api_key_name",
            "api_key_name", "api%5fkey_name", "api_key_id", "api%5Fkey_id", "model", "a b", "%", "%2", "x", "+",
        ]), 0..24)
    ) {
        let query = parts.concat();
        let before = dimensions(&query);
        let Some(after) = rewrite(&query, MEMBERS) else {
            prop_assert!(!before.iter().any(|d| d == "api_key_name"));
            return Ok(());
        };
        prop_assert!(after.len() <= query.len());
        prop_assert_eq!(rewrite(&after, MEMBERS), None);
        // The same dimensions, the name being the id, and the id once where the name was.
        let mut expected = before.clone();
        let has_id = before.iter().any(|d| d == "api_key_id");
        let mut first = !has_id;
        expected.retain_mut(|dimension| {
            if dimension != "api_key_name" {
                return true;
            }
            *dimension = "api_key_id".into();
            std::mem::take(&mut first)
        });
        prop_assert_eq!(dimensions(&after), expected);
        // Every pair that asks for no name is there as it was.
        let plain = |query: &str| -> Vec<String> {
            query.split('&').filter(|p| !dimensions(p).iter().any(|d| d.starts_with("api_key_"))).map(Into::into).collect()
        };
        prop_assert_eq!(plain(&after), plain(&query));
    }
}
