//! Pages as the APIs answer them, made anew on every run and the same each time: daily usage, costs with their
//! long decimals, a list of keys (nothing to name), and rows of no fixed shape. Whoever writes a page knows what
//! it has to become, so each comes with its answer.
#![allow(dead_code, reason = "each bench takes what it needs")]

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use tower_api_key_name::outcome::Counts;
use tower_api_key_name::{KeyNames, SharedKeyNames, Snapshot};

/// What a page is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Twenty-five rows a bucket.
    Completions,
    /// Grouped by key alone, so that all else they could be grouped by is null; three rows a bucket, and every fourth day
    /// without any.
    Daily,
    Costs,
    /// Members in any order, some missing, with escapes, nesting and text that is not ASCII.
    Irregular,
    Keys,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    Compact,
    /// Two spaces a level, as most pretty printers write it.
    Pretty,
}

/// Which page: of about `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Document {
    pub kind: Kind,
    pub style: Style,
    pub size: usize,
}

/// A page, and what has to become of it.
pub struct Page {
    pub plain: Bytes,
    /// With `api_key_name` beside every `api_key_id`.
    pub named: Bytes,
    /// How many ids are named, unmatched, null.
    pub counts: [u64; 3],
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
    Dice(nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1).word("key_", 16)
}

/// A map of these ids.
pub fn names(ids: Range<u64>) -> KeyNames {
    KeyNames::new(ids.map(|nth| (id(nth), name(nth)))).expect("these ids and names are valid")
}

/// The names of a range of ids, as one request uses them.
pub fn snapshot(ids: Range<u64>) -> Snapshot {
    SharedKeyNames::new(names(ids)).snapshot()
}

/// The name of the `nth` id.
fn name(nth: u64) -> String {
    let teams = ["checkout", "search", "support-bot", "Müller GmbH", "ops \"blue\""];
    format!("{}-service-{nth}", teams[nth as usize % teams.len()])
}

/// The first `n` ids in an order that looks random, again and again.
pub fn ids(n: u64) -> impl Iterator<Item = String> {
    let mut dice = Dice(0x5EED);
    std::iter::repeat_with(move || id(dice.below(n)))
}

/// A map file of the first `n` ids, as somebody writes it by hand.
pub fn map_file(n: u64) -> String {
    let entry = |nth| format!("\n  {}: {}", in_json(&id(nth)), in_json(&name(nth)));
    format!("{{{}\n}}\n", (0..n).map(entry).collect::<Vec<_>>().join(","))
}

fn in_json(text: &str) -> String {
    serde_json::to_string(text).expect("text can be written as JSON")
}

/// How many ids the pages and the usual map have.
pub const IDS: u64 = 1_000;

/// Every page that is measured: each kind, compact and pretty, of 4 KiB, 64 KiB and 1 MiB.
pub fn documents() -> impl Iterator<Item = Document> {
    let kinds = [Kind::Completions, Kind::Daily, Kind::Costs, Kind::Irregular, Kind::Keys];
    let sizes = [4 << 10, 64 << 10, 1 << 20];
    kinds.into_iter().flat_map(move |kind| {
        let styles = [Style::Compact, Style::Pretty];
        styles.into_iter().flat_map(move |style| sizes.map(|size| Document { kind, style, size }))
    })
}

impl Document {
    pub fn new(kind: Kind, style: Style, size: usize) -> Self {
        Self { kind, style, size }
    }

    /// The page under a map of all ids in it, but for one in twenty. It is made once.
    pub fn page(self) -> Arc<Page> {
        static PAGES: LazyLock<Mutex<HashMap<Document, Arc<Page>>>> = LazyLock::new(Mutex::default);
        static NAMES: LazyLock<KeyNames> = LazyLock::new(|| names(0..IDS));
        let mut pages = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.entry(self).or_insert_with(|| Arc::new(self.page_of(IDS, &NAMES)));
        page.clone()
    }

