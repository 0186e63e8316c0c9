//! The speed of the amender and of the layer, divided by that of another program for the same bytes.
//!
//! The two sides of a line are measured in alternating turns, so that other load on the machine slows both. A line shows
//! the median and the quartiles of the ratios; 1 is the speed of the other program. The last line is a difference in
//! nanoseconds.
//!
//! All: `cargo bench --features _internal --bench ratios`.
//! Some: behind `--`, parts of their names: `… --bench ratios -- irregular chunks`.
//! Once each, without measuring: `cargo test --features _internal --bench ratios`.
#![allow(missing_docs, unreachable_pub)]

mod documents;
mod engines;

use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::Value;
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames, Snapshot};
use tower_layer::Layer;

use self::documents::{Document, ExpectedPage, IDS, RowKind, Size, Style, WHOLE, documents, names, snapshot};
use self::engines::{
    ABSENT, FrameFeed, amend, amend_without_templates, amended, keep_what_is_freed, miss, parse_and_print,
    parse_name_and_print, validate,
};
use test_support::service::{BenchClient, COSTS, FixedService, MODELS};

const ROUNDS: usize = 21;
/// The duration of a turn.
const TURN: Duration = Duration::from_millis(10);

/// Runs the work this number of times, and returns the duration.
type Side = Box<dyn FnMut(u32) -> Duration>;

struct Comparison {
    this: Side,
    other: Side,
    /// The number of bytes for a ratio of speeds; `None` for a difference of times.
    bytes: Option<usize>,
}

