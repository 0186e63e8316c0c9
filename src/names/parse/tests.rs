use std::error::Error as _;

use super::*;
use crate::names::MapReader;

const SECRET: &str = "sk-proj-Zq3XyWv7T0abcdEFGH";

/// Every text of an error.
fn texts(error: &KeyNamesError) -> String {
    assert!(error.source().is_none());
    format!("{error} {error:?} {error:#?} {:?}", error.kind())
}

fn rejected(json: &str) -> KeyNamesError {
    KeyNames::from_json(json.as_bytes()).expect_err(json)
}

#[test]
fn member_that_breaks_a_rule_is_rejected_at_its_position() {
    let long = "é".repeat(129);
    for (bad, kind) in [
        ("", Kind::Blank),
        ("a\tb", Kind::ControlCharacter),
        (&*long, Kind::TooLong),
        (SECRET, Kind::Secret),
        ("old key: sk-proj-abcdefgh", Kind::Secret),
    ] {
        let quoted = serde_json::to_string(bad).unwrap();
        for (json, column, subject) in [
            (format!("{{\"k\":\"x\",\n {quoted}:\"x\"}}"), 2, "this id "),
            (format!("{{\"k\":\"x\",\n \"i\":{quoted}}}"), 6, "this name "),
        ] {
            let error = assert_rejected_at(&json, 2, column, kind);
            assert!(error.to_string().contains(subject), "{json}: {error}");
            assert!(bad.is_empty() || !texts(&error).contains(bad));
        }
    }
}

fn assert_rejected_at(json: &str, line: usize, column: usize, kind: Kind) -> KeyNamesError {
    let error = rejected(json);
    assert_eq!((error.line(), error.column(), error.kind()), (Some(line), Some(column), kind), "{json}");
    assert!(error.to_string().starts_with(&format!("line {line}, column {column}: ")));
    error
}

