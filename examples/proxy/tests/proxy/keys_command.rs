//! The subcommand `keys` as a process: the minted key, the edited file, the lock, and the errors.
use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{program, run};
use crate::peer::soon;

/// A file in the style of the documentation.
const WRITTEN_BY_HAND: &str = r#"{ "object": "list",
  "data": [
    { "id": "key_first",  "name": "First",
      "hashes": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                 "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"],
      "models": ["gpt-5-mini*", "gpt-5"], "tools": ["web_search"], "group": "stmary",
      "limits": { "tokens": {"month": 9, "day": 7}, "parallel": 8 } },
    { "id": "key_expired", "name": "Expired", "expires_at": "2025-01-01T00:00:00Z",
      "hashes": ["sha256:fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13"], "models": [] } ],
  "groups": { "stmary": { } }
}
"#;

/// A keys file in a folder of its own.
struct KeysFile {
    folder: TempDir,
    path: PathBuf,
}

impl KeysFile {
    /// A path without a file.
    fn missing() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        Self { folder, path }
    }

    fn with(text: &str) -> Self {
        let file = Self::missing();
        fs::write(&file.path, text).unwrap();
        file
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn keys(&self) -> Vec<Value> {
        let file: Value = serde_json::from_str(&self.text()).unwrap();
        file["data"].as_array().unwrap().clone()
    }

    /// The names of the files in the folder.
    fn folder_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `keys` with these arguments and the path.
    async fn run(&self, arguments: &[&str]) -> Output {
        run(&[&["keys"], arguments, &[self.path.to_str().unwrap()]].concat()).await
    }

    /// Mints a key with these flags, and returns it.
    async fn mint(&self, flags: &[&str]) -> String {
        let output = self.run(&[&["new"], flags].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that a run failed because it could not print the key, and that it changed no file but the lock.
    #[cfg(unix)]
    fn assert_unprinted(&self, output: &Output, reason: &str, names_before: &[String]) {
        let printed = stderr(output);
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(printed.contains("no key was added: ") && printed.contains(reason), "{reason}: {printed}");
        let mut names = self.folder_names();
        names.retain(|name| name != "keys.json.lock");
        assert_eq!(names, names_before, "{reason}");
        assert!(names.is_empty() || self.text() == WRITTEN_BY_HAND, "{reason}");
    }

    /// Runs a shell command, in which `$0 "$@"` mints a key in the file.
    #[cfg(target_os = "linux")]
    async fn mint_in_shell(&self, script: &str) -> Output {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_api-key-name-proxy")]);
        shell.args(["keys", "new", "--name", "Tutor", "--unlimited"]).arg(&self.path);
        soon(shell.env_clear().env("PATH", "/usr/bin:/bin").kill_on_drop(true).output()).await.unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// === new ===

#[tokio::test]
async fn minted_key_is_printed_once_and_not_stored() {
    let file = KeysFile::missing();
    let output = file.run(&["new", "--name", "St Mary's, tutor", "--limit", "tokens/day=200000"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = stdout(&output);
    let secret = printed.strip_suffix('\n').unwrap();
    let digits = secret.strip_prefix("sk-px-").unwrap();
    assert!(digits.len() == 43 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{secret}");
    assert!(!stderr(&output).contains(digits) && !file.text().contains(digits));
    assert!(stderr(&output).contains("key_st_marys_tutor was added"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("sha256:"), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn stored_digest_is_the_sha256_of_the_printed_key() {
    let file = KeysFile::missing();
    let sum = file.mint_in_shell("\"$0\" \"$@\" | tr -d '\\n' | sha256sum").await;
    let digits = stdout(&sum).split(' ').next().unwrap().to_owned();
    assert_eq!(file.keys()[0]["hashes"], json!([format!("sha256:{digits}")]), "{}", stderr(&sum));
}

#[tokio::test]
async fn flags_become_members_of_the_new_entry() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    #[rustfmt::skip]
    let flags = [
        "--name", "Tutor \"A\"", "--id", "key_a", "--group", "stmary", "--expires", "2127-07-31T02:00:00+02:00",
        "--limit", "tokens/day=200000", "--limit", "parallel=8", "--limit", "requests/minute=60",
        "--limit", "tokens/ever=9000000", "--model", "gpt-5-mini*", "--model", "gpt-5", "--tool", "web_search",
    ];
    file.mint(&flags).await;
    let mut entry = file.keys().pop().unwrap();
    let members = entry.as_object_mut().unwrap();
    assert_eq!(members.remove("hashes").unwrap().as_array().unwrap().len(), 1);
    assert!(members.remove("created_at").unwrap().as_i64().unwrap() > 1_700_000_000);
    let expected = json!({
        "id": "key_a", "name": "Tutor \"A\"", "group": "stmary", "expires_at": "2127-07-31T00:00:00Z",
        "limits": {"requests": {"minute": 60}, "tokens": {"day": 200000, "ever": 9000000}, "parallel": 8},
        "models": ["gpt-5-mini*", "gpt-5"], "tools": ["web_search"],
    });
    assert_eq!(entry, expected);
}

#[tokio::test]
async fn unlimited_key_has_no_optional_member() {
    let file = KeysFile::missing();
    file.mint(&["--name", "Tutor", "--unlimited"]).await;
    let key = file.keys().pop().unwrap();
    let members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["created_at", "hashes", "id", "name"]);
}

#[tokio::test]
async fn key_without_a_clear_limit_is_a_usage_error_that_writes_nothing() {
    let file = KeysFile::missing();
    for flags in [
        &["--name", "Tutor"][..],
        &["--name", "Tutor", "--unlimited", "--limit", "parallel=8"],
        &["--name", "Tutor", "--limit", "parallel=8", "--limit", "parallel=9"],
        &["--name", "Tutor", "--limit", "tokens/day=1", "--limit", "tokens/day=1"],
        &["--name", "Tutor", "--limit", "tokens/week=1"],
        &["--name", "Tutor", "--unlimited", "--expires", "2025-01-01T00:00:00Z"],
        &["--name", "Tutor", "--unlimited", "--expires", "tomorrow"],
        &["--unlimited"],
    ] {
        let output = file.run(&[&["new"], flags].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{flags:?}");
        assert!(file.folder_names().is_empty(), "{flags:?}: {:?}", file.folder_names());
    }
}

#[tokio::test]
async fn id_is_derived_from_the_name_with_a_number_if_it_is_taken() {
    let file = KeysFile::missing();
    for _ in 0..3 {
        file.mint(&["--name", "St Mary's, tutor", "--unlimited"]).await;
    }
    let ids: Vec<Value> = file.keys().iter().map(|key| key["id"].clone()).collect();
    assert_eq!(ids, ["key_st_marys_tutor", "key_st_marys_tutor_2", "key_st_marys_tutor_3"]);
}

#[tokio::test]
async fn key_that_does_not_fit_the_file_leaves_it_unchanged() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    for (flags, reason) in [
        (
            &["--name", "A", "--id", "key_first", "--unlimited"][..],
            "--id key_first: the file has a key with this id",
        ),
        (&["--name", "A", "--group", "other", "--unlimited"], "--group other: the file has no such group"),
        (
            &["--name", "A", "--group", "sk-proj-0123456789abcdefghij", "--unlimited"],
            "--group (hidden): the file has no such group",
        ),
        (&["--name", "sk-proj-0123456789abcdefghij", "--unlimited"], "looks like a secret API key"),
        (&["--name", " ", "--unlimited"], "the edited file would be invalid: line "),
        (&["--name", "A", "--limit", "dollars/day=1.50"], "the edited file would be invalid: line "),
    ] {
        let output = file.run(&[&["new"], flags].concat()).await;
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{flags:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("0123456789"), "{flags:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{flags:?}");
        assert_eq!(file.text(), WRITTEN_BY_HAND, "{flags:?}");
        assert_eq!(file.folder_names(), ["keys.json", "keys.json.lock"], "{flags:?}");
    }
}

#[tokio::test]
async fn file_is_edited_and_listed_without_its_real_keys() {
    let file = KeysFile::with(
        r#"{"data":[],"upstreams":{"a":{"provider":"openai","key_env":"NOT_SET"},"b":{"provider":"openai","key_file":"/missing"}}}"#,
    );
    file.mint(&["--name", "Tutor", "--unlimited"]).await;
    let list = file.run(&["list"]).await;
    assert!(stdout(&list).contains("key_tutor"), "{}", stderr(&list));
    let revocation = file.run(&["revoke", "key_tutor"]).await;
    assert_eq!(revocation.status.code(), Some(0), "{}", stderr(&revocation));
}

#[tokio::test]
async fn new_entry_is_the_only_change_of_a_file_written_by_hand() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    file.mint(&["--name", "Tutor", "--unlimited"]).await;
    let edited = file.text();
    let (before, after) = WRITTEN_BY_HAND.split_once(" ],\n  \"groups\"").unwrap();
    let inserted = edited.strip_prefix(before).unwrap().split_once(" ],\n  \"groups\"").unwrap();
    assert_eq!(inserted.1, after);
    let start =
        ",\n    {\n      \"id\": \"key_tutor\",\n      \"name\": \"Tutor\",\n      \"hashes\": [\"sha256:";
    assert!(inserted.0.starts_with(start) && inserted.0.ends_with("\n    }"), "{}", inserted.0);
}

#[tokio::test]
async fn missing_file_is_created_with_a_message() {
    let file = KeysFile::missing();
    let first = file.run(&["new", "--name", "A", "--unlimited"]).await;
    assert!(stderr(&first).contains("keys.json did not exist: it was created\n"), "{}", stderr(&first));
    assert!(
        file.text().starts_with("{\n  \"object\": \"list\",\n  \"data\": [\n    {\n      \"id\": \"key_a\",")
    );
    let second = file.run(&["new", "--name", "B", "--unlimited"]).await;
    assert!(!stderr(&second).contains("created"), "{}", stderr(&second));
    assert_eq!(file.keys().len(), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn key_that_cannot_be_printed_is_not_stored() {
    for (script, reason) in [
        ("\"$0\" \"$@\" >&-", "standard output is closed, or is /dev/null"),
        ("\"$0\" \"$@\" >/dev/null", "standard output is closed, or is /dev/null"),
        ("\"$0\" \"$@\" >/dev/full", "No space left on device"),
        ("\"$0\" \"$@\" 1</dev/zero", "Bad file descriptor"),
    ] {
        for file in [KeysFile::missing(), KeysFile::with(WRITTEN_BY_HAND)] {
            let names = file.folder_names();
            let output = file.mint_in_shell(script).await;
            file.assert_unprinted(&output, reason, &names);
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn key_for_a_pipe_without_a_reader_is_not_stored() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    let names = file.folder_names();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = tokio::process::Command::from(program());
    command.args(["keys", "new", "--name", "Tutor", "--unlimited"]).arg(&file.path);
    let child = command.stdout(writer).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let output = soon(child.wait_with_output()).await.unwrap();
    file.assert_unprinted(&output, "Broken pipe", &names);
}

// === list ===

#[tokio::test]
async fn table_has_a_line_for_each_key_without_digests() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    let output = file.run(&["list"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    #[rustfmt::skip]
    let expected = "\
id           name     group   state                               digests  limits                                 models
key_first    First    stmary  active                              2        tokens/day=7 tokens/month=9 parallel=8  gpt-5-mini*,gpt-5
key_expired  Expired  -       expired since 2025-01-01T00:00:00Z  1        none                                   none
";
    let normalize = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(normalize(&stdout(&output)), normalize(expected));
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    let column = lines[0].find("limits").unwrap();
    assert!(
        lines[1][column..].starts_with("tokens/day") && lines[2][column..].starts_with("none"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn json_list_has_the_members_of_each_key_without_digests() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    let output = file.run(&["list", "--json"]).await;
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({"object": "list", "data": [
        {
            "id": "key_first", "name": "First", "group": "stmary", "state": "active", "expires_at": null,
            "digests": 2, "limits": {"tokens": {"day": 7, "month": 9}, "parallel": 8},
            "models": ["gpt-5-mini*", "gpt-5"], "tools": ["web_search"],
        },
        {
            "id": "key_expired", "name": "Expired", "group": null, "state": "expired",
            "expires_at": "2025-01-01T00:00:00Z", "digests": 1, "limits": {}, "models": [], "tools": null,
        },
    ]});
    assert_eq!(list, expected);
}

#[tokio::test]
async fn listed_limits_are_accepted_as_flags() {
    let file = KeysFile::missing();
    file.mint(&["--name", "A", "--limit", "requests/hour=1", "--limit", "parallel=2"]).await;
    let output = file.run(&["list"]).await;
    assert!(stdout(&output).contains("  requests/hour=1 parallel=2  all\n"), "{}", stdout(&output));
}

#[tokio::test]
async fn control_characters_are_not_printed_in_a_table() {
    let text = WRITTEN_BY_HAND.replace("\"First\"", "\"a\u{202e}b\"");
    let output = KeysFile::with(&text).run(&["list"]).await;
    assert!(stdout(&output).contains(r"a\u{202e}b"), "{}", stdout(&output));
}

// === revoke ===

#[tokio::test]
async fn revocation_empties_only_the_digests() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    let output = file.run(&["revoke", "key_first"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (before, rest) = WRITTEN_BY_HAND.split_once("[\"sha256:").unwrap();
    let (_, after) = rest.split_once("\"],").unwrap();
    assert_eq!(file.text(), format!("{before}[],{after}"));
    let list = file.run(&["list"]).await;
    assert!(stdout(&list).contains("stmary  revoked "), "{}", stdout(&list));
}

#[tokio::test]
async fn second_revocation_is_a_success_that_writes_nothing() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    file.run(&["revoke", "key_first"]).await;
    let text = file.text();
    let output = file.run(&["revoke", "key_first"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("key_first is revoked already"), "{}", stderr(&output));
    assert_eq!(file.text(), text);
}

#[tokio::test]
async fn revocation_of_an_unknown_id_suggests_the_list() {
    let file = KeysFile::with(WRITTEN_BY_HAND);
    // A name is no id, because two keys can have the same name.
    for id in ["key_other", "First", "", "sk-px-secret"] {
        let output = file.run(&["revoke", id]).await;
        assert_eq!(output.status.code(), Some(1), "{id}: {}", stderr(&output));
        assert!(stderr(&output).contains("`api-key-name-proxy keys list "), "{id}: {}", stderr(&output));
        assert!(!stderr(&output).contains("sk-px-"), "{id}: {}", stderr(&output));
        assert_eq!(file.text(), WRITTEN_BY_HAND, "{id}");
    }
}

// === the file ===

#[tokio::test]
async fn invalid_file_is_rejected_with_its_position_and_unchanged() {
    let text = WRITTEN_BY_HAND.replace("\"tools\"", "\"sk-tools\"");
    let file = KeysFile::with(&text);
    for arguments in [&["new", "--name", "A", "--unlimited"][..], &["list"], &["revoke", "key_first"]] {
        let output = file.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        let start = format!("error: {}: line 6, column ", file.path.display());
        assert!(stderr(&output).starts_with(&start), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert_eq!(file.text(), text, "{arguments:?}");
    }
}

#[tokio::test]
async fn missing_file_cannot_be_listed_or_edited() {
    let file = KeysFile::missing();
    for arguments in [&["list"][..], &["revoke", "key_first"]] {
        let output = file.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        assert!(file.folder_names().is_empty(), "{arguments:?}: {:?}", file.folder_names());
    }
}

#[tokio::test]
async fn folder_in_place_of_a_file_is_rejected_without_a_lock() {
    let file = KeysFile::missing();
    fs::create_dir(&file.path).unwrap();
    let output = file.run(&["new", "--name", "A", "--unlimited"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).ends_with("keys.json: this is not a regular file\n"), "{}", stderr(&output));
    assert_eq!(file.folder_names(), ["keys.json"]);
}

#[tokio::test]
async fn concurrent_runs_each_add_their_key() {
    const COUNT: usize = 8;
    let file = KeysFile::missing();
    let mut children = Vec::new();
    for _ in 0..COUNT {
        let mut command = tokio::process::Command::from(program());
        command.args(["keys", "new", "--name", "Tutor", "--unlimited"]).arg(&file.path);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        children.push(command.spawn().unwrap());
    }
    for child in children {
        let output = soon(child.wait_with_output()).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let mut ids: Vec<String> = file.keys().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    let expected: Vec<String> = (1..=COUNT)
        .map(|number| if number == 1 { "key_tutor".to_owned() } else { format!("key_tutor_{number}") })
        .collect();
    assert_eq!(ids, expected);
    assert_eq!(file.folder_names(), ["keys.json", "keys.json.lock"]);
}

#[tokio::test]
async fn run_waits_for_the_lock_of_the_file() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let file = KeysFile::with(WRITTEN_BY_HAND);
    let lock = fs::File::create(file.folder.path().join("keys.json.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = tokio::process::Command::from(program());
    command.args(["keys", "revoke", "key_first"]).arg(&file.path);
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = soon(lines.next_line()).await.unwrap().unwrap();
    assert!(line.starts_with("waiting for another run of `keys`"), "{line}");
    assert_eq!(file.text(), WRITTEN_BY_HAND);
    lock.unlock().unwrap();
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(0));
    assert_ne!(file.text(), WRITTEN_BY_HAND);
}

#[cfg(unix)]
mod permissions {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    fn mode(file: &KeysFile) -> u32 {
        fs::metadata(&file.path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn new_file_is_private_and_an_existing_file_keeps_its_mode() {
        let file = KeysFile::missing();
        file.mint(&["--name", "A", "--unlimited"]).await;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(fs::metadata(file.folder.path().join("keys.json.lock")).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o640)).unwrap();
        file.mint(&["--name", "B", "--unlimited"]).await;
        assert_eq!(mode(&file), 0o640);
    }

    #[tokio::test]
    async fn existing_file_keeps_its_owner_and_group() {
        let file = KeysFile::with(WRITTEN_BY_HAND);
        // Only a privileged user can give a file away.
        if chown(&file.path, Some(1), Some(2)).is_err() {
            return;
        }
        file.mint(&["--name", "A", "--unlimited"]).await;
        let metadata = fs::metadata(&file.path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1, 2));
    }

    #[tokio::test]
    async fn folder_that_cannot_be_written_is_an_error_before_the_key_is_printed() {
        let file = KeysFile::with(WRITTEN_BY_HAND);
        fs::set_permissions(file.folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
        // A privileged user can write into each folder.
        if fs::write(file.folder.path().join("probe"), "").is_ok() {
            return;
        }
        let output = file.run(&["new", "--name", "A", "--unlimited"]).await;
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("keys.json.lock: Permission denied"), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
        assert_eq!(file.text(), WRITTEN_BY_HAND);
    }

    #[tokio::test]
    async fn symbolic_link_is_kept_and_its_target_is_edited_under_one_lock() {
        let file = KeysFile::with(WRITTEN_BY_HAND);
        let inner = file.folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let link = inner.join("link.json");
        symlink("../keys.json", &link).unwrap();
        let output = run(&["keys", "revoke", "key_first", link.to_str().unwrap()]).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_ne!(file.text(), WRITTEN_BY_HAND);
        assert_eq!(file.folder_names(), ["inner", "keys.json", "keys.json.lock"]);
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    }
}
