//! The speed of the queries of a file with 10 million calls in 31 days. By hand:
//! `cargo test --release --features sqlite --lib -- ledger::tests::usage_speed --ignored --nocapture`

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use super::TestClock;
use crate::proxy_keys::ledger::sqlite::APPLICATION_ID;
use crate::proxy_keys::ledger::store::UsageReader;
use crate::proxy_keys::ledger::sums::{CallSums, SumKey};
use crate::proxy_keys::ledger::{LedgerOptions, UsageSource};

/// The start of the period, and its days.
const START: &str = "2026-07-01T00:00:00Z";
const DAYS: i64 = 31;

/// A file of version 2 without sums, whose rows a writer of a later version adds to the hours.
const TABLES: [&str; 2] = [include_str!("../sqlite/version_1.sql"), include_str!("../sqlite/version_2.sql")];

/// Writes calls of 100 keys and 5 models, at equal distances. The parameters are their number, the start and the length in
/// milliseconds.
const ROWS: &str = r#"
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1)
    INSERT INTO usage
    SELECT n + 1, ?2 + n * ?3 / ?1, ?2 + n * ?3 / ?1 + 900, 'key_' || (n * 7919 % 100), 'group_' || (n * 7919 % 10),
        'openai', '/v1/responses', 'gpt-5-model-' || (n / 100 % 5), 200, 1500, 1234567890, 0, 0,
        '{"input_tokens":1200,"cached_input_tokens":1000,"output_tokens":300,"reasoning_output_tokens":100}'
    FROM numbers"#;

/// Creates the file without its sums.
fn create_file(path: &Path, call_count: u64) {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    for tables in TABLES {
        connection.execute_batch(tables).unwrap();
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    let start = TestClock::at(START).now().as_millisecond();
    connection.execute(ROWS, rusqlite::params![call_count, start, DAYS * 86_400_000]).unwrap();
}

/// The sums of a bucket by key and model.
type Bucket = BTreeMap<(Arc<str>, Arc<str>), CallSums>;

/// Reads the sums of a period, by whole hours or from the rows of the calls.
async fn read_bucket(source: &UsageSource, start: i64, end: i64, by_hours: bool) -> Bucket {
    let query = move |reader: &mut dyn UsageReader| {
        let mut bucket = Bucket::new();
        let mut add = |key: &SumKey, sums: &CallSums| {
            bucket.entry((key.key_id.clone(), key.model.clone())).or_default().add(sums);
        };
        if by_hours {
            reader.visit_hours(start..end, &mut add)?;
        } else {
            reader.visit_calls(start..end, &mut add)?;
        }
        Ok(bucket)
    };
    source.run(query).await.unwrap()
}

/// Reads buckets of this width one after another. Returns the numbers of all results and calls.
async fn read_buckets(source: &UsageSource, width: i64, count: i64) -> (usize, u64) {
    let start = TestClock::at(START).now().as_second();
    let mut result_count = 0;
    let mut call_count = 0;
    for index in 0..count {
        let bucket_start = start + index * width;
        let bucket = read_bucket(source, bucket_start, bucket_start + width, width >= 3_600).await;
        result_count += bucket.len();
        for sums in bucket.values() {
            call_count += sums.amounts.requests;
        }
    }
    (result_count, call_count)
}

/// Returns a line of the memory of this process, such as its peak `VmHWM`.
fn memory(name: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.unwrap_or("unknown memory").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
#[ignore = "prints the speed of queries of 10 million calls"]
async fn queries_of_10_million_calls_are_measured() {
    let call_count = std::env::var("SPEED_CALLS").map_or(10_000_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir_in(std::env::var_os("SPEED_DIRECTORY").unwrap_or(".".into())).unwrap();
    let path = folder.path().join("ledger.sqlite");
    let begin = Instant::now();
    create_file(&path, call_count);
    println!("{call_count} calls created: {:?}, {}", begin.elapsed(), memory("VmHWM"));

    let begin = Instant::now();
    let clock = TestClock::at("2026-08-01T00:00:00Z");
    let ledger = LedgerOptions::new().open_with_clock(&path, clock.boxed()).unwrap();
    println!("migration: {:?}, {}", begin.elapsed(), memory("VmHWM"));

    // Linux then measures the peak of the memory anew.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let source = UsageSource::from(ledger);
    for (name, width, count) in [
        ("31 days", 86_400, 31),
        ("168 hours", 3_600, 168),
        ("60 minutes", 60, 60),
        ("1,440 minutes", 60, 1_440),
    ] {
        let mut durations = Vec::new();
        let mut read = (0, 0);
        for _ in 0..10 {
            let begin = Instant::now();
            read = read_buckets(&source, width, count).await;
            durations.push(begin.elapsed());
        }
        let minimum = durations.iter().min().unwrap();
        println!("{name}: {minimum:?}, {} results of {} calls, {}", read.0, read.1, memory("VmHWM"));
    }
}
