//! Ledger files: the lock, the schema, readers, recovery, crashes and full disks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::{TestClock, end_writer, group, key, open, open_store, request, tokens};
use crate::proxy_keys::keys::{Limits, ProxyKey};
use crate::proxy_keys::ledger::call::OpenCall;
use crate::proxy_keys::ledger::sqlite::{APPLICATION_ID, SqliteStore};
use crate::proxy_keys::ledger::store::LedgerChanges;
use crate::proxy_keys::ledger::writer::Writer;
use crate::proxy_keys::ledger::{AdmissionError, Charge, Ledger, LedgerStore, Settlement};

fn clock() -> TestClock {
    TestClock::at("2026-07-15T13:45:45Z")
}

fn unlimited_key() -> Arc<ProxyKey> {
    key("k", Limits::default(), Some(&group("g", Limits::default())))
}

async fn call(ledger: &Ledger, actual: Charge) {
    let reservation = ledger.admit(request(&unlimited_key(), tokens(5))).await.unwrap();
    reservation.settle(Settlement { actual, ..Settlement::default() }).await.unwrap();
}

/// Returns the message of an error, without the directory of the test.
///
/// Tries again while the lock is held: a child process that another test starts has a copy of it for a moment.
fn open_error(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let message = first_open_error(path);
        if !message.contains("another process writes it") || Instant::now() > deadline {
            return message;
        }
        std::thread::yield_now();
    }
}

/// Returns the error of opening a ledger, without the directory.
fn first_open_error(path: &Path) -> String {
    let message = Ledger::open(path).expect_err("the ledger cannot be opened").to_string();
    let directory = path.parent().unwrap();
    let real_directory = directory.canonicalize().unwrap();
    message
        .replace(&format!("{}/", real_directory.display()), "")
        .replace(&format!("{}/", directory.display()), "")
}

#[tokio::test]
async fn settled_calls_are_in_the_file_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let ledger = open(&path, &clock());
    call(&ledger, tokens(7)).await;
    let before = ledger.read(|store| store.usage_rows().unwrap()).await.unwrap();
    drop(ledger);
    let ledger = open(&path, &clock());
    call(&ledger, tokens(8)).await;
    let after = ledger.read(|store| store.usage_rows().unwrap()).await.unwrap();
    assert_eq!((before.len(), after.len()), (1, 2));
    assert_eq!(after[0], before[0]);
    assert!(after[1].id > after[0].id);
}

#[cfg(unix)]
#[tokio::test]
async fn files_of_a_new_ledger_have_mode_0600() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("ledger.sqlite"), &clock());
    call(&ledger, tokens(7)).await;
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite.lock"] {
        let mode = directory.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn second_writer_of_a_ledger_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let ledger = Ledger::open(&path).unwrap();
    let message = "cannot open the ledger ledger.sqlite: another process writes it and has locked ledger.sqlite.lock: \
                   stop that process first";
    assert_eq!(first_open_error(&path), message);
    #[cfg(unix)]
    {
        let link = directory.path().join("link.sqlite");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(first_open_error(&link).contains("another process writes it"));
    }
    call(&ledger, tokens(1)).await;
}

#[tokio::test]
async fn reader_sees_the_commits_of_a_running_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let ledger = Ledger::open(&path).unwrap();
    let open_call = ledger.admit(request(&unlimited_key(), tokens(5))).await.unwrap();
    let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    // A read transaction keeps its state, and does not stop the writer.
    reader.execute_batch("BEGIN").unwrap();
    let count = |table: &str| -> u32 {
        reader.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("usage"), count("reservations")), (0, 1));
    call(&ledger, tokens(1)).await;
    assert_eq!((count("usage"), count("reservations")), (0, 1));
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!((count("usage"), count("reservations")), (1, 1));
    drop(open_call);
}

#[tokio::test]
async fn calls_of_a_former_process_are_settled_as_estimates_in_their_windows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let clock = clock();
    let ledger = open(&path, &clock);
    let reservation = ledger.admit(request(&unlimited_key(), tokens(5))).await.unwrap();
    end_writer(&ledger).await;
    drop(reservation);
    clock.advance(86_400);
    let ledger = open(&path, &clock);
    let rows = ledger.read(|store| store.usage_rows().unwrap()).await.unwrap();
    assert_eq!((rows.len(), rows[0].is_estimated, rows[0].charge), (1, true, tokens(5)));
    let days = "SELECT count(*), total(spent_tokens), total(reserved_tokens) FROM counters
                WHERE window = 'day' AND start = unixepoch('2026-07-15')";
    let counters: (u32, f64, f64) = Connection::open(&path)
        .unwrap()
        .query_row(days, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    assert_eq!(counters, (2, 10.0, 0.0), "one counter of the key and one of the group");
}

