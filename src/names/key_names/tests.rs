use super::*;

const SECRET: &str = "sk-proj-Zq3XyWv7T0abcdEFGH";

fn json_of<'a>(names: &'a KeyNames, id: &str) -> &'a [u8] {
    let entry = names.entries.find(KEYS, id.as_bytes()).expect("the id is in the map");
    assert_eq!(usize::from(entry.json_len), names.entries.json(entry).len());
    names.entries.json(entry)
}

#[test]
fn name_of_an_unknown_id_is_none() {
    let names = KeyNames::new([("key_a", "search")]).unwrap();
    assert_eq!(names.name("key_a"), Some("search"));
    assert_eq!(names.name("key_"), None);
    assert_eq!(names.name("KEY_A"), None);
}

#[test]
fn ids_of_a_shared_name_are_in_the_order_of_the_input() {
    let names = KeyNames::new([("key_b", "billing"), ("key_a", "search"), ("key_c", "billing")]).unwrap();
    assert!(names.ids("billing").eq(["key_b", "key_c"]));
    assert!(names.ids("search").eq(["key_a"]));
    assert_eq!(names.ids("bill").count(), 0);
    assert_eq!(names.ids("zzz").count(), 0);
}

#[test]
fn pairs_are_in_the_order_of_the_input() {
    let pairs = [("key_b", "billing"), ("key_a", "search"), ("key_c", "billing")];
    let names = KeyNames::new(pairs).unwrap();
    assert!(names.iter().eq(pairs));
    assert_eq!(names.len(), 3);
    assert_eq!((names.left_out(), names.is_partial()), (0, false));
}

