//! The limits on connections, calls in flight, headers and the duration of a call, over real sockets.
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error as ClientError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::peer::{
    AnyBody, COSTS, NAMED, Proxy, Reply, Upstream, client, exchange, full, gated, limits, read_answer,
    read_head, scripted, settings, soon, write_then_wait,
};
use api_key_name_proxy::server::limits::Limits;

type Call = JoinHandle<Result<Response<Incoming>, ClientError>>;

fn get(proxy: &Proxy, target: &str) -> Request<AnyBody> {
    Request::get(proxy.url(target)).body(full("")).unwrap()
}

async fn reply(call: Call) -> Reply {
    Reply::read(soon(call).await.unwrap().unwrap()).await.unwrap()
}

// === calls in flight ===

/// A proxy with as many calls in flight as it accepts.
struct Busy {
    proxy: Proxy,
    calls: Vec<Call>,
    gate: std::sync::Arc<Notify>,
    _requests: mpsc::Receiver<()>,
}

async fn busy(h2: bool) -> Busy {
    let (upstream, mut requests, gate) = gated().await;
    let limits = Limits { max_in_flight: 2, ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{upstream}")), limits).await;
    let client = client(h2);
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(client.request(get(&proxy, COSTS)))).collect();
    for _ in &calls {
        soon(requests.recv()).await.unwrap();
    }
    Busy { proxy, calls, gate, _requests: requests }
}

