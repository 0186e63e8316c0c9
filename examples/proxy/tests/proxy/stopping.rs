//! The program's end: nobody who was let in goes without an answer, and the exit code says whether that held.
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

/// Answers all once it is told to, and tells of each that it was asked.
async fn gated() -> (String, mpsc::UnboundedReceiver<()>, watch::Sender<bool>) {
    let (tell, told) = mpsc::unbounded_channel();
    let (go_on, gate) = watch::channel(false);
    let address = scripted(move |mut stream| {
        let (tell, mut gate) = (tell.clone(), gate.clone());
        async move {
            read_head(&mut stream).await;
            tell.send(()).unwrap();
            gate.wait_for(|go| *go).await.unwrap();
            let length = ROWS.len();
            let said = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{ROWS}"
            );
            stream.write_all(said.as_bytes()).await.unwrap();
        }
    })
    .await;
    (format!("http://{address}"), told, go_on)
}

async fn until_refused(running: &Running) {
    soon(async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_whatever_reached_the_upstream_is_answered_whole() {
    for signal in ["-TERM", "-INT"] {
        let upstream = Upstream::rows().await;
        let names = names();
        let running = start(&upstream.base(), &names, &[]);
        let url = format!("http://{}{COSTS}", running.address);
        let answers = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for nth in 0..48 {
            let (url, answers) = (url.clone(), answers.clone());
            clients.spawn(async move {
                // Some keep a connection, of either protocol, and some come on a new one each time.
                let mut this = client(nth % 3 == 0);
                loop {
                    if nth % 3 == 1 {
                        this = client(false);
                    }
                    let request = Request::get(&url).body(full("")).unwrap();
                    match soon(this.request(request)).await {
                        Ok(response) => {
                            let reply = Reply::read(response).await.expect("a part of an answer");
                            assert_eq!((reply.status, reply.text()), (StatusCode::OK, NAMED));
                            answers.fetch_add(1, Ordering::SeqCst);
                        }
                        // It listens no more.
                        Err(e) if e.is_connect() => return,
                        // Not a byte: the connection was closed while the call was on its way.
                        Err(_) => {}
                    }
                }
            });
        }
        soon(async {
            while answers.load(Ordering::SeqCst) < 500 {
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
        assert_eq!(answers.load(Ordering::SeqCst), upstream.asked().len());
    }
}

#[tokio::test]
async fn all_that_is_in_flight_is_answered_and_all_that_is_idle_is_closed() {
    const EACH: usize = 50;
    let (base, mut told, go_on) = gated().await;
    let names = names();
    let running = start(&base, &names, &["--grace", "3600"]);
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_answer(&mut idle).await;
    // One that has begun to ask, and one that has not.
    let mut begun = TcpStream::connect(running.address).await.unwrap();
    begun.write_all(b"GET /v1/organization/costs HTTP/1.1\r\n").await.unwrap();
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
        soon(told.recv()).await.unwrap();
    }
    running.signal("-TERM");
    until_refused(&running).await;
    for stream in [&mut idle, &mut silent, &mut begun] {
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    }
    go_on.send(true).unwrap();
    let mut answers = 0;
    while let Some(response) = soon(calls.join_next()).await {
        let reply = Reply::read(response.unwrap().unwrap()).await.unwrap();
        assert_eq!(reply.text(), NAMED);
        answers += 1;
    }
    assert_eq!(answers, 2 * EACH);
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("100 calls are in flight"), "{log}");
}

#[tokio::test]
async fn what_is_cut_is_counted_and_is_a_3() {
    // By the end of the time there is, or by a second signal.
    for (grace, signals) in [("0.2", 1), ("3600", 2)] {
        let (base, mut told, _go_on) = gated().await;
        let names = names();
        let running = start(&base, &names, &["--grace", grace]);
        let client = client(false);
        let mut calls = JoinSet::new();
        for _ in 0..3 {
            let request = Request::get(format!("http://{}{COSTS}", running.address)).body(full("")).unwrap();
            calls.spawn(client.request(request));
        }
        for _ in 0..3 {
            soon(told.recv()).await.unwrap();
        }
        for nth in 0..signals {
            if nth > 0 {
                // It has understood the first.
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
}

#[tokio::test]
async fn who_does_not_take_its_answer_is_cut_and_counted() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
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
    assert!(log.contains("stopped with 1 calls in flight: their clients did not take"), "{log}");
}

#[tokio::test]
async fn nothing_in_flight_ends_at_once() {
    let names = names();
    let running = start("http://127.0.0.1:9", &names, &["--grace", "3600", "--head-timeout", "3600"]);
    let mut begun = TcpStream::connect(running.address).await.unwrap();
    begun.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_answer(&mut begun).await;
    begun.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
}
