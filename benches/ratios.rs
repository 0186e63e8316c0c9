//! The speed of the amender and of the layer, divided by that of a baseline for the same bytes.
//!
//! The two sides of a line are measured in alternating turns, so that other load on the machine slows both. A line shows
//! the median and the quartiles of the ratios; 1 is the speed of the baseline. The lines with a minus sign are differences
//! in nanoseconds.
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
use tower_api_key_name::_internal::rules::Rules;
use tower_api_key_name::_internal::{self, Amender};
use tower_api_key_name::names::Labels;
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames, Snapshot};
use tower_layer::Layer;

use self::documents::{
    Document, ExpectedPage, IDS, RowKind, Size, Style, WHOLE, documents, ids, names, snapshot,
};
use self::engines::{
    ABSENT, FrameFeed, amend, amend_without_templates, amended, is_absent, keep_freed_memory,
    parse_and_print, parse_name_and_print, validate,
};
use test_support::default_rules;
use test_support::service::{BenchClient, COSTS, FixedService, MODELS};

const ROUNDS: usize = 21;
/// The duration of a turn.
const TURN: Duration = Duration::from_millis(10);

/// Runs one side's work a number of times, and returns the duration.
type Side = Box<dyn FnMut(u32) -> Duration>;

struct Comparison {
    ours: Side,
    baseline: Side,
    unit: Unit,
}

