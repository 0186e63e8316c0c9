use crate::KeyNames;
use crate::names::Labels;
use crate::query::{FilterError, FilterErrorKind, QueryNames, rewrite};

/// The longest URI that `http::Uri` accepts, in bytes.
const MAX_LENGTH: usize = 65_534;

fn names() -> KeyNames {
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

/// Rewrites a query with the label for keys.
fn rewritten(query: &str, names: &KeyNames, max_length: usize) -> Result<Option<String>, FilterErrorKind> {
    let labels = Labels::default();
    match rewrite(query, &QueryNames::new(&labels, names, max_length)) {
        Ok(rewritten) => Ok(rewritten.map(|rewritten| rewritten.query)),
        Err(FilterError { label, kind }) => {
            assert_eq!(label, 0);
            Err(kind)
        }
    }
}

#[track_caller]
fn becomes(query: &str, expected: &str) {
    assert_eq!(rewritten(query, &names(), MAX_LENGTH), Ok(Some(expected.into())), "{query}");
    assert_eq!(rewritten(expected, &names(), MAX_LENGTH), Ok(None), "applied twice to {query}");
}

#[track_caller]
fn fails(query: &str, error: FilterErrorKind) {
    assert_eq!(rewritten(query, &names(), MAX_LENGTH), Err(error), "{query}");
}

fn unknown(name: &str) -> FilterErrorKind {
    FilterErrorKind::UnknownName { name: name.into(), has_comma: false }
}

fn unknown_with_comma(name: &str) -> FilterErrorKind {
    FilterErrorKind::UnknownName { name: name.into(), has_comma: true }
}

#[test]
fn names_in_each_list_form_become_ids() {
    becomes("api_key_names=checkout", "api_key_ids=key_1");
    becomes("api_key_names[]=checkout", "api_key_ids[]=key_1");
    becomes("api_key_names[]=checkout&api_key_names[]=billing", "api_key_ids[]=key_1&api_key_ids[]=key_2");
    becomes("api_key_names%5B%5D=checkout", "api_key_ids%5B%5D=key_1");
    becomes("api_key_names%5b%5d=checkout", "api_key_ids%5b%5d=key_1");
    becomes("api%5fkey_%6Eames=checkout", "api_key_ids=key_1");
    becomes("api_key_names=checkout&api_key_names=billing", "api_key_ids=key_1&api_key_ids=key_2");
    becomes("api_key_names=checkout,billing", "api_key_ids=key_1,key_2");
    becomes("api_key_names=checkout%2Cbilling", "api_key_ids=key_1%2Ckey_2");
    becomes("api_key_names=checkout%2cbilling", "api_key_ids=key_1%2ckey_2");
    becomes(
        "api_key_names[0]=checkout&api_key_names[1]=billing",
        "api_key_ids[0]=key_1&api_key_ids[1]=key_2",
    );
    becomes("api_key_names%5B0%5D=checkout", "api_key_ids%5B0%5D=key_1");
    becomes("api_key_names%5b%30%5d=checkout", "api_key_ids%5b0%5d=key_1");
    becomes(
        "start_time=1&api_key_names[]=billing&group_by[]=api_key_name&page=AAA%3D",
        "start_time=1&api_key_ids[]=key_2&group_by[]=api_key_id&page=AAA%3D",
    );
}

#[test]
fn name_of_several_keys_becomes_all_their_ids() {
    let (pairs, list) = ("key_s1&api_key_ids=key_s2&api_key_ids=key_s3", "key_s1,key_s2,key_s3");
    for spelling in ["Secret+Key", "Secret%20Key", "Secret Key", "%53ecret%20Key"] {
        becomes(&format!("api_key_names={spelling}"), &format!("api_key_ids={pairs}"));
        becomes(&format!("api_key_names={spelling},billing"), &format!("api_key_ids={list},key_2"));
    }
    becomes(
        "api_key_names%5B%5D=Secret+Key&x",
        "api_key_ids%5B%5D=key_s1&api_key_ids%5B%5D=key_s2&api_key_ids%5B%5D=key_s3&x",
    );
    becomes(
        "api_key_names[0]=Secret+Key&api_key_names[1]=billing",
        "api_key_ids[0]=key_s1&api_key_ids[1]=key_s2&api_key_ids[2]=key_s3&api_key_ids[3]=key_2",
    );
}

/// A single value without brackets is looked up as a name first, and then split at its commas.
#[test]
fn value_with_commas_is_split_only_if_it_is_not_a_name() {
    becomes("api_key_names=a,b", "api_key_ids=key_ab");
    becomes("api_key_names=a%2Cb", "api_key_ids=key_ab");
    becomes("api_key_names=b,a", "api_key_ids=key_b,key_a");
    becomes("api_key_names=ops,+EU", "api_key_ids=key_c");
    becomes("api_key_names[]=ops,+EU&api_key_names[]=a%2cb", "api_key_ids[]=key_c&api_key_ids[]=key_ab");
    becomes("api_key_names=a,b&api_key_names=a", "api_key_ids=key_ab&api_key_ids=key_a");
    fails("api_key_names[]=b,a", unknown_with_comma("b,a"));
    fails("api_key_names[0]=b%2Ca", unknown_with_comma("b,a"));
    fails("api_key_names=b,a&api_key_names=a", unknown_with_comma("b,a"));
    fails("api_key_names=b,a&api_key_names[]=a", unknown_with_comma("b,a"));
    fails("api_key_names=checkout,ops,+EU", unknown_with_comma("ops"));
    fails("api_key_names=checkout,+billing", unknown_with_comma(" billing"));
}

#[test]
fn ids_in_the_query_stay_and_determine_the_form() {
    becomes("api_key_ids[]=x&api_key_names[]=checkout", "api_key_ids[]=x&api_key_ids[]=key_1");
    becomes("api_key_names[]=checkout&api_key_ids[]=x", "api_key_ids[]=key_1&api_key_ids[]=x");
    becomes("api_key_ids=x&api_key_names=checkout", "api_key_ids=x&api_key_ids=key_1");
    becomes(
        "api_key_ids=x&api_key_names=checkout,billing",
        "api_key_ids=x&api_key_ids=key_1&api_key_ids=key_2",
    );
    becomes("api_key_ids=x&api_key_names[]=checkout", "api_key_ids=x&api_key_ids=key_1");
    becomes(
        "api_key_names=checkout,billing&api%5Fkey_ids%5B%5D=x",
        "api_key_ids%5B%5D=key_1&api_key_ids%5B%5D=key_2&api%5Fkey_ids%5B%5D=x",
    );
    // A comma-separated list stays one pair.
    becomes("api_key_ids=x,y&z&api_key_names=checkout,billing", "api_key_ids=x,y,key_1,key_2&z");
    becomes("api_key_names[]=checkout&api_key_ids=x%2Cy", "api_key_ids=x%2Cy%2Ckey_1");
    becomes(
        "api_key_ids=x,y&api_key_ids=z&api_key_names=checkout",
        "api_key_ids=x,y&api_key_ids=z&api_key_ids=key_1",
    );
    // New pairs get the lowest free indexes.
    becomes(
        "api_key_ids[1]=x&api_key_names[0]=Secret+Key",
        "api_key_ids[1]=x&api_key_ids[0]=key_s1&api_key_ids[2]=key_s2&api_key_ids[3]=key_s3",
    );
    becomes(
        "api_key_ids[99999999999999999999]=x&api_key_names=a",
        "api_key_ids[99999999999999999999]=x&api_key_ids[0]=key_a",
    );
    // A parameter in an unknown form is not a list.
    becomes("api_key_ids[x]=1&api_key_names[]=a", "api_key_ids[x]=1&api_key_ids[]=key_a");
    becomes("api_key_ids&api_key_names[]=a", "api_key_ids&api_key_ids=key_a");
}

/// An empty id selects the usage without a key.
#[test]
fn empty_id_beside_names_stays() {
    becomes("api_key_ids[]=&api_key_names[]=checkout", "api_key_ids[]=&api_key_ids[]=key_1");
    becomes("api_key_names[]=checkout&api_key_ids[]=", "api_key_ids[]=key_1&api_key_ids[]=");
    becomes("api_key_ids=&api_key_ids=&api_key_names=a", "api_key_ids=&api_key_ids=&api_key_ids=key_a");
    becomes("api_key_ids=,x&api_key_names=a", "api_key_ids=,x,key_a");
}

#[test]
fn ids_of_a_repeated_name_are_sent_once() {
    becomes("api_key_names=checkout&api_key_names=checkout", "api_key_ids=key_1");
    becomes("api_key_names=checkout,checkout", "api_key_ids=key_1");
    becomes("x&api_key_ids=key_1&api_key_names=checkout&y", "x&api_key_ids=key_1&y");
    becomes("api_key_names[]=checkout&api_key_ids=key%5F1", "api_key_ids=key%5F1");
    becomes("api_key_ids=key_1,key_s2&api_key_names=Secret+Key", "api_key_ids=key_1,key_s2,key_s1,key_s3");
    // In brackets this is one id, which contains a comma.
    becomes(
        "api_key_ids[]=key_1,key_2&api_key_names=billing",
        "api_key_ids[]=key_1,key_2&api_key_ids[]=key_2",
    );
}

#[test]
fn id_with_special_characters_is_percent_encoded() {
    for spelling in ["Z%C3%BCrich+%E2%80%93+50%25%2B", "Zürich – 50%%2B", "Z%c3%bcrich%20–%2050%%2b"] {
        becomes(&format!("api_key_names={spelling}"), "api_key_ids=key%20%C3%BC%26%3D%2B%25%2F");
    }
}

#[test]
fn unknown_name_is_rejected() {
    fails("api_key_names=absent", unknown("absent"));
    fails("api_key_names[]=checkout&api_key_names[]=Checkout", unknown("Checkout"));
    fails("api_key_names=checkout%00", unknown("checkout\0"));
    fails("api_key_names=%FF%C3", unknown("\u{FFFD}\u{FFFD}"));
    fails("api_key_names=key_1", unknown("key_1"));
    fails("api_key_names=+", unknown(" "));
    fails("api_key_names=checkout=", unknown("checkout="));
}

#[test]
fn empty_name_is_rejected() {
    for empty in
        ["", "=", "[]=", "[]", "=checkout&api_key_names=", "=checkout,", "=,", "=,billing", "%5B0%5D="]
    {
        fails(&format!("api_key_names{empty}"), FilterErrorKind::EmptyName);
    }
}

#[test]
fn unknown_list_form_is_rejected() {
    for brackets in ["[x]", "[", "[0", "[]]", "[][]", "[0][name]", "%5B-1%5D", "[ 0]"] {
        fails(&format!("api_key_names{brackets}=checkout"), FilterErrorKind::InvalidParameter);
        fails(&format!("api_key_names=checkout&api_key_names{brackets}"), FilterErrorKind::InvalidParameter);
    }
}

/// The API would ignore an unknown parameter and return the usage of all keys.
#[test]
fn misspelled_parameter_is_rejected() {
    for suffix in
        ["]", ".0", "%255B%255D", "+", "%20", "%00", ":", ";x", "é", "%FF", "%", "%5b%5d%5d", "(0)", "*", "'"]
    {
        fails(&format!("api_key_names{suffix}=checkout"), FilterErrorKind::InvalidParameter);
        fails(
            &format!("a=b&api_key_names[]=checkout&api_key_names{suffix}"),
            FilterErrorKind::InvalidParameter,
        );
    }
    for spelling in [
        "API_KEY_NAMES",
        "Api_Key_Names[]",
        "api_key_nameS",
        "%41pi_key_names%5B0%5D",
        "apiKeyNames",
        "apiKeyNames[0]",
        "api-key-names[]",
        "api.key.names",
        "api+key_names",
        "API_KEY_NAME",
        "%20api_key_names",
        "+api_key_names[]",
        "?api_key_names",
        "api_key_name",
        "api_key_name[]",
        "api%5Fkey%5Fname",
    ] {
        fails(&format!("{spelling}=checkout"), FilterErrorKind::InvalidParameter);
    }
    // Misspelled ids are passed to the API.
    becomes(
        "api_key_ids.0=x&API_KEY_IDS=y&api_key_names=a",
        "api_key_ids.0=x&API_KEY_IDS=y&api_key_ids=key_a",
    );
}

#[test]
fn query_without_the_filter_is_unchanged() {
    for query in [
        "",
        "&",
        "api_key_ids=key_1",
        "api_key_namess=checkout",
        "xapi_key_names=checkout",
        "api_key_names_or_ids=checkout",
        "api_key_names-x=checkout",
        "api_key_names2=checkout",
        "models=api_key_names&x=api_key_names=checkout",
        "api%255Fkey_names=checkout",
    ] {
        assert_eq!(rewritten(query, &names(), MAX_LENGTH), Ok(None), "{query}");
    }
    becomes(
        "a=+%20%zz%&&b=[]{}|^&api_key_names=checkout&=&c=%E2%82%AC&d&é",
        "a=+%20%zz%&&b=[]{}|^&api_key_ids=key_1&=&c=%E2%82%AC&d&é",
    );
}

#[test]
fn query_longer_than_the_maximum_is_rejected() {
    let query = "x=y&api_key_names[]=checkout";
    let length = "x=y&api_key_ids[]=key_1".len();
    assert!(rewritten(query, &names(), length).is_ok());
    assert_eq!(rewritten(query, &names(), length - 1), Err(FilterErrorKind::TooLong));
    // The look-up stops at the maximum, however many keys have the name.
    let all = KeyNames::new((0..20_000).map(|n| (format!("key_{n:026}"), "Secret Key"))).unwrap();
    for query in ["api_key_names=Secret+Key", "api_key_ids=x,y&api_key_names=Secret+Key"] {
        assert_eq!(rewritten(query, &all, MAX_LENGTH), Err(FilterErrorKind::TooLong));
    }
}
