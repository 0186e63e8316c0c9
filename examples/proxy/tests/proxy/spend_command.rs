//! The subcommand `spend` as a process: streams, exit codes, output files, and the environment.
use std::fs;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;

use crate::binary::{program, run};
use crate::peer::{Upstream, json, listen, soon};

/// Runs the subcommand with the demo for three days.
async fn run_demo(arguments: &[&str]) -> Output {
    let days = ["spend", "--demo", "--from", "2025-11-28", "--to", "2025-11-30"];
    run(&[&days[..], arguments].concat()).await
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the base URL of a port that no server uses.
async fn unused_base() -> String {
    let (listener, address) = listen().await;
    drop(listener);
    format!("http://{address}")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn standard_error_that_is_full_does_not_change_the_exit_code() {
    for (arguments, code) in
        [(&["spend"][..], 2), (&["spend", "--demo", "--format", "csv"], 0), (&["sync", "--base-url", "x"], 1)]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = tokio::process::Command::from(program());
        command.args(arguments).stderr(full).stdout(Stdio::null()).kill_on_drop(true);
        let status = soon(command.status()).await.unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[tokio::test]
async fn output_that_cannot_be_written_exits_with_1_before_the_first_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/spend.csv");
    let base = unused_base().await;
    let mut command = tokio::process::Command::from(program());
    command.args(["spend", "--openai-base-url", &base, "--output"]).arg(&path).kill_on_drop(true);
    // A request would fail, and would be retried for longer than this test waits.
    let output = soon(command.env("OPENAI_ADMIN_KEY", "sk-test").output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let start = format!("error: --output {}: ", path.display());
    assert!(stderr(&output).starts_with(&start), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn output_to_a_descriptor_follows_the_text_before_it() {
    let expected = run_demo(&["--format", "csv"]).await.stdout;
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real.csv");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/dev/stdout", &link).unwrap();
    for (output, redirection) in [
        ("/dev/stdout", ">&3"),
        ("/dev/fd/1", ">&3"),
        ("/proc/self/fd/1", ">&3"),
        ("/dev/stderr", "2>&3"),
        ("/dev/fd/3", ""),
        (link.to_str().unwrap(), ">&3"),
    ] {
        let script = format!(
            "exec 3>\"$2\"; echo before >&3; \"$0\" spend --demo --from 2025-11-28 --to 2025-11-30 --format csv \
             --output \"$1\" {redirection}"
        );
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_api-key-name-proxy"), output]).arg(&real);
        let status = soon(shell.env_clear().stderr(Stdio::null()).status()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{output}");
        let text = fs::read_to_string(&real).unwrap();
        assert!(text.starts_with("before\n"), "{output}: {text}");
        // Standard error has the progress before the result.
        assert!(text.as_bytes().ends_with(&expected), "{output}: {text}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn pipe_that_its_reader_has_closed_is_a_success() {
    for output in ["/dev/stdout", "/dev/fd/1", "/dev/fd/3"] {
        let script =
            "{ { \"$0\" spend --demo --format json --output \"$1\" 3>&1; echo $? >&4; } | true; } 4>&1";
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_api-key-name-proxy"), output]);
        let output = soon(shell.env_clear().output()).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{}", stderr(&output));
    }
}

#[tokio::test]
async fn file_is_unchanged_if_no_costs_could_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spend.csv");
    fs::write(&path, "old").unwrap();
    let upstream = Upstream::answering(|_| {
        let mut response = json("{}");
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    })
    .await;
    let mut command = tokio::process::Command::from(program());
    command
        .args(["spend", "--format", "focus", "--openai-base-url", &upstream.base(), "--output"])
        .arg(&path)
        .env("OPENAI_ADMIN_KEY", "sk-test")
        .kill_on_drop(true);
    let output = soon(command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    let sentence = format!("{} is unchanged, because no costs could be read", path.display());
    assert!(stderr(&output).contains(&sentence), "{}", stderr(&output));
}

/// Starts the program with costs by line item of 2025-11-01, which need no names.
async fn run_by_line_item(upstream: &Upstream, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(program());
    command
        .args(["spend", "--from", "2025-11-01", "--to", "2025-11-01", "--by", "line_item"])
        .args(["--openai-base-url", &upstream.base()])
        .args(arguments)
        .env("OPENAI_ADMIN_KEY", "sk-test")
        .kill_on_drop(true);
    soon(command.output()).await.unwrap()
}

/// Returns a page with one bucket, which contains these rows.
fn page(rows: &str) -> String {
    format!(
        r#"{{"object":"page","data":[{{"object":"bucket","start_time":1761955200,"end_time":1762041600,"results":[{rows}]}}],"has_more":false,"next_page":null}}"#
    )
}

#[tokio::test]
async fn rows_without_amount_have_a_note_on_standard_error() {
    let upstream = Upstream::answering(|_| json(page(r#"{"line_item":"tokens","amount":null}"#))).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spend.txt");
    let output_flags = ["--output", path.to_str().unwrap()];
    for (arguments, is_on_stderr) in [
        (&["--format", "csv"][..], true),
        (&["--format", "json"], true),
        (&output_flags, true),
        (&["--format", "text"], false),
    ] {
        let output = run_by_line_item(&upstream, arguments).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let has_note = stderr(&output).contains("\nnote: 1 row");
        assert_eq!(has_note, is_on_stderr, "{arguments:?}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn retry_is_printed_on_standard_error() {
    let request_count = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::answering(move |_| {
        let mut response = json(page(""));
        if request_count.fetch_add(1, Ordering::SeqCst) == 0 {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        }
        response
    })
    .await;
    let output = run_by_line_item(&upstream, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = "0 of 1 days, 0 pages, 0 rows, 1 retry (429 Too Many Requests; next attempt in ";
    assert!(stderr(&output).starts_with(line), "{}", stderr(&output));
}

#[tokio::test]
async fn base_url_is_parsed_only_if_it_is_used() {
    let full = tempfile::tempdir().unwrap();
    let path = full.path().join("missing/spend.csv");
    for (key, openai, anthropic, code) in [
        // The run ends at its output, before a request.
        ("OPENAI_ADMIN_KEY", "http://127.0.0.1:1", "invalid", 1),
        ("ANTHROPIC_ADMIN_KEY", "invalid", "http://127.0.0.1:1", 1),
        ("OPENAI_ADMIN_KEY", "invalid", "http://127.0.0.1:1", 2),
    ] {
        let mut command = tokio::process::Command::from(program());
        command.args(["spend", "--output"]).arg(&path).env(key, "sk-test");
        command.env("OPENAI_BASE_URL", openai).env("ANTHROPIC_BASE_URL", anthropic);
        let output = soon(command.kill_on_drop(true).output()).await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{key} {openai} {anthropic}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn empty_base_url_variable_counts_as_not_set_for_each_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/file.json");
    // Each run ends before a request: without names, without a folder, without a key.
    for (arguments, key) in [
        (&["serve", "--port", "0", "--names"][..], "sk-test"),
        (&["spend", "--output"], "sk-test"),
        (&["sync"], ""),
    ] {
        let mut command = tokio::process::Command::from(program());
        command.args(arguments).arg(&missing).env("OPENAI_BASE_URL", "").env("OPENAI_ADMIN_KEY", key);
        let output = soon(command.kill_on_drop(true).output()).await.unwrap();
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {printed}");
        assert!(!printed.contains("base URL"), "{arguments:?}: {printed}");
    }
}

#[tokio::test]
async fn help_names_the_environment_variables_and_scopes() {
    let help = String::from_utf8(run(&["spend", "--help"]).await.stdout).unwrap();
    for word in [
        "OPENAI_ADMIN_KEY ",
        "OPENAI_ADMIN_KEY_FILE",
        "ANTHROPIC_ADMIN_KEY ",
        "ANTHROPIC_ADMIN_KEY_FILE",
        "api.usage.read",
        "api.management.read",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}
