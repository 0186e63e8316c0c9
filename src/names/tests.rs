use super::error::{Fault, Flaw, Place, Side};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::error::Error as _;

const SECRET: &str = "sk-proj-Zq3XyWv7T0abcdEFGH";

/// A fault's text, however it reaches somebody.
fn all_words(error: &KeyNamesError) -> String {
    assert!(error.source().is_none());
    format!("{error} {error:?} {error:#?}")
}

fn refused(json: &str) -> KeyNamesError {
    KeyNames::from_json(json.as_bytes()).expect_err(json)
}

#[test]
fn looks_up_both_ways() {
    let pairs = [("key_b", "billing"), ("key_a", "search"), ("key_c", "billing")];
    let names = KeyNames::new(pairs).unwrap();
    assert_eq!(names.len(), 3);
    assert_eq!(names.name("key_a"), Some("search"));
    assert_eq!(names.name("key_"), None);
    assert_eq!(names.name("KEY_A"), None);
    assert!(names.ids("billing").eq(["key_b", "key_c"]));
    assert!(names.ids("search").eq(["key_a"]));
    assert_eq!(names.ids("bill").count(), 0);
    assert_eq!(names.ids("zzz").count(), 0);
    assert!(names.iter().eq(pairs));
    assert_eq!((names.left_out(), names.is_partial()), (0, false));
}

