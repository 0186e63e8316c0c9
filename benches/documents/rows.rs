//! The rows of the pages.

use std::fmt::Write;

use tower_api_key_name::KeyNames;

use super::RowKind;

/// A generator of pseudo-random numbers (xorshift64*).
pub struct Rng(pub u64);

impl Rng {
    /// Returns a number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
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

    fn choose<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// The `nth` id.
pub fn id(nth: u64) -> String {
    Rng(nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1).word("key_", 16)
}

pub fn in_json(text: &str) -> String {
    serde_json::to_string(text).expect("text can be written as JSON")
}

/// One row, with its members in the order of the page.
pub struct Row {
    /// The id; `None` for null.
    key: Option<String>,
    pub members: Vec<String>,
}

const ID: &str = "\"api_key_id\"";

impl Row {
    /// The text of the members with the inserted name. Adds the id to the counts.
    pub fn named(&self, names: &KeyNames, counts: &mut [u64; 3]) -> String {
        let mut members = self.members.clone();
        if let Some(id) = members.iter_mut().find(|member| member.starts_with(ID)) {
            let [named, unmatched, null] = counts;
            let (count, name) = match &self.key {
                None => (null, "null".to_owned()),
                Some(key) => match names.name(key) {
                    Some(name) => (named, in_json(name)),
                    None => (unmatched, in_json("unknown")),
                },
            };
            *count += 1;
            let _ = write!(id, r#","api_key_name":{name}"#);
        }
        members.join(",")
    }
}

/// Creates a random row of this kind.
pub fn row(kind: RowKind, rng: &mut Rng, ids: u64) -> Row {
    let key = match rng.below(100) {
        0 | 1 => None,
        2..7 => Some(rng.word("key_", 16)),
        _ => Some(id(rng.below(ids))),
    };
    let id = format!("{ID}:{}", key.as_deref().map_or("null".to_owned(), in_json));
    let model = rng.choose(&[
        "gpt-4o-2024-08-06",
        "gpt-4o-mini-2024-07-18",
        "o3-2025-04-16",
        "text-embedding-3-large",
    ]);
    let cents = format!(
        "{}.{:014}{:014}",
        rng.below(100),
        rng.below(100_000_000_000_000),
        rng.below(100_000_000_000_000)
    );
    let usage = |rng: &mut Rng| {
        vec![
            r#""object":"organization.usage.completions.result""#.to_owned(),
            format!(r#""input_tokens":{}"#, rng.below(10_000_000)),
            format!(r#""output_tokens":{}"#, rng.below(1_000_000)),
            format!(r#""input_cached_tokens":{}"#, rng.below(1_000_000)),
            r#""input_audio_tokens":0"#.to_owned(),
            format!(r#""num_model_requests":{}"#, rng.below(20_000)),
            format!(r#""project_id":"{}""#, rng.word("proj_", 24)),
            if rng.below(2) == 0 {
                r#""user_id":null"#.to_owned()
            } else {
                format!(r#""user_id":"{}""#, rng.word("user-", 24))
            },
            id.clone(),
            format!(r#""model":"{model}""#),
            format!(r#""batch":{}"#, rng.choose(&["true", "false", "null"])),
        ]
    };
    let members = match kind {
        RowKind::Completions => usage(rng),
        RowKind::Daily => {
            let mut members = usage(rng);
            for name in ["project_id", "user_id", "model", "batch"] {
                let name = format!("\"{name}\":");
                for member in members.iter_mut().filter(|member| member.starts_with(&name)) {
                    *member = format!("{name}null");
                }
            }
            members.push(r#""service_tier":null"#.to_owned());
            members
        }
        RowKind::Costs => vec![
            r#""object":"organization.costs.result""#.to_owned(),
            format!(r#""amount":{{"value":{cents},"currency":"usd"}}"#),
            format!(r#""line_item":{}"#, rng.choose(&["null", "\"Image models\"", "\"gpt-4o, input\""])),
            format!(r#""project_id":"{}""#, rng.word("proj_", 24)),
            id,
        ],
        RowKind::Irregular => {
            let mut members = usage(rng);
            members.push(format!(r#""amount":{{"value":"{cents}","currency":"usd"}}"#));
            let len = rng.below(90);
            members.push(format!(r#""line_item":"{}""#, rng.word("", len)));
            let note = rng.choose(&["", r#"a \"quoted\" \\ note"#, "données – 田中", r"tab\there"]);
            members.push(format!(r#""note":"{note}""#));
            members.push(format!(r#""meta":{{"tags":["{}"],"empty":{{}}}}"#, rng.word("", 7)));
            members.retain(|member| member.starts_with(ID) || rng.below(4) > 0);
            // A random order (Fisher–Yates).
            for last in (1..members.len()).rev() {
                members.swap(last, rng.below(last as u64 + 1) as usize);
            }
            members
        }
        RowKind::Keys => vec![
            r#""object":"organization.project.api_key""#.to_owned(),
            format!(r#""redacted_value":"{}****""#, rng.word("", 3)),
            format!(r#""name":"service {} key""#, rng.below(1000)),
            format!(r#""created_at":{}"#, 1_711_471_533 + rng.below(1_000_000)),
            format!(r#""id":"{}""#, rng.word("key_", 16)),
            r#""owner":{"type":"user","user":{"object":"organization.project.user","name":"Zoë Núñez","role":"owner"}}"#.to_owned(),
        ],
    };
    Row { key, members }
}