#[test]
fn file_of_a_later_version_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    connection.pragma_update(None, "user_version", 4).unwrap();
    let message = "cannot open the ledger ledger.sqlite: it has version 4, and this program supports up to 3: use a newer \
                   program";
    assert_eq!(open_error(&path), message);
}

#[test]
fn file_of_another_program_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    assert!(open_error(&path).contains("it is a database of another program"));
    // A second path, because a child process of another test may keep the lock of the first for a moment.
    let path = directory.path().join("text.sqlite");
    std::fs::write(&path, [b'x'; 4096]).unwrap();
    assert!(open_error(&path).contains("file is not a database"));
}

#[test]
fn directory_that_does_not_exist_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing").join("ledger.sqlite");
    let message = Ledger::open(&path).expect_err("the directory is missing").to_string();
    assert!(message.ends_with("No such file or directory (os error 2)"), "{message}");
}

#[tokio::test]
async fn ledger_that_becomes_read_only_admits_no_call() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("ledger.sqlite")).unwrap();
    store.connection.pragma_update(None, "query_only", true).unwrap();
    let ledger = Ledger::start(Writer::new(Box::new(store), clock().boxed()));
    let Err(AdmissionError::Unavailable(error)) = ledger.admit(request(&unlimited_key(), tokens(5))).await
    else {
        panic!("the file is read-only");
    };
    assert_eq!(error.to_string(), "attempt to write a readonly database");
}

#[test]
fn file_that_is_writable_again_begins_a_new_batch() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&directory.path().join("ledger.sqlite")).unwrap();
    let call = OpenCall {
        id: 1,
        admitted_at: clock().now(),
        key_id: "k".into(),
        group_id: None,
        info: request(&unlimited_key(), tokens(5)).info,
        reserved: tokens(5),
    };
    let changes = LedgerChanges { admitted: vec![Arc::new(call)], ..LedgerChanges::default() };
    store.begin().unwrap();
    store.connection.pragma_update(None, "query_only", true).unwrap();
    assert!(store.commit(&changes).is_err());
    store.connection.pragma_update(None, "query_only", false).unwrap();
    store.begin().unwrap();
    store.commit(&changes).unwrap();
    assert_eq!(store.open_calls().unwrap(), changes.admitted);
}

#[test]
fn commit_without_changes_writes_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&directory.path().join("ledger.sqlite")).unwrap();
    store.begin().unwrap();
    store.commit(&LedgerChanges::default()).unwrap();
    store.begin().unwrap();
    store.connection.pragma_update(None, "query_only", true).unwrap();
    assert!(store.commit(&LedgerChanges::default()).is_err());
}

#[test]
fn commit_of_a_writer_is_synced_to_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("ledger.sqlite")).unwrap();
    let journal: String =
        store.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    let synchronous: u32 =
        store.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    // 2 is `FULL`. A kill of the process does not show the difference to `NORMAL`.
    assert_eq!((journal.as_str(), synchronous), ("wal", 2));
}

/// The state of a file after the recovery of a ledger.
struct FileState {
    /// The charged tokens of each call, by its id.
    rows: BTreeMap<u64, u64>,
    open_call_count: usize,
    /// Of the key and of its group, in all windows `ever`.
    spent: [u64; 2],
    reserved: u64,
}

/// Opens a ledger, which settles the calls of the last process, and reads its state.
async fn recover(path: &Path) -> FileState {
    let ledger = open(path, &clock());
    let read = |store: &mut dyn LedgerStore| {
        let rows = store.usage_rows().unwrap();
        (rows.iter().map(|row| (row.id, row.charge.tokens)).collect(), store.open_calls().unwrap().len())
    };
    let (rows, open_call_count) = ledger.read(read).await.unwrap();
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sum = |query: &str| connection.query_row(query, [], |row| row.get::<_, u64>(0)).unwrap();
    let spent = |kind: &str| {
        sum(&format!(
            "SELECT ifnull(sum(spent_tokens), 0) FROM counters WHERE window = 'ever' AND owner_kind = '{kind}'"
        ))
    };
    let reserved =
        "SELECT ifnull(sum(reserved_requests + reserved_tokens + reserved_picodollars), 0) FROM counters";
    drop(ledger);
    // The next process can open the file.
    drop(open_store(path));
    FileState { rows, open_call_count, spent: [spent("key"), spent("group")], reserved: sum(reserved) }
}

