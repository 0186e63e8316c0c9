//! Map files: written by hand, saved from the API, and arbitrary bytes.

use std::collections::HashSet;

use crate::unstructured::Unstructured;
use tower_api_key_name::{KeyNames, KeyNamesError};

/// Checks that a parsed map is valid and contains the pairs of the text in their order, and that an
/// error has the position of the defect and does not repeat the text.
pub fn check(input: &[u8]) {
    let mut source = Unstructured::new(input);
    let kind = source.byte();
    let at = source.number();
    let (mut text, expected) = match kind % 3 {
        0 => (source.take_rest().to_vec(), Expected::Anything),
        1 => hand_written_map(&mut source),
        _ => saved_page(&mut source),
    };
    let parsed = KeyNames::from_json(&text);
    assert_sound(&text, &parsed);
    expected.assert_matches(&text, &parsed);
    // The same text with a secret inserted at any place.
    let at = at % (text.len() + 1);
    text.splice(at..at, SECRET.bytes());
    assert_sound(&text, &KeyNames::from_json(&text));
}

const SECRET: &str = "sk-proj-Zq3XyWv7T0abcdEFGH";

/// Checks the rules for every text.
fn assert_sound(text: &[u8], parsed: &Result<KeyNames, KeyNamesError>) {
    let output = match parsed {
        Ok(names) => {
            assert_valid(names);
            format!("{names:?}")
        }
        Err(error) => {
            assert_position_in(text, error);
            format!("{error} {error:?} {error:#?} {:?}", error.kind())
        }
    };
    assert!(!output.contains("sk-") && !output.contains("Zq3Xy"), "{output}");
}

/// Checks the rules of `KeyNames` and its look-ups.
pub(super) fn assert_valid(names: &KeyNames) {
    let mut ids = HashSet::new();
    for (id, name) in names.iter() {
        assert!(ids.insert(id), "{id} twice");
        assert_eq!((defect_of(id), defect_of(name)), (None, None), "{id}: {name}");
        assert_eq!(names.name(id), Some(name));
        assert!(names.ids(name).any(|of_name| of_name == id));
        let longer = format!("{id}x");
        let mut shorter = id.to_owned();
        shorter.pop();
        for other in [&longer, &shorter] {
            assert_eq!(names.name(other).is_some(), names.iter().any(|(id, _)| id == other.as_str()));
        }
    }
    assert_eq!(ids.len(), names.len());
}

/// Checks that the position of an error is in the text or directly after it.
fn assert_position_in(text: &[u8], error: &KeyNamesError) {
    assert_eq!(error.line().is_some(), error.column().is_some());
    let (Some(line), Some(column)) = (error.line(), error.column()) else { return };
    let text = String::from_utf8_lossy(text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text));
    let is_there = text.split('\n').nth(line - 1).is_some_and(|line| column <= line.chars().count() + 1);
    assert!(is_there, "{error}: {text}");
}

/// The defect of an id or a name, as a part of the error's text.
pub(super) fn defect_of(label: &str) -> Option<&'static str> {
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_secret = |(at, _): (usize, &str)| {
        let (before, key) = (&label[..at], &label[at + 3..]);
        let is_known =
            ["proj-", "svcacct-", "admin-", "ant-", "px-"].iter().any(|kind| key.starts_with(kind));
        let is_long = key.find(|c| !is_key(c)).unwrap_or(key.len()) >= 20;
        !before.ends_with(|c: char| c.is_ascii_alphanumeric()) && (is_known || is_long)
    };
    match label {
        _ if label.chars().all(char::is_whitespace) => Some("empty or blank"),
        _ if label.len() > 256 => Some("bytes long"),
        _ if label.chars().any(char::is_control) => Some("control character"),
        _ if label.match_indices("sk-").any(is_secret) => Some("secret"),
        _ => None,
    }
}

