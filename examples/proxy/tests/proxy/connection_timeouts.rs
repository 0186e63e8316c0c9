//! The timeouts of one connection, over transports in memory and with a paused clock.
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Channel};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use crate::peer::{AnyBody, full, limits};
use api_key_name_proxy::server::limits::Limits;
use api_key_name_proxy::server::{NoTimeLimit, Server, ShutdownSignal};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than each limit.
const LONG: Duration = Duration::from_secs(60 * 60);

/// The size of a chunk of `/big`.
const CHUNK: usize = 16_000;

type TestServer = Server<BoxCloneSyncService<Request<Incoming>, Response<AnyBody>, Infallible>>;

/// Responds `ok`; to `/early` before it reads the request content, and to `/big` with this number of chunks. `/unlimited`
/// sends the chunks after [`LONG`], without a time limit.
fn server(limits: Limits, chunks: usize) -> Arc<TestServer> {
    let respond = move |request: Request<Incoming>| async move {
        if request.uri().path().ends_with("/early") {
            // The extensions are kept as long as the content. It is read like hyper's client does, not beyond its end.
            tokio::spawn(async move {
                let (_parts, mut body) = request.into_parts();
                while !body.is_end_stream() && body.frame().await.is_some() {}
            });
        } else if matches!(request.uri().path(), "/big" | "/unlimited") {
            let (mut send, body) = Channel::<Bytes, std::io::Error>::new(1);
            let is_unlimited = request.uri().path() == "/unlimited";
            let (no_time_limit, work) = NoTimeLimit::new();
            tokio::spawn(async move {
                let _work = work;
                if is_unlimited {
                    sleep(LONG).await;
                }
                for _ in 0..chunks {
                    if send.send_data(vec![b'x'; CHUNK].into()).await.is_err() {
                        return;
                    }
                }
            });
            let mut response = Response::new(body.boxed());
            if is_unlimited {
                response.extensions_mut().insert(no_time_limit);
            }
            return Ok(response);
        }
        Ok(Response::new(full("ok")))
    };
    Arc::new(Server::new(BoxCloneSyncService::new(service_fn(respond)), limits))
}

fn connect(server: &Arc<TestServer>) -> DuplexStream {
    let (client, stream) = tokio::io::duplex(4_096);
    let server = server.clone();
    tokio::spawn(async move { server.serve_connection(stream, |_| {}).await });
    client
}

/// Returns the time until the server closes the connection.
async fn time_until_closed(stream: &mut DuplexStream) -> Duration {
    let start = Instant::now();
    while stream.write_all(b"").await.is_ok() && stream.read_u8().await.is_ok() {}
    start.elapsed()
}

#[track_caller]
fn assert_about(time: Duration, expected: Duration) {
    let latest = expected + Duration::from_millis(1_100);
    assert!(time >= expected && time < latest, "{time:?}, not {expected:?}");
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const BIG: &str = "GET /big HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Sends a request, and reads its response to the `ok`.
async fn request(stream: &mut DuplexStream, headers: &str) {
    stream.write_all(headers.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"ok") {
        assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0);
    }
}

