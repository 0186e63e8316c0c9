//! Requests out of scope. The layer should add nanoseconds and no allocation.
//!
//! All cases: `cargo bench --bench scope`. One run of each, without measuring: `cargo test --bench scope`.
#![allow(missing_docs, unreachable_pub)]

mod documents;

use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};
use tower_layer::Layer;

use self::documents::WHOLE;
use test_support::service::{BenchClient, FixedService, MODELS};

/// The profiler prints the allocations of each case.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const LIST: Bytes = Bytes::from_static(br#"{"object":"list","data":[]}"#);

fn main() {
    divan::main();
}

/// The service alone.
#[divan::bench(sample_size = 1000)]
fn bare(bencher: Bencher<'_, '_>) {
    let mut client = BenchClient::new(FixedService::new(LIST, WHOLE), MODELS);
    bencher.bench_local(|| client.call_and_drop());
}

#[divan::bench(sample_size = 1000)]
fn out_of_scope(bencher: Bencher<'_, '_>) {
    let layer = ApiKeyNameLayer::new(SharedKeyNames::default());
    let mut client = BenchClient::new(layer.layer(FixedService::new(LIST, WHOLE)), MODELS);
    let mut out = Vec::new();
    let response = client.call(|frame| out.push(frame));
    assert!(out == [LIST] && response.extensions().is_empty(), "the response was changed");
    bencher.bench_local(|| client.call_and_drop());
}
