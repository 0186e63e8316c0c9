//! Map files, as people write them, as the API's list is saved, and as anything else.

use std::collections::HashSet;

use crate::choices::Choices;
use tower_api_key_name::{KeyNames, KeyNamesError};

/// A map that is taken is valid, and holds what was written, in its order. What is wrong is told with its place, and
/// without a word of what was read.
pub fn hold(input: &[u8]) {
    let mut choices = Choices::new(input);
    let kind = choices.byte();
    let at = choices.number();
    let (mut text, expected) = match kind % 3 {
        0 => (choices.rest().to_vec(), Expected::Anything),
        1 => written(&mut choices),
        _ => saved(&mut choices),
    };
    let read = KeyNames::from_json(&text);
    is_sound(&text, &read);
    expected.is(&text, &read);
    // Somewhere in it, a secret.
    let at = at % (text.len() + 1);
    text.splice(at..at, SECRET.bytes());
    is_sound(&text, &KeyNames::from_json(&text));
}

const SECRET: &str = "sk-proj-Zq3XyWv7T0abcdEFGH";

/// What is true of every answer.
fn is_sound(text: &[u8], read: &Result<KeyNames, KeyNamesError>) {
    let words = match read {
        Ok(names) => {
            is_valid(names);
            format!("{names:?}")
        }
        Err(error) => {
            is_in(text, error);
            let shown = format!("{error} {error:?} {error:#?}");
            shown
        }
    };
    assert!(!words.contains("sk-") && !words.contains("Zq3Xy"), "{words}");
}

pub(super) fn is_valid(names: &KeyNames) {
    let mut ids = HashSet::new();
    for (id, name) in names.iter() {
        assert!(ids.insert(id), "{id} twice");
        assert_eq!((flaw(id), flaw(name)), (None, None), "{id}: {name}");
        assert_eq!(names.name(id), Some(name));
        assert!(names.ids(name).any(|of_name| of_name == id));
        let (longer, shorter) =
            (format!("{id}x"), &id[..id.len() - id.chars().last().map_or(0, char::len_utf8)]);
        for other in [&longer, shorter] {
            assert_eq!(names.name(other).is_some(), names.iter().any(|(id, _)| id == other));
        }
    }
    assert_eq!(ids.len(), names.len());
}

/// Its place is in the text, or right behind it.
fn is_in(text: &[u8], error: &KeyNamesError) {
    assert_eq!(error.line().is_some(), error.column().is_some());
    let (Some(line), Some(column)) = (error.line(), error.column()) else { return };
    let text = String::from_utf8_lossy(text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text));
    let is_there = text.split('\n').nth(line - 1).is_some_and(|line| column <= line.chars().count() + 1);
    assert!(is_there, "{error}: {text}");
}

/// What is wrong with an id or a name, in a few of the words it is told in.
pub(super) fn flaw(label: &str) -> Option<&'static str> {
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let is_secret = |at: usize| {
        let (before, after) = (&label.as_bytes()[..at], &label.as_bytes()[at..]);
        let long = after.len() >= 11 && after[3..11].iter().all(is_key);
        after.starts_with(b"sk-")
            && (at == 0 || long && !before.last().is_some_and(u8::is_ascii_alphanumeric))
    };
    match label {
        _ if label.chars().all(char::is_whitespace) => Some("empty or blank"),
        _ if label.len() > 256 => Some("bytes long"),
        _ if label.chars().any(char::is_control) => Some("control character"),
        _ if (0..label.len()).any(is_secret) => Some("secret"),
        _ => None,
    }
}

