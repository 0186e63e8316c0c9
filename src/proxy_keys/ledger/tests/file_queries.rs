//! The queries of a ledger file, in a thread of their own.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;

use super::{DEADLINE, key, read_all_hours, request, tokens};
use crate::proxy_keys::keys::Limits;
use crate::proxy_keys::ledger::store::{StoreError, UsageReader};
use crate::proxy_keys::ledger::{Ledger, LedgerReader, Settlement, UsageSource};

/// Returns a folder with the path of a ledger file.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    (folder, path)
}

/// Makes a call of 5 tokens.
async fn call(ledger: &Ledger) {
    let reservation = ledger.admit(request(&key("k", Limits::default(), None), tokens(5))).await.unwrap();
    reservation.settle(Settlement { actual: tokens(5), ..Settlement::default() }).await.unwrap();
}

/// Returns the tokens in the sums of all hours.
fn sum_tokens(reader: &mut dyn UsageReader) -> u64 {
    let mut sum = 0;
    reader.visit_hours(0..i64::MAX, &mut |_, sums| sum += sums.amounts.tokens).unwrap();
    sum
}

async fn read_tokens(source: &UsageSource) -> u64 {
    source.run(|reader| Ok(sum_tokens(reader))).await.unwrap()
}

#[tokio::test]
async fn query_of_a_file_sees_each_durable_settlement() {
    let (_folder, path) = folder();
    let ledger = Ledger::open(&path).unwrap();
    let source = UsageSource::from(&ledger);
    for count in 0..10 {
        assert_eq!(read_tokens(&source).await, 5 * count);
        call(&ledger).await;
    }
}

#[tokio::test]
async fn query_of_a_file_does_not_wait_for_its_writer() {
    let (_folder, path) = folder();
    let ledger = Ledger::open(&path).unwrap();
    call(&ledger).await;
    let blocker = Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut admission = pin!(ledger.admit(request(&key("k", Limits::default(), None), tokens(5))));
    assert_eq!(read_tokens(&UsageSource::from(&ledger)).await, 5);
    let waiting = tokio::time::timeout(Duration::ZERO, admission.as_mut()).await;
    assert!(waiting.is_err(), "the writer waits for the other transaction");
    blocker.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn writer_of_a_file_does_not_wait_for_a_query() {
    let (_folder, path) = folder();
    let ledger = Ledger::open(&path).unwrap();
    call(&ledger).await;
    let (started, start) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let query = move |reader: &mut dyn UsageReader| {
        let first = sum_tokens(reader);
        started.send(()).unwrap();
        ended.recv_timeout(DEADLINE).unwrap();
        Ok((first, sum_tokens(reader)))
    };
    let result = UsageSource::from(&ledger).run(query);
    start.recv_timeout(DEADLINE).unwrap();
    call(&ledger).await;
    end.send(()).unwrap();
    assert_eq!(result.await.unwrap(), (5, 5), "a query sees one state");
    assert_eq!(read_tokens(&UsageSource::from(ledger)).await, 10);
}

#[tokio::test]
async fn source_of_a_reader_works_without_a_writer() {
    let (_folder, path) = folder();
    let ledger = Ledger::open(&path).unwrap();
    call(&ledger).await;
    drop(ledger);
    let source = UsageSource::from(LedgerReader::open(&path).unwrap());
    assert_eq!(read_tokens(&source).await, 5);
}

#[tokio::test]
async fn query_after_a_file_error_opens_the_file_again() {
    let (_folder, path) = folder();
    drop(Ledger::open(&path).unwrap());
    let source = UsageSource::from(LedgerReader::open(&path).unwrap());
    let moved = path.with_extension("moved");
    std::fs::rename(&path, &moved).unwrap();
    let error = source.run(read_all_hours).await.unwrap_err().to_string();
    assert!(error.starts_with("No such file"), "{error}");
    std::fs::rename(&moved, &path).unwrap();
    assert!(source.run(read_all_hours).await.is_ok());
}

#[tokio::test]
async fn query_after_the_panic_of_another_is_an_error() {
    let (_folder, path) = folder();
    let ledger = Ledger::open(&path).unwrap();
    let source = UsageSource::from(&ledger);
    let crash = source.run(|_| -> Result<(), StoreError> { std::panic::resume_unwind(Box::new("crash")) });
    assert!(crash.await.is_err());
    let error = source.run(read_all_hours).await.unwrap_err();
    assert_eq!(error.to_string(), "the thread that reads the ledger has ended");
    call(&ledger).await;
}

#[tokio::test]
async fn query_of_an_earlier_version_is_rejected_until_a_writer_migrates_it() {
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch(include_str!("version_1_file.sql")).unwrap();
    let source = UsageSource::from(LedgerReader::open(&path).unwrap());
    let error = source.run(read_all_hours).await.unwrap_err().to_string();
    assert!(error.starts_with("it has version 1, but queries of usage need version 3"), "{error}");
    let _ledger = Ledger::open(&path).unwrap();
    assert_eq!(source.run(read_all_hours).await.unwrap().len(), 1);
}

#[test]
fn owner_of_an_unknown_kind_in_a_damaged_file_is_an_error() {
    let (_folder, path) = folder();
    let _ledger = Ledger::open(&path).unwrap();
    let damage = "INSERT INTO counters VALUES ('keT', 'k', 'ever', 0, 1, 1, 1, 0, 0, 0)";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    assert!(LedgerReader::open(&path).unwrap().usage().is_err());
}

/// True if this process has the file open.
#[cfg(target_os = "linux")]
fn is_open(path: &Path) -> bool {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    // A descriptor of another test may be closed before its link is read.
    let files = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    files.into_iter().any(|file| file == path)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn thread_of_the_queries_begins_with_the_first_and_ends_with_the_last_handle() {
    let (_folder, path) = folder();
    drop(Ledger::open(&path).unwrap());
    let path = path.canonicalize().unwrap();
    let source = UsageSource::from(LedgerReader::open(&path).unwrap());
    let wait_until_closed = async || {
        while is_open(&path) {
            tokio::task::yield_now().await;
        }
    };
    // The writer ends after its last handle.
    tokio::time::timeout(DEADLINE, wait_until_closed()).await.expect("nothing reads the file");
    let clone = source.clone();
    assert_eq!(read_tokens(&source).await, 0);
    drop(source);
    assert_eq!(read_tokens(&clone).await, 0);
    assert!(is_open(&path));
    drop(clone);
    tokio::time::timeout(DEADLINE, wait_until_closed()).await.expect("the thread ends");
}
