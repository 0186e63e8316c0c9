//! The amender without HTTP, for each kind, size and format of pages and each size of frames; and other programs for the
//! same pages: a validator, parsers and a search.
//!
//! All: `cargo bench --features _internal --bench engine`.
//! Some: behind `--`, patterns of their names: `… --bench engine -- 'amended_buffered::costs/.*/1m' validator`.
//! Once each, without measuring: `cargo test --features _internal --bench engine`.
#![allow(missing_docs, unreachable_pub)]

mod documents;
mod engines;

use std::sync::LazyLock;

use bytes::Bytes;
use divan::{Bencher, black_box, counter::BytesCount};
use memchr::memmem::Finder;
use tower_api_key_name::Snapshot;
use tower_api_key_name::outcome::Counts;

use self::documents::{Document, Framed, IDS, RowKind, Style, documents, snapshot};
use self::engines::{
    ABSENT, FrameFeed, amend, amended, is_absent, keep_freed_memory, parse_and_print, parse_with_jiter,
    validate,
};

fn main() {
    keep_freed_memory();
    divan::main();
}

static NAMES: LazyLock<Snapshot> = LazyLock::new(|| snapshot(0..IDS));

/// The pages that contain ids.
fn with_ids() -> impl Iterator<Item = Framed> {
    Framed::all().filter(|case| case.document.kind != RowKind::Keys)
}

/// The expected result of a body.
struct Expected<'a> {
    out: &'a [u8],
    counts: &'a dyn Fn(Counts) -> bool,
    valid: bool,
}

/// Measures the amender, after one run that checks its result.
fn bench(bencher: Bencher<'_, '_>, page: &Bytes, names: &Snapshot, feed: FrameFeed, expected: Expected<'_>) {
    let (out, counts, valid) = amended(page, names, feed);
    assert!(out == expected.out, "other bytes than expected");
    assert!((expected.counts)(counts), "other counts than expected: {counts:?}");
    assert_eq!(valid, expected.valid, "the verdict");
    bencher.counter(BytesCount::of_slice(page)).bench(|| amend(black_box(page), names, feed));
}

#[divan::bench(args = Framed::all(), max_time = 0.2)]
fn amended_buffered(bencher: Bencher<'_, '_>, case: Framed) {
    let page = case.document.page();
    let expected = Expected { out: &page.named, counts: &|counts| page.counts(counts), valid: true };
    bench(bencher, &page.plain, &NAMES, FrameFeed::buffered(case.chunk), expected);
}

#[divan::bench(args = Framed::all(), max_time = 0.2)]
fn amended_streamed(bencher: Bencher<'_, '_>, case: Framed) {
    let page = case.document.page();
    let expected = Expected { out: &page.named, counts: &|counts| page.counts(counts), valid: true };
    bench(bencher, &page.plain, &NAMES, FrameFeed::streamed(case.chunk), expected);
}

/// A page that has its names already, and stays unchanged.
#[divan::bench(args = with_ids(), max_time = 0.2)]
fn unchanged(bencher: Bencher<'_, '_>, case: Framed) {
    let page = case.document.page();
    let expected = Expected { out: &page.named, counts: &|counts| page.counts(counts), valid: true };
    bench(bencher, &page.named, &NAMES, FrameFeed::buffered(case.chunk), expected);
}

/// A page without its last bracket.
#[divan::bench(args = Framed::all(), max_time = 0.2)]
fn not_json(bencher: Bencher<'_, '_>, case: Framed) {
    let complete = case.document.page().plain.clone();
    let page = complete.slice(..complete.len() - 1);
    let nothing = |counts| counts == Counts::default();
    let expected = Expected { out: &page, counts: &nothing, valid: false };
    bench(bencher, &page, &NAMES, FrameFeed::buffered(case.chunk), expected);
}

/// A map of other ids.
#[divan::bench(args = with_ids(), max_time = 0.2)]
fn all_unmatched(bencher: Bencher<'_, '_>, case: Framed) {
    static OTHERS: LazyLock<Snapshot> = LazyLock::new(|| snapshot(IDS..2 * IDS));
    let page = case.document.page_of(IDS, &OTHERS);
    assert_eq!(page.counts[0], 0, "ids that are named");
    let expected = Expected { out: &page.named, counts: &|counts| page.counts(counts), valid: true };
    bench(bencher, &page.plain, &OTHERS, FrameFeed::buffered(case.chunk), expected);
}

/// Maps with different numbers of names.
#[divan::bench(args = [10, 1_000, 100_000], max_time = 0.5)]
fn amended_with_names(bencher: Bencher<'_, '_>, ids: u64) {
    let names = snapshot(0..ids);
    let page = Document::new(RowKind::Completions, Style::Compact, 1 << 20).page_of(ids, &names);
    let expected = Expected { out: &page.named, counts: &|counts| page.counts(counts), valid: true };
    bench(bencher, &page.plain, &names, FrameFeed::WHOLE, expected);
}

#[divan::bench(args = documents(), max_time = 0.2)]
fn peer_validator(bencher: Bencher<'_, '_>, document: Document) {
    let page = document.page();
    assert!(validate(&page.plain));
    bencher.counter(BytesCount::of_slice(&*page.plain)).bench(|| validate(black_box(&page.plain)));
}

#[divan::bench(args = documents(), max_time = 0.2)]
fn peer_value_round_trip(bencher: Bencher<'_, '_>, document: Document) {
    let page = document.page();
    bencher.counter(BytesCount::of_slice(&*page.plain)).bench(|| parse_and_print(black_box(&page.plain)));
}

#[divan::bench(args = documents(), max_time = 0.2)]
fn peer_jiter(bencher: Bencher<'_, '_>, document: Document) {
    let page = document.page();
    bencher
        .counter(BytesCount::of_slice(&*page.plain))
        .bench(|| drop(black_box(parse_with_jiter(black_box(&page.plain)))));
}

#[divan::bench(args = documents().filter(|document| document.kind == RowKind::Keys), max_time = 0.2)]
fn peer_memmem_miss(bencher: Bencher<'_, '_>, document: Document) {
    let page = document.page();
    let finder = Finder::new(ABSENT);
    assert!(is_absent(&page.plain, &finder));
    bencher.counter(BytesCount::of_slice(&*page.plain)).bench(|| is_absent(black_box(&page.plain), &finder));
}
