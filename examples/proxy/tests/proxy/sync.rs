//! `serve --sync`: names from the API's lists while the proxy serves.
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_api_key_name::directory::{AdminKey, Directory};
use tower_api_key_name::names::{MapReader, Provider};

use crate::binary::{Running, program, run};
use crate::peer::{COSTS, Proxy, Upstream, exchange, json, limits, settings, soon};
use api_key_name_proxy::demo::Demo;

const REQUEST: &str = "GET /v1/organization/costs?start_time=1750000000&limit=1&group_by=api_key_name HTTP/1.1\r\n\
    host: x\r\nconnection: close\r\n\r\n";

/// The costs, as soon as they contain this text.
async fn costs_with(proxy: &Running, text: &str) -> String {
    soon(async {
        loop {
            let response = exchange(proxy.address, REQUEST).await;
            if response.contains(text) {
                return response;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sync_with_a_file_by_hand_learns_the_other_names() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [overrides, cache] = ["overrides.json", "learned.json"].map(|name| folder.path().join(name));
    fs::write(&overrides, r#"{"key_9fKd2LmQx7Rt":"ours"}"#).unwrap();
    let mut command = program();
    command
        .args(["--port", "0", "--openai-base-url", &demo.base.to_string()])
        .env("OPENAI_ADMIN_KEY", "secret1");
    command.arg("--names").arg(&overrides).arg("--names").arg(&cache).arg("--sync").arg(&cache);
    let running = Running::start(&mut command);
    let response = costs_with(&running, "search-indexer").await;
    assert!(
        response.contains(r#""api_key_name":"ours""#) && !response.contains("storefront-prod"),
        "{response}"
    );

    // A file that breaks keeps its names, and the learned names stay.
    fs::write(&overrides, "{").unwrap();
    let health = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    soon(async { while !exchange(running.address, health).await.contains("overrides.json:1:2") {} }).await;
    let response = costs_with(&running, "search-indexer").await;
    assert!(response.contains(r#""api_key_name":"ours""#), "{response}");

    // The names are in use before the file is written.
    soon(async { while !cache.exists() {} }).await;
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("names from the API: 4 projects, 13 keys: 12 new"), "{log}");
    let text = fs::read_to_string(&cache).unwrap();
    assert!(text.contains("\"key_9fKd2LmQx7Rt\": \"storefront-prod\""), "{text}");
    assert!(!log.contains("secret1") && !text.contains("secret1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_admin_key_is_logged_and_cached_names_are_served() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("learned.json");
    fs::write(&cache, r#"{"key_9fKd2LmQx7Rt":"known before"}"#).unwrap();
    let mut command = program();
    // The demo rejects this key.
    command
        .args(["--port", "0", "--openai-base-url", &demo.base.to_string()])
        .env("OPENAI_ADMIN_KEY", "sk-bad");
    command.arg("--sync").arg(&cache);
    let mut running = Running::start(&mut command);
    let log = running.logged("the list of projects").await;
    let line = "names from the API: the list of projects: the API does not accept the admin key (401); it requires an \
        admin key of the organization with the scope api.management.read; the known names stay";
    assert!(log.lines().any(|logged| logged.contains("WARN") && logged.ends_with(line)), "{log}");
    let response = costs_with(&running, "known before").await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(fs::read_to_string(&cache).unwrap(), r#"{"key_9fKd2LmQx7Rt":"known before"}"#);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_file_that_cannot_be_written_is_logged_and_names_are_served() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command
        .args(["--port", "0", "--openai-base-url", &demo.base.to_string()])
        .env("OPENAI_ADMIN_KEY", "secret1");
    command.arg("--sync").arg(folder.path().join("missing/learned.json"));
    let mut running = Running::start(&mut command);
    costs_with(&running, "search-indexer").await;
    let log = running.logged("not saved").await;
    assert!(log.contains("learned.json: cannot be written: "), "{log}");
    running.signal("-TERM");
    assert_eq!(running.ended().await.0, Some(0));
}

/// The time between two listings differs from the default; all other settings are the defaults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_key_is_named_soon_after_its_first_use() {
    let keys = Arc::new(Mutex::new(vec!["key_old"]));
    let lists = keys.clone();
    let upstream = Upstream::answering(move |request| {
        let keys = lists.lock().unwrap();
        json(match request.uri.path() {
            "/v1/organization/projects" => r#"{"data":[{"id":"proj_a"}],"has_more":false}"#.to_owned(),
            "/v1/organization/projects/proj_a/api_keys" => {
                let items = keys.iter().map(|id| format!(r#"{{"id":"{id}","name":"name of {id}"}}"#));
                format!(r#"{{"data":[{}],"has_more":false}}"#, items.collect::<Vec<_>>().join(","))
            }
            "/v1/organization/admin_api_keys" => r#"{"data":[],"has_more":false}"#.to_owned(),
            _ => {
                let rows = keys.iter().map(|id| format!(r#"{{"api_key_id":"{id}"}}"#));
                format!(r#"{{"data":[{}]}}"#, rows.collect::<Vec<_>>().join(","))
            }
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let directory = Directory::openai(client, AdminKey::new("secret1".into()).unwrap())
        .base_url(upstream.base().parse().unwrap())
        .min_interval(Duration::from_millis(50));
    let (names, follower) = directory.watch([] as [&str; 0], folder.path().join("learned.json")).unwrap();
    let proxy = Proxy::naming(names, settings(&upstream.base()), limits()).await;
    let follower = tokio::spawn(follower.run(|_| ()));
    for new in ["key_new", "key_newer"] {
        let known = keys.lock().unwrap().last().copied().unwrap();
        let until = async |text: String| while !proxy.get(COSTS).await.text().contains(&text) {};
        soon(until(format!(r#""{known}","api_key_name":"name of {known}""#))).await;
        keys.lock().unwrap().push(new);
        let first = proxy.get(COSTS).await;
        assert!(first.text().contains(&format!(r#""{new}","api_key_name":"unknown""#)), "{}", first.text());
        soon(until(format!(r#""{new}","api_key_name":"name of {new}""#))).await;
    }
    follower.abort();
}

const MESSAGES: &str = "GET /v1/organizations/usage_report/messages?starting_at=2025-01-01T00:00:00Z&limit=1&group_by[]=api_key_name HTTP/1.1\r\n\
    host: x\r\nconnection: close\r\n\r\n";

/// The program with `--sync` and one address for both providers.
fn syncing(base: &str, cache: &Path) -> Command {
    let mut command = program();
    command
        .args(["--port", "0", "--openai-base-url", base, "--anthropic-base-url", base, "--sync"])
        .arg(cache);
    command
}

async fn response_with(proxy: &Running, request: &str, text: &str) {
    soon(async { while !exchange(proxy.address, request).await.contains(text) {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_whose_lists_fail_does_not_stop_the_other() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [cache, key] = ["learned.json", "key"].map(|name| folder.path().join(name));
    // The demo rejects this key.
    fs::write(&key, "sk-bad").unwrap();
    for (rejected, accepted, request, name) in [
        ("OPENAI_ADMIN_KEY_FILE", "ANTHROPIC_ADMIN_KEY", MESSAGES, "assistant-prod"),
        ("ANTHROPIC_ADMIN_KEY_FILE", "OPENAI_ADMIN_KEY", REQUEST, "search-indexer"),
    ] {
        let _ = fs::remove_file(&cache);
        let mut command = syncing(&demo.base.to_string(), &cache);
        let mut running = Running::start(command.env(rejected, &key).env(accepted, "secret1"));
        response_with(&running, request, name).await;
        let log = running.logged("does not accept the admin key (401)").await;
        let provider = if rejected.starts_with("OPENAI") { "openai" } else { "anthropic" };
        assert!(
            log.contains(&format!("WARN api_key_name_proxy::sync: {provider}: names from the API: ")),
            "{log}"
        );
        running.signal("-TERM");
        assert_eq!(running.ended().await.0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_both_providers_are_in_their_own_sections_of_the_file() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("learned.json");
    let mut command = syncing(&demo.base.to_string(), &cache);
    command.env("OPENAI_ADMIN_KEY", "secret1").env("ANTHROPIC_ADMIN_KEY", "secret2");
    let running = Running::start(&mut command);
    response_with(&running, REQUEST, "search-indexer").await;
    response_with(&running, MESSAGES, "assistant-prod").await;
    soon(async {
        loop {
            tokio::task::yield_now().await;
            let text = fs::read(&cache).unwrap_or_default();
            let read = |provider| MapReader::default().provider(provider).read(&text);
            let (Ok(openai), Ok(anthropic)) = (read(Provider::OpenAi), read(Provider::Anthropic)) else {
                continue;
            };
            if openai.len() == 12 && anthropic.len() == 3 {
                break;
            }
        }
    })
    .await;
    running.signal("-TERM");
    assert_eq!(running.ended().await.0, Some(0));

    // A provider without a key keeps the names of the file.
    let mut command = syncing(&demo.base.to_string(), &cache);
    let running = Running::start(command.env("OPENAI_ADMIN_KEY", "sk-bad"));
    response_with(&running, MESSAGES, "assistant-prod").await;
    running.signal("-TERM");
    let (_, log) = running.ended().await;
    assert!(log.contains("anthropic: the lists are not read: ANTHROPIC_ADMIN_KEY is not set"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_a_provider_are_not_requested_from_the_other_one() {
    let upstream =
        Upstream::answering(|_| json(r#"{"data":[{"id":"apikey_a","name":"Alpha"}],"has_more":false}"#))
            .await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["--port", "0", "--openai-base-url", "https://api.anthropic.com"]);
    command
        .args(["--anthropic-base-url", &upstream.base(), "--sync"])
        .arg(folder.path().join("learned.json"));
    command.env("OPENAI_ADMIN_KEY", "secret1").env("ANTHROPIC_ADMIN_KEY", "secret2");
    let mut running = Running::start(&mut command);
    running.logged("anthropic: names from the API: 1 keys: 1 new").await;
    running.signal("-TERM");
    let (_, log) = running.ended().await;
    let reason =
        "OPENAI_ADMIN_KEY is not used, because https://api.anthropic.com is the address of another API";
    assert!(log.contains(reason), "{log}");
    let asked = upstream.last();
    assert!(asked.uri.path().starts_with("/v1/organizations/") && asked.headers["x-api-key"] == "secret2");

    let mut command = tokio::process::Command::from(program());
    command.args(["--openai-base-url", "https://API.Anthropic.com", "--sync", "learned.json"]);
    let output = soon(command.env("OPENAI_ADMIN_KEY", "secret1").output()).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap().replace("API.Anthropic", "api.anthropic");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(reason) && error.contains("; ANTHROPIC_ADMIN_KEY is not set"), "{error}");
}

#[tokio::test]
async fn sync_without_a_key_or_with_the_demo_is_bad_use() {
    for (arguments, reason) in [
        (&["--sync", "learned.json"][..], "OPENAI_ADMIN_KEY is not set"),
        (&["--sync", "learned.json"], "ANTHROPIC_ADMIN_KEY is not set"),
        (&["--sync", "learned.json", "--demo"], "cannot be used with"),
    ] {
        let base = ["--port", "0", "--openai-base-url", "http://127.0.0.1:9"];
        let output = run(&[&base, arguments].concat()).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(reason), "{errors}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[tokio::test]
async fn empty_variable_of_a_key_counts_as_not_set() {
    let mut command = tokio::process::Command::from(program());
    command.args(["--port", "0", "--sync", "learned.json"]);
    command.env("OPENAI_ADMIN_KEY", "").env("ANTHROPIC_ADMIN_KEY_FILE", "");
    let output = soon(command.output()).await.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for variable in ["OPENAI_ADMIN_KEY", "ANTHROPIC_ADMIN_KEY"] {
        assert!(errors.contains(&format!("{variable} is not set")), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_that_is_named_twice_may_be_missing_at_the_first_start() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = syncing(&demo.base.to_string(), "learned.json".as_ref());
    command.args(["--names", "./learned.json"]).current_dir(&folder);
    // The other provider has no key, so it only reads the file.
    let running = Running::start(command.env("OPENAI_ADMIN_KEY", "secret1"));
    response_with(&running, REQUEST, "search-indexer").await;
}

#[tokio::test]
async fn missing_or_broken_file_at_the_start_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let [missing, broken, cache, key] =
        ["missing.json", "broken.json", "learned.json", "key"].map(|name| folder.path().join(name));
    fs::write(&key, "secret1").unwrap();
    fs::write(&broken, "{").unwrap();
    for (names, cache, error) in [
        // Only the file of --sync may be missing.
        (&missing, &cache, "missing.json: there is no such file"),
        (&cache, &broken, "broken.json:1:2: "),
    ] {
        let mut command = program();
        command.args(["--port", "0", "--openai-base-url", "http://127.0.0.1:9"]);
        command.arg("--names").arg(names).arg("--names").arg(cache).arg("--sync").arg(cache);
        command.env("OPENAI_ADMIN_KEY_FILE", &key).stdout(std::process::Stdio::null());
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = soon(output).await.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(error), "{errors}");
    }
}
