//! The program as a process: output, start, exit codes.
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use http::Request;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};

use crate::peer::{NAMED, Proxy, Upstream, client, exchange, full, listen, read_head, scripted, soon};

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-key-name-proxy"));
    // Without flags or log levels from the environment of the test run.
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs the program to its end. For arguments with which it does not serve.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(program());
    soon(command.args(arguments).kill_on_drop(true).output()).await.unwrap()
}

pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    out: BufReader<ChildStdout>,
    /// The log so far.
    log: watch::Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut running = Self::unread(command);
        let errors = BufReader::new(running.child.stderr.take().unwrap());
        let (logged, log) = watch::channel(String::new());
        std::thread::spawn(move || {
            for line in errors.split(b'\n').map_while(Result::ok) {
                logged.send_modify(|log| *log += &(String::from_utf8_lossy(&line) + "\n"));
            }
        });
        running.log = log;
        running
    }

    /// Starts the program without a reader for its log.
    pub(crate) fn unread(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        let address = loop {
            let line = printed.len();
            if out.read_line(&mut printed).unwrap() == 0 {
                child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
                panic!("the program does not listen: {printed}");
            }
            if let Some(address) = printed[line..].trim_end().strip_prefix("listening on http://") {
                break address.parse().unwrap();
            }
        };
        let (_, log) = watch::channel(String::new());
        Self { address, child, out, log }
    }

    /// Reads the next line of standard output. It is empty at the end.
    pub(crate) fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// Reads the line with the address of the operator listener, which follows that of the main listener.
    pub(crate) fn read_operator_address(&mut self) -> SocketAddr {
        let line = self.read_line();
        line.trim_end().strip_prefix("operator listening on http://").expect(&line).parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Peak memory in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Waits until the log contains this text, and returns the log.
    pub(crate) async fn logged(&mut self, text: &str) -> String {
        let found = async { self.log.wait_for(|log| log.contains(text)).await.map(|log| log.clone()) };
        soon(found).await.expect("the program ended before it logged the text")
    }

    /// Waits for the end, and returns the exit code and the whole log.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        // The pipe is closed when the process ends.
        let closed = async { while self.log.changed().await.is_ok() {} };
        soon(closed).await;
        (self.exit_code().await, self.log.borrow().clone())
    }

    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                match self.child.try_wait().unwrap() {
                    Some(status) => return status.code(),
                    None => tokio::task::yield_now().await,
                }
            }
        };
        soon(ended).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // For tests that failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn names() -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), r#"{"key_a":"Alpha"}"#).unwrap();
    file
}

