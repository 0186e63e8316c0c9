//! What is none of the layer's business: it should take no more than nanoseconds, and no memory.
//!
//! All: `cargo bench --bench scope`.
//! Once each, without measuring: `cargo test --bench scope`.
#![allow(missing_docs, unreachable_pub)]

mod documents;
mod service;

use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};
use tower_layer::Layer;

use self::documents::WHOLE;
use self::service::{Bare, Client, MODELS};

/// A bench that shows no allocations has none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const ANSWER: Bytes = Bytes::from_static(br#"{"object":"list","data":[]}"#);

fn main() {
    divan::main();
}

/// The service alone.
#[divan::bench(sample_size = 1000)]
fn bare(bencher: Bencher<'_, '_>) {
    let mut client = Client::new(Bare::new(ANSWER, WHOLE), MODELS);
    bencher.bench_local(|| client.spend());
}

#[divan::bench(sample_size = 1000)]
fn out_of_scope(bencher: Bencher<'_, '_>) {
    let layer = ApiKeyNameLayer::new(SharedKeyNames::default());
    let mut client = Client::new(layer.layer(Bare::new(ANSWER, WHOLE)), MODELS);
    let mut out = Vec::new();
    let head = client.ask(|frame| out.push(frame));
    assert!(out == [ANSWER] && head.extensions().is_empty(), "not what the service answers");
    bencher.bench_local(|| client.spend());
}
