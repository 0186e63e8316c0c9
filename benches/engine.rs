//! The engine on pages of every kind, beside what others need to validate or to parse and print the same.
//!
//! `cargo bench --features _internal --bench engine` prints a table of throughput in GB/s of input and of
//! ratios to the validator (`str::from_utf8` and serde_json's `IgnoredAny`). Each number is the median of
//! rounds in which all engines take turns, so that a ratio compares what ran side by side.
#![allow(missing_docs, unreachable_pub)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::de::IgnoredAny;
use tower_api_key_name::{KeyNames, internal};

mod documents;
use documents::{Kind, names, page};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(20);

type Engine<'a> = (&'static str, Box<dyn FnMut(&Bytes) + 'a>);

fn main() {
    // `cargo bench` and `cargo test` hand on flags of their harness.
    if std::env::args().any(|flag| flag == "--test") {
        return;
    }
    let (few, many) = (names(1_000), names(100_000));
    println!(
        "{:<26}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "GB/s (ratio)", "validator", "this", "64 KiB", "16 KiB", "1 KiB", "100k names", "Value"
    );
    for (name, kind, size, pretty) in [
        ("completions 64k", Kind::Completions, 64 << 10, false),
        ("completions 1m", Kind::Completions, 1 << 20, false),
        ("completions 1m pretty", Kind::Completions, 1 << 20, true),
        ("costs 1m", Kind::Costs, 1 << 20, false),
        ("irregular 1m", Kind::Irregular, 1 << 20, false),
        ("irregular 1m pretty", Kind::Irregular, 1 << 20, true),
        ("keys 1m", Kind::Keys, 1 << 20, false),
    ] {
        let document = Bytes::from(page(kind, size, 1_000, pretty));
        let wide = Bytes::from(page(kind, size, 100_000, pretty));
        let mut engines: Vec<Engine<'_>> = vec![
            ("validator", Box::new(|page| validate(page))),
            ("this", Box::new(|page| amend(page, &few, usize::MAX))),
            ("64 KiB", Box::new(|page| amend(page, &few, 64 << 10))),
            ("16 KiB", Box::new(|page| amend(page, &few, 16 << 10))),
            ("1 KiB", Box::new(|page| amend(page, &few, 1 << 10))),
            ("100k names", Box::new(|_| amend(&wide, &many, usize::MAX))),
            ("Value", Box::new(|page| parse_and_print(page))),
        ];
        let mut times = vec![Vec::new(); engines.len()];
        for _ in 0..ROUNDS {
            for (nth, (_, engine)) in engines.iter_mut().enumerate() {
                let (begin, mut runs) = (Instant::now(), 0_u32);
                while begin.elapsed() < ROUND {
                    engine(black_box(&document));
                    runs += 1;
                }
                times[nth].push(begin.elapsed().as_secs_f64() / f64::from(runs));
            }
        }
        let medians: Vec<_> = times
            .iter_mut()
            .map(|times| {
                times.sort_by(f64::total_cmp);
                times[ROUNDS / 2]
            })
            .collect();
        print!("{name:<26}");
        for median in &medians {
            let rate = document.len() as f64 / median / 1e9;
            print!("{:>12}", format!("{rate:.2} ({:.2})", medians[0] / median));
        }
        println!();
    }
}

fn validate(page: &[u8]) {
    let valid = std::str::from_utf8(page).is_ok() && serde_json::from_slice::<IgnoredAny>(page).is_ok();
    assert!(black_box(valid));
}

fn amend(page: &Bytes, names: &KeyNames, chunk: usize) {
    let frames = (0..page.len()).step_by(chunk.min(page.len()));
    let frames = frames.map(|at| page.slice(at..page.len().min(at.saturating_add(chunk))));
    let (_, valid) = internal::amend(frames, names, chunk < page.len(), |piece| drop(black_box(piece)));
    assert!(valid);
}

/// What a proxy does that parses and prints, but for the naming.
fn parse_and_print(page: &[u8]) {
    let value: Option<serde_json::Value> = serde_json::from_slice(page).ok();
    black_box(value.map(|value| value.to_string()));
}