/// What is known beforehand of what is to be read in a text.
pub(super) enum Expected {
    Anything,
    Names { pairs: Vec<(String, String)>, left_out: usize, partial: bool },
    Fault { at: usize, words: &'static str },
}

impl Expected {
    fn is(&self, text: &[u8], read: &Result<KeyNames, KeyNamesError>) {
        let shown = || String::from_utf8_lossy(text);
        match (self, read) {
            (Expected::Anything, _) => {}
            (Expected::Names { pairs, left_out, partial }, Ok(names)) => {
                let expected = pairs.iter().map(|(id, name)| (id.as_str(), name.as_str()));
                assert!(names.iter().eq(expected), "{}", shown());
                assert_eq!((names.left_out(), names.is_partial()), (*left_out, *partial), "{}", shown());
            }
            (Expected::Fault { at, words }, Err(error)) => {
                let before = String::from_utf8_lossy(&text[..*at]);
                let line = before.split('\n').count();
                let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
                assert_eq!(
                    (error.line(), error.column()),
                    (Some(line), Some(column)),
                    "{error}: {}",
                    shown()
                );
                assert!(error.to_string().contains(words), "{error}, not {words}: {}", shown());
            }
            (_, Ok(names)) => panic!("{names:?}: {}", shown()),
            (_, Err(error)) => panic!("{error}: {}", shown()),
        }
    }
}

const LABELS: &[&str] = &[
    "key_a",
    "key_b",
    "key_c",
    "billing",
    "Zürich – 50% 鍵 🔑",
    "say \"hi\" \\ bye/",
    "task-runner-production",
    "the sk-learn job",
    "data",
    "error",
    "id",
    " a ",
    "",
    " \u{a0}\u{3000}",
    "a\tb",
    "a\u{7f}",
    "sk-",
    "old: sk-abcdefgh",
];

/// An id or a name, most often a good one, and how it is written.
fn label(choices: &mut Choices<'_>) -> (String, String) {
    let label = match choices.byte() {
        byte @ 0..=199 => LABELS[usize::from(byte) % 8].to_owned(),
        200..=209 => "é".repeat(127 + usize::from(choices.byte() % 4)),
        210..=229 => {
            let count = usize::from(choices.byte() % 16);
            String::from_utf8_lossy(choices.take(count)).into_owned()
        }
        byte => LABELS[usize::from(byte) % LABELS.len()].to_owned(),
    };
    let plain = serde_json::Value::from(label.as_str()).to_string();
    let quoted = match choices.byte() % 8 {
        0 => format!("\"{}\"", label.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>()),
        _ => plain,
    };
    (label, quoted)
}

fn gap(choices: &mut Choices<'_>) -> &'static str {
    choices.of(&["", "", "", " ", "\n", "\r\n  ", "\t"])
}

/// What is no text, and how it is called.
const OTHERS: &[(&str, &str)] = &[
    ("null", "null"),
    ("7", "a number"),
    ("-1.5e3", "a number"),
    ("true", "true"),
    ("false", "false"),
    ("[\"a\",{\"b\":1}]", "an array"),
    ("{\"a\":\"}\\\"{\"}", "an object"),
    ("{}", "an object"),
];

/// A map that somebody wrote.
fn written(choices: &mut Choices<'_>) -> (Vec<u8>, Expected) {
    let mut text = format!("{}{{", gap(choices));
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut fault = None;
    let mut is_list = false;
    for nth in 0.. {
        if choices.is_over() {
            break;
        }
        text += if nth == 0 { "" } else { "," };
        text += gap(choices);
        let id_at = text.len();
        let (id, quoted) = label(choices);
        text = text + &quoted + gap(choices) + ":" + gap(choices);
        let name_at = text.len();
        if choices.byte().is_multiple_of(16) {
            let (value, kind) = choices.of(OTHERS);
            text += value;
            is_list |= id == "data" && kind == "an array";
            let is_error = id == "error" && kind == "an object";
            let this = if is_error { (id_at, "that the API answered") } else { (name_at, kind) };
            fault = fault.or(Some(this));
        } else {
            let (name, quoted) = label(choices);
            text += &quoted;
            let this = flaw(&id).map(|words| (id_at, words)).or(flaw(&name).map(|words| (name_at, words)));
            let twice = pairs.iter().any(|(known, _)| *known == id).then_some((id_at, "twice"));
            fault = fault.or(this).or(twice);
            pairs.push((id, name));
        }
        text += gap(choices);
    }
    text = text + "}" + gap(choices);
    let expected = match fault {
        _ if is_list => Expected::Anything,
        Some((at, words)) => Expected::Fault { at, words },
        None => Expected::Names { pairs, left_out: 0, partial: false },
    };
    (text.into_bytes(), expected)
}

/// The API's list of keys, with items of all kinds in it.
pub(super) fn saved(choices: &mut Choices<'_>) -> (Vec<u8>, Expected) {
    let (has_more, partial) = choices.of(&[
        ("", false),
        (",\"has_more\":true", true),
        (",\"has_more\":false", false),
        (",\"has_more\":1", false),
    ]);
    let (mut items, mut pairs, mut left_out) = (Vec::new(), Vec::<(String, String)>::new(), 0);
    while !choices.is_over() {
        let (how, (id, quoted_id), (name, quoted_name)) = (choices.byte(), label(choices), label(choices));
        let both = format!("\"id\":{quoted_id},{}\"name\":{quoted_name}", gap(choices));
        let (item, is_whole) = match how % 16 {
            0 => (choices.of(OTHERS).0.to_owned(), false),
            1 => (format!("{{\"id\":{quoted_id},\"name\":{}}}", choices.of(OTHERS).0), false),
            2 => (format!("{{\"id\":{},\"name\":{quoted_name}}}", choices.of(OTHERS).0), false),
            3 => (format!("{{{both},\"name\":{quoted_name}}}"), false),
            4 => (format!("{{{both},\"id\":{quoted_id}}}"), false),
            5 => (format!("{{\"owner\":{{\"id\":\"x\",\"name\":\"sk-x\"}},{both},\"value\":\"sk-\"}}"), true),
            _ => (format!("{{{both}}}"), true),
        };
        items.push(item);
        match pairs.iter().find(|(known, _)| *known == id) {
            _ if !is_whole || flaw(&id).is_some() || flaw(&name).is_some() => left_out += 1,
            Some((_, known)) => left_out += usize::from(*known != name),
            None => pairs.push((id, name)),
        }
    }
    let text = format!("{{\"object\":\"list\",\"data\":[{}]{has_more}}}", items.join(","));
    (text.into_bytes(), Expected::Names { pairs, left_out, partial })
}
