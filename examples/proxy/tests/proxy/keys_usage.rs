//! The commands `keys usage` and `keys backup` as processes, beside the writer of the ledger.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower_api_key_name::proxy_keys::{Ledger, LedgerReader};

use crate::binary::run;

/// Keys with and without limits, a revoked key with use, and one without.
const KEYS: &str = r#"{ "object": "list",
  "data": [
    { "id": "key_limited", "name": "Tutor",
      "hashes": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
      "group": "stmary",
      "limits": { "tokens": {"day": 2000, "ever": 500}, "parallel": 120 } },
    { "id": "key_free", "name": "Reports",
      "hashes": ["sha256:fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13"] },
    { "id": "key_old", "name": "Old", "hashes": [] },
    { "id": "key_unused", "name": "Unused", "hashes": [] } ],
  "groups": { "stmary": { "limits": { "requests": {"month": 200} } } }
}
"#;

/// A folder with a keys file and a ledger, which this process writes.
struct LedgerFolder {
    folder: TempDir,
    keys: PathBuf,
    ledger: PathBuf,
    /// The writer of the ledger.
    writer: Ledger,
}

impl LedgerFolder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.json");
        let ledger = folder.path().join("ledger.sqlite");
        fs::write(&keys, KEYS).unwrap();
        let writer = Ledger::open(&ledger).unwrap();
        Self { folder, keys, ledger, writer }
    }

    fn connect(&self) -> Connection {
        Connection::open(&self.ledger).unwrap()
    }

    /// Adds the counters of all windows of an owner. The amounts are requests, tokens and picodollars.
    fn add_counters(&self, kind: &str, id: &str, spent: [u64; 3], reserved: [u64; 3]) {
        let starts = [
            ("minute", "unixepoch() / 60 * 60"),
            ("hour", "unixepoch() / 3600 * 3600"),
            ("day", "unixepoch('now', 'start of day')"),
            ("month", "unixepoch('now', 'start of month')"),
            ("ever", "0"),
        ];
        for (window, start) in starts {
            let statement =
                format!("INSERT INTO counters VALUES (?, ?, '{window}', {start}, ?, ?, ?, ?, ?, ?)");
            let [requests, tokens, picodollars] = spent;
            let values =
                params![kind, id, requests, tokens, picodollars, reserved[0], reserved[1], reserved[2]];
            self.connect().execute(&statement, values).unwrap();
        }
    }

    /// Adds the counters of the keys in the file, and of one that the file does not contain.
    fn add_use(&self) {
        self.add_counters("key", "key_limited", [7, 600, 0], [100, 500, 1_000_000]);
        self.add_counters("group", "stmary", [40, 600, 0], [100, 500, 1_000_000]);
        self.add_counters("key", "key_free", [3, 900, 1_250_000_000_001], [0, 0, 0]);
        self.add_counters("key", "key_old", [1, 10, 0], [0, 0, 0]);
        self.add_counters("key", "key_deleted", [2, 20, 0], [0, 0, 0]);
    }

    /// Adds calls in flight, as the writer does.
    fn add_open_calls(&self, count: u64) {
        let connection = self.connect();
        for id in 1..=count {
            let insert = "INSERT INTO reservations VALUES (?, 0, 'key_limited', 'stmary', 'openai', '/v1', 'm', 5, 10)";
            connection.execute(insert, [id]).unwrap();
        }
    }

    fn count_rows(&self, path: &Path, table: &str) -> u64 {
        let connection = Connection::open(path).unwrap();
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    async fn usage(&self, flags: &[&str]) -> Output {
        let arguments =
            ["keys", "usage", "--ledger", self.ledger.to_str().unwrap(), self.keys.to_str().unwrap()];
        run(&[&arguments, flags].concat()).await
    }

    async fn backup(&self, target: &Path) -> Output {
        run(&["keys", "backup", "--ledger", self.ledger.to_str().unwrap(), target.to_str().unwrap()]).await
    }
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// === usage ===

#[tokio::test]
async fn limits_are_printed_with_the_used_reserved_and_remaining_amounts() {
    let folder = LedgerFolder::new();
    folder.add_use();
    let printed = stdout(&folder.usage(&[]).await);
    #[rustfmt::skip]
    let expected = "\
key          name     state    in flight  counter         limit  used            reserved  left
key_limited  Tutor    active   100        tokens/day      2000   600             500       900
                                          tokens/ever     500    600             500       0
                                          parallel        120    100             0         20
key_free     Reports  active   0          requests/day    -      3               0         -
                                          tokens/day      -      900             0         -
                                          dollars/day     -      1.250000000001  0.00      -
                                          requests/month  -      3               0         -
                                          tokens/month    -      900             0         -
                                          dollars/month   -      1.250000000001  0.00      -
key_old      Old      revoked  0          requests/day    -      1               0         -
";
    assert!(printed.starts_with(expected), "{printed}");
    assert!(printed.contains("\nkey_deleted  -        removed  0          requests/day"), "{printed}");
    assert!(!printed.contains("key_unused"), "{printed}");
    let groups = "

group   state   in flight  counter         limit  used  reserved  left
stmary  active  100        requests/month  200    40    100       60
";
    assert!(printed.ends_with(groups), "{printed}");
}

#[tokio::test]
async fn json_of_the_use_has_counts_as_numbers_and_dollars_as_text() {
    let folder = LedgerFolder::new();
    folder.add_use();
    let report: Value = serde_json::from_str(&stdout(&folder.usage(&["--json"]).await)).unwrap();
    let ids: Vec<&Value> = report["data"].as_array().unwrap().iter().map(|key| &key["id"]).collect();
    assert_eq!(ids, ["key_limited", "key_free", "key_old", "key_deleted"]);
    assert_eq!(
        report["data"][1]["counters"][2],
        json!({"meter": "dollars", "window": "day", "limit": null, "used": "1.250000000001", "reserved": "0.00", "left": null})
    );
    let group = json!({
        "id": "stmary", "state": "active", "calls_in_flight": 100,
        "counters": [{"meter": "requests", "window": "month", "limit": 200, "used": 40, "reserved": 100, "left": 60}],
    });
    assert_eq!(report["groups"], json!([group]));
}

#[tokio::test]
async fn open_calls_of_a_writer_stay_open_and_its_file_unchanged() {
    let folder = LedgerFolder::new();
    folder.add_use();
    folder.add_open_calls(100);
    let transaction = folder.connect();
    // The command neither waits for a write transaction nor stops it.
    transaction.execute_batch("BEGIN IMMEDIATE; DELETE FROM reservations").unwrap();
    let printed = stdout(&folder.usage(&[]).await);
    assert!(printed.contains("key_limited  Tutor    active   100 "), "{printed}");
    transaction.execute_batch("ROLLBACK").unwrap();
    assert_eq!(folder.count_rows(&folder.ledger, "reservations"), 100);
    assert_eq!(folder.count_rows(&folder.ledger, "usage"), 0);
}

#[tokio::test]
async fn ledger_is_read_after_its_writer_has_ended() {
    let folder = LedgerFolder::new();
    folder.add_use();
    let LedgerFolder { folder, keys, ledger, writer } = folder;
    drop(writer);
    let output = run(&["keys", "usage", keys.to_str().unwrap(), "--ledger", ledger.to_str().unwrap()]).await;
    assert!(stdout(&output).contains("key_free"), "{}", stderr(&output));
    drop(folder);
}

#[tokio::test]
async fn file_that_is_no_ledger_is_an_error_with_its_path() {
    let folder = LedgerFolder::new();
    for (name, reason) in [("missing.sqlite", "No such file"), ("keys.json", "not a database")] {
        let path = folder.folder.path().join(name);
        let path = path.to_str().unwrap();
        let output = run(&["keys", "usage", "--ledger", path, folder.keys.to_str().unwrap()]).await;
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains(path) && stderr(&output).contains(reason), "{}", stderr(&output));
    }
}