#[test]
fn an_empty_map_is_a_map() {
    for names in [
        KeyNames::default(),
        KeyNames::new::<_, String, String>([]).unwrap(),
        KeyNames::from_json(b" {} ").unwrap(),
        KeyNames::from_json(br#"{"data":[]}"#).unwrap(),
    ] {
        assert!(names.is_empty());
        assert_eq!(names.name("key_a"), None);
        assert_eq!(names.ids("a").count(), 0);
        assert_eq!(names.iter().count(), 0);
    }
}

#[test]
fn names_are_escaped_for_json_once_and_only_where_needed() {
    for (name, json) in [
        ("billing", r#""billing""#),
        ("a \"b\" \\c/ é 鍵 🔑", r#""a \"b\" \\c/ é 鍵 🔑""#),
        (r#"""#, r#""\"""#),
    ] {
        let names = KeyNames::new([("key_0", "first"), ("key_a", name)]).unwrap();
        let found = names.find(b"key_a").unwrap();
        assert_eq!((names.json(found), found.len()), (json.as_bytes(), json.len()));
        assert_eq!(names.name("key_a"), Some(name));
        assert!(names.ids(name).eq(["key_a"]));
    }
    let longest = "\"".repeat(KeyNames::MAX_NAME);
    let names = KeyNames::new([("key_a", &longest)]).unwrap();
    assert_eq!(serde_json::from_slice::<String>(names.json(names.find(b"key_a").unwrap())).unwrap(), longest);
}

#[test]
fn a_hundred_thousand_names() {
    let pairs = (0..100_000).map(|n| (format!("key_{n}"), format!("name {}", n % 1000)));
    let names = KeyNames::new(pairs).unwrap();
    assert_eq!(names.len(), 100_000);
    for n in [0, 1, 4_711, 99_999] {
        assert_eq!(names.name(&format!("key_{n}")), Some(&*format!("name {}", n % 1000)));
    }
    assert_eq!(names.name("key_100000"), None);
    assert_eq!(names.ids("name 7").count(), 100);
}

/// Every rule, as it meets a pair and as it meets a line.
#[test]
fn refuses_what_breaks_a_rule() {
    let long = "é".repeat(129);
    let (id, name) = (Side::Id, Side::Name);
    for (bad, flaw) in [
        ("", Flaw::Blank),
        (" \u{a0}\u{3000}", Flaw::Blank),
        ("a\tb", Flaw::Control),
        ("a\u{7f}", Flaw::Control),
        ("a\u{85}b", Flaw::Control),
        (&*long, Flaw::TooLong { bytes: 258, longest: 256 }),
        (SECRET, Flaw::Secret),
        ("sk-", Flaw::Secret),
        ("old key: sk-abcdefgh", Flaw::Secret),
    ] {
        let quoted = serde_json::to_string(bad).unwrap();
        for (pair, json, fault, column) in [
            ((bad, "x"), format!("{{\"k\":\"x\",\n {quoted}:\"x\"}}"), Fault::Label(id, flaw), 2),
            (("i", bad), format!("{{\"k\":\"x\",\n \"i\":{quoted}}}"), Fault::Label(name, flaw), 6),
        ] {
            let error = KeyNames::new([("k", "x"), pair]).unwrap_err();
            assert_eq!(error, fault.at(Place::Pair(2)), "{bad:?}");
            assert_eq!((error.line(), error.column()), (None, None));
            let error = refused(&json);
            assert_eq!(error, fault.at(Place::Text { line: 2, column }), "{json}");
            assert!(bad.trim().is_empty() || !all_words(&error).contains(bad));
        }
    }
    let longest = "x".repeat(256);
    assert!(KeyNames::new([(&longest, &longest)]).is_ok());
    assert_eq!(KeyNames::new([("a", "1"), ("b", "1"), ("a", "1")]), Err(Fault::Twice.at(Place::Pair(3))));
}

#[test]
fn says_where_and_why() {
    let name = |kind| Fault::NotAName { kind };
    for (json, line, column, fault) in [
        // The second of two equal ids, however it is written.
        ("{\"a\":\"1\",\n\"b\":\"2\",\n  \"a\" : \"1\"}", 3, 3, Fault::Twice),
        (r#"{"key":"1","k\u0065y":"2"}"#, 1, 12, Fault::Twice),
        // The value of the wrong kind, not its id. Columns count characters.
        ("{\n  \"é鍵\": 7\n}", 2, 9, name("a number")),
        ("{\"a\":\"1\",\"b\": -1.5e3 }", 1, 15, name("a number")),
        ("{\"a\" : null}", 1, 8, name("null")),
        ("{\"a\":true}", 1, 6, name("true")),
        ("{\"a\":false}", 1, 6, name("false")),
        ("{\"a\":\t[\"b\",{\"c\":1}]}", 1, 7, name("an array")),
        ("{\"a\":{\"b\":\"}\\\"{\"}}", 1, 6, name("an object")),
        ("{\"a\\\\\":\"]}\",\r\n\"b\":{}}", 2, 5, name("an object")),
        ("{\"a\\\"b\":\"\\\",{\",\"c\":1}", 1, 20, name("a number")),
        ("{\"data\":{},\"a\":1}", 1, 9, name("an object")),
        // A map whose ids happen to be a list page's members is a map still.
        ("{\"object\":\"list\",\"data\":\"x\",\"has_more\":true}", 1, 40, name("true")),
        ("{\"error\":{\"message\":\"no\"}}", 1, 2, Fault::ErrorAnswer),
        ("{\"type\":\"error\",\n\"error\":{}}", 2, 1, Fault::ErrorAnswer),
        ("\n [1]", 2, 2, Fault::NotAMap { kind: "an array" }),
        ("\"x\"", 1, 1, Fault::NotAMap { kind: "text" }),
        ("  12", 1, 3, Fault::NotAMap { kind: "a number" }),
        ("null", 1, 1, Fault::NotAMap { kind: "null" }),
        // Not JSON: at the token that does not belong there.
        ("{\"a\":\"b\",}", 1, 10, Fault::NotJson),
        ("{\"a\":\"b\"\n\"c\":\"d\"}", 2, 1, Fault::NotJson),
        ("{\"é\":\n  nope}", 2, 3, Fault::NotJson),
        ("{\"é\" \"b\"}", 1, 6, Fault::NotJson),
        ("{\"a\":NaN}", 1, 6, Fault::NotJson),
        ("{\"a\":\"b\nc\"}", 1, 8, Fault::NotJson),
        ("{'a':'b'}", 1, 2, Fault::NotJson),
        ("{}\n{}", 2, 1, Fault::NotJson),
        ("key_a=billing", 1, 1, Fault::NotJson),
        // Cut off: at the end.
        ("{\"a\":\"b\",\n\"c\": \"d", 2, 8, Fault::EndsEarly),
        ("{\"a\":\"b\"\n\n", 1, 9, Fault::EndsEarly),
    ] {
        let error = refused(json);
        assert_eq!(error, fault.at(Place::Text { line, column }), "{json}");
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)));
        assert!(error.to_string().starts_with(&format!("line {line}, column {column}: ")));
    }
}

#[test]
fn whole_texts_that_are_no_map() {
    for json in ["", " \n\t", "\u{feff}"] {
        assert_eq!(refused(json), Fault::Empty.at(Place::Whole), "{json:?}");
    }
    for json in [b"\xFF\xFE{\0}\0".as_slice(), b"\xFE\xFF\0{\0}"] {
        let error = KeyNames::from_json(json).unwrap_err();
        assert_eq!(error, Fault::Utf16.at(Place::Whole));
    }
    let error = KeyNames::from_json(b"{\"a\":\n \"caf\xE9\"}").unwrap_err();
    assert_eq!(error, Fault::NotUtf8.at(Place::Text { line: 2, column: 6 }));
    let deep = "[".repeat(100_000);
    assert_eq!(refused(&deep), Fault::EndsEarly.at(Place::Text { line: 1, column: 100_001 }));
}

#[test]
fn a_byte_order_mark_is_ignored() {
    let names = KeyNames::from_json("\u{feff}{\"key_a\":\"billing\"}".as_bytes()).unwrap();
    assert_eq!(names.name("key_a"), Some("billing"));
    assert_eq!(refused("\u{feff}{\"a\":1}").column(), Some(6));
}

#[test]
fn a_file_that_is_a_secret_is_named_one_and_not_repeated() {
    for text in [
        SECRET.to_owned(),
        format!("  {SECRET}\n"),
        format!("\"{SECRET}\"\n"),
        format!("'{SECRET}'"),
        format!("\u{feff}{SECRET}"),
        format!("OPENAI_API_KEY={SECRET}"),
        format!("export K=\"{SECRET}\"\n"),
    ] {
        assert_eq!(refused(&text), Fault::WholeSecret.at(Place::Whole), "{text}");
    }
}

#[test]
fn nothing_ever_repeats_a_secret() {
    for text in [
        SECRET.to_owned(),
        format!("\"{SECRET}\""),
        format!("{{\"{SECRET}\":\"a\"}}"),
        format!("{{\"a\":\"{SECRET}\"}}"),
        format!("{{\"a\":{SECRET}}}"),
        format!("{{{SECRET}:1}}"),
        format!("{{\"a\":[\"{SECRET}\"]}}"),
        format!("{{\"a\":{{\"{SECRET}\":\"{SECRET}\"}}}}"),
        format!("{{\"a\":\"b\"}} {SECRET}"),
        format!("{{\"a\":\"{SECRET}"),
        format!("[\"{SECRET}\"]"),
        format!("{{\"error\":{{\"message\":\"bad key {SECRET}\"}}}}"),
    ] {
        let words = all_words(&refused(&text));
        assert!(!words.contains("Zq3Xy") && !words.contains("sk-"), "{words}");
    }
    let saved = format!(r#"{{"data":[{{"id":"a","name":"{SECRET}","redacted_value":"{SECRET}"}}]}}"#);
    let names = KeyNames::from_json(saved.as_bytes()).unwrap();
    assert_eq!(format!("{names:?}"), "KeyNames { entries: 0, left_out: 1, partial: false }");
}

#[test]
fn what_looks_like_a_secret() {
    for secret in [
        SECRET,
        "sk-",
        "sk-x",
        "a sk-12345678",
        "é sk-____----",
        "ésk-abcdefgh",
        "=sk-abcdefgh",
        "risk sk-abcdefgh",
        "task-sk-abcdefgh",
        "x_sk-abcdefgh",
    ] {
        assert!(looks_like_secret(secret), "{secret}");
    }
    for harmless in [
        "",
        "sk",
        "task-runner",
        "task-runner-production",
        "desk-lamp-12345678",
        "key_abc",
        "the sk-learn job",
        "a sk-1234567",
        "a sk-123 45678",
        "9sk-abcdefgh",
        "a Sk-abcdefgh",
    ] {
        assert!(!looks_like_secret(harmless), "{harmless}");
    }
}

/// As `curl` saves them: OpenAI's, with what it says beside id and name, and Anthropic's.
#[test]
fn reads_the_list_pages_as_they_come() {
    let openai = br#"{
      "object": "list",
      "data": [
        {"object": "organization.project.api_key", "redacted_value": "sk-abc...xyz", "name": "billing",
         "created_at": 1711471533, "last_used_at": null, "id": "key_abc",
         "owner": {"type": "user", "user": {"id": "user_1", "name": "First Last", "role": "owner"}}}
      ],
      "first_id": "key_abc", "last_id": "key_abc", "has_more": true
    }"#;
    let names = KeyNames::from_json(openai).unwrap();
    assert!(names.iter().eq([("key_abc", "billing")]));
    assert_eq!((names.left_out(), names.is_partial()), (0, true));

    let anthropic = br#"{"data":[{"id":"apikey_01","type":"api_key","name":"dev","status":"active",
      "created_by":{"id":"user_1","type":"user"}},{"id":"apikey_02","name":"old","status":"archived"}],
      "has_more":false,"first_id":"apikey_01","last_id":"apikey_02"}"#;
    let names = KeyNames::from_json(anthropic).unwrap();
    assert!(names.iter().eq([("apikey_01", "dev"), ("apikey_02", "old")]));
    assert_eq!((names.left_out(), names.is_partial()), (0, false));
}

