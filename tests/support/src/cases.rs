//! One table of cases, run at every level: amender, layer, sockets of the proxy.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

pub mod naive;

/// The map of all cases.
pub const NAMES: &[(&str, &str)] = &[
    ("key_a", "checkout-production"),
    ("key_b", "say \"hi\" \\ bye"),
    ("key_ü", "Übersetzung 🗝"),
    ("key_same", "checkout-production"),
    ("key_1", "x"),
];

/// The section of the map for projects. The id `key_1` is also that of a key, and one name is itself an id.
pub const PROJECTS: &[(&str, &str)] =
    &[("proj_1", "storefront"), ("key_1", "a \"project\""), ("proj_2", "proj_1"), ("proj_3", "key_a")];

/// The section of the map for users. One name is an id of a project.
pub const USERS: &[(&str, &str)] = &[("user_1", "proj_1"), ("user_ü", "Zoë 🗝"), ("user_3", "storefront")];

/// A document, its output with the default settings, and the counts: named, unmatched, not a string, skipped.
pub struct Case {
    pub name: &'static str,
    pub input: &'static str,
    pub output: &'static str,
    pub counts: [u64; 4],
}

macro_rules! cases {
    ($($name:literal: $input:literal => $output:literal, $counts:expr;)*) => {
        pub const CASES: &[Case] = &[$(Case { name: $name, input: $input, output: $output, counts: $counts }),*];
    };
}

