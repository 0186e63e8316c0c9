//! Starts that fail: each has an exit code and one clear line.
use std::fs;
use std::process::Command;

use serde_json::json;

use super::world::{Files, TestKey, chat, providers};
use crate::peer::soon;

/// Runs a command to its end. Returns the exit code and standard error.
async fn fail(command: Command) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::from(command);
    let output = soon(command.kill_on_drop(true).output()).await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn files() -> Files {
    Files::new(&[&TestKey::new("key_a", &json!({}))])
}

#[track_caller]
fn assert_failed(result: (Option<i32>, String), code: i32, text: &str) {
    assert!(result.0 == Some(code) && result.1.contains(text), "{result:?}");
}

#[tokio::test]
async fn start_without_a_real_key_fails() {
    let files = files();
    let mut command = files.command("http://127.0.0.1:1");
    command.env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    assert_failed(fail(command).await, 2, "there is no real key; set OPENAI_API_KEY");
    assert!(!files.path("ledger.sqlite").exists());
}

#[tokio::test]
async fn start_with_a_missing_file_of_the_real_key_fails() {
    let files = files();
    let mut command = files.command("http://127.0.0.1:1");
    command.env_remove("OPENAI_API_KEY").env("OPENAI_API_KEY_FILE", "/missing/key");
    assert_failed(fail(command).await, 2, "OPENAI_API_KEY_FILE");
}

#[tokio::test]
async fn start_with_an_invalid_keys_file_fails_with_its_position() {
    let files = files();
    fs::write(files.path("keys.json"), "{\"data\":[\n{\"id\":\"key_a\",\"unknown\":1}]}").unwrap();
    assert_failed(fail(files.command("http://127.0.0.1:1")).await, 1, "keys.json:2:");
    fs::remove_file(files.path("keys.json")).unwrap();
    assert_failed(fail(files.command("http://127.0.0.1:1")).await, 1, "keys.json");
}

#[tokio::test]
async fn start_with_the_ledger_of_another_process_fails() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    let failed = fail(files.command(&upstream.base())).await;
    assert_failed(failed, 1, "another process writes it");
    assert_eq!(chat(service.address, &key.text).await.status, 200);
}

#[tokio::test]
async fn start_with_a_base_url_that_others_can_read_fails() {
    let files = files();
    let failed = fail(files.command("http://192.0.2.1/secret")).await;
    assert!(!failed.1.contains("secret"), "{failed:?}");
    assert_failed(failed, 2, "http://192.0.2.1 is not https");
}

#[tokio::test]
async fn start_without_a_ledger_fails() {
    let mut command = crate::binary::program();
    command.arg("--keys").arg(files().path("keys.json")).env("OPENAI_API_KEY", "sk-real");
    assert_failed(fail(command).await, 2, "--keys requires --ledger");
}

#[tokio::test]
async fn start_with_an_unusable_operator_token_fails() {
    let files = files();
    for (content, reason) in [
        (None, "token"),
        (Some("too-short"), "at least 32 bytes"),
        (Some("two words of an operator token 0123456789"), "operator token"),
        (Some("sk-px-0123456789012345678901234567890123456789012"), "a proxy key"),
    ] {
        match content {
            Some(text) => fs::write(files.path("token"), text).unwrap(),
            None => assert!(!files.path("token").exists()),
        }
        let mut command = files.command("http://127.0.0.1:1");
        command.args(["--operator-listen", "127.0.0.1:0", "--operator-token-file"]).arg(files.path("token"));
        let failed = fail(command).await;
        assert!(failed.1.contains("--operator-token-file: "), "{failed:?}");
        assert!(content.is_none_or(|text| !failed.1.contains(text)), "{failed:?}");
        assert_failed(failed, 2, reason);
    }
}

#[tokio::test]
async fn start_with_an_operator_token_requires_keys_and_the_operator_address() {
    let files = files();
    fs::write(files.path("token"), "operator-0123456789abcdef0123456789").unwrap();
    let mut command = files.command("http://127.0.0.1:1");
    command.env("OPENAI_ORG_PROXY_OPERATOR_TOKEN_FILE", files.path("token"));
    assert_failed(fail(command).await, 2, "--operator-token-file requires --operator-listen");
    let mut command = crate::binary::program();
    command.args(["--operator-listen", "127.0.0.1:0", "--operator-token-file"]).arg(files.path("token"));
    assert_failed(fail(command).await, 2, "--operator-token-file requires --keys");
}
