//! Readers of a ledger file: beside a writer, without one, and of files that cannot be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{TestClock, end_writer, group, key, open, request, tokens};
use crate::proxy_keys::Picodollars;
use crate::proxy_keys::keys::{Limits, ProxyKey};
use crate::proxy_keys::ledger::{CallReservation, Charge, Ledger, LedgerReader, OwnerUsage, Settlement};

/// A folder with the path of a ledger file, and a clock.
struct LedgerFolder {
    folder: tempfile::TempDir,
    path: PathBuf,
    clock: TestClock,
}

impl LedgerFolder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        Self { folder, path, clock: TestClock::at("2026-07-15T13:45:45Z") }
    }

    /// Reads the use of the key and of its group.
    fn read(&self, path: &Path) -> [OwnerUsage; 2] {
        let usage = LedgerReader::open(path).unwrap().usage_at(self.clock.now()).unwrap();
        assert_eq!((usage.keys.len(), usage.groups.len()), (1, 1));
        [usage.keys["k"], usage.groups["g"]]
    }
}

fn grouped_key() -> Arc<ProxyKey> {
    key("k", Limits::default(), Some(&group("g", Limits::default())))
}

async fn admit(ledger: &Ledger, count: usize) -> Vec<CallReservation> {
    let mut reservations = Vec::new();
    for _ in 0..count {
        reservations.push(ledger.admit(request(&grouped_key(), tokens(5))).await.unwrap());
    }
    reservations
}

async fn settle(reservations: Vec<CallReservation>, actual: Charge) {
    for reservation in reservations {
        reservation.settle(Settlement { actual, ..Settlement::default() }).await.unwrap();
    }
}

fn open_error(path: &Path) -> String {
    let message = LedgerReader::open(path).expect_err("the file cannot be read").to_string();
    message.replace(&format!("{}/", path.parent().unwrap().display()), "")
}

#[tokio::test]
async fn reader_beside_a_writer_neither_settles_nor_blocks_open_calls() {
    let folder = LedgerFolder::new();
    let ledger = open(&folder.path, &folder.clock);
    let reservations = admit(&ledger, 25).await;
    for usage in folder.read(&folder.path) {
        assert_eq!((usage.calls_in_flight(), usage.day.reserved.tokens), (25, 125));
        assert_eq!((usage.day.spent.requests, usage.day.spent.tokens), (0, 0));
    }
    let open_calls = ledger.read(|store| store.open_calls().unwrap().len()).await.unwrap();
    assert_eq!(open_calls, 25);

    let reader = LedgerReader::open(&folder.path).unwrap();
    settle(reservations, Charge { tokens: 7, picodollars: 3 }).await;
    for usage in folder.read(&folder.path) {
        assert_eq!((usage.calls_in_flight(), usage.day.reserved.tokens), (0, 0));
        assert_eq!((usage.day.spent.requests, usage.day.spent.tokens), (25, 175));
        assert_eq!(usage.month.spent.dollars, Picodollars(75));
    }
    let rows = ledger.read(|store| store.usage_rows().unwrap()).await.unwrap();
    assert!(rows.iter().all(|row| !row.is_estimated), "the calls were settled by their callers");
    assert_eq!(reader.usage_at(folder.clock.now()).unwrap().keys["k"].ever.spent.requests, 25);
}

#[tokio::test]
async fn reader_without_a_writer_returns_the_last_state() {
    let folder = LedgerFolder::new();
    let ledger = open(&folder.path, &folder.clock);
    let reservations = admit(&ledger, 2).await;
    settle(reservations, tokens(7)).await;
    end_writer(&ledger).await;
    for usage in folder.read(&folder.path) {
        assert_eq!(usage.ever.spent.tokens, 14);
    }
    // A reader may leave files beside the ledger, which a writer can open.
    drop(open(&folder.path, &folder.clock));
}

/// Copies the files of a ledger, as they are after a kill of its writer, to the folder `copy`.
fn copy_files(folder: &LedgerFolder) -> PathBuf {
    let copy = folder.folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
        fs::copy(folder.folder.path().join(name), copy.join(name)).unwrap();
    }
    copy.join("ledger.sqlite")
}

#[tokio::test]
async fn reader_after_a_killed_writer_leaves_its_calls_open() {
    let folder = LedgerFolder::new();
    let ledger = open(&folder.path, &folder.clock);
    let reservations = admit(&ledger, 3).await;
    let copy = copy_files(&folder);
    for _ in 0..2 {
        for usage in folder.read(&copy) {
            assert_eq!((usage.calls_in_flight(), usage.ever.spent.requests), (3, 0));
        }
    }
    let recovered = open(&copy, &folder.clock);
    let rows = recovered.read(|store| store.usage_rows().unwrap()).await.unwrap();
    assert_eq!(rows.len(), 3, "the next writer settles them");
    settle(reservations, tokens(1)).await;
}

#[tokio::test]
async fn use_is_that_of_the_windows_at_the_instant() {
    let folder = LedgerFolder::new();
    let ledger = open(&folder.path, &folder.clock);
    settle(admit(&ledger, 1).await, tokens(7)).await;
    let reader = LedgerReader::open(&folder.path).unwrap();
    let spent_at = |instant: &str| {
        let instant: Timestamp = instant.parse().unwrap();
        let usage = reader.usage_at(instant).unwrap().keys["k"];
        [usage.minute, usage.hour, usage.day, usage.month, usage.ever].map(|window| window.spent.tokens)
    };
    assert_eq!(spent_at("2026-07-15T13:45:00Z"), [7, 7, 7, 7, 7]);
    assert_eq!(spent_at("2026-07-15T13:46:00Z"), [0, 7, 7, 7, 7]);
    assert_eq!(spent_at("2026-07-15T14:00:00Z"), [0, 0, 7, 7, 7]);
    assert_eq!(spent_at("2026-07-16T00:00:00Z"), [0, 0, 0, 7, 7]);
    assert_eq!(spent_at("2026-08-01T00:00:00Z"), [0, 0, 0, 0, 7]);
}