// === backup ===

#[tokio::test]
async fn backup_beside_a_writer_is_a_ledger_with_the_same_counters() {
    let folder = LedgerFolder::new();
    folder.add_use();
    let target = folder.folder.path().join("copy.sqlite");
    let output = folder.backup(&target).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let usage_of = |path: &Path| LedgerReader::open(path).unwrap().usage().unwrap();
    let copied = usage_of(&target);
    assert_eq!(copied.keys.len(), 4);
    assert_eq!(copied.keys["key_free"].ever, usage_of(&folder.ledger).keys["key_free"].ever);
    // The copy is a ledger of its own beside the open one.
    let writer = Ledger::open(&target).unwrap();
    assert_eq!(usage_of(&target).groups["stmary"].ever, copied.groups["stmary"].ever);
    drop((writer, folder.writer));
}

#[cfg(unix)]
#[tokio::test]
async fn new_backup_has_mode_0600_and_leaves_no_other_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = LedgerFolder::new();
    let target_folder = tempfile::tempdir().unwrap();
    let target = target_folder.path().join("copy.sqlite");
    folder.backup(&target).await;
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(target_folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn backup_replaces_an_earlier_one() {
    let folder = LedgerFolder::new();
    let target = folder.folder.path().join("copy.sqlite");
    folder.backup(&target).await;
    folder.add_open_calls(100);
    let output = folder.backup(&target).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(folder.count_rows(&target, "reservations"), 100);
}

#[tokio::test]
async fn backup_onto_a_database_in_use_is_rejected() {
    let folder = LedgerFolder::new();
    let used = folder.folder.path().join("used.sqlite");
    let writer = Ledger::open(&used).unwrap();
    for (target, reason) in [
        (&folder.ledger, "this is the ledger itself"),
        (&used, "a program uses this database"),
        (&folder.folder.path().to_owned(), "this is not a regular file"),
    ] {
        let output = folder.backup(target).await;
        assert_eq!(output.status.code(), Some(1), "{target:?}");
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
    drop(writer);
}
