//! The subcommand `check`: one line for each check, the exit code, and no secret.
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::binary::{names, program};
use crate::peer::{Upstream, limits, soon};
use api_key_name_proxy::demo::Demo;

/// Runs a command to its end. Returns the exit code and standard output.
async fn check(command: Command) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::from(command);
    let Output { status, stdout, stderr } = soon(command.kill_on_drop(true).output()).await.unwrap();
    let output = String::from_utf8(stdout).unwrap();
    assert_eq!(String::from_utf8(stderr).unwrap(), "", "{output}");
    (status.code(), output)
}

/// Returns a check with an operator token and proxy keys, whose files are in a folder.
fn command_with_token(base: &str, folder: &Path) -> Command {
    let mut command = program();
    command.args(["check", "--openai-base-url", base, "--anthropic-base-url", base, "--keys"]);
    command.arg(folder.join("keys.json")).arg("--ledger").arg(folder.join("ledger.sqlite"));
    command.arg("--operator-token-file").arg(folder.join("token")).env("OPENAI_API_KEY", "sk-real-secret");
    fs::write(folder.join("keys.json"), r#"{"object":"list","data":[]}"#).unwrap();
    command
}

fn command(base: &str, names: &tempfile::NamedTempFile) -> Command {
    let mut command = program();
    command.args(["check", "--openai-base-url", base, "--anthropic-base-url", base, "--names"]);
    command.arg(names.path());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_of_a_valid_configuration_passes() {
    let demo = Demo::start(limits()).await.unwrap();
    let names = names();
    let mut command = command(&demo.base.to_string(), &names);
    command.envs([("OPENAI_ADMIN_KEY", "secret1"), ("ANTHROPIC_ADMIN_KEY", "secret2")]);
    let (code, output) = check(command).await;
    assert_eq!(code, Some(0), "{output}");
    for line in [
        "ok    flags: valid",
        " has 1 keys of openai, 1 keys of anthropic",
        "ok    openai upstream http://127.0.0.1:",
        "ok    openai admin key: the list of projects: 4 on the first page",
        "ok    openai admin key: the keys of proj_",
        "ok    anthropic admin key: the list of keys: ",
    ] {
        assert!(output.contains(line), "{line}: {output}");
    }
    assert!(!output.contains("secret"), "{output}");
}

#[tokio::test]
async fn check_reads_one_page_of_each_list() {
    let page = r#"{"object":"list","data":[{"id":"proj_a","name":"a"}],"has_more":true,"last_id":"proj_a"}"#;
    let upstream = Upstream::answering(move |_| crate::peer::json(page)).await;
    let names = names();
    let mut command = command(&upstream.base(), &names);
    command.env("OPENAI_ADMIN_KEY", "secret1");
    let (code, output) = check(command).await;
    assert_eq!(code, Some(0), "{output}");
    let asked = upstream.asked();
    let mut lists: Vec<&str> =
        asked.iter().map(|request| request.uri.path()).filter(|path| *path != "/").collect();
    lists.sort_unstable();
    let expected = [
        "/v1/organization/admin_api_keys",
        "/v1/organization/projects",
        "/v1/organization/projects/proj_a/api_keys",
    ];
    assert_eq!(lists, expected);
    assert!(output.contains("skip  anthropic admin key: ANTHROPIC_ADMIN_KEY"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_admin_key_fails_the_check() {
    let demo = Demo::start(limits()).await.unwrap();
    let names = names();
    let mut command = command(&demo.base.to_string(), &names);
    command.env("OPENAI_ADMIN_KEY", "sk-bad");
    let (code, output) = check(command).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(
        output.contains("FAIL  openai admin key: the list of projects: the API does not accept"),
        "{output}"
    );
    assert!(!output.contains("sk-bad"), "{output}");
}

#[tokio::test]
async fn upstream_that_cannot_be_reached_fails_the_check() {
    let names = names();
    let (code, output) = check(command("http://127.0.0.1:1", &names)).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(
        output.contains("FAIL  openai upstream http://127.0.0.1:1: ") && output.contains("refused"),
        "{output}"
    );
}

#[tokio::test]
async fn upstream_without_tls_at_an_https_url_fails_the_check() {
    let upstream = Upstream::rows().await;
    let names = names();
    let base = format!("https://{}", upstream.address);
    let (code, output) = check(command(&base, &names)).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&format!("FAIL  openai upstream {base}: ")), "{output}");
}

#[tokio::test]
async fn invalid_file_with_names_fails_the_check_with_its_position() {
    let upstream = Upstream::rows().await;
    let names = names();
    fs::write(names.path(), "{\n!").unwrap();
    let (code, output) = check(command(&upstream.base(), &names)).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("FAIL  names: ") && output.contains(":2:1"), "{output}");
}

#[tokio::test]
async fn base_url_with_a_password_is_bad_use_and_not_shown() {
    let names = names();
    let (code, output) = check(command("http://user:secret@127.0.0.1:1/?x", &names)).await;
    assert_eq!(code, Some(2), "{output}");
    assert!(output.contains("FAIL  flags: --openai-base-url") && !output.contains("secret"), "{output}");
}

#[tokio::test]
async fn sync_without_an_admin_key_fails_the_check() {
    let upstream = Upstream::rows().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    let base = upstream.base();
    command.args(["check", "--openai-base-url", &base, "--anthropic-base-url", &base, "--sync"]);
    command.arg(folder.path().join("learned.json"));
    let (code, output) = check(command).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("FAIL  openai admin key: OPENAI_ADMIN_KEY"), "{output}");
    assert!(output.contains("learned.json is missing; the proxy creates it"), "{output}");
    assert!(!folder.path().join("learned.json").exists());
}

#[tokio::test]
async fn keys_file_real_key_and_ledger_are_checked_without_a_change() {
    let upstream = Upstream::rows().await;
    let folder = tempfile::tempdir().unwrap();
    let [keys, ledger] = ["keys.json", "ledger.sqlite"].map(|name| folder.path().join(name));
    fs::write(&keys, r#"{"object":"list","data":[]}"#).unwrap();
    let command = |has_real_key: bool| {
        let mut command = program();
        let base = upstream.base();
        command.args(["check", "--openai-base-url", &base, "--anthropic-base-url", &base, "--keys"]);
        command.arg(&keys).arg("--ledger").arg(&ledger);
        if has_real_key {
            command.env("OPENAI_API_KEY", "sk-real-secret");
        }
        command
    };
    let (code, output) = check(command(true)).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("keys.json has 0 keys") && output.contains("ok    real keys: set"), "{output}");
    assert!(!output.contains("sk-real") && !ledger.exists(), "{output}");
    let (code, output) = check(command(false)).await;
    assert_eq!((code, output.contains("FAIL  real keys: ")), (Some(1), true), "{output}");
}

#[tokio::test]
async fn operator_token_is_checked_and_not_shown() {
    let upstream = Upstream::rows().await;
    let folder = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = command_with_token(&upstream.base(), folder.path());
        command.args(["--operator-listen", "127.0.0.1:0"]);
        command
    };
    fs::write(folder.path().join("token"), "operator-0123456789abcdef0123456789").unwrap();
    let (code, output) = check(command()).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("ok    operator token: ") && !output.contains("operator-0123"), "{output}");
    fs::write(folder.path().join("token"), "too-short").unwrap();
    let (code, output) = check(command()).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("FAIL  operator token: ") && output.contains("at least 32 bytes"), "{output}");
    assert!(!output.contains("too-short"), "{output}");
}

#[tokio::test]
async fn operator_token_without_an_operator_address_is_bad_use() {
    let folder = tempfile::tempdir().unwrap();
    let (code, output) = check(command_with_token("http://127.0.0.1:1", folder.path())).await;
    assert_eq!(code, Some(2), "{output}");
    let expected = "FAIL  flags: --operator-token-file requires --operator-listen";
    assert!(output.contains(expected) && !output.contains("valid"), "{output}");
}
