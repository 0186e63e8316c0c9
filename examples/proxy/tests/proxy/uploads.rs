//! Uploads and their timeouts.
//!
//! Tests of the timeouts layer use tokio's paused clock and connections in memory. Tests of the upstream's connection use
//! sockets and a timeout of one second.
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tower::{ServiceBuilder, service_fn};

use crate::frames::proxy_with_timeout;
use crate::peer::{
    COSTS, Proxy, exchange, limits, read_answer, read_head, scripted, settings, soon, write_then_wait,
};
use api_key_name_proxy::server::limits::Limits;
use api_key_name_proxy::stack::errors::with_error_responses;
use api_key_name_proxy::stack::timeouts::with_timeouts;
use api_key_name_proxy::upstream::failure::Failure;
use api_key_name_proxy::upstream::upload::Upload;

const TIMEOUT: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// A response that the upstream sends before it has read all content.
const EARLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nearly";

/// The upstream's treatment of the request body.
#[derive(Clone, Copy)]
enum Upstream {
    ReadsAll,
    ReadsNothing,
    /// Reads the body, waits this long, and responds.
    Thinks(Duration),
    /// Waits as long as the timeout allows, and responds in ten pieces, with this wait before each.
    Drips(Duration),
}

/// The errors and timeouts layers on one HTTP/1.1 connection.
fn connect(upstream: Upstream) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let service = ServiceBuilder::new()
        .map_request(|request: Request<Incoming>| request.map(Some))
        .layer_fn(with_error_responses)
        .layer_fn(|inner| with_timeouts(inner, TIMEOUT, DEADLINE))
        .service(service_fn(move |request: Request<Upload>| async move {
            let length = match upstream {
                Upstream::ReadsNothing => std::future::pending().await,
                Upstream::ReadsAll | Upstream::Thinks(_) | Upstream::Drips(_) => {
                    // Like hyper's client: a broken body fails the request.
                    match request.into_body().collect().await {
                        Ok(body) => body.to_bytes().len(),
                        Err(_) => return Err(Failure::InvalidResponse),
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
    let mut response = Vec::new();
    while !response.windows(4).any(|w| w == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0, "no response");
    }
    StatusCode::from_bytes(&response[9..12]).unwrap()
}

const HEAD: &[u8] = b"POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn slow_upload_is_not_cut_before_the_deadline() {
    let mut stream = connect(Upstream::ReadsAll);
    stream.write_all(HEAD).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(TIMEOUT - Duration::from_secs(1)).await;
        stream.write_all(b"x").await.unwrap();
    }
    assert_eq!(status_of(&mut stream).await, 200);
}

#[tokio::test(start_paused = true)]
async fn response_timeout_begins_at_the_end_of_the_upload() {
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
async fn stalled_upload_fails_with_408() {
    let mut stream = connect(Upstream::ReadsAll);
    stream.write_all(HEAD).await.unwrap();
    stream.write_all(b"01234").await.unwrap();
    assert_eq!(status_of(&mut stream).await, 408);
}

#[tokio::test(start_paused = true)]
async fn upload_that_the_upstream_does_not_read_fails_with_504() {
    let mut stream = connect(Upstream::ReadsNothing);
    stream.write_all(HEAD).await.unwrap();
    stream.write_all(b"01234").await.unwrap();
    assert_eq!(status_of(&mut stream).await, 504);
}

#[tokio::test(start_paused = true)]
async fn response_timeout_without_upload_begins_at_the_request() {
    let mut stream = connect(Upstream::Thinks(TIMEOUT - Duration::from_secs(1)));
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(status_of(&mut stream).await, 200);
    let mut stream = connect(Upstream::Thinks(TIMEOUT + Duration::from_secs(1)));
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(status_of(&mut stream).await, 504);
}

#[tokio::test(start_paused = true)]
async fn slow_response_passes_and_a_silent_one_is_cut() {
    for (wait, whole) in [(TIMEOUT - Duration::from_secs(1), true), (TIMEOUT + Duration::from_secs(1), false)]
    {
        let mut stream = connect(Upstream::Drips(wait));
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut response = String::new();
        let _ = stream.read_to_string(&mut response).await;
        assert_eq!(response.ends_with("\r\n0\r\n\r\n"), whole, "{response}");
        assert_eq!(response.matches("1\r\n0\r\n").count(), if whole { 10 } else { 0 }, "{response}");
    }
}

#[tokio::test]
async fn invalid_chunked_upload_fails_with_400() {
    let address = scripted(|mut stream| async move { write_then_wait(&mut stream, "").await }).await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let response = exchange(
        proxy.address,
        "POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnot a chunk\r\n\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(response.contains("request_broken"));
}

#[tokio::test]
async fn response_may_arrive_before_the_end_of_the_upload() {
    // Responds after the first half. If the proxy buffered the body, it would never arrive.
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

/// The header limit must not apply to the rest of the upload.
#[tokio::test]
async fn upload_after_an_early_response_is_not_read_as_a_request() {
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
        let response = soon(read_answer(&mut stream)).await;
        assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("early"), "{response}");
        soon(stream.write_all(&vec![b'x'; LENGTH])).await.unwrap();
    }
}

/// A proxy with a timeout of one second.
async fn impatient(upstream: SocketAddr) -> Proxy {
    let mut settings = settings(&format!("http://{upstream}"));
    settings.timeout = Duration::from_secs(1);
    Proxy::with(settings).await
}

/// Sends half of the announced content.
async fn half_an_upload(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream
        .write_all(b"POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nhalf")
        .await
        .unwrap();
    stream
}

/// The upload occupies an upstream connection until it ends.
#[tokio::test]
async fn upload_after_its_response_counts_as_in_flight() {
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
    // The upload stalls and is cut.
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or_default(), 0);
    soon(async { while proxy.get(COSTS).await.status != 200 {} }).await;
}

/// Without a limit of the proxy, hyper would wait for the rest without end.
#[tokio::test]
async fn stalled_upload_after_its_response_closes_both_connections() {
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
    // The content is cut, and not ended as if it were complete.
    assert!(soon(upstreams.recv()).await.unwrap().ends_with(b"\r\n\r\nhalf"));
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn stalled_http2_upload_after_its_response_closes_its_connection() {
    let (report, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let proxy = proxy_with_timeout(Duration::from_secs(1), move |_, mut frames| {
        let report = report.clone();
        async move {
            frames.begin(&[]).await;
            let headers = frames.next().await.unwrap();
            frames.respond_with(headers.stream, "early").await;
            let mut content = Vec::new();
            while let Some(frame) = frames.next().await {
                content.extend(frame.payload);
            }
            report.send(content).unwrap();
        }
    })
    .await;
    let mut stream = half_an_upload(&proxy).await;
    assert!(soon(read_head(&mut stream)).await.starts_with("HTTP/1.1 200 "));
    assert!(soon(closed.recv()).await.unwrap().starts_with(b"half"));
}

#[tokio::test]
async fn stalled_upload_does_not_cut_its_response() {
    const PIECES: usize = 40;
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let said = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {PIECES}\r\n\r\n");
        stream.write_all(said.as_bytes()).await.unwrap();
        // The whole response takes longer than the timeout.
        for _ in 0..PIECES {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(b"x").await.unwrap();
        }
        write_then_wait(&mut stream, "").await;
    })
    .await;
    let proxy = impatient(address).await;
    let mut stream = half_an_upload(&proxy).await;
    let response = soon(read_answer(&mut stream)).await;
    assert!(response.ends_with(&"x".repeat(PIECES)), "{response}");
}

/// RFC 9112 §6.1: an HTTP/1.0 peer receives no chunks. hyper omits the content on a connection that was HTTP/1.0.
#[tokio::test]
async fn content_of_unknown_length_reaches_an_http10_upstream() {
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
    let response = exchange(proxy.address, post).await;
    assert!(
        response.contains("POST /v1/organization/projects HTTP/1.1") && response.contains("5\r\nwhole"),
        "{response}"
    );
}