#[tokio::test]
async fn keys_and_groups_with_calls_are_listed_once() {
    let folder = LedgerFolder::new();
    let ledger = open(&folder.path, &folder.clock);
    let groups = ["a", "b"].map(|id| group(id, Limits::default()));
    for minute in 0..3 {
        for (id, of_group) in [("a", None), ("b", Some(&groups[0])), ("c", Some(&groups[1]))] {
            let reservation = ledger.admit(request(&key(id, Limits::default(), of_group), tokens(5))).await;
            settle(vec![reservation.unwrap()], tokens(minute)).await;
        }
        folder.clock.advance(60);
    }
    let usage = LedgerReader::open(&folder.path).unwrap().usage_at(folder.clock.now()).unwrap();
    assert_eq!(usage.keys.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(usage.groups.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(usage.keys.values().all(|key| key.ever.spent.tokens == 3));
}

#[test]
fn file_that_is_no_ledger_is_not_read() {
    let folder = LedgerFolder::new();
    let missing = open_error(&folder.path);
    assert!(missing.starts_with("cannot open the ledger ledger.sqlite: No such file"), "{missing}");
    assert!(!folder.path.exists());
    fs::write(&folder.path, "").unwrap();
    assert!(open_error(&folder.path).contains("it is empty"));
    Connection::open(&folder.path).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    assert!(open_error(&folder.path).contains("it is a database of another program"));
}

#[test]
fn file_of_a_later_version_is_not_read() {
    let folder = LedgerFolder::new();
    drop(Ledger::open(&folder.path).unwrap());
    Connection::open(&folder.path).unwrap().pragma_update(None, "user_version", 1_000).unwrap();
    assert!(open_error(&folder.path).contains("it has version 1000"), "{}", open_error(&folder.path));
}

#[tokio::test]
async fn backup_beside_a_writer_is_a_ledger_of_one_state() {
    let folder = LedgerFolder::new();
    let ledger = open(&folder.path, &folder.clock);
    settle(admit(&ledger, 40).await, tokens(7)).await;
    let in_flight = admit(&ledger, 3).await;
    // Calls are made while the copy is written.
    let calls = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            for _ in 0..40 {
                settle(admit(&ledger, 1).await, tokens(7)).await;
            }
        }
    });
    let target = folder.folder.path().join("copy.sqlite");
    LedgerReader::open(&folder.path).unwrap().backup(&target).unwrap();
    calls.await.unwrap();

    let [of_key, of_group] = folder.read(&target);
    assert_eq!((of_key, of_key.ever.spent.tokens), (of_group, 7 * of_key.ever.spent.requests));
    let copied = open(&target, &folder.clock);
    let rows = copied.read(|store| store.usage_rows().unwrap()).await.unwrap();
    assert_eq!(rows.len() as u64, of_key.ever.spent.requests + of_key.calls_in_flight());
    assert!(of_key.calls_in_flight() >= 3 && of_key.ever.spent.requests >= 40);
    settle(in_flight, tokens(7)).await;
}

#[tokio::test]
async fn backup_to_a_file_with_content_is_rejected() {
    let folder = LedgerFolder::new();
    let _ledger = open(&folder.path, &folder.clock);
    let target = folder.folder.path().join("copy.sqlite");
    fs::write(&target, "content").unwrap();
    let error = LedgerReader::open(&folder.path).unwrap().backup(&target).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot copy the ledger ") && error.contains("copy.sqlite is not empty"),
        "{error}"
    );
    assert_eq!(fs::read(&target).unwrap(), b"content");
}

/// Makes a folder read-only. Returns false if this user may write it nevertheless, as root may.
#[cfg(unix)]
fn forbid_writing(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    let is_forbidden = fs::write(folder.join("probe"), "").is_err();
    if !is_forbidden {
        eprintln!("skipped: this user may write each folder");
    }
    is_forbidden
}

#[cfg(unix)]
#[tokio::test]
async fn read_only_folder_is_read_with_and_without_a_writer() {
    let folder = LedgerFolder::new();
    let ledger = open(&folder.path, &folder.clock);
    settle(admit(&ledger, 1).await, tokens(7)).await;
    let is_forbidden = forbid_writing(folder.folder.path());
    assert_eq!(folder.read(&folder.path)[0].ever.spent.tokens, 7);
    end_writer(&ledger).await;
    if is_forbidden {
        assert_eq!(folder.read(&folder.path)[0].ever.spent.tokens, 7);
    }
    fs::set_permissions(folder.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn log_of_a_killed_writer_in_a_read_only_folder_is_reported() {
    let folder = LedgerFolder::new();
    let ledger = open(&folder.path, &folder.clock);
    settle(admit(&ledger, 1).await, tokens(7)).await;
    let copy = copy_files(&folder);
    if forbid_writing(copy.parent().unwrap()) {
        assert!(open_error(&copy).contains("with the right to write the folder"), "{}", open_error(&copy));
    }
    fs::set_permissions(copy.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}