/// Checks that a file contains each acknowledged settlement, no reservation, and counters equal to its rows.
fn check_state(state: &FileState, acknowledged: &BTreeMap<u64, u64>) {
    for (id, tokens) in acknowledged {
        assert_eq!(state.rows.get(id), Some(tokens), "the row of call {id}");
    }
    let sum: u64 = state.rows.values().sum();
    assert_eq!((state.open_call_count, state.reserved, state.spent), (0, 0, [sum, sum]));
}

/// The name of the variable that contains the path of the ledger for the child process.
const PATH_VARIABLE: &str = "LEDGER_TEST_PATH";

/// Starts this test program as a child process that makes calls. The shell command runs it as `"$@"`.
fn start_child(path: &Path, shell_command: &str) -> Child {
    let name = "proxy_keys::ledger::tests::files::calls_in_a_child_process_are_reported";
    Command::new("sh")
        .args(["-c", shell_command, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(PATH_VARIABLE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Parses the report of a settled call: its id and tokens. Returns `None` for another line.
fn parse_report(line: &str) -> Option<(u64, u64)> {
    let (_, report) = line.split_once("settled ")?;
    let (id, tokens) = report.split_once(' ')?;
    Some((id.parse().unwrap(), tokens.parse().unwrap()))
}

/// Makes calls until the process is killed or the ledger is unavailable, and prints each settled call.
async fn make_calls(ledger: Ledger) {
    for count in 0_u64.. {
        let reservation = match ledger.admit(request(&unlimited_key(), tokens(5))).await {
            Ok(reservation) => reservation,
            Err(_) => return,
        };
        let id = reservation.id().unwrap();
        let settlement = Settlement { actual: tokens(count % 9), ..Settlement::default() };
        if reservation.settle(settlement).await.is_ok() {
            println!("settled {id} {}", count % 9);
        }
    }
}

#[tokio::test]
#[ignore = "started by the tests below as a child process"]
async fn calls_in_a_child_process_are_reported() {
    let Some(path) = std::env::var_os(PATH_VARIABLE) else { return };
    let ledger = Ledger::open(path).unwrap();
    let mut callers = Vec::new();
    for _ in 0..4 {
        callers.push(tokio::spawn(make_calls(ledger.clone())));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    // The ledger is unavailable now, and admits no further call.
    for _ in 0..10 {
        let result = ledger.admit(request(&unlimited_key(), tokens(5))).await;
        assert!(matches!(result, Err(AdmissionError::Unavailable(_))));
    }
    println!("unavailable to the end");
}

#[cfg(unix)]
#[tokio::test]
async fn acknowledged_settlements_survive_a_kill_at_any_point() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let mut acknowledged = BTreeMap::new();
    for round in 0..100 {
        let mut child = start_child(&path, "exec \"$@\"");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The child is killed after another number of reports in each round. It continues while the reports are read.
        for _ in 0..(round * 7) % 31 {
            acknowledged.extend(lines.next().and_then(|line| parse_report(&line.unwrap())));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // The rest of the pipe was printed before the kill. The last line may be incomplete.
        for line in lines {
            if let Some((id, tokens)) = parse_report(&line.unwrap()) {
                acknowledged.insert(id, tokens);
            }
        }
        let state = recover(&path).await;
        check_state(&state, &acknowledged);
    }
    assert!(acknowledged.len() > 200, "only {} calls were made", acknowledged.len());
}

#[cfg(unix)]
#[tokio::test]
async fn full_disk_admits_no_call_and_loses_no_settlement() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    // A limit of the file size fails a write with `EFBIG`, because the signal is ignored.
    let child = start_child(&path, "trap '' XFSZ; ulimit -f 1000; exec \"$@\"");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("unavailable to the end"), "{text}");
    let acknowledged: BTreeMap<u64, u64> = text.lines().filter_map(parse_report).collect();
    assert!(acknowledged.len() > 10, "{text}");
    check_state(&recover(&path).await, &acknowledged);
}
