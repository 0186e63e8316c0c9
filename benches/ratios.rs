//! The speed of the amender and of the layer, divided by that of a baseline for the same bytes.
//!
//! The two sides of a line are measured in alternating turns, so that other load on the machine slows both. A line shows
//! the median and the quartiles of the ratios; 1 is the speed of the baseline. The lines with a minus sign are differences
//! in nanoseconds.
//!
//! All: `cargo bench --features _internal --bench ratios`.
//! With the usage meter: `cargo bench --features _internal,proxy-keys --bench ratios`.
//! Some: behind `--`, parts of their names: `… --bench ratios -- irregular chunks`.
//! Once each, without measuring: `cargo test --features _internal --bench ratios`.
#![allow(missing_docs, unreachable_pub)]

mod comparison;
mod documents;
mod engines;
#[cfg(feature = "proxy-keys")]
mod event_stream;
mod labels;
#[cfg(feature = "proxy-keys")]
mod metering;

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::Value;
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames, Snapshot};
use tower_layer::Layer;

use self::comparison::{Comparison, Comparisons, Side, Unit, run, timed, timed_prepared};
use self::documents::{Document, ExpectedPage, IDS, RowKind, Size, Style, WHOLE, documents, names, snapshot};
use self::engines::{
    ABSENT, FrameFeed, amend, amend_without_templates, amended, is_absent, keep_freed_memory,
    parse_and_print, parse_name_and_print, validate,
};
use test_support::service::{BenchClient, COSTS, FixedService, MODELS};

fn main() {
    keep_freed_memory();
    run(comparisons());
}

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
        Box::new(labels::compare_with_one_label),
    ));
    comparisons.push((
        "keys/compact/1m without ids, four labels ÷ one search".into(),
        Box::new(labels::compare_labels_with_search),
    ));
    comparisons.push((
        "three named ids in a row − one, for each further id".into(),
        Box::new(labels::compare_with_one_id_per_row),
    ));
    #[cfg(feature = "proxy-keys")]
    comparisons.extend([
        (
            "a stream of 40 events, metered ÷ passed through HTTP/1.1".into(),
            Box::new(metering::compare_with_passing) as Box<dyn Fn() -> Comparison>,
        ),
        (
            "a stream of 40 events, metered ÷ polled in memory".into(),
            Box::new(metering::compare_with_polling),
        ),
    ]);
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

/// The amender, after one run that checks its result.
fn checked_amender(page: Arc<ExpectedPage>, names: &'static Snapshot, feed: FrameFeed) -> Side {
    let (out, counts, valid) = amended(&page.plain, names, feed);
    assert!(out == page.named && page.counts(counts) && valid, "the output is wrong");
    timed(move || assert!(amend(black_box(&page.plain), names, feed).1))
}