#[test]
fn duplicate_id_is_rejected_at_its_second_occurrence() {
    assert_rejected_at("{\"a\":\"1\",\n\"b\":\"2\",\n  \"a\" : \"1\"}", 3, 3, Kind::DuplicateId);
    assert_rejected_at(r#"{"key":"1","k\u0065y":"2"}"#, 1, 12, Kind::DuplicateId);
}

#[test]
fn value_that_is_no_string_is_rejected_at_the_value() {
    for (json, line, column, found) in [
        ("{\n  \"é鍵\": 7\n}", 2, 9, "a number"),
        ("{\"a\":\"1\",\"b\": -1.5e3 }", 1, 15, "a number"),
        ("{\"a\" : null}", 1, 8, "null"),
        ("{\"a\":true}", 1, 6, "true"),
        ("{\"a\":false}", 1, 6, "false"),
        ("{\"a\":\t[\"b\",{\"c\":1}]}", 1, 7, "an array"),
        ("{\"a\\\\\":\"]}\",\r\n\"b\":[]}", 2, 5, "an array"),
        ("{\"a\\\"b\":\"\\\",{\",\"c\":1}", 1, 20, "a number"),
        // Only an array in `data` makes a list page.
        ("{\"object\":\"list\",\"data\":\"x\",\"has_more\":true}", 1, 40, "true"),
    ] {
        let error = assert_rejected_at(json, line, column, Kind::NotAName);
        assert!(error.to_string().contains(found), "{error}");
    }
}

#[test]
fn error_response_is_rejected_as_one() {
    assert_rejected_at("{\"error\":{\"message\":\"no\"}}", 1, 2, Kind::ErrorResponse);
    assert_rejected_at("{\"type\":\"error\",\n\"error\":{}}", 2, 1, Kind::ErrorResponse);
}

#[test]
fn json_without_an_object_is_no_map() {
    for (json, line, column, found) in [
        ("\n [1]", 2, 2, "an array"),
        ("\"x\"", 1, 1, "text"),
        ("  12", 1, 3, "a number"),
        ("null", 1, 1, "null"),
    ] {
        let error = assert_rejected_at(json, line, column, Kind::NotAMap);
        assert!(error.to_string().contains(found), "{error}");
    }
}

#[test]
fn syntax_error_is_located_at_the_token() {
    for (json, line, column) in [
        ("{\"a\":\"b\",}", 1, 10),
        ("{\"a\":\"b\"\n\"c\":\"d\"}", 2, 1),
        ("{\"é\":\n  nope}", 2, 3),
        ("{\"é\" \"b\"}", 1, 6),
        ("{\"a\":NaN}", 1, 6),
        ("{\"a\":\"b\nc\"}", 1, 7),
        ("{'a':'b'}", 1, 2),
        ("{}\n{}", 2, 1),
        ("key_a=billing", 1, 1),
    ] {
        assert_rejected_at(json, line, column, Kind::Syntax);
    }
}

#[test]
fn truncated_json_is_located_at_its_end() {
    assert_rejected_at("{\"a\":\"b\",\n\"c\": \"d", 2, 8, Kind::Truncated);
    assert_rejected_at("{\"a\":\"b\"\n\n", 1, 9, Kind::Truncated);
    assert_rejected_at(&"[".repeat(100_000), 1, 100_001, Kind::Truncated);
}

#[test]
fn blank_text_is_rejected_as_empty() {
    for json in ["", " \n\t", "\u{feff}"] {
        let error = rejected(json);
        assert_eq!((error.kind(), error.line()), (Kind::Empty, None), "{json:?}");
    }
}

#[test]
fn other_encodings_are_rejected() {
    for json in [b"\xFF\xFE{\0}\0".as_slice(), b"\xFE\xFF\0{\0}"] {
        let error = KeyNames::from_json(json).unwrap_err();
        assert_eq!((error.kind(), error.line()), (Kind::Utf16, None));
    }
    let error = KeyNames::from_json(b"{\"a\":\n \"caf\xE9\"}").unwrap_err();
    assert_eq!((error.kind(), error.line(), error.column()), (Kind::NotUtf8, Some(2), Some(6)));
}

#[test]
fn byte_order_mark_is_ignored() {
    let names = KeyNames::from_json("\u{feff}{\"key_a\":\"billing\"}".as_bytes()).unwrap();
    assert_eq!(names.name("key_a"), Some("billing"));
    assert_eq!(rejected("\u{feff}{\"a\":1}").column(), Some(6));
}

#[test]
fn file_that_contains_only_a_secret_is_reported_as_one() {
    for text in [
        SECRET.to_owned(),
        format!("  {SECRET}\n"),
        format!("\"{SECRET}\"\n"),
        format!("'{SECRET}'"),
        format!("\u{feff}{SECRET}"),
        format!("OPENAI_API_KEY={SECRET}"),
        format!("export K=\"{SECRET}\"\n"),
    ] {
        let error = rejected(&text);
        assert_eq!((error.kind(), error.line()), (Kind::Secret, None), "{text}");
        assert!(error.to_string().starts_with("this looks like an API key, not a map"));
    }
}

#[test]
fn errors_never_repeat_a_secret() {
    for text in [
        SECRET.to_owned(),
        format!("\"{SECRET}\""),
        format!("{{\"{SECRET}\":\"a\"}}"),
        format!("{{\"a\":\"{SECRET}\"}}"),
        format!("{{\"a\":{SECRET}}}"),
        format!("{{{SECRET}:1}}"),
        format!("{{\"a\":[\"{SECRET}\"]}}"),
        format!("{{\"a\":{{\"{SECRET}\":\"{SECRET}\"}}}}"),
        format!("{{\"{SECRET}\":{{\"a\":\"b\"}}}}"),
        format!("{{\"user_id\":{{\"{SECRET}\":{{}}}}}}"),
        format!("{{\"openai\":{{}},\"{SECRET}\":\"{SECRET}\"}}"),
        format!("{{\"a\":\"b\"}} {SECRET}"),
        format!("{{\"a\":\"{SECRET}"),
        format!("[\"{SECRET}\"]"),
        format!("{{\"error\":{{\"message\":\"bad key {SECRET}\"}}}}"),
    ] {
        let texts = texts(&rejected(&text));
        assert!(!texts.contains("Zq3Xy") && !texts.contains("sk-"), "{texts}");
    }
}

#[test]
fn secret_in_a_list_page_is_left_out() {
    let saved = format!(r#"{{"data":[{{"id":"a","name":"{SECRET}","redacted_value":"{SECRET}"}}]}}"#);
    let names = KeyNames::from_json(saved.as_bytes()).unwrap();
    assert_eq!((names.len(), names.left_out()), (0, 1));
}

#[test]
fn openai_list_page_is_parsed() {
    let page = br#"{
      "object": "list",
      "data": [
        {"object": "organization.project.api_key", "redacted_value": "sk-abc...xyz", "name": "billing",
         "created_at": 1711471533, "last_used_at": null, "id": "key_abc",
         "owner": {"type": "user", "user": {"id": "user_1", "name": "First Last", "role": "owner"}}}
      ],
      "first_id": "key_abc", "last_id": "key_abc", "has_more": true
    }"#;
    let names = KeyNames::from_json(page).unwrap();
    assert!(names.iter().eq([("key_abc", "billing")]));
    assert_eq!((names.left_out(), names.is_partial()), (0, true));
}

#[test]
fn anthropic_list_page_is_parsed() {
    let page = br#"{"data":[{"id":"apikey_01","type":"api_key","name":"dev","status":"active",
      "created_by":{"id":"user_1","type":"user"}},{"id":"apikey_02","name":"old","status":"archived"}],
      "has_more":false,"first_id":"apikey_01","last_id":"apikey_02"}"#;
    let names = KeyNames::from_json(page).unwrap();
    assert!(names.iter().eq([("apikey_01", "dev"), ("apikey_02", "old")]));
    assert_eq!((names.left_out(), names.is_partial()), (0, false));
}

