//! The speed of a ledger file, beside that of one sync on the same disk. By hand:
//! `cargo test --release --features sqlite --lib -- ledger::tests::speed --ignored --nocapture`

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{group, key, request, tokens};
use crate::proxy_keys::keys::{Limits, Meter, Window};
use crate::proxy_keys::ledger::{Ledger, Settlement};

/// Calls of each measurement.
const CALLS: usize = 20_000;

/// Returns the median and the 99th percentile in microseconds.
fn percentiles(mut durations: Vec<Duration>) -> (u128, u128) {
    durations.sort_unstable();
    let at = |percent: usize| durations[(durations.len() - 1) * percent / 100].as_micros();
    (at(50), at(99))
}

/// Overwrites and syncs one page of a file 2,000 times.
fn measure_sync(directory: &Path) -> (u128, u128) {
    let mut file = File::create(directory.join("sync")).unwrap();
    file.write_all(&[0; 1 << 20]).unwrap();
    file.sync_all().unwrap();
    let mut durations = Vec::new();
    for count in 0..2_000_u64 {
        let start = Instant::now();
        file.write_all_at(&[1; 4_096], count % 256 * 4_096).unwrap();
        file.sync_data().unwrap();
        durations.push(start.elapsed());
    }
    percentiles(durations)
}

/// Makes calls one after the other. Returns the durations of the admissions and of the settlements.
async fn make_calls(ledger: Ledger, caller: usize, count: usize) -> (Vec<Duration>, Vec<Duration>) {
    let mut limits = Limits::default();
    for (meter, window) in
        [(Meter::Requests, Window::Minute), (Meter::Tokens, Window::Day), (Meter::Dollars, Window::Month)]
    {
        limits.amounts.extend(super::limit(meter, window, 1 << 50).amounts);
    }
    let group = group("g", limits.clone());
    let key = key(&format!("key_{}", caller % 8), limits, Some(&group));
    let mut admissions = Vec::new();
    let mut settlements = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        let reservation = ledger.admit(request(&key, tokens(4_096))).await.unwrap();
        admissions.push(start.elapsed());
        let start = Instant::now();
        reservation.settle(Settlement { actual: tokens(700), ..Settlement::default() }).await.unwrap();
        settlements.push(start.elapsed());
    }
    (admissions, settlements)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints the speed of the disk and of the ledger"]
async fn calls_of_1_to_128_callers_are_measured() {
    let directory = tempfile::tempdir_in(std::env::var_os("SPEED_DIRECTORY").unwrap_or(".".into())).unwrap();
    println!("fdatasync of 4 KiB: median and p99 {:?} µs", measure_sync(directory.path()));
    for callers in [1, 8, 32, 128] {
        let ledger = Ledger::open(directory.path().join(format!("{callers}.sqlite"))).unwrap();
        let calls = if callers == 1 { CALLS / 10 } else { CALLS };
        let start = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| tokio::spawn(make_calls(ledger.clone(), caller, calls / callers)))
            .collect();
        let mut admissions = Vec::new();
        let mut settlements = Vec::new();
        for task in tasks {
            let (of_admissions, of_settlements) = task.await.unwrap();
            admissions.extend(of_admissions);
            settlements.extend(of_settlements);
        }
        let rate = 2.0 * calls as f64 / start.elapsed().as_secs_f64();
        let (admission, settlement) = (percentiles(admissions), percentiles(settlements));
        println!(
            "{callers} callers: {rate:.0} operations/s, admission {admission:?} µs, settlement {settlement:?} µs"
        );
    }
}
