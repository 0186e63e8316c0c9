//! The program itself: what it prints, how it starts, how it ends.
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
    // Neither flags nor levels from whoever runs the tests.
    command.env_clear().stdin(Stdio::null());
    command
}

/// To its end, which is near: none of these is to serve.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(program());
    soon(command.args(arguments).kill_on_drop(true).output()).await.unwrap()
}

pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    out: BufReader<ChildStdout>,
    /// What it has logged, read while it runs.
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

    /// Nobody reads what it logs.
    pub(crate) fn unread(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let line = said.len();
            if out.read_line(&mut said).unwrap() == 0 {
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("it does not listen: {said}");
            }
            if let Some(address) = said[line..].trim_end().strip_prefix("listening on http://") {
                break address.parse().unwrap();
            }
        };
        let (_, log) = watch::channel(String::new());
        Self { address, child, out, log }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// What it took of memory at most, in KiB.
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

    /// Once these words stand in its log.
    pub(crate) async fn logged(&mut self, words: &str) -> String {
        let it = async { self.log.wait_for(|log| log.contains(words)).await.map(|log| log.clone()) };
        soon(it).await.expect("it ended without")
    }

    /// Its exit code, and all that it logged.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        // To the end of what it writes; then it has ended.
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
        // Nothing is left behind by a test that failed.
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
async fn the_demo_shows_itself_and_serves_until_ctrl_c() {
    // An upstream of the user's own is no part of it.
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
    let answer = exchange(
        running.address,
        "GET /v1/organization/costs?start_time=1750000000&limit=1&group_by=api_key_name HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.contains(r#""api_key_name":"search-indexer""#), "{answer}");
    running.signal("-INT");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("GET /v1/organization/costs 200 amended named="), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_lets_what_is_in_flight_finish() {
    let (tell, mut told) = mpsc::channel(1);
    let (go_on, gate) = watch::channel(false);
    let upstream = scripted(move |mut stream| {
        let (tell, mut gate) = (tell.clone(), gate.clone());
        async move {
            read_head(&mut stream).await;
            tell.send(()).await.unwrap();
            gate.wait_for(|go| *go).await.unwrap();
            let said = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\ndone";
            stream.write_all(said.as_bytes()).await.unwrap();
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
    soon(told.recv()).await.unwrap();
    running.signal("-TERM");
    soon(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    go_on.send(true).unwrap();
    let answer = soon(call).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    // Nobody asked for a line a request.
    assert!(!log.contains("/v1/organization/costs"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_environment_stands_in_for_flags() {
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
    let answer = exchange(
        running.address,
        "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.ends_with(NAMED), "{answer}");
    running.signal("-TERM");
    assert_eq!(running.ended().await.0, Some(0));
}

#[tokio::test]
async fn bad_use_is_2_and_repeats_no_secret() {
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
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: "), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let output = program().arg("--help").env("OPENAI_BASE_URL", "https://u:hunter2@h").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("OPENAI_BASE_URL") && !help.contains("hunter2"), "{help}");
}

#[tokio::test]
async fn a_map_that_is_missing_or_bad_is_1_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.json");
    let output = run(&["--port", "0", "--names", missing.to_str().unwrap()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("missing.json"), "{said}");

    let bad = directory.path().join("bad.json");
    std::fs::write(&bad, "{\n  \"key_a\": \"Alpha\",\n  \"key_b\": 7\n}").unwrap();
    let output = run(&["--port", "0", "--names", bad.to_str().unwrap()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("bad.json") && said.contains('3'), "{said}");
}

#[tokio::test]
async fn its_own_address_and_a_taken_one_are_1() {
    // Taken by a proxy of this test, so that the port is known before.
    let taken = Proxy::to("http://127.0.0.1:1").await.address.port().to_string();
    let names = names();
    let names = names.path().to_str().unwrap();
    let output = run(&["--port", &taken, "--names", names]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{taken}")), "{said}");

    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        // Free a moment ago; where somebody was faster, another one is.
        let said = loop {
            let (listener, address) = listen().await;
            drop(listener);
            let base = format!("http://{host}:{}/v1", address.port());
            let output =
                run(&["--port", &address.port().to_string(), "--names", names, "--openai-base-url", &base])
                    .await;
            assert_eq!(output.status.code(), Some(1));
            assert!(output.stdout.is_empty());
            let said = String::from_utf8(output.stderr).unwrap();
            if !said.contains("cannot listen") {
                break said;
            }
        };
        assert!(said.contains("own address"), "{host}: {said}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_list_as_saved_from_the_api_is_a_map_and_what_is_missing_is_said() {
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
    let answer = exchange(running.address, request).await;
    assert!(answer.ends_with(NAMED), "{answer}");
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("1 names from ") && log.contains("has_more") && log.contains("1 items"), "{log}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_88_mb_page_is_named_to_its_last_row_in_little_memory() {
    // A minute bucket of a large organization: rows of about 600 bytes, in chunks of no particular length.
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
        // What may be the beginning of one; a whole one does not fit.
        window.drain(..window.len().saturating_sub(named.needle().len() - 1));
    }
    assert_eq!(count, rows / 100 * 100);
    assert!(bytes > 88_000_000 && window.ends_with(b"0]"), "{bytes} bytes");
    let grown = running.peak() - before;
    assert!(grown < 24 * 1_024, "{grown} KiB");
}

#[cfg(unix)]
#[tokio::test]
async fn it_warns_of_what_is_open() {
    let running = Running::start(program().args(["--demo", "--host", "0.0.0.0", "--port", "0"]));
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("WARN") && log.contains("repeats calls without checking who asks"), "{log}");

    let names = names();
    let running = Running::start(
        program()
            .args(["--port", "0", "--openai-base-url", "http://192.0.2.1:9", "--names"])
            .arg(names.path()),
    );
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("not encrypted"), "{log}");
    assert!(!log.contains("without checking"), "{log}");
}