#[test]
fn unusable_list_items_are_left_out_and_counted() {
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
}

#[test]
fn repeated_list_item_is_not_counted_as_left_out() {
    let item = r#"{"id":"key_a","name":"billing"}"#;
    let names = KeyNames::from_json(format!(r#"{{"data":[{item},{item}]}}"#).as_bytes());
    assert_eq!(names.unwrap().left_out(), 0);
}

#[test]
fn unused_values_may_be_ones_that_a_parser_rejects() {
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    for odd in ["1e999", r#""\ud800""#, r#"{"\ud800":[{"id":7}]}"#, &deep] {
        let page = format!(
            r#"{{"x":[{odd}],"z":{{"y":{odd}}},"data":[{{"y":{odd},"id":"key_a","name":"billing"}}]}}"#
        );
        let names = KeyNames::from_json(page.as_bytes()).expect(odd);
        assert!(names.iter().eq([("key_a", "billing")]) && names.left_out() == 0, "{odd}");
    }
}

#[test]
fn half_surrogate_pair_in_a_hand_written_map_is_rejected() {
    assert_rejected_at(r#"{"a":"1", "b":"\ud800"}"#, 1, 15, Kind::Syntax);
    assert_rejected_at(r#"{"a":"1", "\ud800":"b"}"#, 1, 11, Kind::Syntax);
}

// === Sections ===

fn section_of<'a>(names: &'a KeyNames, member: &str) -> Vec<(&'a str, &'a str)> {
    names.section(member).map(|section| section.iter().collect()).unwrap_or_default()
}

const BY_PROVIDER: &str = r#"{"openai":{"api_key_id":{"key_1":"a"},"project_id":{"proj_1":"p"}},
  "anthropic":{"api_key_id":{"apikey_1":"a"},"workspace_id":{"wrkspc_1":"w"}}}"#;

#[test]
fn sections_of_labels_are_read() {
    let json = r#"{"project_id":{"proj_1":"storefront"},"api_key_id":{"key_1":"checkout"},"user_id":{}}"#;
    let names = KeyNames::from_json(json.as_bytes()).unwrap();
    assert!(names.iter().eq([("key_1", "checkout")]));
    assert_eq!(section_of(&names, "project_id"), [("proj_1", "storefront")]);
    assert!(names.section("user_id").is_some());
    assert!(names.section("workspace_id").is_none());
}

#[test]
fn section_of_an_own_label_needs_the_label() {
    let json = br#"{"apiKeyId":{"k":"name"}}"#;
    assert_eq!(KeyNames::from_json(json).unwrap_err().kind(), Kind::UnknownSection);
    let labels = crate::names::Labels::default().with("apiKeyId", "apiKeyName").unwrap();
    let names = MapReader::default().labels(labels).read(json).unwrap();
    assert_eq!(section_of(&names, "apiKeyId"), [("k", "name")]);
}

#[test]
fn empty_object_has_every_section() {
    let names = KeyNames::from_json(b"{}").unwrap();
    assert!(names.section("user_id").is_some_and(|section| section.is_empty()));
    assert!(KeyNames::from_json(br#"{"k":"v"}"#).unwrap().section("user_id").is_none());
}

#[test]
fn sections_of_one_provider_are_read_alone() {
    let read = |reader: MapReader| reader.read(BY_PROVIDER.as_bytes()).unwrap();
    let openai = read(MapReader::default().provider(crate::names::Provider::OpenAi));
    assert!(openai.iter().eq([("key_1", "a")]));
    assert!(openai.section("workspace_id").is_none());
    let anthropic = read(MapReader::default().provider(crate::names::Provider::Anthropic));
    assert!(anthropic.iter().eq([("apikey_1", "a")]));
    assert_eq!(section_of(&anthropic, "workspace_id"), [("wrkspc_1", "w")]);
    let all = read(MapReader::default());
    assert!(all.iter().eq([("key_1", "a"), ("apikey_1", "a")]));
}

#[test]
fn id_of_both_providers_is_named_by_the_first() {
    let json = br#"{"anthropic":{"api_key_id":{"k":"a"}},"openai":{"api_key_id":{"k":"b","l":"c"}}}"#;
    assert!(KeyNames::from_json(json).unwrap().iter().eq([("k", "a"), ("l", "c")]));
}

#[test]
fn sections_without_that_of_the_keys_do_not_contain_it() {
    let openai = MapReader::default().provider(crate::names::Provider::OpenAi);
    for json in [r#"{"project_id":{"proj_1":"p"}}"#, r#"{"anthropic":{"api_key_id":{"k":"a"}}}"#] {
        let names = openai.read(json.as_bytes()).unwrap();
        assert!(names.section("api_key_id").is_none() && !names.is_section_complete("api_key_id"), "{json}");
        // Another file may contain the section.
        let merged = KeyNames::merged([&names, &KeyNames::default()]);
        assert!(merged.section("api_key_id").is_some() && merged.is_section_complete("api_key_id"));
        let with_keys = names.with_section("api_key_id", [("k", "v")]).unwrap();
        assert_eq!(section_of(&with_keys, "api_key_id"), [("k", "v")]);
    }
}

#[test]
fn defective_section_is_rejected_at_its_position() {
    for (json, line, column, kind) in [
        ("{\"project\":{\"a\":\"b\"}}", 1, 2, Kind::UnknownSection),
        ("{\"user_id\":{},\n\"api_key_ids\":{\"a\":\"b\"}}", 2, 1, Kind::UnknownSection),
        ("{\"user_id\":{},\n \"user_id\":{}}", 2, 2, Kind::DuplicateSection),
        ("{\"user_id\":{},\"key_1\":\"a\"}", 1, 23, Kind::MixedSections),
        ("{\"key_1\":\"a\",\"user_id\":{}}", 1, 14, Kind::MixedSections),
        ("{\"user_id\":{\"u\":{\"name\":\"x\"}}}", 1, 13, Kind::MixedSections),
        ("{\"user_id\":{\"u\":\n null}}", 2, 2, Kind::NotAName),
        ("{\"user_id\":{\"u\":\"a\",\"u\":\"b\"}}", 1, 21, Kind::DuplicateId),
        ("{\"user_id\":{},\n\"project_id\":{\"p\": \"sk-proj-x\"}}", 2, 20, Kind::Secret),
        ("{\"anthropic\":\n{\"user_id\":{\"sk-ant-x\":\"a\"}}}", 2, 13, Kind::Secret),
        ("{\"openai\":{\"api_key_id\":{}},\"api_key_id\":{}}", 1, 29, Kind::UnknownSection),
        ("{\"openai\":{},\"openai\":{}}", 1, 14, Kind::DuplicateSection),
        ("{\"openai\":{\"key_1\":\"a\"}}", 1, 20, Kind::MixedSections),
        ("{\"openai\":{\"key_1\":{\"a\":\"b\"}}}", 1, 12, Kind::UnknownSection),
    ] {
        assert_rejected_at(json, line, column, kind);
    }
    // The section of the other provider is checked too.
    let json = BY_PROVIDER.replace("\"w\"", "7");
    let reader = MapReader::default().provider(crate::names::Provider::OpenAi);
    assert_eq!(reader.read(json.as_bytes()).unwrap_err().kind(), Kind::NotAName);
}