cases! {
    // Plain shapes.
    "a known id": r#"{"api_key_id":"key_a"}"#
        => r#"{"api_key_id":"key_a","api_key_name":"checkout-production"}"#, [1, 0, 0, 0];
    "an unmatched id": r#"{"api_key_id":"key_x"}"#
        => r#"{"api_key_id":"key_x","api_key_name":"unknown"}"#, [0, 1, 0, 0];
    "null": r#"{"api_key_id":null}"#
        => r#"{"api_key_id":null,"api_key_name":null}"#, [0, 0, 1, 0];
    "absent": r#"{"id":"key_a","api_key_last_used_at":1,"service_account":{"api_key":{"id":"key_a"}}}"#
        => r#"{"id":"key_a","api_key_last_used_at":1,"service_account":{"api_key":{"id":"key_a"}}}"#, [0, 0, 0, 0];
    "a number": r#"{"api_key_id":17,"x":1}"#
        => r#"{"api_key_id":17,"api_key_name":null,"x":1}"#, [0, 0, 1, 0];
    "a literal": r#"[{"api_key_id":true},{"api_key_id":false}]"#
        => r#"[{"api_key_id":true,"api_key_name":null},{"api_key_id":false,"api_key_name":null}]"#, [0, 0, 2, 0];
    "a name that needs escapes": r#"{"api_key_id":"key_b"}"#
        => r#"{"api_key_id":"key_b","api_key_name":"say \"hi\" \\ bye"}"#, [1, 0, 0, 0];
    "no ASCII": r#"{"api_key_id":"key_ü"}"#
        => r#"{"api_key_id":"key_ü","api_key_name":"Übersetzung 🗝"}"#, [1, 0, 0, 0];
    "the empty id": r#"{"api_key_id":""}"#
        => r#"{"api_key_id":"","api_key_name":"unknown"}"#, [0, 1, 0, 0];
    "in between": r#"{"a":1,"api_key_id":"key_1","z":[2,{}]}"#
        => r#"{"a":1,"api_key_id":"key_1","api_key_name":"x","z":[2,{}]}"#, [1, 0, 0, 0];

    // A page of costs: money to the last digit.
    "a page": r#"{"object":"page","data":[{"object":"bucket","start_time":1730419200,"end_time":1730505600,"results":[{"object":"organization.costs.result","amount":{"value":0.003627500000000000000000000000000000,"currency":"usd"},"line_item":null,"project_id":"proj_abc","api_key_id":"key_a"},{"object":"organization.costs.result","amount":{"value":"0E-6176","currency":"usd"},"api_key_id":null}]}],"has_more":false,"next_page":null}"#
        => r#"{"object":"page","data":[{"object":"bucket","start_time":1730419200,"end_time":1730505600,"results":[{"object":"organization.costs.result","amount":{"value":0.003627500000000000000000000000000000,"currency":"usd"},"line_item":null,"project_id":"proj_abc","api_key_id":"key_a","api_key_name":"checkout-production"},{"object":"organization.costs.result","amount":{"value":"0E-6176","currency":"usd"},"api_key_id":null,"api_key_name":null}]}],"has_more":false,"next_page":null}"#, [1, 0, 1, 0];
    "numbers stay": r#"{"api_key_id":"key_1","n":[1e2,1E+2,-0,-0.0,1.10,12345678901234567890123,1e999,0.1e-7]}"#
        => r#"{"api_key_id":"key_1","api_key_name":"x","n":[1e2,1E+2,-0,-0.0,1.10,12345678901234567890123,1e999,0.1e-7]}"#, [1, 0, 0, 0];

    // White space.
    "pretty": "{\n  \"api_key_id\": \"key_1\",\n  \"n\": 1\n}\n"
        => "{\n  \"api_key_id\": \"key_1\",\n  \"api_key_name\": \"x\",\n  \"n\": 1\n}\n", [1, 0, 0, 0];
    "odd white space": "\r\n { \t\"api_key_id\" \n:\r \"key_1\"  }\t"
        => "\r\n { \t\"api_key_id\" \n:\r \"key_1\", \t\"api_key_name\" \n:\r \"x\"  }\t", [1, 0, 0, 0];
    "its own white space, not its neighbour's": "{\"a\":1, \"api_key_id\" : \"key_1\",\"b\":2}"
        => "{\"a\":1, \"api_key_id\" : \"key_1\", \"api_key_name\" : \"x\",\"b\":2}", [1, 0, 0, 0];

    // Native names.
    "a native name after": r#"{"api_key_id":"key_1","api_key_name":"old","n":1}"#
        => r#"{"api_key_id":"key_1","api_key_name":"x","n":1}"#, [1, 0, 0, 0];
    "a native name before": r#"{"api_key_name":"old","n":1,"api_key_id":"key_1"}"#
        => r#"{"api_key_name":"x","n":1,"api_key_id":"key_1"}"#, [1, 0, 0, 0];
    "a native name that is right": r#"{"api_key_name":"x","api_key_id":"key_1"}"#
        => r#"{"api_key_name":"x","api_key_id":"key_1"}"#, [1, 0, 0, 0];
    "a native name of an unmatched id": r#"{"api_key_id":"key_x","api_key_name":"theirs"}"#
        => r#"{"api_key_id":"key_x","api_key_name":"theirs"}"#, [0, 1, 0, 0];
    "a native name of null": r#"{"api_key_name":[1],"api_key_id":null}"#
        => r#"{"api_key_name":[1],"api_key_id":null}"#, [0, 0, 1, 0];
    "a native null": r#"{"api_key_name" : null , "api_key_id":"key_1"}"#
        => r#"{"api_key_name" : "x" , "api_key_id":"key_1"}"#, [1, 0, 0, 0];
    "a native number": r#"{"api_key_name":7,"api_key_id":"key_1"}"#
        => r#"{"api_key_name":"x","api_key_id":"key_1"}"#, [1, 0, 0, 0];
    "a native object with ids of its own": r#"{"api_key_name":{"api_key_id":"key_a","b":{"api_key_id":null}},"api_key_id":"key_1"}"#
        => r#"{"api_key_name":"x","api_key_id":"key_1"}"#, [1, 0, 0, 0];
    "a native object that stays": r#"{"api_key_name":{"api_key_id":"key_1"},"api_key_id":"key_x"}"#
        => r#"{"api_key_name":{"api_key_id":"key_1","api_key_name":"x"},"api_key_id":"key_x"}"#, [1, 1, 0, 0];
    "a name without an id": r#"{"api_key_name":"x"}"# => r#"{"api_key_name":"x"}"#, [0, 0, 0, 0];

    // Repeated members.
    "an id twice": r#"{"api_key_id":"key_1","n":{"api_key_id":"key_1"},"api_key_id":"key_a"}"#
        => r#"{"api_key_id":"key_1","n":{"api_key_id":"key_1","api_key_name":"x"},"api_key_id":"key_a"}"#, [1, 0, 0, 1];
    "an id thrice": r#"{"api_key_id":1,"api_key_id":2,"api_key_id":3}"#
        => r#"{"api_key_id":1,"api_key_id":2,"api_key_id":3}"#, [0, 0, 0, 1];
    "a name twice": r#"{"api_key_name":1,"api_key_id":"key_1","api_key_name":2}"#
        => r#"{"api_key_name":1,"api_key_id":"key_1","api_key_name":2}"#, [0, 0, 0, 1];

    // Nesting.
    "an actor": r#"{"actor":{"type":"api_key","api_key_id":"key_1"}}"#
        => r#"{"actor":{"type":"api_key","api_key_id":"key_1","api_key_name":"x"}}"#, [1, 0, 0, 0];
    "an object in an object": r#"{"api_key_id":"key_1","o":{"api_key_id":"key_a"}}"#
        => r#"{"api_key_id":"key_1","api_key_name":"x","o":{"api_key_id":"key_a","api_key_name":"checkout-production"}}"#, [2, 0, 0, 0];
    "an id that is an object": r#"{"api_key_id":{"api_key_id":"key_1"}}"#
        => r#"{"api_key_id":{"api_key_id":"key_1","api_key_name":"x"},"api_key_name":null}"#, [1, 0, 1, 0];
    "an id that is an array": r#"{"api_key_id": ["key_1", {"api_key_id":"key_1"}] }"#
        => r#"{"api_key_id": ["key_1", {"api_key_id":"key_1","api_key_name":"x"}],"api_key_name": null }"#, [1, 0, 1, 0];
    "ids in ids in ids": r#"{"api_key_id":{"api_key_id":{"api_key_id":[[]]}}}"#
        => r#"{"api_key_id":{"api_key_id":{"api_key_id":[[]],"api_key_name":null},"api_key_name":null},"api_key_name":null}"#, [0, 0, 3, 0];
    "at the top": r#"[{"api_key_id":"key_1"},[{"api_key_id":"key_1"}]]"#
        => r#"[{"api_key_id":"key_1","api_key_name":"x"},[{"api_key_id":"key_1","api_key_name":"x"}]]"#, [2, 0, 0, 0];

    // Strings and encodings.
    "an escaped name": r#"{"api\u005fkey_id":"key_1","\u0061pi_key_nam\u0065":"old"}"#
        => r#"{"api\u005fkey_id":"key_1","\u0061pi_key_nam\u0065":"x"}"#, [1, 0, 0, 0];
    "an escaped name all through": r#"{"\u0061\u0070\u0069\u005f\u006b\u0065\u0079\u005F\u0069\u0064":"key_1"}"#
        => r#"{"\u0061\u0070\u0069\u005f\u006b\u0065\u0079\u005F\u0069\u0064":"key_1","api_key_name":"x"}"#, [1, 0, 0, 0];
    "an escaped id": r#"{"api_key_id":"k\u0065y\u005f1"}"#
        => r#"{"api_key_id":"k\u0065y\u005f1","api_key_name":"x"}"#, [1, 0, 0, 0];
    "an escaped id that is not ASCII": r#"{"api_key_id":"key_\u00fc"}"#
        => r#"{"api_key_id":"key_\u00fc","api_key_name":"Übersetzung 🗝"}"#, [1, 0, 0, 0];
    "a lone surrogate": r#"{"api_key_id":"\ud800","b":"\udc00\ud800x"}"#
        => r#"{"api_key_id":"\ud800","api_key_name":"unknown","b":"\udc00\ud800x"}"#, [0, 1, 0, 0];
    "a name that is a lone surrogate": r#"{"\ud83d":1,"api_key_id\ud800":2,"api_key_id":"key_1"}"#
        => r#"{"\ud83d":1,"api_key_id\ud800":2,"api_key_id":"key_1","api_key_name":"x"}"#, [1, 0, 0, 0];
    "in a value": r#"{"a":"api_key_id","b":"\"api_key_id\":\"key_1\"","c":["api_key_id","key_1"]}"#
        => r#"{"a":"api_key_id","b":"\"api_key_id\":\"key_1\"","c":["api_key_id","key_1"]}"#, [0, 0, 0, 0];
    "in a longer name": r#"{"api_key_ids":"key_1","my_api_key_id":"key_1","api_key_id ":"key_1","API_KEY_ID":"key_1"}"#
        => r#"{"api_key_ids":"key_1","my_api_key_id":"key_1","api_key_id ":"key_1","API_KEY_ID":"key_1"}"#, [0, 0, 0, 0];
    "other escapes": r#"{"\"\\\/\b\f\n\r\t":"\"\\\/\b\f\n\r\t","api_key_id":"key_1\/"}"#
        => r#"{"\"\\\/\b\f\n\r\t":"\"\\\/\b\f\n\r\t","api_key_id":"key_1\/","api_key_name":"unknown"}"#, [0, 1, 0, 0];

    // Unchanged.
    "nothing": "{}" => "{}", [0, 0, 0, 0];
    "a number alone": " -12.5e+3 " => " -12.5e+3 ", [0, 0, 0, 0];
    "a string alone": "\"api_key_id\"" => "\"api_key_id\"", [0, 0, 0, 0];

    // Not JSON: unchanged.
    "empty": "" => "", [0, 0, 0, 0];
    "white space alone": " \n" => " \n", [0, 0, 0, 0];
    "a trailing comma": r#"{"api_key_id":"key_1",}"# => r#"{"api_key_id":"key_1",}"#, [0, 0, 0, 0];
    "cut off": r#"{"api_key_id":"key_1""# => r#"{"api_key_id":"key_1""#, [0, 0, 0, 0];
    "two documents": r#"{"api_key_id":"key_1"}{}"# => r#"{"api_key_id":"key_1"}{}"#, [0, 0, 0, 0];
    "NaN": r#"{"api_key_id":NaN}"# => r#"{"api_key_id":NaN}"#, [0, 0, 0, 0];
    "a byte order mark": "\u{FEFF}{\"api_key_id\":\"key_1\"}" => "\u{FEFF}{\"api_key_id\":\"key_1\"}", [0, 0, 0, 0];
    "a control character": "{\"api_key_id\":\"key_1\",\"a\":\"\n\"}" => "{\"api_key_id\":\"key_1\",\"a\":\"\n\"}", [0, 0, 0, 0];
    "a comment": "{\"api_key_id\":\"key_1\"/**/}" => "{\"api_key_id\":\"key_1\"/**/}", [0, 0, 0, 0];
    "a leading zero": r#"{"api_key_id":"key_1","n":01}"# => r#"{"api_key_id":"key_1","n":01}"#, [0, 0, 0, 0];
    "a bare fraction": r#"{"api_key_id":"key_1","n":1.}"# => r#"{"api_key_id":"key_1","n":1.}"#, [0, 0, 0, 0];
    "a bad escape": r#"{"api_key_id":"key_1","n":"\x"}"# => r#"{"api_key_id":"key_1","n":"\x"}"#, [0, 0, 0, 0];
    "a short unicode escape": r#"{"api_key_id":"key_1","n":"\u12G4"}"# => r#"{"api_key_id":"key_1","n":"\u12G4"}"#, [0, 0, 0, 0];
    "a wrong bracket": r#"[{"api_key_id":"key_1"]}"# => r#"[{"api_key_id":"key_1"]}"#, [0, 0, 0, 0];
    "a missing colon": r#"{"api_key_id""key_1"}"# => r#"{"api_key_id""key_1"}"#, [0, 0, 0, 0];
    "a literal with a tail": r#"{"api_key_id":nulll}"# => r#"{"api_key_id":nulll}"#, [0, 0, 0, 0];
}