/// The unit of a comparison.
#[derive(Clone, Copy)]
enum Unit {
    /// A ratio of speeds for this number of bytes.
    Speed { bytes: usize },
    /// A difference of times, of which each is divided by this number.
    Time { count: u32 },
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let has_flag = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo test` runs each side once, without a measurement.
    let is_measured = has_flag("--bench") && !has_flag("--test");
    arguments.retain(|argument| !argument.starts_with('-'));
    let patterns = arguments;
    keep_freed_memory();
    println!("{:<58}{:>10}{:>12}{:>8}  quartiles", "", "ours", "baseline", "ratio");
    for (name, create) in comparisons() {
        let is_selected =
            patterns.is_empty() || patterns.iter().any(|pattern| name.contains(pattern.as_str()));
        if !is_selected {
            continue;
        }
        let mut comparison = create();
        if is_measured {
            println!("{name:<58}{}", comparison.measure());
        } else {
            black_box((comparison.ours)(1));
            black_box((comparison.baseline)(1));
            println!("{name:<58} works");
        }
    }
}

/// The names of the comparisons, with functions that create them.
type Comparisons = Vec<(String, Box<dyn Fn() -> Comparison>)>;

fn comparisons() -> Comparisons {
    let mut comparisons = Comparisons::new();
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
        comparisons.push((name, Box::new(move || compare_with_validator(document))));
    }
    for document in documents().filter(|document| document.size == 1 << 20 && document.kind != RowKind::Keys)
    {
        let name = format!("{document} without templates ÷ from_utf8 + IgnoredAny");
        comparisons.push((name, Box::new(move || compare_plain_with_validator(document))));
    }
    for (size, is_first) in [(4 << 10, true), (4 << 10, false), (64 << 10, false)] {
        let document = Document::new(RowKind::Completions, Style::Compact, size);
        let page = if is_first { "first page" } else { "later pages" };
        let name = format!("{document}, layer, {page} ÷ from_utf8 + IgnoredAny");
        comparisons.push((name, Box::new(move || compare_layer_with_validator(document, is_first))));
    }
    for kind in [RowKind::Completions, RowKind::Costs, RowKind::Irregular] {
        let document = Document::new(kind, Style::Compact, 1 << 20);
        let name = format!("{document} ÷ Value round trip");
        comparisons.push((name, Box::new(move || compare_with_value(document, parse_and_print))));
        let name = format!("{document} ÷ Value round trip that names");
        comparisons.push((name, Box::new(move || compare_with_naming_value(document))));
    }
    for size in [64 << 10, 1 << 20] {
        let document = Document::new(RowKind::Keys, Style::Compact, size);
        let name = format!("{document}, nothing to name, layer ÷ memmem miss");
        comparisons.push((name, Box::new(move || compare_with_search(document))));
    }
    for (mode, feed) in
        [("buffered", FrameFeed::buffered as fn(usize) -> FrameFeed), ("streamed", FrameFeed::streamed)]
    {
        for chunk in [64 << 10, 16 << 10, 1 << 10] {
            let document = Document::new(RowKind::Completions, Style::Compact, 1 << 20);
            let name = format!("{document} in chunks of {}, {mode} ÷ whole", Size(chunk));
            comparisons.push((name, Box::new(move || compare_with_whole(document, feed(chunk)))));
        }
    }
    comparisons
        .push(("completions/compact/1m, 100,000 names ÷ 10 names".into(), Box::new(compare_with_few_names)));
    comparisons.push((
        "completions/compact/1m with one kind of id, four labels ÷ one label".into(),
        Box::new(compare_with_one_label),
    ));
    comparisons.push((
        "keys/compact/1m without ids, four labels ÷ one search".into(),
        Box::new(compare_labels_with_search),
    ));
    comparisons.push((
        "three named ids in a row − one, for each further id".into(),
        Box::new(compare_with_one_id_per_row),
    ));
    comparisons.push(("out of scope, layer over service − service".into(), Box::new(compare_with_service)));
    comparisons
}

fn default_names() -> &'static Snapshot {
    static NAMES: LazyLock<Snapshot> = LazyLock::new(|| snapshot(0..IDS));
    &NAMES
}

fn compare_with_validator(document: Document) -> Comparison {
    let page = document.page();
    let same_page = page.clone();
    assert!(validate(&page.plain));
    Comparison {
        unit: Unit::Speed { bytes: page.plain.len() },
        ours: checked_amender(page, default_names(), FrameFeed::WHOLE),
        baseline: timed(move || assert!(validate(black_box(&same_page.plain)))),
    }
}

/// The amender without templates, as on a machine without SIMD.
fn compare_plain_with_validator(document: Document) -> Comparison {
    let page = document.page();
    let plain = page.plain.clone();
    let amend = move || assert!(amend_without_templates(black_box(&plain), default_names()));
    Comparison { ours: timed(amend), ..compare_with_validator(document) }
}

/// The layer over a service that responds with the page: with empty templates, or with those of earlier pages.
fn compare_layer_with_validator(document: Document, is_first: bool) -> Comparison {
    let page = document.page().plain.clone();
    let names = SharedKeyNames::new(names(0..IDS));
    let client = move || {
        BenchClient::new(ApiKeyNameLayer::new(names.clone()).layer(FixedService::json(&page, WHOLE)), COSTS)
    };
    let ours = if is_first {
        // The layer is created before the measurement, as a program does at its start.
        timed_prepared(client, |client| client.call_and_drop())
    } else {
        let mut client = client();
        timed(move || client.call_and_drop())
    };
    Comparison { ours, ..compare_with_validator(document) }
}

fn compare_with_value(document: Document, round_trip: fn(&[u8]) -> String) -> Comparison {
    let page = document.page();
    let same_page = page.clone();
    Comparison {
        unit: Unit::Speed { bytes: page.plain.len() },
        ours: checked_amender(page, default_names(), FrameFeed::WHOLE),
        baseline: timed(move || drop(black_box(round_trip(black_box(&same_page.plain))))),
    }
}

fn compare_with_naming_value(document: Document) -> Comparison {
    let named = |page: &[u8]| parse_name_and_print(page, default_names());
    let page = document.page();
    let same: Value = serde_json::from_slice(&page.named).expect("a page is JSON");
    assert_eq!(named(&page.plain), same.to_string());
    compare_with_value(document, named)
}

/// The layer for a body without ids, and a search in the frames of the bare service.
fn compare_with_search(document: Document) -> Comparison {
    let page = document.page().plain.clone();
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(names(0..IDS)));
    let mut named = BenchClient::new(layer.layer(FixedService::json(&page, WHOLE)), COSTS);
    let mut bare = BenchClient::new(FixedService::json(&page, WHOLE), COSTS);
    let mut out = Vec::new();
    named.call(|frame| out.push(frame));
    assert!(out == [page.clone()], "the output differs from the input");
    let finder = Finder::new(ABSENT);
    assert!(is_absent(&page, &finder));
    Comparison {
        unit: Unit::Speed { bytes: page.len() },
        ours: timed(move || named.call_and_drop()),
        baseline: timed(move || drop(black_box(bare.call(|frame| assert!(is_absent(&frame, &finder)))))),
    }
}

fn compare_with_whole(document: Document, feed: FrameFeed) -> Comparison {
    let page = document.page();
    Comparison {
        unit: Unit::Speed { bytes: page.plain.len() },
        ours: checked_amender(page.clone(), default_names(), feed),
        baseline: checked_amender(page, default_names(), FrameFeed::WHOLE),
    }
}

fn compare_with_few_names() -> Comparison {
    static FEW: LazyLock<Snapshot> = LazyLock::new(|| snapshot(0..10));
    static MANY: LazyLock<Snapshot> = LazyLock::new(|| snapshot(0..100_000));
    let document = Document::new(RowKind::Completions, Style::Compact, 1 << 20);
    let page = document.page_of(100_000, &MANY);
    Comparison {
        unit: Unit::Speed { bytes: page.plain.len() },
        ours: checked_amender(Arc::new(page), &MANY, FrameFeed::WHOLE),
        baseline: checked_amender(Arc::new(document.page_of(10, &FEW)), &FEW, FrameFeed::WHOLE),
    }
}

fn compare_with_service() -> Comparison {
    let body = Bytes::from_static(br#"{"object":"list","data":[]}"#);
    let layer = ApiKeyNameLayer::new(SharedKeyNames::default());
    let mut named = BenchClient::new(layer.layer(FixedService::new(body.clone(), WHOLE)), MODELS);
    let mut bare = BenchClient::new(FixedService::new(body, WHOLE), MODELS);
    Comparison {
        unit: Unit::Time { count: 1 },
        ours: timed(move || named.call_and_drop()),
        baseline: timed(move || bare.call_and_drop()),
    }
}

/// The rules for four labels, all of them active.
fn four_labels() -> Rules {
    let mut labels = Labels::default();
    for member in ["project", "user", "workspace"] {
        let (id, name) = (format!("{member}_id"), format!("{member}_name"));
        labels = labels.with(&id, &name).expect("the members are different");
    }
    default_rules().with_labels(labels, 0..4)
}

/// Amends a page by these rules, and returns the number of named ids.
fn amend_by(rules: &Rules, page: &Bytes, names: &Snapshot) -> u64 {
    let write = |piece: Bytes| drop(black_box(piece));
    let (counts, error) =
        _internal::amend(rules, names, &Arc::default(), [black_box(page).clone()], false, write);
    assert!(error.is_none());
    counts.named
}

/// A page whose only ids are those of keys, with four labels and with one.
fn compare_with_one_label() -> Comparison {
    let document = Document::new(RowKind::Completions, Style::Compact, 1 << 20);
    let text = String::from_utf8(document.page().plain.to_vec()).expect("a page is UTF-8");
    let page = Bytes::from(text.replace("project_id", "project_no").replace("user_id", "user_no"));
    let same_page = page.clone();
    let rules = four_labels();
    let named_count = amend_by(&default_rules(), &page, default_names());
    assert!(named_count > 1_000 && amend_by(&rules, &page, default_names()) == named_count);
    Comparison {
        unit: Unit::Speed { bytes: page.len() },
        ours: timed(move || assert!(amend_by(&rules, &page, default_names()) > 0)),
        baseline: timed(move || assert!(amend_by(&default_rules(), &same_page, default_names()) > 0)),
    }
}

/// The amender for a body without ids, and one search.
fn compare_labels_with_search() -> Comparison {
    let page = Document::new(RowKind::Keys, Style::Compact, 1 << 20).page().plain.clone();
    let same_page = page.clone();
    let rules = four_labels();
    let finder = Finder::new(ABSENT);
    let pass_through = move || {
        let mut amender = Amender::new(rules.clone(), default_names().clone(), Arc::default());
        amender.push(black_box(&page).clone());
        amender.finish();
        assert!(
            amender.scanned() == 0 && amender.next_chunk().is_some_and(|chunk| chunk.len() == page.len())
        );
    };
    Comparison {
        unit: Unit::Speed { bytes: same_page.len() },
        ours: timed(pass_through),
        baseline: timed(move || assert!(is_absent(black_box(&same_page), &finder))),
    }
}

/// A page of rows with the ids of a key, a project and a user, with the four labels and with one.
fn compare_with_one_id_per_row() -> Comparison {
    const ROWS: u32 = 4_000;
    let section = |prefix: &'static str| {
        (0..IDS).map(move |nth| (format!("{prefix}_{nth:020}"), format!("{prefix} {nth}")))
    };
    let map = names(0..IDS).with_section("project_id", section("proj"));
    let map = map.and_then(|map| map.with_section("user_id", section("user"))).expect("the ids are valid");
    let snapshot = SharedKeyNames::new(map).snapshot();
    let mut rows = Vec::new();
    for (nth, key) in (0..u64::from(ROWS)).zip(ids(IDS)) {
        let (project, user) = (nth * 7 % IDS, nth * 11 % IDS);
        rows.push(format!(
            r#"{{"object":"organization.usage.completions.result","input_tokens":{nth},"output_tokens":{project},"project_id":"proj_{project:020}","user_id":"user_{user:020}","api_key_id":"{key}","model":"gpt-4o-2024-08-06"}}"#
        ));
    }
    let page = Bytes::from(format!("[{}]", rows.join(",")));
    let (same_page, same_snapshot) = (page.clone(), snapshot.clone());
    let rules = four_labels();
    assert_eq!(amend_by(&default_rules(), &page, &snapshot), u64::from(ROWS));
    assert_eq!(amend_by(&rules, &page, &snapshot), 3 * u64::from(ROWS));
    Comparison {
        unit: Unit::Time { count: 2 * ROWS },
        ours: timed(move || assert!(amend_by(&rules, &page, &snapshot) > 0)),
        baseline: timed(move || assert!(amend_by(&default_rules(), &same_page, &same_snapshot) > 0)),
    }
}

/// The amender, after one run that checks its result.
fn checked_amender(page: Arc<ExpectedPage>, names: &'static Snapshot, feed: FrameFeed) -> Side {
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

/// Measures the work, and not its preparation, which is done anew for each run.
fn timed_prepared<T>(mut prepare: impl FnMut() -> T + 'static, work: impl Fn(&mut T) + 'static) -> Side {
    /// Few enough that the heap reuses the memory of earlier runs.
    const MAX_BATCH: u32 = 16;
    Box::new(move |runs| {
        let mut duration = Duration::ZERO;
        for batch_start in (0..runs).step_by(MAX_BATCH as usize) {
            let batch_len = MAX_BATCH.min(runs - batch_start);
            let mut prepared: Vec<T> = (0..batch_len).map(|_| prepare()).collect();
            let begin = Instant::now();
            prepared.iter_mut().for_each(&work);
            duration += begin.elapsed();
        }
        duration
    })
}

impl Comparison {
    /// Measures both sides in turns, and returns the columns of the line.
    fn measure(&mut self) -> String {
        let our_runs = runs_per_turn(&mut self.ours);
        let baseline_runs = runs_per_turn(&mut self.baseline);
        let seconds_per_run = |side: &mut Side, runs: u32| side(runs).as_secs_f64() / f64::from(runs);
        let mut our_times = Vec::new();
        let mut baseline_times = Vec::new();
        for _ in 0..ROUNDS {
            our_times.push(seconds_per_run(&mut self.ours, our_runs));
            baseline_times.push(seconds_per_run(&mut self.baseline, baseline_runs));
        }
        let rounds = || our_times.iter().zip(&baseline_times);
        let our_median = Quartiles::of(our_times.clone()).median;
        let baseline_median = Quartiles::of(baseline_times.clone()).median;
        match self.unit {
            Unit::Speed { bytes } => {
                let speed = |seconds: f64| format!("{:.2} GB/s", bytes as f64 / seconds / 1e9);
                let ratios = rounds().map(|(ours, baseline)| baseline / ours).collect();
                let Quartiles { lower, median, upper } = Quartiles::of(ratios);
                let columns = format!("{:>10}{:>12}", speed(our_median), speed(baseline_median));
                format!("{columns}{median:>8.2}  {lower:.2}–{upper:.2}")
            }
            Unit::Time { count } => {
                let nanoseconds = |seconds: f64| format!("{:.1} ns", seconds * 1e9 / f64::from(count));
                let difference = |(ours, baseline): (&f64, &f64)| (ours - baseline) * 1e9 / f64::from(count);
                let differences = rounds().map(difference).collect();
                let Quartiles { lower, median, upper } = Quartiles::of(differences);
                let columns = format!("{:>10}{:>12}", nanoseconds(our_median), nanoseconds(baseline_median));
                format!("{columns}{median:>8.1}  {lower:.1}–{upper:.1}")
            }
        }
    }
}

/// Doubles the number of runs until they take a turn. This also warms the caches.
fn runs_per_turn(side: &mut Side) -> u32 {
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
