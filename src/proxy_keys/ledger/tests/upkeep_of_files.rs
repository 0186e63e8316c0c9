//! Ledger files over a long time: the schema of an earlier version, the log beside a long reader, and the kept rows.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{TestClock, key, key_owner, open, read_all_hours, request, tokens};
use crate::proxy_keys::keys::{Limits, ProxyKey, Window};
use crate::proxy_keys::ledger::counter::{Amounts, CounterKey};
use crate::proxy_keys::ledger::sums::{CallSums, SumKey};
use crate::proxy_keys::ledger::{Ledger, LedgerOptions, LedgerReader, Settlement, UsageSource};

/// A ledger of version 1 with one settled call and one in flight.
const VERSION_1: &str = include_str!("version_1_file.sql");

/// The changes of that file to one of version 2, with the sums of 4 deleted rows.
const VERSION_2: &str = include_str!("version_2_file.sql");

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
    let hours = ledger.usage.run(read_all_hours).await.unwrap();
    assert_eq!(hours[0].1.amounts.tokens, 21);
}

/// Returns the sums of the hours of a file, which a writer opens and closes, and the first second of all its rows.
async fn read_sums(path: &Path) -> (Vec<(SumKey, CallSums)>, i64) {
    let ledger = open(path, &TestClock::at("2026-07-15T13:45:45Z"));
    let rows_from = ledger.usage.run(|reader| reader.rows_from()).await.unwrap();
    (ledger.usage.run(read_all_hours).await.unwrap(), rows_from)
}

#[tokio::test]
async fn sums_of_a_file_of_version_1_contain_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    let (hours, rows_from) = read_sums(&path).await;
    let [(key, sums)] = &hours[..] else { panic!("{hours:?}") };
    assert_eq!((key.start, &*key.key_id, &*key.group_id), (1_784_120_400, "k", ""));
    // The call in flight of 9 tokens is settled by the writer.
    assert_eq!(sums.amounts, Amounts { requests: 2, tokens: 16, picodollars: 0 });
    assert_eq!((sums.estimated, sums.counts.input_tokens, rows_from), (1, Some(7), 0));
}

#[tokio::test]
async fn sums_of_a_file_of_version_2_contain_its_hours_and_its_rows_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    connection.execute_batch(VERSION_2).unwrap();
    let (hours, rows_from) = read_sums(&path).await;
    let [(earlier_key, earlier), (key, sums)] = &hours[..] else { panic!("{hours:?}") };
    assert_eq!((earlier_key.start + 3_600, earlier.amounts.tokens), (key.start, 40));
    // 2 deleted rows of the hour, the row, and the call in flight.
    assert_eq!(sums.amounts, Amounts { requests: 4, tokens: 46, picodollars: 5 });
    assert_eq!((sums.estimated, sums.unpriced, sums.counts.input_tokens), (2, 1, Some(27)));
    assert_eq!(rows_from, key.start + 3_600);
    assert_eq!(read_sums(&path).await, (hours, rows_from), "the second writer adds nothing");
}

#[tokio::test]
async fn migration_of_many_rows_adds_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    // The migration reads 10,000 rows at once. The ids have gaps.
    let insert = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
        INSERT INTO usage SELECT 10 + 3 * n, admitted_at + 1000 * n, settled_at, key_id, group_id, provider, endpoint,
            model, status, n, 0, 0, 0, counts FROM usage, numbers";
    connection.execute_batch(insert).unwrap();
    let (hours, _) = read_sums(&path).await;
    let mut sum = Amounts::default();
    for (_, sums) in &hours {
        sum = sum.plus(sums.amounts);
    }
    assert_eq!(hours.len(), 7, "20,000 seconds from 13:45 to 19:18");
    assert_eq!((sum.requests, sum.tokens), (20_002, 20_000 * 20_001 / 2 + 7 + 9));
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

/// The sums of many models in one hour, so that a query takes longer than a commit.
const MANY_HOURS: &str =
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
    INSERT INTO hours SELECT 0, 'k', '', 'openai', '/v1/responses', n, 1, 1, 1, 0, 0, '{}' FROM numbers";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_beside_queries_without_an_end_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let ledger = Ledger::open(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch(MANY_HOURS).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let source = UsageSource::from(&ledger);
        tasks.spawn(async move {
            while source.run(|reader| reader.visit_hours(0..1, &mut |_, _| {})).await.is_ok() {}
        });
    }
    for _ in 0..24 {
        make_calls(&ledger, 50).await;
        assert!(log_size(&path) <= 28, "{} MiB", log_size(&path));
    }
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