/// The result of parsing a generated text.
pub(super) enum Expected {
    Anything,
    Names { pairs: Vec<(String, String)>, left_out: usize, partial: bool },
    Error { at: usize, words: &'static str },
}

impl Expected {
    /// Checks that the result is the expected one, with the position of an error.
    fn assert_matches(&self, text: &[u8], parsed: &Result<KeyNames, KeyNamesError>) {
        let shown = || String::from_utf8_lossy(text);
        match (self, parsed) {
            (Expected::Anything, _) => {}
            (Expected::Names { pairs, left_out, partial }, Ok(names)) => {
                let expected = pairs.iter().map(|(id, name)| (id.as_str(), name.as_str()));
                assert!(names.iter().eq(expected), "{}", shown());
                assert_eq!((names.left_out(), names.is_partial()), (*left_out, *partial), "{}", shown());
            }
            (Expected::Error { at, words }, Err(error)) => {
                let before = String::from_utf8_lossy(&text[..*at]);
                let line = before.split('\n').count();
                let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
                let position = (error.line(), error.column());
                assert_eq!(position, (Some(line), Some(column)), "{error}: {}", shown());
                assert!(error.to_string().contains(words), "{error}, not {words}: {}", shown());
            }
            (_, Ok(names)) => panic!("{names:?}: {}", shown()),
            (_, Err(error)) => panic!("{error}: {}", shown()),
        }
    }
}

/// Ids and names. The first eight are valid.
const LABELS: &[&str] = &[
    "key_a",
    "key_b",
    "key_c",
    "billing",
    "Zürich – 50% 鍵 🔑",
    "say \"hi\" \\ bye/",
    "task-runner-production",
    "sk-bratislava",
    "the sk-learn job",
    "data",
    "error",
    "id",
    " a ",
    "sk-",
    "",
    " \u{a0}\u{3000}",
    "a\tb",
    "a\u{7f}",
    "sk-proj-a",
    "sk-abcdefghijklmnopqR1t",
    "old: sk-ant-a",
];

/// Draws an id or a name, valid in most cases. Returns the text and its JSON string.
fn label(source: &mut Unstructured<'_>) -> (String, String) {
    let label = match source.byte() {
        byte @ 0..=199 => LABELS[usize::from(byte) % 8].to_owned(),
        200..=209 => "é".repeat(127 + usize::from(source.byte() % 4)),
        210..=229 => {
            let count = usize::from(source.byte() % 16);
            String::from_utf8_lossy(source.bytes(count)).into_owned()
        }
        byte => LABELS[usize::from(byte) % LABELS.len()].to_owned(),
    };
    let plain = serde_json::Value::from(label.as_str()).to_string();
    let quoted = match source.byte() % 8 {
        0 => format!("\"{}\"", label.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>()),
        _ => plain,
    };
    (label, quoted)
}

/// Draws white space between two tokens.
fn space(source: &mut Unstructured<'_>) -> &'static str {
    source.choose(&["", "", "", " ", "\n", "\r\n  ", "\t"])
}

/// Values that are not strings, and their kinds in messages.
const NON_STRINGS: &[(&str, &str)] = &[
    ("null", "null"),
    ("7", "a number"),
    ("-1.5e3", "a number"),
    ("true", "true"),
    ("false", "false"),
    ("[\"a\",{\"b\":1}]", "an array"),
    ("{\"a\":\"}\\\"{\"}", "an object"),
    ("{}", "an object"),
];

/// Draws a map written by hand, and the expected result.
fn hand_written_map(source: &mut Unstructured<'_>) -> (Vec<u8>, Expected) {
    let mut text = format!("{}{{", space(source));
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut defect = None;
    let mut is_list = false;
    for index in 0.. {
        if source.is_empty() {
            break;
        }
        text += if index == 0 { "" } else { "," };
        text += space(source);
        let id_at = text.len();
        let (id, quoted) = label(source);
        text = text + &quoted + space(source) + ":" + space(source);
        let name_at = text.len();
        if source.byte().is_multiple_of(16) {
            let (value, kind) = source.choose(NON_STRINGS);
            text += value;
            is_list |= id == "data" && kind == "an array";
            let own = match kind {
                "an object" if id == "error" => (id_at, "error response of the API"),
                // An object at the start makes a map with sections.
                "an object" if index == 0 => (id_at, "belongs to no label"),
                "an object" => (id_at, "mixes names and sections"),
                _ => (name_at, kind),
            };
            defect = defect.or(Some(own));
        } else {
            let (name, quoted) = label(source);
            text += &quoted;
            let own =
                defect_of(&id).map(|words| (id_at, words)).or(defect_of(&name).map(|words| (name_at, words)));
            let duplicate = pairs.iter().any(|(known, _)| *known == id).then_some((id_at, "twice"));
            defect = defect.or(own).or(duplicate);
            pairs.push((id, name));
        }
        text += space(source);
    }
    text = text + "}" + space(source);
    let expected = match defect {
        _ if is_list => Expected::Anything,
        Some((at, words)) => Expected::Error { at, words },
        None => Expected::Names { pairs, left_out: 0, partial: false },
    };
    (text.into_bytes(), expected)
}

/// Draws a list page of the API with usable and unusable items, and the expected result.
pub(super) fn saved_page(source: &mut Unstructured<'_>) -> (Vec<u8>, Expected) {
    let (has_more, partial) = source.choose(&[
        ("", false),
        (",\"has_more\":true", true),
        (",\"has_more\":false", false),
        (",\"has_more\":1", false),
    ]);
    let mut items = Vec::new();
    let mut pairs = Vec::<(String, String)>::new();
    let mut left_out = 0;
    while !source.is_empty() {
        let form = source.byte();
        let (id, quoted_id) = label(source);
        let (name, quoted_name) = label(source);
        let both = format!("\"id\":{quoted_id},{}\"name\":{quoted_name}", space(source));
        let (item, is_complete) = match form % 16 {
            0 => (source.choose(NON_STRINGS).0.to_owned(), false),
            1 => (format!("{{\"id\":{quoted_id},\"name\":{}}}", source.choose(NON_STRINGS).0), false),
            2 => (format!("{{\"id\":{},\"name\":{quoted_name}}}", source.choose(NON_STRINGS).0), false),
            3 => (format!("{{{both},\"name\":{quoted_name}}}"), false),
            4 => (format!("{{{both},\"id\":{quoted_id}}}"), false),
            5 => (format!("{{\"owner\":{{\"id\":\"x\",\"name\":\"sk-x\"}},{both},\"value\":\"sk-\"}}"), true),
            _ => (format!("{{{both}}}"), true),
        };
        items.push(item);
        match pairs.iter().find(|(known, _)| *known == id) {
            _ if !is_complete || defect_of(&id).is_some() || defect_of(&name).is_some() => left_out += 1,
            Some((_, known)) => left_out += usize::from(*known != name),
            None => pairs.push((id, name)),
        }
    }
    let text = format!("{{\"object\":\"list\",\"data\":[{}]{has_more}}}", items.join(","));
    (text.into_bytes(), Expected::Names { pairs, left_out, partial })
}
