use super::{Fault, rewrite};
use crate::KeyNames;

/// The longest URI that `http::Uri` accepts, in bytes.
const ROOM: usize = 65_534;

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

#[track_caller]
fn becomes(query: &str, expected: &str) {
    assert_eq!(rewrite(query, &names(), ROOM), Ok(Some(expected.into())), "{query}");
    assert_eq!(rewrite(expected, &names(), ROOM), Ok(None), "twice: {query}");
}

#[track_caller]
fn is_refused(query: &str, fault: Fault) {
    assert_eq!(rewrite(query, &names(), ROOM), Err(fault), "{query}");
}

fn unknown(name: &str) -> Fault {
    Fault::Unknown { name: name.into(), commas: false }
}

fn unknown_beside_commas(name: &str) -> Fault {
    Fault::Unknown { name: name.into(), commas: true }
}

#[test]
fn every_form_that_clients_send() {
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
        "start_time=1&api_key_ids[]=key_2&group_by[]=api_key_name&page=AAA%3D",
    );
}

#[test]
fn a_name_of_several_keys_is_all_of_their_ids() {
    let (three, listed) = ("key_s1&api_key_ids=key_s2&api_key_ids=key_s3", "key_s1,key_s2,key_s3");
    for spelt in ["Secret+Key", "Secret%20Key", "Secret Key", "%53ecret%20Key"] {
        becomes(&format!("api_key_names={spelt}"), &format!("api_key_ids={three}"));
        becomes(&format!("api_key_names={spelt},billing"), &format!("api_key_ids={listed},key_2"));
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

/// Without brackets, and alone, a value is a name first and a list after that.
#[test]
fn commas_divide_only_what_is_no_name() {
    becomes("api_key_names=a,b", "api_key_ids=key_ab");
    becomes("api_key_names=a%2Cb", "api_key_ids=key_ab");
    becomes("api_key_names=b,a", "api_key_ids=key_b,key_a");
    becomes("api_key_names=ops,+EU", "api_key_ids=key_c");
    becomes("api_key_names[]=ops,+EU&api_key_names[]=a%2cb", "api_key_ids[]=key_c&api_key_ids[]=key_ab");
    becomes("api_key_names=a,b&api_key_names=a", "api_key_ids=key_ab&api_key_ids=key_a");
    is_refused("api_key_names[]=b,a", unknown_beside_commas("b,a"));
    is_refused("api_key_names[0]=b%2Ca", unknown_beside_commas("b,a"));
    is_refused("api_key_names=b,a&api_key_names=a", unknown_beside_commas("b,a"));
    is_refused("api_key_names=b,a&api_key_names[]=a", unknown_beside_commas("b,a"));
    is_refused("api_key_names=checkout,ops,+EU", unknown_beside_commas("ops"));
    is_refused("api_key_names=checkout,+billing", unknown_beside_commas(" billing"));
}

#[test]
fn ids_that_stand_there_stay_and_give_the_form() {
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
    // A list with commas is one pair, and stays one.
    becomes("api_key_ids=x,y&z&api_key_names=checkout,billing", "api_key_ids=x,y,key_1,key_2&z");
    becomes("api_key_names[]=checkout&api_key_ids=x%2Cy", "api_key_ids=x%2Cy%2Ckey_1");
    becomes(
        "api_key_ids=x,y&api_key_ids=z&api_key_names=checkout",
        "api_key_ids=x,y&api_key_ids=z&api_key_ids=key_1",
    );
    // Numbers are the lowest that are free.
    becomes(
        "api_key_ids[1]=x&api_key_names[0]=Secret+Key",
        "api_key_ids[1]=x&api_key_ids[0]=key_s1&api_key_ids[2]=key_s2&api_key_ids[3]=key_s3",
    );
    becomes(
        "api_key_ids[99999999999999999999]=x&api_key_names=a",
        "api_key_ids[99999999999999999999]=x&api_key_ids[0]=key_a",
    );
    // What is no list is not taken for one.
    becomes("api_key_ids[x]=1&api_key_names[]=a", "api_key_ids[x]=1&api_key_ids[]=key_a");
    becomes("api_key_ids&api_key_names[]=a", "api_key_ids&api_key_ids=key_a");
}

#[test]
fn no_id_is_asked_for_twice() {
    becomes("api_key_names=checkout&api_key_names=checkout", "api_key_ids=key_1");
    becomes("api_key_names=checkout,checkout", "api_key_ids=key_1");
    becomes("x&api_key_ids=key_1&api_key_names=checkout&y", "x&api_key_ids=key_1&y");
    becomes("api_key_names[]=checkout&api_key_ids=key%5F1", "api_key_ids=key%5F1");
    becomes("api_key_ids=key_1,key_s2&api_key_names=Secret+Key", "api_key_ids=key_1,key_s2,key_s1,key_s3");
    // In brackets these are one id, which is none of ours.
    becomes(
        "api_key_ids[]=key_1,key_2&api_key_names=billing",
        "api_key_ids[]=key_1,key_2&api_key_ids[]=key_2",
    );
}

#[test]
fn ids_are_percent_encoded() {
    for spelt in ["Z%C3%BCrich+%E2%80%93+50%25%2B", "Zürich – 50%%2B", "Z%c3%bcrich%20–%2050%%2b"] {
        becomes(&format!("api_key_names={spelt}"), "api_key_ids=key%20%C3%BC%26%3D%2B%25%2F");
    }
}

#[test]
fn what_cannot_be_found_is_refused() {
    is_refused("api_key_names=nobody", unknown("nobody"));
    is_refused("api_key_names[]=checkout&api_key_names[]=Checkout", unknown("Checkout"));
    is_refused("api_key_names=checkout%00", unknown("checkout\0"));
    is_refused("api_key_names=%FF%C3", unknown("\u{FFFD}\u{FFFD}"));
    is_refused("api_key_names=key_1", unknown("key_1"));
    is_refused("api_key_names=+", unknown(" "));
    is_refused("api_key_names=checkout=", unknown("checkout="));
    for empty in
        ["", "=", "[]=", "[]", "=checkout&api_key_names=", "=checkout,", "=,", "=,billing", "%5B0%5D="]
    {
        is_refused(&format!("api_key_names{empty}"), Fault::Empty);
    }
    for odd in ["[x]", "[", "[0", "[]]", "[][]", "[0][name]", "%5B-1%5D", "[ 0]"] {
        is_refused(&format!("api_key_names{odd}=checkout"), Fault::Form);
        is_refused(&format!("api_key_names=checkout&api_key_names{odd}"), Fault::Form);
    }
}

/// What is meant is clear, and to the API it would be a parameter that it does not know: the bill of all keys.
#[test]
fn what_is_nearly_the_parameter_is_refused() {
    for nearly in
        ["]", ".0", "%255B%255D", "+", "%20", "%00", ":", ";x", "é", "%FF", "%", "%5b%5d%5d", "(0)", "*", "'"]
    {
        is_refused(&format!("api_key_names{nearly}=checkout"), Fault::Form);
        is_refused(&format!("a=b&api_key_names[]=checkout&api_key_names{nearly}"), Fault::Form);
    }
    for spelt in [
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
        is_refused(&format!("{spelt}=checkout"), Fault::Form);
    }
    // Ids in no known form are the API's business.
    becomes(
        "api_key_ids.0=x&API_KEY_IDS=y&api_key_names=a",
        "api_key_ids.0=x&API_KEY_IDS=y&api_key_ids=key_a",
    );
}

#[test]
fn all_else_stays() {
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
        assert_eq!(rewrite(query, &names(), ROOM), Ok(None), "{query}");
    }
    becomes(
        "a=+%20%zz%&&b=[]{}|^&api_key_names=checkout&=&c=%E2%82%AC&d&é",
        "a=+%20%zz%&&b=[]{}|^&api_key_ids=key_1&=&c=%E2%82%AC&d&é",
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let one = "x=y&api_key_names[]=checkout";
    let length = "x=y&api_key_ids[]=key_1".len();
    assert!(rewrite(one, &names(), length).is_ok());
    assert_eq!(rewrite(one, &names(), length - 1), Err(Fault::TooLong));
    // However many keys share the name, the work ends with the room.
    let all = KeyNames::new((0..20_000).map(|n| (format!("key_{n:026}"), "Secret Key"))).unwrap();
    for query in ["api_key_names=Secret+Key", "api_key_ids=x,y&api_key_names=Secret+Key"] {
        assert_eq!(rewrite(query, &all, ROOM), Err(Fault::TooLong));
    }
}
