//! The access log: its lines, and the writer behind them.
use std::io::{self, Write};
#[cfg(unix)]
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, mpsc};

use http::Request;
use http_body_util::BodyExt;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;

#[cfg(unix)]
use crate::binary::{Running, names, program};
use crate::peer::{
    COSTS, Proxy, Reply, Upstream, client, full, listen, read_head, scripted, settings, soon, write_then_wait,
};
use api_key_name_proxy::output::{LogWriter, MAX_LINE};
use api_key_name_proxy::stack::log::masked_path;

#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogBuffer {
    /// Captures the log of this thread. A test with the default runtime runs on one thread.
    fn capture(level: LevelFilter) -> (Self, tracing::subscriber::DefaultGuard) {
        // If this subscriber were the only one, a log statement that another test reaches first would be disabled for
        // all threads, because the other thread has no subscriber. A second one prevents that.
        static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
        LazyLock::force(&ANOTHER);
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Waits for a text. The line of a response is written shortly after the client has received it.
    async fn until(&self, expected: &str) -> String {
        soon(async {
            while !self.text().contains(expected) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.text()
    }
}

#[tokio::test]
async fn request_with_any_result_has_one_line() {
    let (log, _guard) = LogBuffer::capture(LevelFilter::INFO);
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    proxy.get("/v1/organization/costs?group_by=api_key_name").await;
    let text = log.until(" ms").await;
    // The library's warning about the unmatched id may be the first line.
    let line = text.lines().find(|line| line.contains("INFO")).unwrap();
    assert!(line.contains("GET /v1/organization/costs 200 amended named=1 unmatched=1 null=1 "), "{line}");
    assert!(!line.contains("group_by"));
    proxy.get("/v1/organization/costs?api_key_names=nobody").await;
    let text = log.until(" 400 ").await;
    assert!(text.contains("GET /v1/organization/costs 400 refused UnknownName"), "{text}");
    assert!(!text.contains("nobody"), "{text}");
    proxy.get("/elsewhere?q=1").await;
    let text = log.until("/elsewhere").await;
    assert!(text.contains("GET /elsewhere 404 "), "{text}");
    // A key in place of its id.
    proxy.get("/v1/organization/admin_api_keys/sk-admin-0123456789abcdef/x").await;
    let text = log.until("/x 200").await;
    assert!(text.contains("GET /v1/organization/admin_api_keys/…/x 200 ") && !text.contains("sk-"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("INFO")).count(), 4, "{text}");
}

#[tokio::test]
async fn line_of_a_streamed_response_has_the_final_counts() {
    let (log, _guard) = LogBuffer::capture(LevelFilter::INFO);
    let row = r#"{"api_key_id":"key_a"},"#;
    let upstream = Upstream::answering(move |_| crate::peer::json(format!("[{}0]", row.repeat(3_000)))).await;
    let mut settings = settings(&upstream.base());
    settings.limit = Some(1_000);
    let proxy = Proxy::with(settings).await;
    for coding in ["identity", "gzip"] {
        proxy.get_with(COSTS, &[("accept-encoding", coding)]).await;
    }
    let text = soon(async {
        while log.text().lines().count() < 2 {
            tokio::task::yield_now().await;
        }
        log.text()
    })
    .await;
    for line in text.lines() {
        assert!(line.contains(" 200 amended named=3000 unmatched=0 null=0 "), "{line}");
    }
}

#[tokio::test]
async fn failed_request_without_access_log_has_a_line() {
    let (log, _guard) = LogBuffer::capture(LevelFilter::WARN);
    let address = scripted(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let response = match head.split(' ').nth(1) {
            Some("/v1/organization/well") => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Some("/v1/organization/ill") => "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno",
            _ => "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nno",
        };
        tokio::io::AsyncWriteExt::write_all(&mut stream, response.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    for path in ["well", "ill", "cut"] {
        let request = Request::get(proxy.url(&format!("/v1/organization/{path}"))).body(full("")).unwrap();
        let _ = Reply::read(soon(client(false).request(request)).await.unwrap()).await;
    }
    let text = log.until("broke off").await;
    let [ill, cut] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(ill.contains("WARN access: GET /v1/organization/ill 503 skipped MediaType "), "{text}");
    assert!(
        cut.contains("WARN access: GET /v1/organization/cut 200 ") && cut.ends_with("broke off"),
        "{text}"
    );
}

#[tokio::test]
async fn response_dropped_by_the_client_has_a_line() {
    let (log, _guard) = LogBuffer::capture(LevelFilter::INFO);
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let rows = format!("[{}", r#"{"api_key_id":"key_a"},"#.repeat(3_000));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        write_then_wait(&mut stream, &format!("{head}{:x}\r\n{rows}\r\n", rows.len())).await;
    })
    .await;
    let mut settings = settings(&format!("http://{address}"));
    settings.limit = Some(1_000);
    let proxy = Proxy::with(settings).await;
    let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
    let mut response = soon(client(false).request(request)).await.unwrap();
    soon(response.body_mut().frame()).await.unwrap().unwrap();
    drop(response);
    let text = log.until(" ms").await;
    assert!(text.contains("GET /v1/organization/costs 200 skipped Dropped named="), "{text}");
}

#[tokio::test]
async fn unreachable_upstream_is_logged_with_its_cause() {
    let (log, _guard) = LogBuffer::capture(LevelFilter::INFO);
    let (listener, address) = listen().await;
    drop(listener);
    Proxy::to(&format!("http://{address}")).await.get(COSTS).await;
    let text = log.until("502").await;
    assert!(text.contains("WARN") && text.contains("refused"), "{text}");
}

/// Standard output and the log go to one pipe, whose reader stopped reading.
#[cfg(unix)]
#[tokio::test]
async fn log_without_a_reader_delays_no_request() {
    let upstream = Upstream::rows().await;
    let (names, program) = (names(), program());
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$@" 2>&1"#]).arg(program.get_program()).env_clear();
    command.args(["--port", "0", "--access-log", "--openai-base-url", &upstream.base(), "--names"]);
    let mut running = Running::unread(command.arg(names.path()));
    let client = client(false);
    // More lines than the pipe and the queue can hold.
    for _ in 0..6_000 {
        let url = format!("http://{}/elsewhere", running.address);
        let request = Request::get(url).body(full("")).unwrap();
        let response = soon(client.request(request)).await.unwrap();
        assert_eq!(response.status(), 404);
    }
    running.signal("-TERM");
    assert_eq!(running.exit_code().await, Some(0));
}

/// The program cannot start, and cannot print its error.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn log_without_a_reader_does_not_prevent_the_exit() {
    let mut command = tokio::process::Command::new("sh");
    // Fills the pipe.
    command.args(["-c", r#"head -c 65536 /dev/zero >&2; exec "$0" "$@""#]).arg(program().get_program());
    command.env_clear().args(["--port", "0", "--names", "/nowhere/names.json"]);
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(1));
}

/// Blocks until the sender is dropped.
struct BlockedWriter(mpsc::Receiver<()>, LogBuffer);

impl Write for BlockedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn dropped_log_lines_are_counted_and_reported() {
    let (log, (go_on, gate)) = (LogBuffer::default(), mpsc::channel());
    let mut lines = LogWriter::new(BlockedWriter(gate, log.clone())).unwrap();
    for nth in 0..6_000 {
        lines.write_all(format!("line {nth}\n").as_bytes()).unwrap();
    }
    drop(go_on);
    lines.finish(Some("the last line\n".into()));
    let text = log.text();
    let written = text.lines().filter(|line| line.starts_with("line ")).count();
    assert!((4_000..5_000).contains(&written), "{written}");
    let report = format!("WARN {} log lines were dropped", 6_000 - written);
    assert_eq!(text.matches(&report).count(), 1, "{report}: {}", &text[text.len() - 200..]);
    assert!(text.ends_with("the last line\n"), "{}", &text[text.len() - 200..]);
}

#[test]
fn long_line_is_cut_after_a_whole_character() {
    for before in 0..3 {
        let log = LogBuffer::default();
        let mut lines = LogWriter::new(log.clone()).unwrap();
        let long = format!("{}{}\n", "a".repeat(before), "ä".repeat(40_000));
        lines.write_all(long.as_bytes()).unwrap();
        lines.write_all("short\n".as_bytes()).unwrap();
        lines.finish(None);
        let text = log.text();
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.len() < MAX_LINE && first.len() > MAX_LINE - 8, "{}", first.len());
        assert!(first.ends_with("ä…") && rest == "short\n", "{rest}");
    }
}

#[test]
fn masked_path_has_neither_query_nor_keys() {
    for (uri, masked) in [
        ("/v1/organization/costs", "/v1/organization/costs"),
        ("/v1/organization/costs?api_key=sk-secret", "/v1/organization/costs"),
        ("/v1/organization/admin_api_keys/sk-admin-0123/x?y", "/v1/organization/admin_api_keys/…/x"),
        ("/sk-a/sk-b", "/…/…"),
        ("/v1/organization/task-sk-1", "/v1/organization/task-sk-1"),
        ("http://user:sk-secret@host/v1/costs", "/v1/costs"),
    ] {
        assert_eq!(masked_path(&uri.parse().unwrap()), masked);
    }
}