#[tokio::test]
async fn call_above_max_in_flight_is_503_with_retry_after() {
    for h2 in [false, true] {
        let busy = busy(h2).await;
        let reply = reply(tokio::spawn(client(h2).request(get(&busy.proxy, COSTS)))).await;
        reply.is_error(503, "overloaded");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
}

#[tokio::test]
async fn local_response_above_max_in_flight_is_served() {
    let busy = busy(false).await;
    assert_eq!(busy.proxy.get("/health").await.status, 200);
    busy.proxy.get("/v1/models").await.is_error(404, "not_found");
}

#[tokio::test]
async fn call_after_the_end_of_others_is_served() {
    for h2 in [false, true] {
        let busy = busy(h2).await;
        for call in busy.calls {
            busy.gate.notify_one();
            assert_eq!(reply(call).await.text(), "done");
        }
        busy.gate.notify_one();
        let next = reply(tokio::spawn(client(h2).request(get(&busy.proxy, COSTS)))).await;
        assert_eq!(next.text(), "done");
    }
}

/// Responds to `/big` without end, and to other paths with the rows.
async fn endless() -> Upstream {
    Upstream::answering(|asked| {
        if !asked.uri.path().ends_with("/big") {
            return crate::peer::json(crate::peer::ROWS);
        }
        let (mut send, body) = Channel::<Bytes, std::io::Error>::new(1);
        tokio::spawn(async move { while send.send_data(vec![b'x'; 16_384].into()).await.is_ok() {} });
        Response::builder().header("content-type", "text/plain").body(body.boxed()).unwrap()
    })
    .await
}

#[tokio::test]
async fn stalled_response_is_cut_for_a_new_call() {
    for h2 in [false, true] {
        let upstream = endless().await;
        let proxy = Proxy::limited(settings(&upstream.base()), Limits { max_in_flight: 1, ..limits() }).await;
        let request = get(&proxy, "/v1/organization/big");
        let mut stalled = soon(client(h2).request(request)).await.unwrap().into_body();
        soon(async {
            loop {
                let reply = proxy.get(COSTS).await;
                if reply.status == 200 {
                    return assert_eq!(reply.text(), NAMED);
                }
                // The other response has not been stalled for long enough.
                reply.is_error(503, "overloaded");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        soon(async { while stalled.frame().await.expect("a clean end").is_ok() {} }).await;
    }
}

// === connections ===

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

async fn is_served(stream: &mut TcpStream) -> bool {
    stream.write_all(HEALTH).await.unwrap();
    read_answer(stream).await.starts_with("HTTP/1.1 200 ")
}

async fn idle_connection(proxy: &Proxy) -> TcpStream {
    let mut stream = soon(TcpStream::connect(proxy.address)).await.unwrap();
    assert!(is_served(&mut stream).await);
    stream
}

#[tokio::test]
async fn longest_idle_connection_is_closed_for_a_new_one() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::limited(settings(&upstream.base()), Limits { max_connections: 2, ..limits() }).await;
    let mut first = idle_connection(&proxy).await;
    let mut second = idle_connection(&proxy).await;
    let _third = idle_connection(&proxy).await;
    assert_eq!(soon(first.read(&mut [0; 1])).await.unwrap(), 0);
    assert!(is_served(&mut second).await);
}

#[tokio::test]
async fn connection_with_a_call_is_not_evicted() {
    let (upstream, mut requests, gate) = gated().await;
    let limits = Limits { max_connections: 2, ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{upstream}")), limits).await;
    let call = tokio::spawn(client(false).request(get(&proxy, COSTS)));
    soon(requests.recv()).await.unwrap();
    let mut idle = idle_connection(&proxy).await;
    let _next = idle_connection(&proxy).await;
    assert_eq!(soon(idle.read(&mut [0; 1])).await.unwrap(), 0);
    gate.notify_one();
    assert_eq!(reply(call).await.text(), "done");
}

#[tokio::test]
async fn new_connection_waits_while_all_others_have_calls() {
    let (upstream, mut requests, gate) = gated().await;
    let limits = Limits { max_connections: 1, ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{upstream}")), limits).await;
    let call = tokio::spawn(client(false).request(get(&proxy, COSTS)));
    soon(requests.recv()).await.unwrap();
    let request = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let next = tokio::spawn(exchange(proxy.address, request));
    gate.notify_one();
    assert_eq!(reply(call).await.text(), "done");
    assert!(soon(next).await.unwrap().starts_with("HTTP/1.1 200 "));
}

// === headers ===

/// Sends this number of fields with values of this length. `None` if the client rejects the request because of the proxy's SETTINGS.
async fn status_with_headers(h2: bool, fields: usize, length: usize) -> Option<StatusCode> {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let mut request = get(&proxy, COSTS);
    for nth in 0..fields {
        let name = HeaderName::try_from(format!("x-{nth}")).unwrap();
        request.headers_mut().insert(name, HeaderValue::try_from("v".repeat(length)).unwrap());
    }
    soon(client(h2).request(request)).await.ok().map(|response| response.status())
}

#[tokio::test]
async fn request_headers_of_80_kb_are_accepted() {
    for h2 in [false, true] {
        assert_eq!(status_with_headers(h2, 1, 80_000).await, Some(StatusCode::OK));
    }
}

#[tokio::test]
async fn request_headers_of_200_kb_are_rejected() {
    for h2 in [false, true] {
        let status = status_with_headers(h2, 1, 200_000).await;
        assert!(
            matches!(status, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)) || (h2 && status.is_none())
        );
    }
}

#[tokio::test]
async fn request_with_90_header_fields_is_accepted() {
    for h2 in [false, true] {
        assert_eq!(status_with_headers(h2, 90, 10).await, Some(StatusCode::OK));
    }
}

#[tokio::test]
async fn http1_request_with_101_header_fields_is_431() {
    let status = status_with_headers(false, 101, 10).await;
    assert_eq!(status, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
}

/// The memory of a connection is bounded while its headers do not end.
#[tokio::test]
async fn http1_headers_without_end_are_431_before_200_kb() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nx: ").await.unwrap();
    stream.write_all(&vec![b'x'; 200_000]).await.unwrap();
    assert!(soon(read_head(&mut stream)).await.starts_with("HTTP/1.1 431 "));
}

/// HEADERS of HTTP/2 (RFC 9113 §6.2) with a field of 4,000 bytes, all literal (RFC 7541 §6.2.2).
fn large_headers_frame(stream: u32) -> Vec<u8> {
    let mut block = b"\x82\x86\x04\x16/v1/organization/costs\x01\x01x\x00\x01x\x7f\xa1\x1e".to_vec();
    block.extend([b'x'; 4_000]);
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    [&length[1..], &[1, 5], &stream.to_be_bytes(), &block].concat()
}

#[tokio::test]
async fn http2_headers_of_many_requests_are_limited_separately() {
    const REQUESTS: u32 = 60;
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    (0..REQUESTS).for_each(|nth| sent.extend(large_headers_frame(2 * nth + 1)));
    stream.write_all(&sent).await.unwrap();
    let mut responses = 0;
    while responses < REQUESTS {
        let mut header = [0; 9];
        soon(stream.read_exact(&mut header)).await.unwrap();
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        soon(stream.read_exact(&mut vec![0; length as usize])).await.unwrap();
        assert!(header[3] < 10, "not a frame of HTTP/2: {header:?}");
        responses += u32::from(header[3] == 1);
    }
}

/// Repeats a piece after the start of the upstream's response, until the proxy closes the connection.
async fn headers_without_end_are_502(start: &'static str, piece: &'static str) {
    let (closed, mut is_closed) = mpsc::channel(1);
    let address = scripted(move |mut stream| {
        let closed = closed.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{start}").as_bytes()).await.unwrap();
            while stream.write_all(piece.repeat(1_000).as_bytes()).await.is_ok() {}
            let _ = closed.send(()).await;
        }
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    proxy.get(COSTS).await.is_error(502, "upstream_transport_error");
    soon(is_closed.recv()).await.unwrap();
}

#[tokio::test]
async fn upstream_header_value_without_end_is_502() {
    headers_without_end_are_502("x: ", "v").await;
}

#[tokio::test]
async fn upstream_header_fields_without_end_are_502() {
    headers_without_end_are_502("", "x: v\r\n").await;
}

#[tokio::test]
async fn upstream_cookies_without_end_are_502() {
    headers_without_end_are_502("", "set-cookie: v\r\n").await;
}

#[tokio::test]
async fn informational_responses_without_end_are_504() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut settings = settings(&format!("http://{address}"));
    settings.timeout = Duration::from_millis(300);
    Proxy::with(settings).await.get(COSTS).await.is_error(504, "upstream_timeout");
}

// === the deadline ===

/// The upstream writes this, and then a byte every 10 ms, which is never silent.
async fn slow_response_is_504(start: &'static str, then: &'static [u8]) {
    let address = scripted(move |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(start.as_bytes()).await.unwrap();
        while stream.write_all(then).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut settings = settings(&format!("http://{address}"));
    settings.deadline = Duration::from_millis(300);
    Proxy::with(settings).await.get(COSTS).await.is_error(504, "deadline_exceeded");
}

#[tokio::test]
async fn slow_body_beyond_the_deadline_is_504() {
    let headers = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    slow_response_is_504(headers, b" ").await;
}

#[tokio::test]
async fn slow_headers_beyond_the_deadline_are_504() {
    slow_response_is_504("HTTP/1.1 200 OK\r\nx: ", b" ").await;
}

#[tokio::test]
async fn silent_upstream_beyond_the_deadline_is_504() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        write_then_wait(&mut stream, "").await;
    })
    .await;
    let mut settings = settings(&format!("http://{address}"));
    settings.deadline = Duration::from_millis(300);
    Proxy::with(settings).await.get(COSTS).await.is_error(504, "deadline_exceeded");
}