#[cfg(unix)]
#[tokio::test]
async fn demo_prints_both_responses_and_serves_until_ctrl_c() {
    // The demo ignores the base URL, so an invalid one is no error.
    let mut running = Running::start(
        program().args(["--demo", "--port", "0", "--access-log"]).env("OPENAI_BASE_URL", "https://user:pw@h"),
    );
    let mut shown = String::new();
    while !shown.contains("or with an SDK") {
        assert_ne!(running.out.read_line(&mut shown).unwrap(), 0, "{shown}");
    }
    let (before, after) = shown.split_once("after, through the proxy").unwrap();
    assert!(before.contains("key_9fKd2LmQx7Rt") && !before.contains("api_key_name"), "{before}");
    assert!(after.contains(r#""api_key_name":"storefront-prod""#), "{after}");
    assert!(shown.contains(&format!("curl 'http://{}/v1/", running.address)));
    let response = exchange(
        running.address,
        "GET /v1/organization/costs?start_time=1750000000&limit=1&group_by=api_key_name HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(response.contains(r#""api_key_name":"search-indexer""#), "{response}");
    running.signal("-INT");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("GET /v1/organization/costs 200 amended named="), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_during_a_request_waits_for_its_response() {
    let (arrived, mut arrival) = mpsc::channel(1);
    let (go_on, gate) = watch::channel(false);
    let upstream = scripted(move |mut stream| {
        let (arrived, mut gate) = (arrived.clone(), gate.clone());
        async move {
            read_head(&mut stream).await;
            arrived.send(()).await.unwrap();
            gate.wait_for(|go| *go).await.unwrap();
            let response = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\ndone";
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    })
    .await;
    let names = names();
    let running = Running::start(
        program()
            .args(["--port", "0", "--openai-base-url", &format!("http://{upstream}/v1"), "--names"])
            .arg(names.path()),
    );
    let request = "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\n\r\n";
    let address = running.address;
    let call = tokio::spawn(async move { exchange(address, request).await });
    soon(arrival.recv()).await.unwrap();
    running.signal("-TERM");
    soon(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    go_on.send(true).unwrap();
    let response = soon(call).await.unwrap();
    assert!(response.ends_with("done"), "{response}");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    // Without --access-log a successful request has no line.
    assert!(!log.contains("/v1/organization/costs"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn environment_without_flags_sets_all_options() {
    let upstream = Upstream::rows().await;
    let names = names();
    let mut command = program();
    command
        .env("OPENAI_ORG_PROXY_HOST", "localhost")
        .env("OPENAI_ORG_PROXY_PORT", "0")
        .env("OPENAI_BASE_URL", format!("{}/v1/", upstream.base()))
        .env("OPENAI_ORG_PROXY_TIMEOUT_SECONDS", "2.5")
        .env("OPENAI_ORG_PROXY_NAMES", names.path());
    let running = Running::start(&mut command);
    let response = exchange(
        running.address,
        "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(response.ends_with(NAMED), "{response}");
    running.signal("-TERM");
    assert_eq!(running.ended().await.0, Some(0));
}

#[tokio::test]
async fn bad_use_exits_with_2_and_without_secrets() {
    for arguments in [
        &["--port", "x"][..],
        &["--timeout", "0"],
        &["--timeout", "NaN"],
        &["--unmatched", "?"],
        &["--nothing"],
        &["--openai-base-url", "https://user:hunter2@api.openai.com"],
        &["--openai-base-url", "https://api.openai.com?key=hunter2"],
        &["--openai-base-url", ""],
    ] {
        let output = run(arguments).await;
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {printed}");
        assert!(printed.starts_with("error: "), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
    let output = program().arg("--help").env("OPENAI_BASE_URL", "https://u:hunter2@h").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("OPENAI_BASE_URL") && !help.contains("hunter2"), "{help}");
}

#[tokio::test]
async fn names_file_missing_or_invalid_exits_with_1_and_the_location() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.json");
    let output = run(&["--port", "0", "--names", missing.to_str().unwrap()]).await;
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("missing.json"), "{printed}");

    let bad = directory.path().join("bad.json");
    std::fs::write(&bad, "{\n  \"key_a\": \"Alpha\",\n  \"key_b\": 7\n}").unwrap();
    let output = run(&["--port", "0", "--names", bad.to_str().unwrap()]).await;
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("bad.json") && printed.contains('3'), "{printed}");
}

#[tokio::test]
async fn port_in_use_exits_with_1() {
    let taken = Proxy::to("http://127.0.0.1:1").await.address.port().to_string();
    let names = names();
    let output = run(&["--port", &taken, "--names", names.path().to_str().unwrap()]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("cannot listen on 127.0.0.1:{taken}")), "{error}");
}

#[tokio::test]
async fn base_url_of_the_proxy_itself_exits_with_1() {
    let names = names();
    let names = names.path().to_str().unwrap();
    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        // Another process may take the free port first. Then the test takes another port.
        let error = loop {
            let (listener, address) = listen().await;
            drop(listener);
            let base = format!("http://{host}:{}/v1", address.port());
            let port = address.port().to_string();
            let output = run(&["--port", &port, "--names", names, "--openai-base-url", &base]).await;
            assert_eq!(output.status.code(), Some(1));
            assert!(output.stdout.is_empty());
            let error = String::from_utf8(output.stderr).unwrap();
            if !error.contains("cannot listen") {
                break error;
            }
        };
        assert!(error.contains("own address"), "{host}: {error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn names_file_with_one_page_of_a_list_is_used_with_a_warning() {
    let upstream = Upstream::rows().await;
    let names = names();
    std::fs::write(
        names.path(),
        r#"{"object":"list","data":[{"id":"key_a","name":"Alpha"},{"id":"key_c","name":""}],"has_more":true}"#,
    )
    .unwrap();
    let mut command = program();
    command.args(["--port", "0", "--openai-base-url", &upstream.base(), "--names"]).arg(names.path());
    let running = Running::start(&mut command);
    let request = "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let response = exchange(running.address, request).await;
    assert!(response.ends_with(NAMED), "{response}");
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("1 names from ") && log.contains("has_more") && log.contains("1 items"), "{log}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn page_of_88_mb_is_named_to_its_last_row_in_bounded_memory() {
    // A page of minute buckets of a large organization has rows of about 600 bytes.
    let row = format!(r#"{{"api_key_id":"key_a","project_id":"{}","n":1.10}},"#, "p".repeat(550));
    let rows = 88_000_000 / row.len();
    let block = row.repeat(100);
    let upstream = scripted(move |mut stream| {
        let block = block.clone();
        async move {
            read_head(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            let chunk = format!("{:x}\r\n{block}\r\n", block.len());
            for _ in 0..rows / 100 {
                stream.write_all(chunk.as_bytes()).await.unwrap();
            }
            stream.write_all(b"2\r\n0]\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let names = names();
    let mut command = program();
    let base = format!("http://{upstream}");
    command.args(["--port", "0", "--openai-base-url", &base, "--names"]).arg(names.path());
    let running = Running::start(&mut command);
    exchange(running.address, "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let before = running.peak();

    let url = format!("http://{}/v1/organization/usage/completions", running.address);
    let request = Request::get(url).body(full("")).unwrap();
    let mut body = soon(client(false).request(request)).await.unwrap().into_body();
    let named = memchr::memmem::Finder::new(br#""api_key_id":"key_a","api_key_name":"Alpha","#);
    let (mut count, mut bytes, mut window) = (0, 0, Vec::new());
    while let Some(frame) = soon(body.frame()).await {
        let data = frame.unwrap().into_data().unwrap_or_default();
        bytes += data.len();
        window.extend_from_slice(&data);
        count += named.find_iter(&window).count();
        // Keeps the beginning of a match that may continue in the next frame.
        window.drain(..window.len().saturating_sub(named.needle().len() - 1));
    }
    assert_eq!(count, rows / 100 * 100);
    assert!(bytes > 88_000_000 && window.ends_with(b"0]"), "{bytes} bytes");
    let grown = running.peak() - before;
    assert!(grown < 24 * 1_024, "{grown} KiB");
}

#[cfg(unix)]
#[tokio::test]
async fn address_open_to_other_machines_logs_a_warning() {
    let running = Running::start(program().args(["--demo", "--host", "0.0.0.0", "--port", "0"]));
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("WARN") && log.contains("without authentication"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn upstream_in_plain_text_on_another_machine_logs_a_warning() {
    let names = names();
    let mut command = program();
    // TEST-NET-1 (RFC 5737) belongs to no machine.
    command.args(["--port", "0", "--openai-base-url", "http://192.0.2.1:9", "--names"]).arg(names.path());
    let running = Running::start(&mut command);
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("not encrypted"), "{log}");
    assert!(!log.contains("without authentication"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn subcommand_serve_runs_the_proxy_as_without_a_subcommand() {
    let running = Running::start(program().args(["serve", "--demo", "--port", "0"]));
    running.signal("-TERM");
    assert_eq!(running.ended().await.0, Some(0));
    for arguments in [&["serve", "--grace", "0"][..], &["--port", "0", "serve"], &["unknown"]] {
        assert_eq!(run(arguments).await.status.code(), Some(2), "{arguments:?}");
    }
}
