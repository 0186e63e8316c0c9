//! `--sync`: from an admin key to names, while the proxy serves.
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::directory::{AdminKey, Directory};

use crate::binary::{Running, program, run};
use crate::peer::{COSTS, Proxy, Upstream, exchange, json, limits, settings, soon};
use api_key_name_proxy::demo::Demo;

const ASKED: &str = "GET /v1/organization/costs?start_time=1750000000&limit=1&group_by=api_key_name HTTP/1.1\r\n\
    host: x\r\nconnection: close\r\n\r\n";

/// Its costs, once they hold this.
async fn costs_until(proxy: &Running, words: &str) -> String {
    soon(async {
        loop {
            let answer = exchange(proxy.address, ASKED).await;
            if answer.contains(words) {
                return answer;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_come_from_the_lists_beneath_what_was_written_by_hand() {
    let demo = Demo::start(limits()).await.unwrap();
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
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let synced = folder.path().join("synced.json");
    fs::write(&synced, r#"{"key_9fKd2LmQx7Rt":"known before"}"#).unwrap();
    let mut command = program();
    // The demo's organization refuses this one.
    command
        .args(["--port", "0", "--openai-base-url", &demo.base.to_string()])
        .env("OPENAI_ADMIN_KEY", "sk-bad");
    command.arg("--sync").arg(&synced);
    let mut running = Running::start(&mut command);
    let log = running.logged("the list of projects").await;
    let told = "the API does not accept the admin key (401); it takes an admin key of the organization with the scope \
        api.management.read; the names known stay";
    let line = format!("WARN proxy::app::sync: names from the API: the list of projects: {told}");
    assert!(log.contains(&line), "{log}");
    let answer = costs_until(&running, "known before").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(fs::read_to_string(&synced).unwrap(), r#"{"key_9fKd2LmQx7Rt":"known before"}"#);
}

/// With all settings as they are, but for the gap between two walks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_its_name_soon_after_its_first_use() {
    let keys = Arc::new(Mutex::new(vec!["key_old"]));
    let lists = keys.clone();
    let upstream = Upstream::answering(move |asked| {
        let keys = lists.lock().unwrap();
        json(match asked.uri.path() {
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
    let synced = folder.path().join("synced.json");
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let directory = Directory::openai(client, AdminKey::new("secret1".into()).unwrap());
    let directory = directory.base_url(&upstream.base()).unwrap().min_interval(Duration::from_millis(50));
    let names = SharedKeyNames::watch_with_synced([] as [&str; 0], &synced).unwrap();
    let proxy = Proxy::naming(names.clone(), settings(&upstream.base()), limits()).await;
    let following = tokio::spawn(async move { directory.follow(synced, &names, |_| ()).await });
    for new in ["key_new", "key_newer"] {
        let known = keys.lock().unwrap().last().copied().unwrap();
        let until = async |words: String| while !proxy.get(COSTS).await.text().contains(&words) {};
        soon(until(format!(r#""{known}","api_key_name":"name of {known}""#))).await;
        keys.lock().unwrap().push(new);
        let first = proxy.get(COSTS).await;
        assert!(first.text().contains(&format!(r#""{new}","api_key_name":"unknown""#)), "{}", first.text());
        soon(until(format!(r#""{new}","api_key_name":"name of {new}""#))).await;
    }
    following.abort();
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
