//! Pages like those of the APIs: usage, costs with long decimals, a list of keys (without ids), and irregular rows.
//!
//! They are generated on every run, and are the same each time. Each comes with the output of the amender.
#![allow(dead_code, reason = "each bench uses a part of it")]

mod rows;

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use tower_api_key_name::outcome::Counts;
use tower_api_key_name::{KeyNames, SharedKeyNames, Snapshot};

use self::rows::{Rng, id, in_json, row};

/// The rows of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// Twenty-five rows per bucket.
    Completions,
    /// Grouped by key alone: the other dimensions are null. Three rows per bucket; every fourth bucket is empty.
    Daily,
    Costs,
    /// Members in any order, some missing, with escapes, nesting and text that is not ASCII.
    Irregular,
    Keys,
}

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    Compact,
    /// Two spaces per level.
    Pretty,
}

/// The kind, the format and the approximate size in bytes of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Document {
    pub kind: RowKind,
    pub style: Style,
    pub size: usize,
}

/// A page and the output of the amender.
pub struct ExpectedPage {
    pub plain: Bytes,
    /// With `api_key_name` beside every `api_key_id`.
    pub named: Bytes,
    /// The numbers of named, unmatched and null ids.
    pub counts: [u64; 3],
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

/// An endless sequence of the first `n` ids in random order.
pub fn ids(n: u64) -> impl Iterator<Item = String> {
    let mut rng = Rng(0x5EED);
    std::iter::repeat_with(move || id(rng.below(n)))
}

/// A map file of the first `n` ids, one per line.
pub fn map_file(n: u64) -> String {
    let entry = |nth| format!("\n  {}: {}", in_json(&id(nth)), in_json(&name(nth)));
    format!("{{{}\n}}\n", (0..n).map(entry).collect::<Vec<_>>().join(","))
}

/// The number of ids in the pages and in the usual map.
pub const IDS: u64 = 1_000;

/// All measured pages: each kind, compact and pretty, of 4 KiB, 64 KiB and 1 MiB.
pub fn documents() -> impl Iterator<Item = Document> {
    let kinds = [RowKind::Completions, RowKind::Daily, RowKind::Costs, RowKind::Irregular, RowKind::Keys];
    let sizes = [4 << 10, 64 << 10, 1 << 20];
    kinds.into_iter().flat_map(move |kind| {
        let styles = [Style::Compact, Style::Pretty];
        styles.into_iter().flat_map(move |style| sizes.map(|size| Document { kind, style, size }))
    })
}

impl Document {
    pub fn new(kind: RowKind, style: Style, size: usize) -> Self {
        Self { kind, style, size }
    }

    /// The page for a map of 19 in 20 of its ids. It is generated once.
    pub fn page(self) -> Arc<ExpectedPage> {
        static PAGES: LazyLock<Mutex<HashMap<Document, Arc<ExpectedPage>>>> = LazyLock::new(Mutex::default);
        static NAMES: LazyLock<KeyNames> = LazyLock::new(|| names(0..IDS));
        let mut pages = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.entry(self).or_insert_with(|| Arc::new(self.page_of(IDS, &NAMES)));
        page.clone()
    }

    /// Generates the page and its output for this map. Of its ids, 19 in 20 are among the first `ids`.
    pub fn page_of(self, ids: u64, names: &KeyNames) -> ExpectedPage {
        const BUCKET: &str =
            r#"{"object":"bucket","start_time":1730419200,"end_time":1730505600,"results":["#;
        let mut rng = Rng(0x0DDB_1A5E_5BAD_5EED);
        let mut plain = format!(r#"{{"object":"page","data":[{BUCKET}"#);
        let mut named = plain.clone();
        let mut counts = [0; 3];
        // White space makes a page about half as large again.
        let size = if self.style == Style::Pretty { self.size * 2 / 3 } else { self.size };
        let is_daily = self.kind == RowKind::Daily;
        let rows_per_bucket = if is_daily { 3 } else { 25 };
        for nth in 0.. {
            let separator = match nth {
                0 => String::new(),
                // An empty bucket follows every third bucket.
                _ if is_daily && nth % 9 == 0 => format!("]}},{BUCKET}]}},{BUCKET}"),
                _ if nth % rows_per_bucket == 0 => format!("]}},{BUCKET}"),
                _ => ",".to_owned(),
            };
            let row = row(self.kind, &mut rng, ids);
            let _ = write!(plain, "{separator}{{{}}}", row.members.join(","));
            let _ = write!(named, "{separator}{{{}}}", row.named(names, &mut counts));
            if plain.len() >= size {
                break;
            }
        }
        let [plain, named] = [plain, named].map(|mut page| {
            page.push_str(r#"]}],"has_more":true,"next_page":"page_AAAAAGdGxdEiJdKOAAAAAGcqsYA="}"#);
            Bytes::from(if self.style == Style::Pretty { indented(&page) } else { page })
        });
        ExpectedPage { plain, named, counts }
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
    /// Each page, whole and in each smaller size of frames.
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

/// The size of frames for a page in one frame.
pub const WHOLE: usize = usize::MAX;

/// The page in frames of `chunk` bytes.
pub fn frames(page: &Bytes, chunk: usize) -> impl Iterator<Item = Bytes> {
    let starts = (0..page.len()).step_by(chunk.min(page.len()));
    starts.map(move |at| page.slice(at..page.len().min(at.saturating_add(chunk))))
}

/// A number of bytes that is displayed as `64k` or `1m`.
pub struct Size(pub usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{}m", bytes >> 20),
            bytes => write!(f, "{}k", bytes >> 10),
        }
    }
}

impl ExpectedPage {
    /// True if these are the counts of this page.
    pub fn counts(&self, counts: Counts) -> bool {
        self.counts == [counts.named, counts.unmatched, counts.not_a_string] && counts.skipped == 0
    }
}

/// Formats a compact page with two spaces per level of nesting.
fn indented(page: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let mut in_string = false;
    let mut is_escaped = false;
    let new_line = |out: &mut String, depth: usize| {
        let _ = write!(out, "\n{:1$}", "", depth * 2);
    };
    let mut characters = page.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            in_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            out.push(character);
            continue;
        }
        if matches!(character, '}' | ']') {
            depth -= 1;
            new_line(&mut out, depth);
        }
        out.push(character);
        match character {
            '"' => in_string = true,
            ':' => out.push(' '),
            ',' => new_line(&mut out, depth),
            // An empty container stays on its line.
            '{' | '[' if matches!(characters.peek(), Some('}' | ']')) => out.extend(characters.next()),
            '{' | '[' => {
                depth += 1;
                new_line(&mut out, depth);
            }
            _ => {}
        }
    }
    out
}