fn main() {
    let mut parts: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` runs each side once, without a measurement.
    let measures = parts.iter().any(|part| part == "--bench") && !parts.iter().any(|part| part == "--test");
    parts.retain(|part| !part.starts_with('-'));
    keep_what_is_freed();
    println!("{:<58}{:>10}{:>12}{:>8}  quartiles", "", "this", "other", "ratio");
    for (name, line) in lines() {
        if parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str())) {
            let mut line = line();
            if measures {
                println!("{name:<58}{}", line.measured());
            } else {
                black_box(((line.this)(1), (line.other)(1)));
                println!("{name:<58} works");
            }
        }
    }
}

/// The names of lines, with functions that create them.
type Lines = Vec<(String, Box<dyn Fn() -> Comparison>)>;

fn lines() -> Lines {
    let mut lines = Lines::new();
    for (kind, style, size) in [
        (RowKind::Completions, Style::Compact, 64 << 10),
        (RowKind::Completions, Style::Compact, 1 << 20),
        (RowKind::Completions, Style::Pretty, 64 << 10),
        (RowKind::Completions, Style::Pretty, 1 << 20),
        (RowKind::Daily, Style::Compact, 1 << 20),
        (RowKind::Daily, Style::Pretty, 1 << 20),
        (RowKind::Costs, Style::Compact, 64 << 10),
        (RowKind::Costs, Style::Compact, 1 << 20),
        (RowKind::Irregular, Style::Compact, 1 << 20),
        (RowKind::Irregular, Style::Pretty, 1 << 20),
    ] {
        let document = Document::new(kind, style, size);
        let name = format!("{document} ÷ from_utf8 + IgnoredAny");
        lines.push((name, Box::new(move || beside_validator(document))));
    }
    for document in documents().filter(|document| document.size == 1 << 20 && document.kind != RowKind::Keys)
    {
        let name = format!("{document} without templates ÷ from_utf8 + IgnoredAny");
        lines.push((name, Box::new(move || plain_beside_validator(document))));
    }
    for (size, is_first) in [(4 << 10, true), (4 << 10, false), (64 << 10, false)] {
        let document = Document::new(RowKind::Completions, Style::Compact, size);
        let page = if is_first { "first page" } else { "later pages" };
        let name = format!("{document}, layer, {page} ÷ from_utf8 + IgnoredAny");
        lines.push((name, Box::new(move || layer_beside_validator(document, is_first))));
    }
    for kind in [RowKind::Completions, RowKind::Costs, RowKind::Irregular] {
        let document = Document::new(kind, Style::Compact, 1 << 20);
        let name = format!("{document} ÷ Value round trip");
        lines.push((name, Box::new(move || beside_value(document, parse_and_print))));
        let name = format!("{document} ÷ Value round trip that names");
        lines.push((name, Box::new(move || beside_same_job(document))));
    }
    for size in [64 << 10, 1 << 20] {
        let document = Document::new(RowKind::Keys, Style::Compact, size);
        let name = format!("{document}, nothing to name, layer ÷ memmem miss");
        lines.push((name, Box::new(move || beside_miss(document))));
    }
    for (how, feed) in
        [("held", FrameFeed::held as fn(usize) -> FrameFeed), ("streamed", FrameFeed::streamed)]
    {
        for chunk in [64 << 10, 16 << 10, 1 << 10] {
            let document = Document::new(RowKind::Completions, Style::Compact, 1 << 20);
            let name = format!("{document} in chunks of {}, {how} ÷ whole", Size(chunk));
            lines.push((name, Box::new(move || beside_whole(document, feed(chunk)))));
        }
    }
    lines.push(("completions/compact/1m, 100,000 names ÷ 10 names".into(), Box::new(beside_few_names)));
    lines.push(("out of scope, layer over service − service".into(), Box::new(beside_service)));
    lines
}

fn usual_names() -> &'static Snapshot {
    static NAMES: LazyLock<Snapshot> = LazyLock::new(|| snapshot(0..IDS));
    &NAMES
}

fn beside_validator(document: Document) -> Comparison {
    let page = document.page();
    let other = page.clone();
    assert!(validate(&page.plain));
    Comparison {
        bytes: Some(page.plain.len()),
        this: engine(page, usual_names(), FrameFeed::WHOLE),
        other: timed(move || assert!(validate(black_box(&other.plain)))),
    }
}

/// The amender without templates, as on a machine without SIMD.
fn plain_beside_validator(document: Document) -> Comparison {
    let page = document.page();
    let plain = page.plain.clone();
    let amend = move || assert!(amend_without_templates(black_box(&plain), usual_names()));
    Comparison { this: timed(amend), ..beside_validator(document) }
}

/// The layer over a service that responds with the page: with empty templates, or with those of earlier pages.
fn layer_beside_validator(document: Document, is_first: bool) -> Comparison {
    let page = document.page().plain.clone();
    let names = SharedKeyNames::new(names(0..IDS));
    let client = move || {
        BenchClient::new(ApiKeyNameLayer::new(names.clone()).layer(FixedService::json(&page, WHOLE)), COSTS)
    };
    let this = if is_first {
        timed(move || client().call_and_drop())
    } else {
        let mut client = client();
        timed(move || client.call_and_drop())
    };
    Comparison { this, ..beside_validator(document) }
}

fn beside_value(document: Document, round_trip: fn(&[u8]) -> String) -> Comparison {
    let page = document.page();
    let other = page.clone();
    Comparison {
        bytes: Some(page.plain.len()),
        this: engine(page, usual_names(), FrameFeed::WHOLE),
        other: timed(move || drop(black_box(round_trip(black_box(&other.plain))))),
    }
}

fn beside_same_job(document: Document) -> Comparison {
    let named = |page: &[u8]| parse_name_and_print(page, usual_names());
    let page = document.page();
    let same: Value = serde_json::from_slice(&page.named).expect("a page is JSON");
    assert_eq!(named(&page.plain), same.to_string());
    beside_value(document, named)
}

/// The layer for a body without ids, and a search in the frames of the bare service.
fn beside_miss(document: Document) -> Comparison {
    let page = document.page().plain.clone();
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(names(0..IDS)));
    let mut named = BenchClient::new(layer.layer(FixedService::json(&page, WHOLE)), COSTS);
    let mut bare = BenchClient::new(FixedService::json(&page, WHOLE), COSTS);
    let mut out = Vec::new();
    named.call(|frame| out.push(frame));
    assert!(out == [page.clone()], "the output differs from the input");
    let finder = Finder::new(ABSENT);
    assert!(miss(&page, &finder));
    Comparison {
        bytes: Some(page.len()),
        this: timed(move || named.call_and_drop()),
        other: timed(move || drop(black_box(bare.call(|frame| assert!(miss(&frame, &finder)))))),
    }
}

fn beside_whole(document: Document, feed: FrameFeed) -> Comparison {
    let page = document.page();
    Comparison {
        bytes: Some(page.plain.len()),
        this: engine(page.clone(), usual_names(), feed),
        other: engine(page, usual_names(), FrameFeed::WHOLE),
    }
}

fn beside_few_names() -> Comparison {
    static FEW: LazyLock<Snapshot> = LazyLock::new(|| snapshot(0..10));
    static MANY: LazyLock<Snapshot> = LazyLock::new(|| snapshot(0..100_000));
    let document = Document::new(RowKind::Completions, Style::Compact, 1 << 20);
    let page = document.page_of(100_000, &MANY);
    Comparison {
        bytes: Some(page.plain.len()),
        this: engine(Arc::new(page), &MANY, FrameFeed::WHOLE),
        other: engine(Arc::new(document.page_of(10, &FEW)), &FEW, FrameFeed::WHOLE),
    }
}

fn beside_service() -> Comparison {
    let answer = Bytes::from_static(br#"{"object":"list","data":[]}"#);
    let layer = ApiKeyNameLayer::new(SharedKeyNames::default());
    let mut named = BenchClient::new(layer.layer(FixedService::new(answer.clone(), WHOLE)), MODELS);
    let mut bare = BenchClient::new(FixedService::new(answer, WHOLE), MODELS);
    Comparison {
        bytes: None,
        this: timed(move || named.call_and_drop()),
        other: timed(move || bare.call_and_drop()),
    }
}

/// The amender, after one run that checks its result.
fn engine(page: Arc<ExpectedPage>, names: &'static Snapshot, feed: FrameFeed) -> Side {
    let (out, counts, valid) = amended(&page.plain, names, feed);
    assert!(out == page.named && page.counts(counts) && valid, "the output is wrong");
    timed(move || assert!(amend(black_box(&page.plain), names, feed).1))
}

fn timed(mut work: impl FnMut() + 'static) -> Side {
    Box::new(move |runs| {
        let begin = Instant::now();
        (0..runs).for_each(|_| work());
        begin.elapsed()
    })
}

impl Comparison {
    fn measured(&mut self) -> String {
        let sides = [&mut self.this, &mut self.other];
        let mut sides = sides.map(|side| (runs_a_turn(side), side));
        let rounds: Vec<[f64; 2]> = (0..ROUNDS)
            .map(|_| sides.each_mut().map(|(runs, side)| side(*runs).as_secs_f64() / f64::from(*runs)))
            .collect();
        let of = |what: &dyn Fn(&[f64; 2]) -> f64| Quartiles::of(rounds.iter().map(what).collect());
        let (this, other) = (of(&|round| round[0]).median, of(&|round| round[1]).median);
        match self.bytes {
            Some(bytes) => {
                let [this, other] =
                    [this, other].map(|time| format!("{:.2} GB/s", bytes as f64 / time / 1e9));
                let ratio = of(&|[this, other]| other / this);
                format!("{this:>10}{other:>12}{:>8.2}  {:.2}–{:.2}", ratio.median, ratio.lower, ratio.upper)
            }
            None => {
                let [this, other] = [this, other].map(|time| format!("{:.1} ns", time * 1e9));
                let more = of(&|[this, other]| (this - other) * 1e9);
                format!("{this:>10}{other:>12}{:>8.1}  {:.1}–{:.1}", more.median, more.lower, more.upper)
            }
        }
    }
}

/// Returns the number of runs in a turn. The search for it also warms the caches.
fn runs_a_turn(side: &mut Side) -> u32 {
    let mut runs = 1;
    while side(runs) < TURN {
        runs *= 2;
    }
    runs
}

struct Quartiles {
    lower: f64,
    median: f64,
    upper: f64,
}

impl Quartiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Self { lower: at(1), median: at(2), upper: at(3) }
    }
}
