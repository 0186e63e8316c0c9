//! Pages as the APIs answer them, made anew on every run and the same each time: daily usage, costs with their
//! long decimals, a list of keys (nothing to name), and rows of no fixed shape.

use std::fmt::Write;

use tower_api_key_name::KeyNames;

/// What a page is made of.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Completions,
    Costs,
    /// Members in any order, some missing, with escapes, nesting and text that is not ASCII.
    Irregular,
    Keys,
}

/// A generator of numbers that look random (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn word(&mut self, prefix: &str, len: u64) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut word = prefix.to_owned();
        word.extend((0..len).map(|_| char::from(LETTERS[self.below(62) as usize])));
        word
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

fn id(nth: u64) -> String {
    Dice(nth * 0x9E37_79B9_7F4A_7C15 + 1).word("key_", 16)
}

/// A map of the first `n` ids.
pub fn names(n: u64) -> KeyNames {
    let teams = ["checkout", "search", "support-bot", "Müller GmbH", "ops \"blue\""];
    let name = |nth: u64| format!("{}-service-{nth}", teams[nth as usize % teams.len()]);
    KeyNames::new((0..n).map(|nth| (id(nth), name(nth)))).expect("these ids and names are valid")
}

/// A page of about `size` bytes, whose ids are among the first `ids`, but for one in twenty.
pub fn page(kind: Kind, size: usize, ids: u64, pretty: bool) -> String {
    let mut dice = Dice(0x0DDB_1A5E_5BAD_5EED);
    let mut page = String::with_capacity(size + 4096);
    page.push_str(r#"{"object":"page","data":[{"object":"bucket","start_time":1730419200,"end_time":1730505600,"results":["#);
    for nth in 0.. {
        page.push_str(if nth == 0 {
            ""
        } else if nth % 25 == 0 {
            r#"]},{"object":"bucket","start_time":1730419200,"end_time":1730505600,"results":["#
        } else {
            ","
        });
        page.push_str(&row(kind, &mut dice, ids));
        // Printing it with white space makes a page about half as large again.
        if page.len() * if pretty { 3 } else { 2 } / 2 >= size {
            break;
        }
    }
    page.push_str(r#"]}],"has_more":true,"next_page":"page_AAAAAGdGxdEiJdKOAAAAAGcqsYA="}"#);
    if pretty { indented(&page) } else { page }
}

fn row(kind: Kind, dice: &mut Dice, ids: u64) -> String {
    let key = match dice.below(100) {
        0 | 1 => "null".to_owned(),
        2..7 => format!("\"{}\"", dice.word("key_", 16)),
        _ => format!("\"{}\"", id(dice.below(ids))),
    };
    let model = dice.one_of(&[
        "gpt-4o-2024-08-06",
        "gpt-4o-mini-2024-07-18",
        "o3-2025-04-16",
        "text-embedding-3-large",
    ]);
    let cents = format!(
        "{}.{:014}{:014}",
        dice.below(100),
        dice.below(100_000_000_000_000),
        dice.below(100_000_000_000_000)
    );
    let usage = |dice: &mut Dice| {
        vec![
            r#""object":"organization.usage.completions.result""#.to_owned(),
            format!(r#""input_tokens":{}"#, dice.below(10_000_000)),
            format!(r#""output_tokens":{}"#, dice.below(1_000_000)),
            format!(r#""input_cached_tokens":{}"#, dice.below(1_000_000)),
            r#""input_audio_tokens":0"#.to_owned(),
            format!(r#""num_model_requests":{}"#, dice.below(20_000)),
            format!(r#""project_id":"{}""#, dice.word("proj_", 24)),
            if dice.below(2) == 0 {
                r#""user_id":null"#.to_owned()
            } else {
                format!(r#""user_id":"{}""#, dice.word("user-", 24))
            },
            format!(r#""api_key_id":{key}"#),
            format!(r#""model":"{model}""#),
            format!(r#""batch":{}"#, dice.one_of(&["true", "false", "null"])),
        ]
    };
    let members = match kind {
        Kind::Completions => usage(dice),
        Kind::Costs => vec![
            r#""object":"organization.costs.result""#.to_owned(),
            format!(r#""amount":{{"value":{cents},"currency":"usd"}}"#),
            format!(r#""line_item":{}"#, dice.one_of(&["null", "\"Image models\"", "\"gpt-4o, input\""])),
            format!(r#""project_id":"{}""#, dice.word("proj_", 24)),
            format!(r#""api_key_id":{key}"#),
        ],
        Kind::Irregular => {
            let mut members = usage(dice);
            members.push(format!(r#""amount":{{"value":"{cents}","currency":"usd"}}"#));
            let len = dice.below(90);
            members.push(format!(r#""line_item":"{}""#, dice.word("", len)));
            let note = dice.one_of(&["", r#"a \"quoted\" \\ note"#, "données – 田中", r"tab\there"]);
            members.push(format!(r#""note":"{note}""#));
            members.push(format!(r#""meta":{{"tags":["{}"],"empty":{{}}}}"#, dice.word("", 7)));
            members.retain(|member| member.starts_with("\"api_key_id\"") || dice.below(4) > 0);
            for last in (1..members.len()).rev() {
                members.swap(last, dice.below(last as u64 + 1) as usize);
            }
            members
        }
        Kind::Keys => vec![
            r#""object":"organization.project.api_key""#.to_owned(),
            format!(r#""redacted_value":"{}****""#, dice.word("", 3)),
            format!(r#""name":"service {} key""#, dice.below(1000)),
            format!(r#""created_at":{}"#, 1_711_471_533 + dice.below(1_000_000)),
            format!(r#""id":"{}""#, dice.word("key_", 16)),
            r#""owner":{"type":"user","user":{"object":"organization.project.user","name":"Zoë Núñez","role":"owner"}}"#.to_owned(),
        ],
    };
    format!("{{{}}}", members.join(","))
}

/// The same with two spaces a level, as most pretty printers write it.
fn indented(page: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0, false, false);
    let line = |out: &mut String, depth: usize| {
        let _ = write!(out, "\n{:1$}", "", depth * 2);
    };
    let mut characters = page.chars().peekable();
    while let Some(character) = characters.next() {
        if in_text {
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
            out.push(character);
            continue;
        }
        if matches!(character, '}' | ']') {
            depth -= 1;
            line(&mut out, depth);
        }
        out.push(character);
        match character {
            '"' => in_text = true,
            ':' => out.push(' '),
            ',' => line(&mut out, depth),
            '{' | '[' if matches!(characters.peek(), Some('}' | ']')) => out.extend(characters.next()),
            '{' | '[' => {
                depth += 1;
                line(&mut out, depth);
            }
            _ => {}
        }
    }
    out
}