#[test]
fn a_list_leaves_out_and_counts_what_it_cannot_use() {
    let usable = r#"{"id":"key_a","name":"billing"}"#;
    let long = "x".repeat(257);
    for item in [
        r#"{"id":"key_b","name":null}"#.to_owned(),
        r#"{"id":"key_b"}"#.into(),
        r#"{"name":"x"}"#.into(),
        r#"{"id":7,"name":"x"}"#.into(),
        r#"{"id":"","name":"x"}"#.into(),
        r#"{"id":"key_b","name":"  "}"#.into(),
        r#"{"id":"key_b","name":"a\nb"}"#.into(),
        format!(r#"{{"id":"key_b","name":"{long}"}}"#),
        format!(r#"{{"id":"{long}","name":"x"}}"#),
        format!(r#"{{"id":"key_b","name":"{SECRET}"}}"#),
        // Two answers to one question are none.
        r#"{"id":"key_b","name":"x","name":"y"}"#.into(),
        r#"{"id":"key_a","name":"another"}"#.into(),
        "null".into(),
        r#""key_b""#.into(),
        "[]".into(),
    ] {
        let names = KeyNames::from_json(format!(r#"{{"data":[{usable},{item}]}}"#).as_bytes());
        let names = names.expect(&item);
        assert!(names.iter().eq([("key_a", "billing")]), "{item}");
        assert_eq!(names.left_out(), 1, "{item}");
    }
    let names = KeyNames::from_json(format!(r#"{{"data":[{usable},{usable}]}}"#).as_bytes());
    assert_eq!(names.unwrap().left_out(), 0, "the same again loses nothing");
}

/// It is JSON, and nobody reads it.
#[test]
fn what_is_not_read_need_not_make_sense() {
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    for odd in ["1e999", r#""\ud800""#, r#"{"\ud800":[{"id":7}]}"#, &deep] {
        let page = format!(
            r#"{{"x":[{odd}],"z":{{"y":{odd}}},"data":[{{"y":{odd},"id":"key_a","name":"billing"}}]}}"#
        );
        let names = KeyNames::from_json(page.as_bytes()).expect(odd);
        assert!(names.iter().eq([("key_a", "billing")]) && names.left_out() == 0, "{odd}");
    }
}

#[cfg(feature = "watch")]
#[test]
fn of_several_maps_the_first_that_knows_an_id_names_it() {
    let first = KeyNames::from_json(br#"{"data":[{"id":"a","name":"1"},{}],"has_more":true}"#);
    let second = KeyNames::new([("b", "2"), ("a", "\"3\"")]).unwrap();
    let merged = KeyNames::merged([&first.unwrap(), &KeyNames::default(), &second]);
    assert!(merged.iter().eq([("a", "1"), ("b", "2")]));
    assert!(merged.ids("2").eq(["b"]));
    assert_eq!((merged.left_out(), merged.is_partial()), (1, true));
}

impl PartialEq for KeyNames {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

proptest! {
    #[test]
    fn is_a_map_like_any_other(
        pairs in prop::collection::btree_map("[a-c\"\\\\é]{1,3}", "[a-c\"\\\\é]{1,3}", 0..40),
        strangers in prop::collection::vec("[a-d\"\\\\é]{0,4}", 10),
    ) {
        let names = KeyNames::new(pairs.clone()).unwrap();
        let written = serde_json::to_vec(&pairs).unwrap();
        prop_assert_eq!(&KeyNames::from_json(&written).unwrap(), &names);
        prop_assert_eq!(names.iter().count(), pairs.len());
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        for (id, name) in &pairs {
            prop_assert_eq!(names.name(id), Some(&**name));
            let json = names.json(names.find(id.as_bytes()).unwrap());
            prop_assert_eq!(&serde_json::from_slice::<String>(json).unwrap(), name);
            by_name.entry(name).or_default().push(&**id);
        }
        for (name, ids) in by_name {
            prop_assert!(names.ids(name).eq(ids));
        }
        for id in &strangers {
            prop_assert_eq!(names.name(id), pairs.get(id).map(|name| &**name));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(json in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeyNames::from_json(&json);
    }

    /// Nearly JSON, cut and spliced: a place is always inside the text, or just behind it.
    #[test]
    fn every_place_is_in_the_text(json in "([{}\\[\\]:,\" \nén1\\\\]|null|\"a\"|\"b\":){0,30}") {
        if let Err(error) = KeyNames::from_json(json.as_bytes())
            && let (Some(line), Some(column)) = (error.line(), error.column())
        {
            let text = json.split('\n').nth(line - 1);
            prop_assert!(text.is_some_and(|text| column <= text.chars().count() + 1), "{error}");
        }
    }
}
