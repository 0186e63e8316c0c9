//! The map: loading it, looking up in it, and reading it while it is swapped.
//!
//! All: `cargo bench --bench names`.
//! Some: behind `--`, patterns of their names: `cargo bench --bench names -- look_up 'load::1000'`.
//! Once each, without measuring: `cargo test --bench names`.
#![allow(missing_docs, unreachable_pub)]

mod documents;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use divan::{
    Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use tower_api_key_name::{KeyNames, SharedKeyNames};

use self::documents::{ids, map_file, names};

fn main() {
    divan::main();
}

const ENTRIES: [u64; 3] = [10, 1_000, 100_000];

#[divan::bench(args = ENTRIES)]
fn load(bencher: Bencher<'_, '_>, entries: u64) {
    let file = map_file(entries);
    let load = || KeyNames::from_json(black_box(file.as_bytes())).expect("the file is valid");
    assert!(load().iter().eq(names(0..entries).iter()), "other entries than expected");
    bencher.counter(BytesCount::of_str(&file)).counter(ItemsCount::new(entries)).bench(load);
}

/// How many look-ups are measured together; in an order that no cache foresees.
const ROUND: usize = 10_000;

#[divan::bench(args = ENTRIES)]
fn look_up_hit(bencher: Bencher<'_, '_>, entries: u64) {
    look_up(bencher, entries, &ids(entries).take(ROUND).collect::<Vec<_>>(), ROUND);
}

#[divan::bench(args = ENTRIES)]
fn look_up_miss(bencher: Bencher<'_, '_>, entries: u64) {
    // As long as those that are known, and of the same letters.
    let unknown = ids(entries).take(ROUND).map(|id| id.replace("key_", "kex_"));
    look_up(bencher, entries, &unknown.collect::<Vec<_>>(), 0);
}

fn look_up(bencher: Bencher<'_, '_>, entries: u64, ids: &[String], found: usize) {
    let names = names(0..entries);
    let look_up = || ids.iter().filter(|id| names.name(black_box(id)).is_some()).count();
    assert_eq!(look_up(), found);
    bencher.counter(ItemsCount::new(ids.len())).bench(look_up);
}

/// How often somebody swaps the map of 100,000 entries.
#[derive(Clone, Copy, Debug)]
enum Swapped {
    Never,
    Every10Ms,
    WithoutPause,
}

/// What requests read: each a snapshot, and the names of a small page in it.
#[divan::bench(args = [Swapped::Never, Swapped::Every10Ms, Swapped::WithoutPause], sample_count = 2000)]
fn read(bencher: Bencher<'_, '_>, swapped: Swapped) {
    const ROWS: usize = 15;
    let map = names(0..100_000);
    let shared = SharedKeyNames::new(map.clone());
    let ids: Vec<_> = ids(100_000).take(ROUND).collect();
    let request = |rows: &[String]| {
        let names = shared.snapshot();
        rows.iter().filter(|id| names.name(black_box(id)).is_some()).count()
    };
    let requests = || ids.chunks(ROWS).map(request).sum::<usize>();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                match swapped {
                    Swapped::Never => return,
                    Swapped::Every10Ms => thread::park_timeout(Duration::from_millis(10)),
                    Swapped::WithoutPause => {}
                }
                shared.replace(map.clone());
            }
        });
        assert_eq!(requests(), ROUND);
        bencher.counter(ItemsCount::new(ROUND.div_ceil(ROWS))).bench_local(requests);
        done.store(true, Ordering::Relaxed);
        swapper.thread().unpark();
    });
}

/// What the swap itself costs: with it goes the map before, which nobody reads any more.
#[divan::bench(args = ENTRIES)]
fn replace(bencher: Bencher<'_, '_>, entries: u64) {
    let map = names(0..entries);
    let shared = SharedKeyNames::default();
    bencher.with_inputs(|| map.clone()).bench_values(|map| shared.replace(map));
    assert_eq!(shared.snapshot().len(), map.len());
}
