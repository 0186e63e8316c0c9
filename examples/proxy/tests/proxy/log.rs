//! What is written, and what never is.
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
use api_key_name_proxy::lines::{LONGEST, Lines};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Of this thread, on which everything of one test runs.
    fn capture(level: LevelFilter) -> (Self, tracing::subscriber::DefaultGuard) {
        // A line of code that is met first in another test, while this subscriber is the only one, would be
        // asked of that test's thread, which has none, and stay silent for all. It is never the only one.
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

    /// Lines come when a body is done with, which may be just after the client has all of it.
    async fn until(&self, what: &str) -> String {
        soon(async {
            while !self.text().contains(what) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.text()
    }
}

#[tokio::test]
async fn one_line_a_request() {
    let (log, _guard) = Log::capture(LevelFilter::INFO);
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    proxy.get("/v1/organization/costs?group_by=api_key_name").await;
    let text = log.until(" ms").await;
    // The layer's own warning of the id that has no name may stand before it.
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
    // A key pasted where its id belongs.
    proxy.get("/v1/organization/admin_api_keys/sk-admin-0123456789abcdef/x").await;
    let text = log.until("/x 200").await;
    assert!(text.contains("GET /v1/organization/admin_api_keys/…/x 200 ") && !text.contains("sk-"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("INFO")).count(), 4, "{text}");
}

#[tokio::test]
async fn the_counts_of_a_streamed_answer_are_its_final_ones() {
    let (log, _guard) = Log::capture(LevelFilter::INFO);
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
async fn what_went_wrong_has_a_line_where_others_have_none() {
    let (log, _guard) = Log::capture(LevelFilter::WARN);
    let address = scripted(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let said = match head.split(' ').nth(1) {
            Some("/v1/organization/well") => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Some("/v1/organization/ill") => "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno",
            _ => "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nno",
        };
        tokio::io::AsyncWriteExt::write_all(&mut stream, said.as_bytes()).await.unwrap();
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
async fn a_client_that_goes_away_leaves_a_line() {
    let (log, _guard) = Log::capture(LevelFilter::INFO);
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
async fn a_failure_says_why() {
    let (log, _guard) = Log::capture(LevelFilter::INFO);
    let (listener, address) = listen().await;
    drop(listener);
    Proxy::to(&format!("http://{address}")).await.get(COSTS).await;
    let text = log.until("502").await;
    assert!(text.contains("WARN") && text.contains("refused"), "{text}");
}

/// A pipe to a collector that hangs, which standard output goes to as well.
#[cfg(unix)]
#[tokio::test]
async fn a_log_that_nobody_reads_stops_no_call() {
    let upstream = Upstream::rows().await;
    let (names, program) = (names(), program());
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$@" 2>&1"#]).arg(program.get_program()).env_clear();
    command.args(["--port", "0", "--access-log", "--openai-base-url", &upstream.base(), "--names"]);
    let mut running = Running::unread(command.arg(names.path()));
    let client = client(false);
    // A line each, and more of them than a pipe and the queue before it take.
    for _ in 0..6_000 {
        let url = format!("http://{}/elsewhere", running.address);
        let request = Request::get(url).body(full("")).unwrap();
        let answer = soon(client.request(request)).await.unwrap();
        assert_eq!(answer.status(), 404);
    }
    running.signal("-TERM");
    assert_eq!(running.exit_code().await, Some(0));
}

/// Not of one that cannot start, either, and has something to say of it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_log_that_nobody_reads_stops_no_end() {
    let mut command = tokio::process::Command::new("sh");
    // As much as a pipe takes.
    command.args(["-c", r#"head -c 65536 /dev/zero >&2; exec "$0" "$@""#]).arg(program().get_program());
    command.env_clear().args(["--port", "0", "--names", "/nowhere/names.json"]);
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(1));
}

/// Writes when it is let, and then all at once.
struct Gated(mpsc::Receiver<()>, Log);

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_are_lost_are_counted_and_told_of() {
    let (log, (go_on, gate)) = (Log::default(), mpsc::channel());
    let mut lines = Lines::to(Gated(gate, log.clone())).unwrap();
    for nth in 0..6_000 {
        lines.write_all(format!("line {nth}\n").as_bytes()).unwrap();
    }
    drop(go_on);
    lines.end(Some("the last words\n".into()));
    let text = log.text();
    let written = text.lines().filter(|line| line.starts_with("line ")).count();
    assert!((4_000..5_000).contains(&written), "{written}");
    let told = format!("WARN {} lines of this log are lost", 6_000 - written);
    assert_eq!(text.matches(&told).count(), 1, "{told}: {}", &text[text.len() - 200..]);
    assert!(text.ends_with("the last words\n"), "{}", &text[text.len() - 200..]);
}

#[test]
fn a_line_is_bounded_and_stays_text() {
    for before in 0..3 {
        let log = Log::default();
        let mut lines = Lines::to(log.clone()).unwrap();
        let long = format!("{}{}\n", "a".repeat(before), "ä".repeat(40_000));
        lines.write_all(long.as_bytes()).unwrap();
        lines.write_all("short\n".as_bytes()).unwrap();
        lines.end(None);
        let text = log.text();
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.len() < LONGEST && first.len() > LONGEST - 8, "{}", first.len());
        assert!(first.ends_with("ä…") && rest == "short\n", "{rest}");
    }
}