    /// The page under this map; its ids are among the first `ids`, but for one in twenty.
    pub fn page_of(self, ids: u64, names: &KeyNames) -> Page {
        const BUCKET: &str =
            r#"{"object":"bucket","start_time":1730419200,"end_time":1730505600,"results":["#;
        let mut dice = Dice(0x0DDB_1A5E_5BAD_5EED);
        let mut plain = format!(r#"{{"object":"page","data":[{BUCKET}"#);
        let mut named = plain.clone();
        let mut counts = [0; 3];
        // Printing it with white space makes a page about half as large again.
        let size = if self.style == Style::Pretty { self.size * 2 / 3 } else { self.size };
        // How many rows a bucket has, and after how many one follows that has none.
        let (bucket, empty) = if self.kind == Kind::Daily { (3, Some(9)) } else { (25, None) };
        for nth in 0.. {
            let between = match nth {
                0 => String::new(),
                _ if empty.is_some_and(|empty| nth % empty == 0) => format!("]}},{BUCKET}]}},{BUCKET}"),
                _ if nth % bucket == 0 => format!("]}},{BUCKET}"),
                _ => ",".to_owned(),
            };
            let row = row(self.kind, &mut dice, ids);
            let _ = write!(plain, "{between}{{{}}}", row.members.join(","));
            let _ = write!(named, "{between}{{{}}}", row.named(names, &mut counts));
            if plain.len() >= size {
                break;
            }
        }
        let [plain, named] = [plain, named].map(|mut page| {
            page.push_str(r#"]}],"has_more":true,"next_page":"page_AAAAAGdGxdEiJdKOAAAAAGcqsYA="}"#);
            Bytes::from(if self.style == Style::Pretty { indented(&page) } else { page })
        });
        Page { plain, named, counts }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}/{:?}", self.kind, self.style).to_lowercase();
        write!(f, "{name}/{}", Size(self.size))
    }
}

/// A page in frames of `chunk` bytes.
#[derive(Clone, Copy)]
pub struct Framed {
    pub document: Document,
    pub chunk: usize,
}

impl Framed {
    /// Every page, whole and in each size of frames that is smaller than it.
    pub fn all() -> impl Iterator<Item = Self> {
        let chunks = [WHOLE, 64 << 10, 16 << 10, 1 << 10];
        documents().flat_map(move |document| {
            let smaller = move |chunk: &usize| *chunk == WHOLE || *chunk < document.size;
            chunks.into_iter().filter(smaller).map(move |chunk| Self { document, chunk })
        })
    }
}

impl fmt::Display for Framed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chunk {
            WHOLE => write!(f, "{}/whole", self.document),
            chunk => write!(f, "{}/{}", self.document, Size(chunk)),
        }
    }
}

/// All in one frame.
pub const WHOLE: usize = usize::MAX;

/// The page in frames of `chunk` bytes.
pub fn frames(page: &Bytes, chunk: usize) -> impl Iterator<Item = Bytes> {
    let starts = (0..page.len()).step_by(chunk.min(page.len()));
    starts.map(move |at| page.slice(at..page.len().min(at.saturating_add(chunk))))
}

/// Bytes as people write them: `64k`, `1m`.
pub struct Size(pub usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{}m", bytes >> 20),
            bytes => write!(f, "{}k", bytes >> 10),
        }
    }
}

impl Page {
    /// Whether these are the counts of this page.
    pub fn counts(&self, counts: Counts) -> bool {
        self.counts == [counts.named, counts.unmatched, counts.not_a_string] && counts.skipped == 0
    }
}

struct Row {
    /// The id; `None` for null.
    key: Option<String>,
    members: Vec<String>,
}

const ID: &str = "\"api_key_id\"";

impl Row {
    /// The members with the name among them, counted.
    fn named(&self, names: &KeyNames, counts: &mut [u64; 3]) -> String {
        let mut members = self.members.clone();
        if let Some(id) = members.iter_mut().find(|member| member.starts_with(ID)) {
            let (count, name) = match self.key.as_deref().map(|key| names.name(key)) {
                Some(Some(name)) => (0, in_json(name)),
                Some(None) => (1, in_json("unknown")),
                None => (2, "null".to_owned()),
            };
            counts[count] += 1;
            let _ = write!(id, r#","api_key_name":{name}"#);
        }
        members.join(",")
    }
}

fn row(kind: Kind, dice: &mut Dice, ids: u64) -> Row {
    let key = match dice.below(100) {
        0 | 1 => None,
        2..7 => Some(dice.word("key_", 16)),
        _ => Some(id(dice.below(ids))),
    };
    let id = format!("{ID}:{}", key.as_deref().map_or("null".to_owned(), in_json));
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
            id.clone(),
            format!(r#""model":"{model}""#),
            format!(r#""batch":{}"#, dice.one_of(&["true", "false", "null"])),
        ]
    };
    let members = match kind {
        Kind::Completions => usage(dice),
        Kind::Daily => {
            let mut members = usage(dice);
            for name in ["project_id", "user_id", "model", "batch"] {
                let name = format!("\"{name}\":");
                members.iter_mut().filter(|member| member.starts_with(&name)).for_each(|member| {
                    *member = format!("{name}null");
                });
            }
            members.push(r#""service_tier":null"#.to_owned());
            members
        }
        Kind::Costs => vec![
            r#""object":"organization.costs.result""#.to_owned(),
            format!(r#""amount":{{"value":{cents},"currency":"usd"}}"#),
            format!(r#""line_item":{}"#, dice.one_of(&["null", "\"Image models\"", "\"gpt-4o, input\""])),
            format!(r#""project_id":"{}""#, dice.word("proj_", 24)),
            id,
        ],
        Kind::Irregular => {
            let mut members = usage(dice);
            members.push(format!(r#""amount":{{"value":"{cents}","currency":"usd"}}"#));
            let len = dice.below(90);
            members.push(format!(r#""line_item":"{}""#, dice.word("", len)));
            let note = dice.one_of(&["", r#"a \"quoted\" \\ note"#, "données – 田中", r"tab\there"]);
            members.push(format!(r#""note":"{note}""#));
            members.push(format!(r#""meta":{{"tags":["{}"],"empty":{{}}}}"#, dice.word("", 7)));
            members.retain(|member| member.starts_with(ID) || dice.below(4) > 0);
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
    Row { key, members }
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
