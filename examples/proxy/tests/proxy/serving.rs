//! The listener: header timeouts, graceful shutdown, pipelining, and back-off after errors.
use std::io;
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::peer::{
    COSTS, NAMED, Proxy, ROWS, Reply, Upstream, client, full, gated, limits, read_answer, read_head,
    scripted, settings, soon,
};
use api_key_name_proxy::server::AcceptBackOff;
use api_key_name_proxy::server::limits::Limits;

// === header timeouts ===

/// Sends the start of a request after a number of whole ones, and waits until the proxy closes the connection.
async fn incomplete_request_is_cut(whole: usize, start: &str) {
    let upstream = Upstream::rows().await;
    let time = Duration::from_millis(300);
    let limits = Limits { header_timeout: time, idle_timeout: time, ..limits() };
    let proxy = Proxy::limited(settings(&upstream.base()), limits).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    for _ in 0..whole {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    }
    stream.write_all(start.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert_eq!(upstream.connections(), 0);
}

const INCOMPLETE: &str = "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\n";

#[tokio::test]
async fn silent_client_is_cut_after_the_header_timeout() {
    incomplete_request_is_cut(0, "").await;
}

#[tokio::test]
async fn incomplete_http1_request_is_cut_after_the_header_timeout() {
    incomplete_request_is_cut(0, "G").await;
    incomplete_request_is_cut(0, INCOMPLETE).await;
}

#[tokio::test]
async fn incomplete_http2_preface_is_cut_after_the_header_timeout() {
    incomplete_request_is_cut(0, "P").await;
    incomplete_request_is_cut(0, "PRI * HTTP/2.0\r\n").await;
}

#[tokio::test]
async fn http2_connection_without_a_request_is_cut_after_the_header_timeout() {
    incomplete_request_is_cut(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
}

#[tokio::test]
async fn incomplete_second_request_is_cut_after_the_header_timeout() {
    incomplete_request_is_cut(1, INCOMPLETE).await;
}

#[tokio::test]
async fn idle_client_is_closed_after_the_idle_timeout() {
    incomplete_request_is_cut(1, "").await;
}

#[tokio::test]
async fn slow_response_is_not_cut_by_the_header_timeout() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(1_800)).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let limits = Limits { header_timeout: Duration::from_millis(800), ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{address}")), limits).await;
    assert_eq!(proxy.get(COSTS).await.text(), "ok");
}

// === shutdown ===

/// A proxy with one call in flight, whose upstream responds when the gate opens.
struct InFlightCall {
    proxy: Proxy,
    call: JoinHandle<Reply>,
    gate: std::sync::Arc<Notify>,
}

async fn call_in_flight(h2: bool, grace: Duration) -> InFlightCall {
    let (address, mut requests, gate) = gated().await;
    let proxy = Proxy::limited(settings(&format!("http://{address}")), Limits { grace, ..limits() }).await;
    let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
    let response = client(h2).request(request);
    let call = tokio::spawn(async move { Reply::read(response.await.unwrap()).await.unwrap() });
    soon(requests.recv()).await.unwrap();
    InFlightCall { proxy, call, gate }
}

const HOUR: Duration = Duration::from_secs(3_600);

async fn until_refused(proxy: &Proxy) {
    soon(async {
        while TcpStream::connect(proxy.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn call_in_flight_is_finished_during_a_shutdown() {
    for h2 in [false, true] {
        let InFlightCall { proxy, call, gate } = call_in_flight(h2, HOUR).await;
        proxy.ask_to_stop.send(1).unwrap();
        until_refused(&proxy).await;
        assert!(!proxy.serving.is_finished());
        gate.notify_one();
        assert_eq!(soon(call).await.unwrap().text(), "done");
        assert_eq!(soon(proxy.serving).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn idle_connection_is_closed_during_a_shutdown() {
    let InFlightCall { proxy, .. } = call_in_flight(false, HOUR).await;
    let mut idle = TcpStream::connect(proxy.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_answer(&mut idle).await;
    proxy.ask_to_stop.send(1).unwrap();
    let mut rest = Vec::new();
    let _ = soon(idle.read_to_end(&mut rest)).await;
    assert!(!proxy.serving.is_finished());
}

#[tokio::test]
async fn call_beyond_the_grace_period_is_cut() {
    let InFlightCall { proxy, .. } = call_in_flight(false, Duration::from_millis(100)).await;
    proxy.ask_to_stop.send(1).unwrap();
    assert_eq!(soon(proxy.serving).await.unwrap(), 1);
}

#[tokio::test]
async fn second_shutdown_signal_cuts_the_calls_in_flight() {
    let InFlightCall { proxy, .. } = call_in_flight(false, HOUR).await;
    proxy.ask_to_stop.send(1).unwrap();
    proxy.ask_to_stop.send(2).unwrap();
    assert_eq!(soon(proxy.serving).await.unwrap(), 1);
}

// === requests ===

#[tokio::test]
async fn pipelined_requests_are_all_served() {
    let upstream = Upstream::answering(|_| {
        Response::builder().header("content-type", "application/json").body(full(ROWS)).unwrap()
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let requests = "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut responses = Vec::new();
    while responses.windows(NAMED.len()).filter(|w| *w == NAMED.as_bytes()).count() < 20 {
        assert_ne!(soon(stream.read_buf(&mut responses)).await.unwrap(), 0);
    }
}

// === back-off ===

async fn time_of_wait(back_off: &mut AcceptBackOff, error: io::ErrorKind) -> Duration {
    let start = tokio::time::Instant::now();
    back_off.wait(&error.into()).await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn accept_error_without_resources_backs_off_to_one_second() {
    let mut back_off = AcceptBackOff::default();
    let mut last = Duration::ZERO;
    for _ in 0..20 {
        let time = time_of_wait(&mut back_off, io::ErrorKind::OutOfMemory).await;
        assert!(time > Duration::from_millis(1) && time >= last, "{time:?}");
        last = time;
    }
    assert!(last >= Duration::from_secs(1) && last < Duration::from_secs(2), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn accept_error_of_one_client_causes_no_delay() {
    let mut back_off = AcceptBackOff::default();
    for error in [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset] {
        assert_eq!(time_of_wait(&mut back_off, error).await, Duration::ZERO);
    }
}
