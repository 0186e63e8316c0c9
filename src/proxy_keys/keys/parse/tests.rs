use std::error::Error as _;
use std::fs;

use super::*;
use crate::names::Provider;
use crate::proxy_keys::keys::{ProxyKey, UsageScope};

/// The digest of `test`.
const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// The digest of `test2`.
const HASH_2: &str = "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";
const REAL_KEY: &str = "sk-proj-Zq3XyWv7T0abcdEFGH";
const PROXY_KEY: &str = "sk-px-yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1";

/// Expands the short forms in a text: `#1` and `#2` are digests.
fn expand(text: &str) -> String {
    text.replace("#1", HASH).replace("#2", HASH_2)
}

fn parsed(text: &str) -> KeysFile {
    KeysFile::parse(expand(text).as_bytes(), RealKeys::Read).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn rejected(text: &str) -> ProxyKeysError {
    KeysFile::parse(expand(text).as_bytes(), RealKeys::Read).expect_err(text)
}

/// Checks that a text is rejected at the character behind `§`, which is not a part of the text.
fn assert_rejected_at(marked: &str, kind: Kind, words: &str) {
    let marked = expand(marked);
    let (before, after) = marked.split_once('§').expect("a mark");
    let error = rejected(&format!("{before}{after}"));
    let line = before.split('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{error}: {marked}");
    assert_eq!(error.kind(), kind, "{error}: {marked}");
    assert!(error.to_string().contains(words), "{error}: {marked}");
    assert!(error.to_string().starts_with(&format!("line {line}, column {column}: ")));
}

/// A file with one key, which has these further members.
fn with_members(members: &str) -> String {
    format!(r##"{{"data":[{{"id":"key_a","name":"a","hashes":["#1"],{members}}}]}}"##)
}

/// The key whose credential is `test`.
fn key(file: &KeysFile) -> &ProxyKey {
    file.table.find(b"test").expect("a key")
}

#[test]
fn file_with_every_member_is_parsed() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    fs::write(&key_file, "sk-real\n").unwrap();
    let text = r##"{ "object": "list", "has_more": false,
      "data": [ { "id": "key_tutor", "name": "St Mary's, tutor", "group": "stmary", "hashes": ["#1", "#2"],
          "models": ["gpt-5-mini*", "gpt-5"], "tools": ["web_search"],
          "limits": {"requests": {"minute": 60}, "tokens": {"day": 200000, "ever": 9}, "dollars": {"month": "25.00"},
            "parallel": 8},
          "reserve": 100, "created_at": 1790000000, "expires_at": "2027-07-31T02:00:00+02:00", "usage_scope": "group" } ],
      "groups": { "stmary": { "limits": {"requests": {"hour": 5}}, "upstreams": {"openai": "main"} } },
      "upstreams": { "main": {"provider": "openai", "base_url": "https://gateway/v1", "key_file": "FILE"} },
      "prices": { "gpt-5*": { "input": "0.25", "web_search": "10.00" } } }"##;
    let file = parsed(&text.replace("FILE", &key_file.display().to_string()));
    let key = key(&file);
    assert_eq!(file.table.find(b"test2").unwrap().id, "key_tutor");
    assert_eq!(
        format!("{key:?}"),
        r#"ProxyKey { id: "key_tutor", name: "St Mary's, tutor", group: Some("stmary"), models: Only([Pattern { text: "gpt-5-mini", is_prefix: true }, Pattern { text: "gpt-5", is_prefix: false }]), tools: Only([Pattern { text: "web_search", is_prefix: false }]), limits: {requests/minute: 60, tokens/day: 200000, tokens/ever: 9, dollars/month: 25000000000000, parallel: 8}, reserve: 100, created_at: Some(1790000000), expires_at: Some(2027-07-31T00:00:00Z), usage_scope: "group" }"#
    );
    let group = key.group.as_ref().unwrap();
    assert_eq!(format!("{:?}", group.limits), "{requests/hour: 5}");
    assert!(
        group.upstreams.of_provider(Provider::OpenAi).is_some()
            && group.upstreams.of_provider(Provider::Anthropic).is_none()
    );
    assert!(file.names.iter().eq([("key_tutor", "St Mary's, tutor")]));
}

#[test]
fn key_with_the_required_members_has_the_defaults() {
    let file = parsed(r##"{"data":[{"id":"key_a","name":"a","hashes":["#1"]}]}"##);
    let key = key(&file);
    assert!(key.models.contains("any model") && !key.hosted_tools.contains("web_search"));
    assert!(key.group.is_none() && !key.is_limited() && key.expires_at.is_none());
    assert_eq!((key.reserve, key.usage_scope), (4096, UsageScope::Own));
}

#[test]
fn empty_list_of_models_permits_none() {
    let file = parsed(&with_members(r#""models":[]"#));
    assert!(!key(&file).models.contains("gpt-5"));
}

#[test]
fn key_without_hashes_is_only_a_name() {
    let file = parsed(r#"{"data":[{"id":"key_a","name":"a","hashes":[]}]}"#);
    assert_eq!(file.names.name("key_a"), Some("a"));
    assert!(file.table.find(b"test").is_none());
}

#[test]
fn key_is_limited_by_its_own_limits_and_those_of_its_group() {
    for (members, groups, is_limited) in [
        (r#""limits":{}"#, "{}", false),
        (r#""limits":{"tokens":{}}"#, "{}", false),
        (r#""limits":{"parallel":1}"#, "{}", true),
        (r#""limits":{"tokens":{"ever":1}}"#, "{}", true),
        (r#""group":"g""#, r#"{"g":{}}"#, false),
        (r#""group":"g""#, r#"{"g":{"limits":{"requests":{"day":1}}}}"#, true),
    ] {
        let text = with_members(members).replace("}]}", &format!("}}],\"groups\":{groups}}}"));
        assert_eq!(key(&parsed(&text)).is_limited(), is_limited, "{text}");
    }
}

#[test]
fn text_that_is_no_json_has_the_errors_of_maps() {
    for (json, kind, words) in [
        (b"" as &[u8], Kind::Empty, "write {\"data\": []}"),
        (b"\xEF\xBB\xBF \n", Kind::Empty, "nothing here"),
        (b"\xFF\xFE{\0}\0", Kind::Utf16, "save it as UTF-8"),
        (b"{\"data\":\"\xE9\"}", Kind::NotUtf8, "line 1, column 10: this is not UTF-8"),
        (b"{\"data\":[", Kind::Truncated, "line 1, column 10: the JSON ends too early"),
        (b"{\"data\":[],}", Kind::Syntax, "line 1, column 12: this is not JSON"),
        (b"sk-proj-x", Kind::Secret, "looks like an API key, not a keys file"),
    ] {
        let error = KeysFile::parse(json, RealKeys::Read).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn byte_order_mark_is_ignored() {
    parsed("\u{feff}{\"data\":[]}");
    assert_eq!(rejected("\u{feff}{\"data\":1}").column(), Some(9));
}

#[test]
fn defect_of_the_whole_file_is_rejected_at_its_position() {
    for (marked, kind, words) in [
        ("\n §[]", Kind::WrongType, "the keys file must be an object, not an array"),
        ("§{}", Kind::MissingMember, "the keys file needs the member data"),
        (
            r#"{"data":[],§"datum":[]}"#,
            Kind::UnknownMember,
            "object, has_more, data, groups, upstreams, prices",
        ),
        ("{\"data\":[],\n§\"d\\u0061ta\":[]}", Kind::DuplicateMember, "twice"),
        (r#"{"data":§{}}"#, Kind::WrongType, "data must be an array, not an object"),
        (r#"{"object":§"page","data":[]}"#, Kind::InvalidValue, "object must be list"),
        (r#"{"object":§1,"data":[]}"#, Kind::WrongType, "object must be text in quotes, not a number"),
        (r#"{"data":[],"has_more":§true}"#, Kind::Incomplete, "incomplete"),
        (r#"{"data":[],"has_more":§"no"}"#, Kind::WrongType, "has_more must be false, not text"),
        (r#"{"data":[§7]}"#, Kind::WrongType, "a key must be an object, not a number"),
        (r#"{"data":[],§"\ud800":1}"#, Kind::Syntax, "not JSON"),
    ] {
        assert_rejected_at(marked, kind, words);
    }
}

#[test]
fn defect_of_an_id_name_or_hash_is_rejected_at_its_position() {
    let second = r##"{"data":[{"id":"key_a","name":"a","hashes":["#1"]},"##;
    for (marked, kind, words) in [
        (r#"{"data":[§{"name":"a","hashes":[]}]}"#, Kind::MissingMember, "a key needs the member id"),
        (r#"{"data":[§{"id":"a","hashes":[]}]}"#, Kind::MissingMember, "the member name"),
        (r#"{"data":[§{"id":"a","name":"b"}]}"#, Kind::MissingMember, "the member hashes"),
        (r#"{"data":[{"id":§" ","name":"a","hashes":[]}]}"#, Kind::InvalidText, "this id is empty or blank"),
        (r#"{"data":[{"id":"a","name":§"a\tb","hashes":[]}]}"#, Kind::InvalidText, "control character"),
        (
            r#"{"data":[{"id":"a","name":§"sk-px-1","hashes":[]}]}"#,
            Kind::Secret,
            "this name looks like a secret",
        ),
        (
            r#"{"data":[{"id":§null,"name":"a","hashes":[]}]}"#,
            Kind::WrongType,
            "id must be text in quotes, not null",
        ),
        (r#"{"data":[{"id":"a","name":§"\ud800","hashes":[]}]}"#, Kind::Syntax, "not JSON"),
        (r#"{"data":[{"id":"a","name":"a","hashes":§"x"}]}"#, Kind::WrongType, "hashes must be an array"),
        (r#"{"data":[{"id":"a","name":"a","hashes":[§"x"]}]}"#, Kind::InvalidValue, "64 lower-case"),
        (r#"{"data":[{"id":"a","name":"a","hashes":[§7]}]}"#, Kind::WrongType, "a digest must be text"),
        (r#"{"data":[{"id":"a","name":"a","hashes":[],§"hash":[]}]}"#, Kind::UnknownMember, "usage_scope"),
        (
            r##"{"data":[{"id":"a","name":"a","hashes":["#1",§"#1"]}]}"##,
            Kind::DuplicateDigest,
            "digest occurs twice",
        ),
        (
            &format!(r##"{second}{{"id":§"key_a","name":"b","hashes":["#2"]}}]}}"##),
            Kind::DuplicateId,
            "earlier key",
        ),
        (
            &format!(r##"{second}{{"id":"b","name":"b","hashes":[§"#1"]}}]}}"##),
            Kind::DuplicateDigest,
            "twice",
        ),
    ] {
        assert_rejected_at(marked, kind, words);
    }
}

#[test]
fn defect_of_an_optional_member_is_rejected_at_its_position() {
    for (members, kind, words) in [
        (r#""group":§"g""#, Kind::UnknownGroup, "no group of this name"),
        (r#""models":§"gpt-5""#, Kind::WrongType, "models must be an array"),
        (r#""models":["gpt-5",§"*-mini"]"#, Kind::InvalidValue, "may have one *, at its end"),
        (r#""models":[§""]"#, Kind::InvalidText, "this pattern is empty or blank"),
        (r#""tools":["web_search",§null]"#, Kind::WrongType, "not null"),
        (r#""limits":§[]"#, Kind::WrongType, "limits must be an object"),
        (r#""limits":{§"token":{}}"#, Kind::UnknownMember, "requests, tokens, dollars, parallel"),
        (r#""limits":{"tokens":{"day":1,§"week":1}}"#, Kind::UnknownMember, "minute, hour, day, month, ever"),
        (r#""limits":{"tokens":§5}"#, Kind::WrongType, "the limits of tokens must be an object"),
        (r#""limits":{"tokens":{"day":§0}}"#, Kind::InvalidValue, "from 1 to"),
        (r#""limits":{"requests":{"day":§-1}}"#, Kind::InvalidValue, "a limit must be a whole number"),
        (r#""limits":{"requests":{"day":§1.5}}"#, Kind::InvalidValue, "whole"),
        (r#""limits":{"requests":{"day":§1e3}}"#, Kind::InvalidValue, "whole"),
        (r#""limits":{"requests":{"day":§9223372036854775808}}"#, Kind::InvalidValue, "9223372036854775807"),
        (r#""limits":{"requests":{"day":§"60"}}"#, Kind::WrongType, "a whole number, not text"),
        (r#""limits":{"dollars":{"day":§5}}"#, Kind::WrongType, "a dollar limit must be text in quotes"),
        (r#""limits":{"dollars":{"day":§"0.00"}}"#, Kind::InvalidValue, "a positive amount"),
        (r#""limits":{"dollars":{"day":§"0.0000001"}}"#, Kind::InvalidValue, "6 decimal places"),
        (r#""limits":{"dollars":{"day":§"9223373"}}"#, Kind::InvalidValue, "the greatest is 9223372"),
        (r#""limits":{"parallel":§0}"#, Kind::InvalidValue, "parallel must be a whole number"),
        (r#""reserve":§"4096""#, Kind::WrongType, "reserve must be a whole number"),
        (r#""created_at":§-5"#, Kind::InvalidValue, "created_at"),
        (r#""created_at":§999999999999999"#, Kind::InvalidValue, "seconds since 1970"),
        (r#""expires_at":§"2027-07-31""#, Kind::InvalidValue, "offset from UTC"),
        (r#""expires_at":§"2027-07-31T00:00:00""#, Kind::InvalidValue, "offset from UTC"),
        (r#""expires_at":§"2027-02-30T00:00:00Z""#, Kind::InvalidValue, "RFC 3339"),
        (r#""expires_at":§1790000000"#, Kind::WrongType, "expires_at must be text"),
        (r#""usage_scope":§"none""#, Kind::InvalidValue, "own, group or all"),
    ] {
        assert_rejected_at(&with_members(members), kind, words);
    }
}

#[test]
fn defect_of_a_group_or_upstream_is_rejected_at_its_position() {
    for (sections, kind, words) in [
        (r#""groups":{"g":§[]}"#, Kind::WrongType, "a group must be an object"),
        (r#""groups":{"g":{§"limit":{}}}"#, Kind::UnknownMember, "limits, upstreams"),
        (r#""groups":{"g":{},§"g":{}}"#, Kind::DuplicateMember, "twice"),
        (r#""groups":{§"":{}}"#, Kind::InvalidText, "this group is empty or blank"),
        (
            r#""groups":{"g":{"upstreams":{"openai":§"m"}}}"#,
            Kind::UnknownUpstream,
            "no upstream of this name",
        ),
        (r#""groups":{"g":{"upstreams":{§"azure":"m"}}}"#, Kind::UnknownMember, "openai, anthropic"),
        (
            r#""upstreams":{"m":{"provider":§"azure","key_env":"K"}}"#,
            Kind::InvalidValue,
            "openai or anthropic",
        ),
        (r#""upstreams":{"m":§{"key_env":"K"}}"#, Kind::MissingMember, "the member provider"),
        (r#""upstreams":{"m":§{"provider":"openai"}}"#, Kind::MissingMember, "key_env or key_file"),
        (
            r#""upstreams":{"m":{"provider":"openai","base_url":§"gateway","key_env":"K"}}"#,
            Kind::InvalidValue,
            "the base URL is not an http or https URL",
        ),
        (
            r#""upstreams":{"m":{"provider":"openai","base_url":§"http://gateway","key_env":"CARGO_PKG_NAME"}}"#,
            Kind::InvalidValue,
            "use https",
        ),
        (
            r#""upstreams":{"m":{"provider":"openai","key_env":"K","key_file":§"/k"}}"#,
            Kind::DuplicateMember,
            "remove key_env or key_file",
        ),
        (r#""upstreams":{"m":{"provider":"openai","key_env":§7}}"#, Kind::WrongType, "key_env must be text"),
    ] {
        assert_rejected_at(&format!(r#"{{"data":[],{sections}}}"#), kind, words);
    }
}

#[test]
fn real_key_that_cannot_be_read_is_rejected_at_its_member() {
    let folder = tempfile::tempdir().unwrap();
    let empty_file = folder.path().join("empty");
    fs::write(&empty_file, "\n").unwrap();
    let empty_file = empty_file.display().to_string();
    for (member, place, words) in [
        ("key_env", "NO_SUCH_VARIABLE", "the environment variable that key_env names is not set"),
        ("key_file", "/no/such/file", "the file that key_file names cannot be read: "),
        ("key_file", &empty_file, "the file that key_file names contains no key"),
    ] {
        let marked =
            format!(r#"{{"data":[],"upstreams":{{"m":{{"provider":"openai","{member}":§"{place}"}}}}}}"#);
        assert_rejected_at(&marked, Kind::UpstreamKey, words);
        let error = rejected(&marked.replace('§', ""));
        assert!(!error.to_string().contains(place), "{error}");
    }
}

#[test]
fn upstream_of_another_provider_is_rejected_at_its_name() {
    let marked = r#"{"data":[],"groups":{"g":{"upstreams":{"anthropic":§"m"}}},
        "upstreams":{"m":{"provider":"openai","key_env":"CARGO_PKG_NAME"}}}"#;
    assert_rejected_at(marked, Kind::UnknownUpstream, "is not one of anthropic");
}

#[test]
fn defect_of_a_price_is_rejected_at_its_position() {
    for (prices, kind, words) in [
        (r#"{"a":{"input":"1"},§"a":{"input":"2"}}"#, Kind::DuplicateMember, "twice"),
        (r#"{§"a*b":{"input":"1"}}"#, Kind::InvalidValue, "one *"),
        (r#"{"a":§"1"}"#, Kind::WrongType, "the prices of a model must be an object"),
        (r#"{"a":§{"output":"1"}}"#, Kind::MissingMember, "the member input"),
        (r#"{"a":{"input":§0.25}}"#, Kind::WrongType, "a price must be text in quotes, not a number"),
        (r#"{"a":{"input":§"-1"}}"#, Kind::InvalidValue, "6 decimal places"),
        (r#"{"a":{"input":"1",§"reasoning":"1"}}"#, Kind::UnknownMember, "cache_write_5m"),
        (r#"{"a":{"input":"1","web_search":§"9999999999999"}}"#, Kind::InvalidValue, "a price must be"),
    ] {
        assert_rejected_at(&format!(r#"{{"data":[],"prices":{prices}}}"#), kind, words);
    }
}

/// A file with one key, for which dollars are limited, and the prices of these models.
fn with_dollar_limit(members: &str, priced_models: &[&str]) -> String {
    let mut prices = Vec::new();
    for pattern in priced_models {
        prices.push(format!(r#""{pattern}":{{"input":"1"}}"#));
    }
    let sections = format!(
        r#"}}],"groups":{{"rich":{{"limits":{{"dollars":{{"day":"1"}}}}}}}},"prices":{{{}}}}}"#,
        prices.join(",")
    );
    with_members(members).replace("}]}", &sections)
}

const DOLLAR_LIMITS: [&str; 2] = [r#""limits":{"dollars":{"ever":"5"}}"#, r#""group":"rich""#];

#[test]
fn dollar_limit_over_models_with_prices_is_accepted() {
    for limit in DOLLAR_LIMITS {
        for (models, priced_models) in [
            (r#","models":["gpt-5-mini*","gpt-5"]"#, &["gpt-5*"] as &[_]),
            (r#","models":["gpt-5"]"#, &["gpt-5"]),
            (r#","models":[]"#, &[]),
            ("", &["gpt-5", "*"]),
        ] {
            parsed(&with_dollar_limit(&format!("{limit}{models}"), priced_models));
        }
    }
}

#[test]
fn dollar_limit_over_a_model_without_a_price_is_rejected() {
    for limit in DOLLAR_LIMITS {
        for (models, priced_models) in [
            (r#""models":["gpt-5",§"gpt-4"]"#, &["gpt-5*"] as &[_]),
            (r#""models":[§"gpt-5*"]"#, &["gpt-5", "gpt-5-mini*"]),
            (r#""models":[§"*"]"#, &[]),
        ] {
            let text = with_dollar_limit(&format!("{limit},{models}"), priced_models);
            assert_rejected_at(&text, Kind::NoPrice, "add the pattern to prices");
        }
        let text = with_dollar_limit(limit, &["gpt*"]).replace(r#""key_a""#, r#"§"key_a""#);
        assert_rejected_at(&text, Kind::NoPrice, "add the pattern * to prices");
    }
}

#[test]
fn dollar_limit_of_a_revoked_key_needs_no_price() {
    parsed(&with_dollar_limit(DOLLAR_LIMITS[0], &[]).replace("#1", "").replace(r#"[""]"#, "[]"));
}

#[test]
fn errors_and_debug_output_never_contain_a_key() {
    let valid = r##"{"object":"list","has_more":false,"data":[{"id":"key_a","name":"a","group":"g","hashes":["#1"],
        "models":["m*"],"tools":["t"],"limits":{"tokens":{"day":1},"dollars":{"day":"1"}},"reserve":1,"created_at":1,
        "expires_at":"2027-07-31T00:00:00Z","usage_scope":"own"}],
        "groups":{"g":{"limits":{},"upstreams":{"openai":"u"}}},
        "upstreams":{"u":{"provider":"openai","base_url":"https://gateway","key_env":"CARGO_PKG_NAME"}},
        "prices":{"m*":{"input":"1"}}}"##;
    let valid = expand(valid);
    KeysFile::parse(valid.as_bytes(), RealKeys::Read).unwrap();
    for secret in [REAL_KEY, PROXY_KEY] {
        // The secret in place of each text, inside each text, and between all tokens.
        for (at, _) in valid.char_indices() {
            let text = format!("{}{secret}{}", &valid[..at], &valid[at..]);
            assert_hidden(&text, secret);
            let rest = &valid[at..];
            if let Some(end) = rest.strip_prefix('"').and_then(|rest| rest.find('"')) {
                assert_hidden(&format!("{}\"{secret}\"{}", &valid[..at], &rest[end + 2..]), secret);
            }
        }
    }
}

/// Checks that the results of parsing a text do not contain the middle of a secret.
fn assert_hidden(text: &str, secret: &str) {
    let output = match KeysFile::parse(text.as_bytes(), RealKeys::Read) {
        Ok(file) => format!("{file:?}"),
        Err(error) => {
            assert!(error.source().is_none());
            format!("{error} {error:?} {error:#?}")
        }
    };
    assert!(!output.contains(&secret[8..16]), "{output}: {text}");
}

#[test]
fn check_reads_no_real_key_and_is_as_strict() {
    for source in [r#""key_env":"NOT_SET""#, r#""key_file":"/missing/key""#] {
        let file = format!(r#"{{"data":[],"upstreams":{{"m":{{"provider":"openai",{source}}}}}}}"#);
        let error = KeysFile::parse(file.as_bytes(), RealKeys::Read).unwrap_err();
        assert_eq!(error.kind(), Kind::UpstreamKey);
        KeysFile::parse(file.as_bytes(), RealKeys::Ignore).unwrap();
    }
    for source in [r#""key_env":1"#, r#""key_file":[]"#, r#""key_env":"A","key_file":"b""#] {
        let file = format!(r#"{{"data":[],"upstreams":{{"m":{{"provider":"openai",{source}}}}}}}"#);
        KeysFile::parse(file.as_bytes(), RealKeys::Ignore).unwrap_err();
    }
}
