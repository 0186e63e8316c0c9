//! The end of the program: calls in flight are finished, and the exit code reports cut ones.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::binary::{Running, names, program};
use crate::peer::{
    COSTS, NAMED, ROWS, Reply, Upstream, client, full, read_answer, read_head, scripted, soon,
};

fn start(upstream: &str, names: &tempfile::NamedTempFile, more: &[&str]) -> Running {
    let mut command = program();
    command.args(["--port", "0", "--openai-base-url", upstream, "--names"]).arg(names.path()).args(more);
    Running::start(&mut command)
}

/// An upstream that reports each request, and responds to all when the gate opens.
async fn gated() -> (String, mpsc::UnboundedReceiver<()>, watch::Sender<bool>) {
    let (report, requests) = mpsc::unbounded_channel();
    let (open, gate) = watch::channel(false);
    let address = scripted(move |mut stream| {
        let (report, mut gate) = (report.clone(), gate.clone());
        async move {
            read_head(&mut stream).await;
            report.send(()).unwrap();
            gate.wait_for(|is_open| *is_open).await.unwrap();
            let length = ROWS.len();
            let response = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{ROWS}"
            );
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    })
    .await;
    (format!("http://{address}"), requests, open)
}

pub(crate) async fn until_refused(running: &Running) {
    soon(async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_reached_the_upstream_have_whole_responses() {
    for signal in ["-TERM", "-INT"] {
        let upstream = Upstream::rows().await;
        let names = names();
        let running = start(&upstream.base(), &names, &[]);
        let url = format!("http://{}{COSTS}", running.address);
        let responses = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for nth in 0..48 {
            let (url, responses) = (url.clone(), responses.clone());
            clients.spawn(async move {
                // Some keep a connection, of either protocol, and some use a new one for each request.
                let mut this = client(nth % 3 == 0);
                loop {
                    if nth % 3 == 1 {
                        this = client(false);
                    }
                    let request = Request::get(&url).body(full("")).unwrap();
                    match soon(this.request(request)).await {
                        Ok(response) => {
                            let reply = Reply::read(response).await.expect("a part of a response");
                            assert_eq!((reply.status, reply.text()), (StatusCode::OK, NAMED));
                            responses.fetch_add(1, Ordering::SeqCst);
                        }
                        // The listener is closed.
                        Err(e) if e.is_connect() => return,
                        // Without a response byte: the connection was closed before the request arrived.
                        Err(_) => {}
                    }
                }
            });
        }
        soon(async {
            while responses.load(Ordering::SeqCst) < 500 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        running.signal(signal);
        soon(async {
            while let Some(ended) = clients.join_next().await {
                ended.unwrap();
            }
        })
        .await;
        let (code, log) = running.ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert_eq!(responses.load(Ordering::SeqCst), upstream.asked().len());
    }
}

#[tokio::test]
async fn sigterm_finishes_calls_in_flight_and_closes_idle_connections() {
    const EACH: usize = 50;
    let (base, mut requests, gate) = gated().await;
    let names = names();
    let running = start(&base, &names, &["--grace", "3600"]);
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_answer(&mut idle).await;
    let mut incomplete = TcpStream::connect(running.address).await.unwrap();
    incomplete.write_all(b"GET /v1/organization/costs HTTP/1.1\r\n").await.unwrap();
    let mut silent = TcpStream::connect(running.address).await.unwrap();

    let mut calls = JoinSet::new();
    for h2 in [false, true] {
        let client = client(h2);
        for _ in 0..EACH {
            let request = Request::get(format!("http://{}{COSTS}", running.address)).body(full("")).unwrap();
            calls.spawn(client.request(request));
        }
    }
    for _ in 0..2 * EACH {
        soon(requests.recv()).await.unwrap();
    }
    running.signal("-TERM");
    until_refused(&running).await;
    for stream in [&mut idle, &mut silent, &mut incomplete] {
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    }
    gate.send(true).unwrap();
    let mut responses = 0;
    while let Some(response) = soon(calls.join_next()).await {
        let reply = Reply::read(response.unwrap().unwrap()).await.unwrap();
        assert_eq!(reply.text(), NAMED);
        responses += 1;
    }
    assert_eq!(responses, 2 * EACH);
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("100 calls are in flight"), "{log}");
}

/// Starts three calls that do not end, sends signals, and expects that the calls are cut.
async fn signals_cut_three_calls(grace: &str, signals: usize) {
    let (base, mut requests, _gate) = gated().await;
    let names = names();
    let running = start(&base, &names, &["--grace", grace]);
    let client = client(false);
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let request = Request::get(format!("http://{}{COSTS}", running.address)).body(full("")).unwrap();
        calls.spawn(client.request(request));
    }
    for _ in 0..3 {
        soon(requests.recv()).await.unwrap();
    }
    for nth in 0..signals {
        if nth > 0 {
            // The first signal was handled.
            until_refused(&running).await;
        }
        running.signal("-TERM");
    }
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("stopped with 3 calls in flight"), "{log}");
    while let Some(call) = soon(calls.join_next()).await {
        assert!(call.unwrap().is_err());
    }
}

#[tokio::test]
async fn calls_beyond_the_grace_period_are_cut_and_exit_with_3() {
    signals_cut_three_calls("0.2", 1).await;
}

#[tokio::test]
async fn second_signal_cuts_calls_and_exits_with_3() {
    signals_cut_three_calls("3600", 2).await;
}

#[tokio::test]
async fn stalled_response_is_cut_during_a_shutdown_and_exits_with_3() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let headers = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100000000\r\n\r\n";
        stream.write_all(headers.as_bytes()).await.unwrap();
        while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
    })
    .await;
    let names = names();
    let running = start(&format!("http://{address}"), &names, &["--grace", "3600", "--timeout", "1"]);
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(format!("GET {COSTS} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    soon(stream.read_exact(&mut [0; 100_000])).await.unwrap();
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("stopped with 1 calls in flight: their clients did not read"), "{log}");
}

#[tokio::test]
async fn sigterm_without_calls_in_flight_ends_at_once() {
    let names = names();
    let running = start("http://127.0.0.1:9", &names, &["--grace", "3600", "--head-timeout", "3600"]);
    let mut incomplete = TcpStream::connect(running.address).await.unwrap();
    incomplete.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_answer(&mut incomplete).await;
    incomplete.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
}
