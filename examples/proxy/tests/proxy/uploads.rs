//! Bodies: streamed, and timed by their silences alone, those that the client sends above all. On a clock that stands still
//! but for the waits, and connections in memory, so that a test does not take the time it speaks of; over sockets, and with a
//! second in place of a minute, where it is about the upstream's connection.
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tower::{ServiceBuilder, service_fn};

use crate::peer::{
    COSTS, Proxy, exchange, limits, read_answer, read_head, scripted, settings, soon, write_then_wait,
};
use api_key_name_proxy::errors::{Errors, Failure};
use api_key_name_proxy::limits::Limits;
use api_key_name_proxy::timeouts::{Timeouts, Upload};

const TIMEOUT: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer to a request whose content is not all there.
const EARLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nearly";

/// What the upstream does with the body.
#[derive(Clone, Copy)]
enum Upstream {
    ReadsAll,
    ReadsNothing,
    /// Reads it, thinks for that long, and answers.
    Thinks(Duration),
    /// Thinks for as long as it may, answers in ten pieces, and waits that long before each.
    Drips(Duration),
}

/// The two layers that matter, on one connection of HTTP/1.1.
fn connect(upstream: Upstream) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let service = ServiceBuilder::new()
        .layer_fn(Errors::new)
        .layer_fn(|inner| Timeouts::new(inner, TIMEOUT, DEADLINE))
        .service(service_fn(move |request: Request<Upload>| async move {
            let length = match upstream {
                Upstream::ReadsNothing => std::future::pending().await,
                Upstream::ReadsAll | Upstream::Thinks(_) | Upstream::Drips(_) => {
                    // As the client of hyper does: a broken body is a failed request.
                    match request.into_body().collect().await {
                        Ok(body) => body.to_bytes().len(),
                        Err(_) => return Err(Failure::Unusable),
                    }
                }
            };
            tokio::time::sleep(match upstream {
                Upstream::Thinks(time) => time,
                Upstream::Drips(_) => TIMEOUT - Duration::from_secs(1),
                Upstream::ReadsAll | Upstream::ReadsNothing => Duration::ZERO,
            })
            .await;
            let (mut send, body) = Channel::<Bytes, hyper::Error>::new(1);
            tokio::spawn(async move {
                let (pieces, wait) = match upstream {
                    Upstream::Drips(wait) => (10, wait),
                    _ => (1, Duration::ZERO),
                };
                for _ in 0..pieces {
                    tokio::time::sleep(wait).await;
                    // The proxy may have given up.
                    let _ = send.send_data(Bytes::from(length.to_string())).await;
                }
            });
            Ok(Response::new(body))
        }));
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(theirs), TowerToHyperService::new(service));
    tokio::spawn(connection);
    ours
}

async fn status_of(stream: &mut DuplexStream) -> StatusCode {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "no answer");
    }
    StatusCode::from_bytes(&answer[9..12]).unwrap()
}

const HEAD: &[u8] = b"POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_slow_upload_may_take_all_day() {
    let mut stream = connect(Upstream::ReadsAll);
    stream.write_all(HEAD).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(TIMEOUT - Duration::from_secs(1)).await;
        stream.write_all(b"x").await.unwrap();
    }
    assert_eq!(status_of(&mut stream).await, 200);
}

