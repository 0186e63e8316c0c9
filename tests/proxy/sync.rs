//! `--sync`: from an admin key to names, while the proxy serves.
use std::fs;

use crate::app::demo::Demo;
use crate::binary::{Running, program, run};
use crate::peer::{exchange, soon};

const COSTS: &str = "GET /v1/organization/costs?start_time=1750000000&limit=1&group_by=api_key_name HTTP/1.1\r\n\
    host: x\r\nconnection: close\r\n\r\n";

/// Its costs, once they hold this.
async fn costs_until(proxy: &Running, words: &str) -> String {
    soon(async {
        loop {
            let answer = exchange(proxy.address, COSTS).await;
            if answer.contains(words) {
                return answer;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_come_from_the_lists_beneath_what_was_written_by_hand() {
    let demo = Demo::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [overrides, synced] = ["overrides.json", "synced.json"].map(|name| folder.path().join(name));
    fs::write(&overrides, r#"{"key_9fKd2LmQx7Rt":"ours"}"#).unwrap();
    let mut command = program();
    command
        .args(["--port", "0", "--openai-base-url", &demo.base.to_string()])
        .env("OPENAI_ADMIN_KEY", "secret1");
    command.arg("--names").arg(&overrides).arg("--names").arg(&synced).arg("--sync").arg(&synced);
    let running = Running::start(&mut command);
    let answer = costs_until(&running, "search-indexer").await;
    assert!(answer.contains(r#""api_key_name":"ours""#) && !answer.contains("storefront-prod"), "{answer}");

    // One that goes bad does not take the other down.
    fs::write(&overrides, "{").unwrap();
    let health = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    soon(async { while !exchange(running.address, health).await.contains("overrides.json:1:2") {} }).await;
    let answer = costs_until(&running, "search-indexer").await;
    assert!(answer.contains(r#""api_key_name":"ours""#), "{answer}");

    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("names from the API: 4 projects, 12 keys: 11 new"), "{log}");
    let text = fs::read_to_string(&synced).unwrap();
    assert!(text.contains("\"key_9fKd2LmQx7Rt\": \"storefront-prod\""), "{text}");
    assert!(!log.contains("secret1") && !text.contains("secret1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_refused_never_touches_serving() {
    let demo = Demo::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let synced = folder.path().join("synced.json");
    fs::write(&synced, r#"{"key_9fKd2LmQx7Rt":"known before"}"#).unwrap();
    let mut command = program();
    // The demo's organization refuses this one.
    command
        .args(["--port", "0", "--openai-base-url", &demo.base.to_string()])
        .env("OPENAI_ADMIN_KEY", "sk-bad");
    command.arg("--sync").arg(&synced);
    let running = Running::start(&mut command);
    let answer = costs_until(&running, "known before").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(fs::read_to_string(&synced).unwrap(), r#"{"key_9fKd2LmQx7Rt":"known before"}"#);
}

#[tokio::test]
async fn what_keeps_it_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let [missing, synced] = ["missing.json", "synced.json"].map(|name| folder.path().join(name));
    let [missing, synced] = [&missing, &synced].map(|path| path.to_str().unwrap());
    let base = ["--port", "0", "--openai-base-url", "http://127.0.0.1:9"];
    let ended = async |arguments: &[&str], words: &str| {
        let ended = run(&[&base, arguments].concat()).await;
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert!(errors.contains(words), "{errors}");
        ended.status.code()
    };
    assert_eq!(ended(&["--sync", synced], "OPENAI_ADMIN_KEY is not set").await, Some(2));
    assert_eq!(ended(&["--sync", synced, "--demo"], "cannot be used with").await, Some(2));
    // Another than that of --sync must be there.
    let key = folder.path().join("key");
    fs::write(&key, "secret1").unwrap();
    let mut command = program();
    command.args(base).args(["--names", missing, "--names", synced, "--sync", synced]);
    command.env("OPENAI_ADMIN_KEY_FILE", &key).stdout(std::process::Stdio::null());
    let ended = soon(tokio::process::Command::from(command).kill_on_drop(true).output()).await.unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{errors}");
    assert!(errors.contains("missing.json: there is no such file"), "{errors}");
}
