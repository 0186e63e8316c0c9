//! The law of the edits: they change nothing else, and the result is a valid file.
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use tower_api_key_name::proxy_keys::ProxyKeys;

use super::super::limits::{KeyLimits, parse_limit};
use super::*;

const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn new_entry() -> NewEntry {
    let mut limits = KeyLimits::default();
    limits.add(&parse_limit("tokens/day=200000").unwrap()).unwrap();
    NewEntry {
        id: "key_new".into(),
        name: "St Mary's, \"tutor\" é".into(),
        group: None,
        hashes: [DIGEST.into()],
        models: Some(vec!["gpt-5-mini*".into(), "gpt-5".into()]),
        tools: None,
        limits,
        created_at: 1_790_000_000,
        expires_at: None,
    }
}

fn appended(text: &str) -> String {
    let edit = append_entry(text, &new_entry()).unwrap();
    assert!(edit.range.is_empty());
    edit.apply(text)
}

/// Returns the texts of the entries.
fn entry_texts(text: &str) -> Vec<String> {
    let entries = KeyArray::find(text).unwrap().entries;
    entries.iter().map(|entry| entry.get().to_owned()).collect()
}

/// White space between two tokens (RFC 8259 §2).
fn white_space() -> impl Strategy<Value = &'static str> {
    select(&["", " ", "\n", "\n    ", "\r\n\t", "\n\n  "][..])
}

/// An entry with its own spaces. Its digest is that of its number.
fn entry_text(number: usize) -> impl Strategy<Value = String> {
    let name = select(&["Tutor", "a \\\"quote\\\" and \\\\", "}],[{", "日本語"][..]);
    let hashes = select(&["[]", "[ ]", "[\"sha256:D\"]", "[ \"sha256:D\"\n]"][..]);
    (white_space(), white_space(), name, hashes, any::<bool>()).prop_map(
        move |(a, b, name, hashes, is_id_last)| {
            let hashes = hashes.replace('D', &format!("{number:064x}"));
            if is_id_last {
                format!("{{{a}\"ha\\u0073hes\":{b}{hashes},{a}\"name\"{b}:\"{name}\",\"id\":{b}\"key_{number}\"{a}}}")
            } else {
                format!("{{{a}\"id\"{b}:\"key_{number}\",{a}\"name\":{b}\"{name}\",\"hashes\":{hashes}{b}}}")
            }
        },
    )
}

/// The text of a valid file with up to three keys.
fn file_text() -> impl Strategy<Value = String> {
    let entries = (entry_text(1), entry_text(2), entry_text(3), 0..=3_usize);
    let spaces = vec(white_space(), 6);
    (entries, spaces, any::<bool>()).prop_map(|((first, second, third, count), spaces, has_groups)| {
        let [start, colon, open, comma, close, end] = spaces[..] else { unreachable!("six spaces") };
        let entries = [first, second, third][..count].join(&format!("{comma},{open}"));
        let groups = if has_groups { ",\"groups\":{ }" } else { "" };
        format!("{start}{{{open}\"object\":\"list\",{open}\"data\"{colon}:[{open}{entries}{close}]{groups}{end}}}{end}")
    })
}

proptest! {
    #[test]
    fn appended_entry_is_the_only_change(text in file_text()) {
        ProxyKeys::from_json(text.as_bytes()).unwrap();
        let edit = append_entry(&text, &new_entry()).unwrap();
        let edited = edit.apply(&text);
        ProxyKeys::from_json(edited.as_bytes()).unwrap();

        let mut restored = edited.clone();
        let start = edit.range.start;
        restored.replace_range(start..start + edit.replacement.len(), "");
        prop_assert_eq!(&restored, &text);

        let mut entries = entry_texts(&edited);
        let added: Value = serde_json::from_str(&entries.pop().unwrap()).unwrap();
        prop_assert_eq!(added, serde_json::to_value(new_entry()).unwrap());
        prop_assert_eq!(entries, entry_texts(&text));
    }

    #[test]
    fn revocation_changes_only_the_digests_of_its_key(text in file_text(), number in 1..=4_usize) {
        let texts = entry_texts(&text);
        let id = format!("key_{number}");
        let digest = format!("sha256:{number:064x}");
        let edit = match revoke_entry(&text, &id).unwrap() {
            Revocation::Edit(edit) => edit,
            Revocation::AlreadyRevoked => {
                prop_assert!(number <= texts.len() && !text.contains(&digest));
                return Ok(());
            }
            Revocation::UnknownId => {
                prop_assert!(number > texts.len());
                return Ok(());
            }
        };
        let edited = edit.apply(&text);
        ProxyKeys::from_json(edited.as_bytes()).unwrap();
        prop_assert!(!edited.contains(&digest));
        let removed = &text[edit.range.clone()];
        prop_assert_eq!(serde_json::from_str::<[String; 1]>(removed).unwrap(), [digest]);

        let mut restored = edited.clone();
        let start = edit.range.start;
        restored.replace_range(start..start + edit.replacement.len(), removed);
        prop_assert_eq!(&restored, &text);
        let is_revoked = matches!(revoke_entry(&edited, &id).unwrap(), Revocation::AlreadyRevoked);
        prop_assert!(is_revoked);
        prop_assert_eq!(entry_texts(&edited).len(), texts.len());
    }
}

