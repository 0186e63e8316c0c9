//! The map: parsing, look-ups, and look-ups while the map is replaced.
//!
//! All benchmarks: `cargo bench --bench names`.
//! Some of them, by patterns: `cargo bench --bench names -- look_up 'load::1000'`.
//! Each of them once, without a measurement: `cargo test --bench names`.
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
    assert!(load().iter().eq(names(0..entries).iter()), "the entries differ");
    bencher.counter(BytesCount::of_str(&file)).counter(ItemsCount::new(entries)).bench(load);
}

/// The number of look-ups in one measurement. Their order is random for a cache.
const LOOK_UPS: usize = 10_000;

#[divan::bench(args = ENTRIES)]
fn look_up_hit(bencher: Bencher<'_, '_>, entries: u64) {
    look_up(bencher, entries, &ids(entries).take(LOOK_UPS).collect::<Vec<_>>(), LOOK_UPS);
}

#[divan::bench(args = ENTRIES)]
fn look_up_miss(bencher: Bencher<'_, '_>, entries: u64) {
    // The unknown ids have the length and the letters of the known ones.
    let unknown = ids(entries).take(LOOK_UPS).map(|id| id.replace("key_", "kex_"));
    look_up(bencher, entries, &unknown.collect::<Vec<_>>(), 0);
}

fn look_up(bencher: Bencher<'_, '_>, entries: u64, ids: &[String], hits: usize) {
    let names = names(0..entries);
    let look_up = || ids.iter().filter(|id| names.name(black_box(id)).is_some()).count();
    assert_eq!(look_up(), hits);
    bencher.counter(ItemsCount::new(ids.len())).bench(look_up);
}

/// The rate at which another thread replaces the map of 100,000 entries.
#[derive(Clone, Copy, Debug)]
enum Replaced {
    Never,
    Every10Ms,
    WithoutPause,
}

/// The reads of requests: a snapshot, and the names of a small page in it.
#[divan::bench(args = [Replaced::Never, Replaced::Every10Ms, Replaced::WithoutPause], sample_count = 2000)]
fn read(bencher: Bencher<'_, '_>, replaced: Replaced) {
    const ROWS: usize = 15;
    let map = names(0..100_000);
    let shared = SharedKeyNames::new(map.clone());
    let ids: Vec<_> = ids(100_000).take(LOOK_UPS).collect();
    let request = |rows: &[String]| {
        let names = shared.snapshot();
        rows.iter().filter(|id| names.name(black_box(id)).is_some()).count()
    };
    let requests = || ids.chunks(ROWS).map(request).sum::<usize>();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                match replaced {
                    Replaced::Never => return,
                    Replaced::Every10Ms => thread::park_timeout(Duration::from_millis(10)),
                    Replaced::WithoutPause => {}
                }
                shared.replace(map.clone());
            }
        });
        assert_eq!(requests(), LOOK_UPS);
        bencher.counter(ItemsCount::new(LOOK_UPS.div_ceil(ROWS))).bench_local(requests);
        is_done.store(true, Ordering::Relaxed);
        writer.thread().unpark();
    });
}

/// One replacement, including the drop of the old map.
#[divan::bench(args = ENTRIES)]
fn replace(bencher: Bencher<'_, '_>, entries: u64) {
    let map = names(0..entries);
    let shared = SharedKeyNames::default();
    bencher.with_inputs(|| map.clone()).bench_values(|map| shared.replace(map));
    assert_eq!(shared.snapshot().len(), map.len());
}