fn early(length: usize) -> String {
    format!("POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
}

/// Sends a byte of headers each half second, and returns the time until the server closes the connection.
async fn time_for_slow_headers(stream: &mut DuplexStream) -> Duration {
    let start = Instant::now();
    let mut headers = b"GET / HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'x'));
    while stream.write_all(&[*headers.next().unwrap()]).await.is_ok() {
        sleep(SECOND / 2).await;
    }
    start.elapsed()
}

// === headers and idle time ===

#[tokio::test(start_paused = true)]
async fn silent_connection_is_closed_after_the_header_timeout() {
    let limits = limits();
    let mut stream = connect(&server(limits, 0));
    assert_about(time_until_closed(&mut stream).await, limits.header_timeout);
}

#[tokio::test(start_paused = true)]
async fn slow_headers_are_cut_after_the_header_timeout() {
    let limits = limits();
    let mut stream = connect(&server(limits, 0));
    assert_about(time_for_slow_headers(&mut stream).await, limits.header_timeout);
}

#[tokio::test(start_paused = true)]
async fn slow_headers_after_idle_time_are_cut_after_the_header_timeout() {
    let limits = limits();
    let mut stream = connect(&server(limits, 0));
    request(&mut stream, GET).await;
    sleep(30 * SECOND).await;
    assert_about(time_for_slow_headers(&mut stream).await, limits.header_timeout);
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_closed_after_the_idle_timeout() {
    let limits = limits();
    let mut stream = connect(&server(limits, 0));
    request(&mut stream, GET).await;
    assert_about(time_until_closed(&mut stream).await, limits.idle_timeout);
}

#[tokio::test(start_paused = true)]
async fn request_within_the_idle_timeout_keeps_the_connection() {
    let limits = limits();
    let mut stream = connect(&server(limits, 0));
    for _ in 0..5 {
        request(&mut stream, GET).await;
        sleep(limits.idle_timeout - SECOND).await;
    }
    request(&mut stream, GET).await;
}

#[tokio::test(start_paused = true)]
async fn http2_connection_is_shut_down_after_the_idle_timeout() {
    let limits = limits();
    let io = TokioIo::new(connect(&server(limits, 0)));
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get("http://x/").body(full("")).unwrap();
        let response = send.send_request(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        sleep(limits.idle_timeout - SECOND).await;
    }
    let start = Instant::now();
    // It receives GOAWAY, and no reset.
    connection.await.unwrap().unwrap();
    assert_about(start.elapsed(), SECOND);
}

// === content after the response ===

#[tokio::test(start_paused = true)]
async fn slow_upload_after_its_response_is_received() {
    let mut stream = connect(&server(limits(), 0));
    for _ in 0..2 {
        request(&mut stream, &early(1_000_000)).await;
        // More bytes, and more time, than headers may take.
        for _ in 0..50 {
            sleep(SECOND).await;
            stream.write_all(&[b'x'; 20_000]).await.unwrap();
        }
    }
    request(&mut stream, GET).await;
}

#[tokio::test(start_paused = true)]
async fn upload_after_its_response_is_cut_at_the_deadline() {
    let limits = limits();
    let mut stream = connect(&server(limits, 0));
    request(&mut stream, &early(2)).await;
    stream.write_all(b"x").await.unwrap();
    assert_about(time_until_closed(&mut stream).await, limits.deadline);
}

async fn idle_after_upload(headers: &str, content: &str) {
    let limits = limits();
    let mut stream = connect(&server(limits, 0));
    request(&mut stream, &format!("POST /early HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n")).await;
    sleep(limits.idle_timeout * 2).await;
    stream.write_all(content.as_bytes()).await.unwrap();
    assert_about(time_until_closed(&mut stream).await, limits.idle_timeout);
}

#[tokio::test(start_paused = true)]
async fn idle_time_begins_at_the_end_of_an_upload() {
    idle_after_upload("content-length: 2", "xx").await;
}

#[tokio::test(start_paused = true)]
async fn idle_time_begins_at_the_end_of_a_chunked_upload() {
    idle_after_upload("transfer-encoding: chunked", "2\r\nxx\r\n0\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn upload_after_its_response_is_received_during_a_shutdown() {
    let server = server(Limits { grace: 3_600 * SECOND, ..limits() }, 0);
    let mut stream = connect(&server);
    request(&mut stream, &early(5)).await;
    let shutdown = tokio::spawn(async move {
        let (_sender, mut signal) = ShutdownSignal::channel();
        server.shut_down(&mut signal).await
    });
    for byte in b"hello" {
        sleep(5 * SECOND).await;
        assert!(!shutdown.is_finished());
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert!(time_until_closed(&mut stream).await < 3 * SECOND);
    assert_eq!(shutdown.await.unwrap(), 0);
}

// === slow readers ===

#[tokio::test(start_paused = true)]
async fn unread_response_is_cut_after_the_timeout() {
    let limits = limits();
    let mut stream = connect(&server(limits, 100));
    stream.write_all(BIG.as_bytes()).await.unwrap();
    sleep(limits.timeout - SECOND).await;
    // The connection is open, and its transport full.
    assert_eq!(stream.read(&mut [0; 4_096]).await.unwrap(), 4_096);
    sleep(3 * SECOND).await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() <= 4_096, "{}", rest.len());
}

/// Reads a response of two million bytes, which takes less than the deadline. Returns the number of bytes.
async fn read_at(bytes_per_second: usize) -> usize {
    let mut stream = connect(&server(limits(), 2_000_000 / CHUNK));
    stream.write_all(BIG.as_bytes()).await.unwrap();
    let (mut read, mut piece) = (0, vec![0; bytes_per_second]);
    while let Ok(n) = stream.read_exact(&mut piece).await {
        read += n;
        sleep(SECOND).await;
    }
    read
}

#[tokio::test(start_paused = true)]
async fn response_read_at_10_kb_per_second_is_whole() {
    let read = read_at(10_000).await;
    assert!(read > 1_990_000, "{read}");
}

#[tokio::test(start_paused = true)]
async fn response_read_at_4_kb_per_second_is_cut() {
    let read = read_at(4_000).await;
    assert!(read <= 1_990_000, "{read}");
}

#[tokio::test(start_paused = true)]
async fn endless_response_is_cut_at_the_deadline() {
    let limits = limits();
    let mut stream = connect(&server(limits, usize::MAX));
    let start = Instant::now();
    stream.write_all(BIG.as_bytes()).await.unwrap();
    let mut piece = vec![0; 20_000];
    while stream.read_exact(&mut piece).await.is_ok() {
        sleep(SECOND).await;
    }
    assert_about(start.elapsed(), limits.deadline + SECOND);
}

// === responses without a time limit ===

/// Requests `/unlimited`, and reads its response after a time. Asserts that it is complete.
async fn assert_unlimited_response_is_complete(time_before_reading: Duration) {
    const CHUNK_COUNT: usize = 20;
    let mut stream = connect(&server(limits(), CHUNK_COUNT));
    let request = "GET /unlimited HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    sleep(time_before_reading).await;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    assert!(response.len() > CHUNK_COUNT * CHUNK);
    assert!(response.ends_with(b"\r\n0\r\n\r\n"), "cut after {} bytes", response.len());
}

#[tokio::test(start_paused = true)]
async fn response_without_a_time_limit_is_complete_after_the_deadline() {
    assert_unlimited_response_is_complete(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn response_without_a_time_limit_is_not_cut_while_its_client_does_not_read() {
    assert_unlimited_response_is_complete(2 * LONG).await;
}
