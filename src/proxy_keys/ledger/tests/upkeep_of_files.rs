//! Ledger files over a long time: the schema of an earlier version, the log beside a long reader, and the kept rows.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{TestClock, key, key_owner, open, request, tokens};
use crate::proxy_keys::keys::{Limits, ProxyKey, Window};
use crate::proxy_keys::ledger::counter::{Amounts, CounterKey};
use crate::proxy_keys::ledger::{Ledger, LedgerOptions, LedgerReader, Settlement};

/// A ledger of version 1 with one settled call and one in flight.
const VERSION_1: &str = include_str!("version_1_file.sql");

fn unlimited_key() -> Arc<ProxyKey> {
    key("k", Limits::default(), None)
}

async fn make_calls(ledger: &Ledger, count: usize) {
    for _ in 0..count {
        let reservation = ledger.admit(request(&unlimited_key(), tokens(5))).await.unwrap();
        reservation.settle(Settlement { actual: tokens(5), ..Settlement::default() }).await.unwrap();
    }
}

#[tokio::test]
async fn file_of_version_1_is_migrated_with_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    let clock = TestClock::at("2026-07-15T13:45:45Z");
    let before = LedgerReader::open(&path).unwrap().usage_at(clock.now()).unwrap();
    assert_eq!((before.keys["k"].day.spent.tokens, before.keys["k"].calls_in_flight()), (7, 1));

    let ledger = open(&path, &clock);
    make_calls(&ledger, 1).await;
    let rows = ledger.read(|store| store.usage_rows().unwrap()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.charge.tokens).collect::<Vec<_>>(), [7, 9, 5]);
    let counter = CounterKey::at(&key_owner("k"), Window::Day, clock.now());
    let day = ledger.read(move |store| store.counter(&counter).unwrap()).await.unwrap();
    assert_eq!(day.spent, Amounts { requests: 3, tokens: 21, picodollars: 0 });
    clock.advance(91 * 86_400);
    make_calls(&ledger, 1).await;
    let hours = ledger.read(|store| store.hours().unwrap()).await.unwrap();
    assert_eq!(hours.values().next().unwrap().amounts.tokens, 21);
}

/// Returns the size of the write-ahead log in MiB, rounded down.
fn log_size(path: &Path) -> u64 {
    fs::metadata(path.with_extension("sqlite-wal")).unwrap().len() >> 20
}

#[tokio::test]
async fn log_is_cut_after_the_end_of_a_long_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let ledger = Ledger::open(&path).unwrap();
    make_calls(&ledger, 1).await;
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM usage").unwrap();
    let mut call_count = 0;
    while log_size(&path) < 20 {
        make_calls(&ledger, 50).await;
        call_count += 50;
        assert!(call_count < 10_000, "the log of {} MiB does not grow", log_size(&path));
    }
    // Each call has two commits of a few pages of 4 KiB.
    assert!(call_count > 200, "{call_count} calls wrote 20 MiB");
    reader.execute_batch("COMMIT").unwrap();
    make_calls(&ledger, 3).await;
    assert!(log_size(&path) <= 16, "{} MiB", log_size(&path));
    make_calls(&ledger, 1_000).await;
    assert!(log_size(&path) <= 16, "{} MiB", log_size(&path));
}

#[tokio::test]
async fn log_without_a_reader_stays_below_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let ledger = Ledger::open(&path).unwrap();
    for _ in 0..20 {
        make_calls(&ledger, 50).await;
        assert!(log_size(&path) <= 5, "{} MiB", log_size(&path));
    }
}

#[tokio::test]
async fn rows_are_kept_for_the_time_of_the_options() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let day = Duration::from_secs(86_400);
    for (keep_rows, days, row_count) in [(2 * day, 2, 3), (2 * day, 3, 1), (Duration::ZERO, 2, 1)] {
        let clock = TestClock::at("2026-07-15T13:45:45Z");
        let path = path.with_extension(format!("{days}_{}", keep_rows.as_secs()));
        let options = LedgerOptions::new().keep_rows(keep_rows);
        let ledger = options.open_with_clock(&path, clock.boxed()).unwrap();
        make_calls(&ledger, 2).await;
        clock.advance(days * 86_400);
        make_calls(&ledger, 1).await;
        let rows = ledger.read(|store| store.usage_rows().unwrap()).await.unwrap();
        assert_eq!(rows.len(), row_count, "{keep_rows:?}, {days} days");
    }
}
