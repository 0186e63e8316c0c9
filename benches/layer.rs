//! Responses in scope: pages with ids, and pages without. The bench `scope` measures requests out of scope.
//!
//! All cases: `cargo bench --bench layer`. Some: `cargo bench --bench layer -- amended 'no_ids.*/1m'`. One run of each,
//! without measuring: `cargo test --bench layer`.
#![allow(missing_docs, unreachable_pub)]

mod documents;

use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use tower_api_key_name::outcome::{Outcome, ResponseState};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};
use tower_layer::Layer;

use self::documents::{Document, Framed, IDS, RowKind, Style, WHOLE, names};
use test_support::service::{BenchClient, COSTS, FixedService};

fn main() {
    divan::main();
}

fn pages() -> [Document; 4] {
    let of = |kind, size| Document::new(kind, Style::Compact, size);
    [
        of(RowKind::Completions, 4 << 10),
        of(RowKind::Completions, 64 << 10),
        of(RowKind::Irregular, 64 << 10),
        of(RowKind::Completions, 1 << 20),
    ]
}

/// The service alone.
#[divan::bench(args = pages())]
fn bare(bencher: Bencher<'_, '_>, document: Document) {
    let mut client = BenchClient::new(FixedService::json(&document.page().plain, WHOLE), COSTS);
    bencher.bench_local(|| client.call_and_drop());
}

#[divan::bench(args = pages())]
fn amended(bencher: Bencher<'_, '_>, document: Document) {
    let page = document.page();
    let outcome = |outcome: &Outcome| matches!(outcome, Outcome::Amended { counts } if page.counts(*counts));
    bench(bencher, &page.plain, WHOLE, &page.named, outcome);
}

#[divan::bench(args = Framed::all().filter(|case| case.document.kind == RowKind::Keys))]
fn no_ids(bencher: Bencher<'_, '_>, case: Framed) {
    let page = &case.document.page().plain;
    bench(bencher, page, case.chunk, page, |outcome| matches!(outcome, Outcome::Unchanged { .. }));
}

/// Checks the result of the layer once, and measures it.
fn bench(
    bencher: Bencher<'_, '_>,
    page: &Bytes,
    chunk: usize,
    expected: &[u8],
    is_expected: impl Fn(&Outcome) -> bool,
) {
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(names(0..IDS)));
    let mut client = BenchClient::new(layer.layer(FixedService::json(page, chunk)), COSTS);
    let mut out = Vec::new();
    let response = client.call(|frame| out.extend_from_slice(&frame));
    assert!(out == expected, "unexpected bytes");
    let outcome = response.extensions().get().and_then(ResponseState::outcome);
    assert!(outcome.as_ref().is_some_and(is_expected), "unexpected outcome");
    bencher.counter(BytesCount::of_slice(&**page)).bench_local(|| client.call_and_drop());
}