#[test]
fn empty_map_contains_no_id() {
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
fn json_of_a_name_escapes_only_what_must_be() {
    for (name, json) in [
        ("billing", r#""billing""#),
        ("a \"b\" \\c/ é 鍵 🔑", r#""a \"b\" \\c/ é 鍵 🔑""#),
        (r#"""#, r#""\"""#),
    ] {
        let names = KeyNames::new([("key_0", "first"), ("key_a", name)]).unwrap();
        assert_eq!(json_of(&names, "key_a"), json.as_bytes());
        assert_eq!(names.name("key_a"), Some(name));
        assert!(names.ids(name).eq(["key_a"]));
    }
}

#[test]
fn json_of_the_longest_name_fits() {
    let longest = "\"".repeat(KeyNames::MAX_LEN);
    let names = KeyNames::new([("key_a", &longest)]).unwrap();
    assert_eq!(serde_json::from_slice::<String>(json_of(&names, "key_a")).unwrap(), longest);
}

#[cfg(feature = "tracing")]
#[test]
fn entry_resolves_to_its_id_and_name() {
    let names = KeyNames::new([("key_0", "first"), ("key_a", "say \"hi\"")]).unwrap();
    assert_eq!(
        names.entries.pair(KEYS, names.entries.find(KEYS, b"key_a").unwrap()).unwrap(),
        ("key_a", "say \"hi\"")
    );
}

#[test]
fn large_map_finds_every_entry() {
    let pairs = (0..100_000).map(|n| (format!("key_{n}"), format!("name {}", n % 1000)));
    let names = KeyNames::new(pairs).unwrap();
    assert_eq!(names.len(), 100_000);
    for n in 0..100_000 {
        assert_eq!(names.name(&format!("key_{n}")), Some(&*format!("name {}", n % 1000)));
    }
    assert_eq!(names.name("key_100000"), None);
    assert_eq!(names.ids("name 7").count(), 100);
}

#[test]
fn pair_that_breaks_a_rule_is_rejected() {
    let long = "é".repeat(129);
    for (bad, kind) in [
        ("", KeyNamesErrorKind::Blank),
        (" \u{a0}\u{3000}", KeyNamesErrorKind::Blank),
        ("a\tb", KeyNamesErrorKind::ControlCharacter),
        ("a\u{7f}", KeyNamesErrorKind::ControlCharacter),
        ("a\u{85}b", KeyNamesErrorKind::ControlCharacter),
        (&*long, KeyNamesErrorKind::TooLong),
        (SECRET, KeyNamesErrorKind::Secret),
        ("old key: sk-proj-abcdefgh", KeyNamesErrorKind::Secret),
    ] {
        for (pair, subject) in [((bad, "x"), "id"), (("i", bad), "name")] {
            let error = KeyNames::new([("k", "x"), pair]).unwrap_err();
            assert_eq!((error.kind(), error.line(), error.column()), (kind, None, None));
            assert!(error.to_string().starts_with(&format!("pair 2: this {subject} ")), "{bad:?}: {error}");
        }
    }
}

#[test]
fn id_and_name_of_the_greatest_length_are_accepted() {
    let longest = "x".repeat(256);
    assert!(KeyNames::new([(&longest, &longest)]).is_ok());
}

#[test]
fn duplicate_id_is_rejected_even_with_the_same_name() {
    let error = KeyNames::new([("a", "1"), ("b", "1"), ("a", "1")]).unwrap_err();
    assert_eq!(error.kind(), KeyNamesErrorKind::DuplicateId);
    assert!(error.to_string().starts_with("pair 3: "));
}

#[test]
fn names_that_begin_with_sk_are_accepted() {
    let pairs = [("key_a", "sk-bratislava"), ("key_b", "risk-adjusted"), ("key_c", "disk-usage-12345678")];
    assert!(KeyNames::new(pairs).unwrap().iter().eq(pairs));
}

#[test]
fn debug_output_contains_only_counts() {
    let names = KeyNames::new([("key_a", "billing")]).unwrap();
    assert_eq!(format!("{names:?}"), "KeyNames { entries: 1, left_out: 0, partial: false }");
}

#[test]
fn merged_map_prefers_the_first_map() {
    let first = KeyNames::from_json(br#"{"data":[{"id":"a","name":"1"},{}],"has_more":true}"#);
    let second = KeyNames::new([("b", "2"), ("a", "\"3\"")]).unwrap();
    let merged = KeyNames::merged([&first.unwrap(), &KeyNames::default(), &second]);
    assert!(merged.iter().eq([("a", "1"), ("b", "2")]));
    assert!(merged.ids("2").eq(["b"]));
    assert_eq!((merged.left_out(), merged.is_partial()), (1, true));
}

// === Sections ===

fn with_projects() -> KeyNames {
    let keys = KeyNames::new([("id_1", "shared"), ("id_2", "shared")]).unwrap();
    keys.with_section("project_id", [("id_1", "storefront"), ("proj_2", "shared")]).unwrap()
}

#[test]
fn sections_with_equal_ids_and_names_are_independent() {
    let names = with_projects();
    let projects = names.section("project_id").unwrap();
    assert_eq!((names.name("id_1"), projects.name("id_1")), (Some("shared"), Some("storefront")));
    assert!(names.ids("shared").eq(["id_1", "id_2"]));
    assert!(projects.ids("shared").eq(["proj_2"]));
    assert!(projects.iter().eq([("id_1", "storefront"), ("proj_2", "shared")]));
    assert_eq!((names.len(), projects.len()), (2, 2));
}

#[test]
fn section_that_the_map_does_not_contain_is_none() {
    assert!(with_projects().section("user_id").is_none());
    let empty = with_projects().with_section::<_, &str, &str>("user_id", []).unwrap();
    assert!(empty.section("user_id").is_some_and(Section::is_empty));
}

#[test]
fn duplicate_id_in_a_section_is_rejected_with_its_number() {
    let error = with_projects().with_section("project_id", [("proj_3", "a"), ("id_1", "b")]).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().starts_with("pair 2: ")),
        (KeyNamesErrorKind::DuplicateId, true)
    );
}

#[test]
fn merged_map_has_the_sections_of_all_maps() {
    let other = KeyNames::default().with_section("user_id", [("user_1", "Ada")]).unwrap();
    let other = other.with_section("project_id", [("id_1", "other"), ("proj_9", "nine")]).unwrap();
    let merged = KeyNames::merged([&with_projects(), &other]);
    let name =
        |member: &str, id: &str| merged.section(member).unwrap().name(id).unwrap_or_default().to_owned();
    assert_eq!(merged.name("id_1"), Some("shared"));
    assert_eq!(name("project_id", "id_1"), "storefront");
    assert_eq!(name("project_id", "proj_9"), "nine");
    assert_eq!(name("user_id", "user_1"), "Ada");
}