#[tokio::test(start_paused = true)]
async fn the_upstreams_time_begins_where_the_upload_ends() {
    for (thinks, status) in [(TIMEOUT - Duration::from_secs(1), 200), (TIMEOUT + Duration::from_secs(1), 504)]
    {
        let mut stream = connect(Upstream::Thinks(thinks));
        stream.write_all(HEAD).await.unwrap();
        tokio::time::sleep(TIMEOUT - Duration::from_secs(1)).await;
        stream.write_all(b"0123456789").await.unwrap();
        assert_eq!(status_of(&mut stream).await, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_is_told_so() {
    let mut stream = connect(Upstream::ReadsAll);
    stream.write_all(HEAD).await.unwrap();
    stream.write_all(b"01234").await.unwrap();
    assert_eq!(status_of(&mut stream).await, 408);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_does_not_take_the_body_is_a_504() {
    let mut stream = connect(Upstream::ReadsNothing);
    stream.write_all(HEAD).await.unwrap();
    stream.write_all(b"01234").await.unwrap();
    assert_eq!(status_of(&mut stream).await, 504);
}

#[tokio::test(start_paused = true)]
async fn without_a_body_it_is_the_head_alone() {
    let mut stream = connect(Upstream::Thinks(TIMEOUT - Duration::from_secs(1)));
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(status_of(&mut stream).await, 200);
    let mut stream = connect(Upstream::Thinks(TIMEOUT + Duration::from_secs(1)));
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(status_of(&mut stream).await, 504);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_may_take_all_day_and_a_silent_one_may_not() {
    for (wait, whole) in [(TIMEOUT - Duration::from_secs(1), true), (TIMEOUT + Duration::from_secs(1), false)]
    {
        let mut stream = connect(Upstream::Drips(wait));
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert_eq!(answer.ends_with("\r\n0\r\n\r\n"), whole, "{answer}");
        assert_eq!(answer.matches("1\r\n0\r\n").count(), if whole { 10 } else { 0 }, "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_http_is_the_clients_fault() {
    let address = scripted(|mut stream| async move { write_then_wait(&mut stream, "").await }).await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let answer = exchange(
        proxy.address,
        "POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnot a chunk\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("request_broken"));
}

#[tokio::test]
async fn an_upload_is_streamed_and_the_answer_may_come_first() {
    // Answers when the first half is there: a body that was held would wait for ever.
    let address = scripted(|mut stream| async move {
        let mut asked = read_head(&mut stream).await;
        while !asked.contains("first half") {
            let mut more = [0; 1_024];
            let n = stream.read(&mut more).await.unwrap();
            asked.push_str(std::str::from_utf8(&more[..n]).unwrap());
        }
        let said = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nyes";
        write_then_wait(&mut stream, said).await;
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream
        .write_all(
            b"POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nfirst half",
        )
        .await
        .unwrap();
    let head = soon(read_head(&mut stream)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

/// What came of it then counted as the next call's head, and was refused as one that is too large: the refusal stood where
/// the next answer was to be.
#[tokio::test]
async fn what_follows_an_early_answer_is_no_head() {
    const LENGTH: usize = 400_000;
    let address = scripted(|mut stream| async move {
        while read_head(&mut stream).await.starts_with("POST") {
            stream.write_all(EARLY).await.unwrap();
            let mut upload = vec![0; LENGTH];
            stream.read_exact(&mut upload).await.unwrap();
        }
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    for _ in 0..3 {
        let head =
            format!("POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\ncontent-length: {LENGTH}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = soon(read_answer(&mut stream)).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("early"), "{answer}");
        soon(stream.write_all(&vec![b'x'; LENGTH])).await.unwrap();
    }
}

/// To this upstream. Whoever is silent is waited for a second.
async fn impatient(upstream: SocketAddr) -> Proxy {
    let mut settings = settings(&format!("http://{upstream}"));
    settings.timeout = Duration::from_secs(1);
    Proxy::with(settings).await
}

/// Of what is announced.
async fn half_an_upload(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream
        .write_all(b"POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nhalf")
        .await
        .unwrap();
    stream
}

/// It has a connection to the upstream for as long as it is on its way, whatever was answered.
#[tokio::test]
async fn an_upload_behind_its_answer_counts_as_a_call() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        write_then_wait(&mut stream, std::str::from_utf8(EARLY).unwrap()).await;
    })
    .await;
    let mut settings = settings(&format!("http://{address}"));
    settings.timeout = Duration::from_secs(1);
    let proxy = Proxy::limited(settings, Limits { max_in_flight: 1, ..limits() }).await;
    let mut stream = half_an_upload(&proxy).await;
    assert!(soon(read_answer(&mut stream)).await.ends_with("early"));
    proxy.get(COSTS).await.is_error(503, "overloaded");
    // It stands still, and is cut.
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or_default(), 0);
    soon(async { while proxy.get(COSTS).await.status != 200 {} }).await;
}

/// Nobody would end it: the answer is out, and hyper waits for as long as nothing is read or written.
#[tokio::test]
async fn an_upload_that_stands_still_behind_its_answer_ends_with_both_connections() {
    let (ended, mut upstreams) = tokio::sync::mpsc::unbounded_channel();
    let address = scripted(move |mut stream| {
        let ended = ended.clone();
        async move {
            let mut asked = read_head(&mut stream).await.into_bytes();
            stream.write_all(EARLY).await.unwrap();
            let _ = stream.read_to_end(&mut asked).await;
            ended.send(asked).unwrap();
        }
    })
    .await;
    let proxy = impatient(address).await;
    let mut stream = half_an_upload(&proxy).await;
    assert!(soon(read_answer(&mut stream)).await.ends_with("early"));
    // It is cut, not ended as if it were whole.
    assert!(soon(upstreams.recv()).await.unwrap().ends_with(b"\r\n\r\nhalf"));
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn an_upload_that_stands_still_does_not_end_its_answer() {
    const PIECES: usize = 40;
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let said = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {PIECES}\r\n\r\n");
        stream.write_all(said.as_bytes()).await.unwrap();
        // It takes longer than either side may be silent.
        for _ in 0..PIECES {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(b"x").await.unwrap();
        }
        write_then_wait(&mut stream, "").await;
    })
    .await;
    let proxy = impatient(address).await;
    let mut stream = half_an_upload(&proxy).await;
    let answer = soon(read_answer(&mut stream)).await;
    assert!(answer.ends_with(&"x".repeat(PIECES)), "{answer}");
}

/// RFC 9112 §6.1: whoever has spoken HTTP/1.0 is sent no chunks. A connection of the pool that had done so was, and the
/// body was left out without a word.
#[tokio::test]
async fn a_body_of_unknown_length_arrives_where_http_1_0_was_spoken() {
    let address = scripted(|mut stream| async move {
        let mut asked = read_head(&mut stream).await;
        if asked.starts_with("POST") {
            while !asked.ends_with("0\r\n\r\n") {
                let mut more = [0; 1_024];
                let n = stream.read(&mut more).await.unwrap();
                assert_ne!(n, 0, "{asked}");
                asked.push_str(std::str::from_utf8(&more[..n]).unwrap());
            }
        }
        let length = asked.len();
        let head = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-type: text/plain\r\n";
        stream.write_all(format!("{head}content-length: {length}\r\n\r\n{asked}").as_bytes()).await.unwrap();
        write_then_wait(&mut stream, "").await;
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    assert_eq!(proxy.get("/v1/organization/costs").await.status, 200);
    let post = "POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n";
    let answer = exchange(proxy.address, post).await;
    assert!(
        answer.contains("POST /v1/organization/projects HTTP/1.1") && answer.contains("5\r\nwhole"),
        "{answer}"
    );
}