/// The members of the new entry on one line.
const ONE_LINE: &str = r#"{"id": "key_new", "name": "St Mary's, \"tutor\" é", "hashes": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"], "models": ["gpt-5-mini*", "gpt-5"], "limits": {"tokens": {"day": 200000}}, "created_at": 1790000000}"#;

/// Returns the new entry with a line for each member.
fn lines(before_member: &str, before_end: &str) -> String {
    let members = ONE_LINE.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let mut separated = members.to_owned();
    for name in ["name", "hashes", "models", "limits", "created_at"] {
        separated = separated.replace(&format!(", \"{name}\""), &format!(",{before_member}\"{name}\""));
    }
    format!("{{{before_member}{separated}{before_end}}}")
}

#[test]
fn new_entry_has_the_form_of_the_last_entry() {
    let compact = r#"{"data":[{"id":"a"},{"id":"b"}]}"#;
    assert_eq!(appended(compact), compact.replace("}]}", &format!("}},{ONE_LINE}]}}")));

    let one_line = "{\"data\": [\n  {\"id\": \"a\"}\n]}";
    assert_eq!(appended(one_line), one_line.replace("\n]", &format!(",\n  {ONE_LINE}\n]")));

    let pretty = "{\n\t\"data\": [\n\t\t{\n\t\t\t\"id\": \"a\"\n\t\t}\n\t]\n}\n";
    let expected = pretty.replace("\n\t]", &format!(",\n\t\t{}\n\t]", lines("\n\t\t\t", "\n\t\t")));
    assert_eq!(appended(pretty), expected);

    let mixed = "{ \"data\": [\r\n    { \"id\": \"a\",\r\n      \"name\": \"b\" } ] }";
    let expected = mixed.replace(" ] }", &format!(",\r\n    {} ] }}", lines("\r\n      ", "\r\n    ")));
    assert_eq!(appended(mixed), expected);
}

#[test]
fn first_entry_has_the_indentation_of_the_file() {
    assert_eq!(appended(r#"{"data":[]}"#), format!(r#"{{"data":[{ONE_LINE}]}}"#));
    let entry = lines("\n      ", "\n    ");
    for array in ["[]", "[\n  ]"] {
        let text = format!("{{\n  \"data\": {array}\n}}\n");
        assert_eq!(appended(&text), format!("{{\n  \"data\": [\n    {entry}\n  ]\n}}\n"));
    }
    let unindented = "{\n\"data\": []\n}";
    let entry = lines("\n    ", "\n  ");
    assert_eq!(appended(unindented), format!("{{\n\"data\": [\n  {entry}\n]\n}}"));
}

#[test]
fn byte_order_mark_is_kept() {
    let text = "\u{feff}{\"data\":[{\"id\":\"a\",\"hashes\":[\"x\"]}]}";
    assert!(
        appended(text)
            .starts_with("\u{feff}{\"data\":[{\"id\":\"a\",\"hashes\":[\"x\"]},{\"id\": \"key_new\"")
    );
    let Revocation::Edit(edit) = revoke_entry(text, "a").unwrap() else { panic!("the key is not revoked") };
    assert_eq!(edit.apply(text), "\u{feff}{\"data\":[{\"id\":\"a\",\"hashes\":[]}]}");
}

#[test]
fn text_of_another_form_is_rejected_without_its_values() {
    let form = "this form of a keys file is not supported by `keys`";
    for text in ["{\n\"data\": \"sk-secret\"}", "{\"data\":\n [\"sk-secret\"]}"] {
        // The position in a part of the text would be that of another place in the file.
        assert_eq!(revoke_entry(text, "a").unwrap_err(), form);
    }
    let error = revoke_entry("{\"keys\": \"sk-secret\"}", "a").unwrap_err();
    assert!(error.starts_with("line 1, column ") && error.ends_with(form), "{error}");
}
