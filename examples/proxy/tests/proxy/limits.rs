//! Each bound, and what lies beyond it. Where time counts, on a clock that stands still but for the waits, and with
//! connections in memory.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Channel};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::service_fn;

use crate::peer::{
    AnyBody, COSTS, NAMED, Proxy, Reply, Upstream, client, exchange, full, gated, limits, read_answer,
    read_head, scripted, settings, soon, write_then_wait,
};
use api_key_name_proxy::calls::Counting;
use api_key_name_proxy::connection::Connection;
use api_key_name_proxy::heard::Heard;
use api_key_name_proxy::limits::Limits;
use api_key_name_proxy::load::Load;
use api_key_name_proxy::server::protocols;

// === how many ===

fn get(proxy: &Proxy, target: &str) -> Request<AnyBody> {
    Request::get(proxy.url(target)).body(full("")).unwrap()
}

#[tokio::test]
async fn past_max_in_flight_a_call_is_told_when_to_come_again() {
    for h2 in [false, true] {
        let (upstream, mut told, go_on) = gated().await;
        let proxy =
            Proxy::limited(settings(&format!("http://{upstream}")), Limits { max_in_flight: 2, ..limits() })
                .await;
        let client = client(h2);
        let calls: Vec<_> = (0..2).map(|_| tokio::spawn(client.request(get(&proxy, COSTS)))).collect();
        for _ in &calls {
            soon(told.recv()).await.unwrap();
        }
        let reply = Reply::read(soon(client.request(get(&proxy, COSTS))).await.unwrap()).await.unwrap();
        reply.is_error(503, "overloaded");
        assert_eq!(reply.header("retry-after"), Some("1"));
        // What costs the upstream nothing is answered all the same.
        assert_eq!(proxy.get("/health").await.status, 200);
        proxy.get("/v1/models").await.is_error(404, "not_found");

        for call in calls {
            go_on.notify_one();
            assert_eq!(Reply::read(soon(call).await.unwrap().unwrap()).await.unwrap().text(), "done");
        }
        // A place is free again, as soon as the last bytes are written.
        go_on.notify_one();
        let reply = Reply::read(soon(client.request(get(&proxy, COSTS))).await.unwrap()).await.unwrap();
        assert_eq!(reply.text(), "done");
    }
}

/// Answers `/big` without end, and anything else with the rows.
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
async fn who_does_not_take_its_answer_makes_room_for_who_would() {
    for h2 in [false, true] {
        let upstream = endless().await;
        let proxy = Proxy::limited(settings(&upstream.base()), Limits { max_in_flight: 1, ..limits() }).await;
        let request = get(&proxy, "/v1/organization/big");
        let mut idler = soon(client(h2).request(request)).await.unwrap().into_body();
        soon(async {
            loop {
                let reply = proxy.get(COSTS).await;
                if reply.status == 200 {
                    return assert_eq!(reply.text(), NAMED);
                }
                // It has only begun to wait.
                reply.is_error(503, "overloaded");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        // It is told: what it has is no whole answer.
        soon(async { while idler.frame().await.expect("it ended well").is_ok() {} }).await;
    }
}

async fn kept_alive(proxy: &Proxy) -> TcpStream {
    let mut stream = soon(TcpStream::connect(proxy.address)).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    stream
}

#[tokio::test]
async fn past_max_connections_who_was_waited_for_longest_makes_room() {
    let (upstream, mut told, go_on) = gated().await;
    let proxy =
        Proxy::limited(settings(&format!("http://{upstream}")), Limits { max_connections: 3, ..limits() })
            .await;
    let call = tokio::spawn(client(false).request(get(&proxy, COSTS)));
    soon(told.recv()).await.unwrap();
    let mut first = kept_alive(&proxy).await;
    let mut second = kept_alive(&proxy).await;
    // Nobody makes room who has a call in flight, nor who was waited for shorter.
    let third = kept_alive(&proxy).await;
    assert_eq!(soon(first.read(&mut [0; 1])).await.unwrap(), 0);
    second.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut second).await.starts_with("HTTP/1.1 200 "));
    drop((second, third));
    go_on.notify_one();
    assert_eq!(Reply::read(soon(call).await.unwrap().unwrap()).await.unwrap().text(), "done");
}

#[tokio::test]
async fn where_all_have_calls_who_comes_waits_for_the_first_to_leave() {
    let (upstream, mut told, go_on) = gated().await;
    let proxy =
        Proxy::limited(settings(&format!("http://{upstream}")), Limits { max_connections: 1, ..limits() })
            .await;
    let call = tokio::spawn(client(false).request(get(&proxy, COSTS)));
    soon(told.recv()).await.unwrap();
    let next =
        tokio::spawn(exchange(proxy.address, "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    go_on.notify_one();
    assert_eq!(Reply::read(soon(call).await.unwrap().unwrap()).await.unwrap().text(), "done");
    assert!(soon(next).await.unwrap().starts_with("HTTP/1.1 200 "));
}

// === how large ===

#[tokio::test]
async fn heads_are_bounded_in_size_and_number() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for h2 in [false, true] {
        for (bytes, count, status) in [(80_000, 1, 200), (200_000, 1, 431), (10, 90, 200), (10, 101, 431)] {
            if h2 && count > 100 {
                // HTTP/2 counts bytes alone, 32 more for each field (RFC 9113 §6.5.2).
                continue;
            }
            let mut request = get(&proxy, COSTS);
            for nth in 0..count {
                let name = HeaderName::try_from(format!("x-{nth}")).unwrap();
                request.headers_mut().insert(name, HeaderValue::try_from("v".repeat(bytes)).unwrap());
            }
            let said = soon(client(h2).request(request)).await;
            match said {
                Ok(response) => assert_eq!(response.status(), status, "{h2} {bytes} {count}"),
                // What the proxy has said it takes at most is not even sent.
                Err(_) => assert_eq!((h2, status), (true, 431)),
            }
        }
    }
}

/// A head of HTTP/2 (RFC 9113 §6.2) with a field of 4,000 bytes, each as it is (RFC 7541 §6.2.2).
fn large_head(stream: u32) -> Vec<u8> {
    let mut block = b"\x82\x86\x04\x16/v1/organization/costs\x01\x01x\x00\x01x\x7f\xa1\x1e".to_vec();
    block.extend([b'x'; 4_000]);
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    [&length[1..], &[1, 5], &stream.to_be_bytes(), &block].concat()
}

/// Each of them is small. What has come before the first call was taken for one head.
#[tokio::test]
async fn many_heads_of_http_2_at_once_are_no_large_one() {
    const MANY: u32 = 30;
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    (0..MANY).for_each(|nth| said.extend(large_head(2 * nth + 1)));
    stream.write_all(&said).await.unwrap();
    let mut answers = 0;
    while answers < MANY {
        let mut head = [0; 9];
        soon(stream.read_exact(&mut head)).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        soon(stream.read_exact(&mut vec![0; length as usize])).await.unwrap();
        assert!(head[3] < 10, "no frame of HTTP/2: {head:?}");
        answers += u32::from(head[3] == 1);
    }
}

#[tokio::test]
async fn an_upstreams_head_is_bounded_too() {
    // A field without end, fields without end, and more fields than anybody needs.
    for (begin, more) in [("x: ", "v"), ("", "x: v\r\n"), ("", "set-cookie: v\r\n")] {
        let (tell, mut told) = mpsc::channel(1);
        let address = scripted(move |mut stream| {
            let tell = tell.clone();
            async move {
                read_head(&mut stream).await;
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{begin}").as_bytes()).await.unwrap();
                while stream.write_all(more.repeat(1_000).as_bytes()).await.is_ok() {}
                let _ = tell.send(()).await;
            }
        })
        .await;
        let proxy = Proxy::to(&format!("http://{address}")).await;
        proxy.get(COSTS).await.is_error(502, "upstream_transport_error");
        // Nobody reads on.
        soon(told.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn informational_answers_without_end_are_a_504() {
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

#[tokio::test]
async fn a_deadline_ends_what_goes_on_and_on() {
    // A byte now and then, so that nobody is ever silent.
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: ",
    ] {
        let address = scripted(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let mut settings = settings(&format!("http://{address}"));
        settings.deadline = Duration::from_millis(300);
        Proxy::with(settings).await.get(COSTS).await.is_error(504, "deadline_exceeded");
    }
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        write_then_wait(&mut stream, "").await;
    })
    .await;
    let mut settings = settings(&format!("http://{address}"));
    settings.deadline = Duration::from_millis(300);
    Proxy::with(settings).await.get(COSTS).await.is_error(504, "deadline_exceeded");
}

// === how long ===

/// One connection, in front of an answer of so many bytes, or without end, a piece at a time.
fn connect(limits: Limits, pieces: usize) -> DuplexStream {
    connect_with(&Load::new(limits), pieces)
}

fn connect_with(load: &Arc<Load>, pieces: usize) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(4_096);
    let who = load.enter();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
        if request.uri().path().ends_with("/early") {
            // What is in the extensions goes with the body, which is read as hyper's client does: not beyond its end.
            tokio::spawn(async move {
                let (_head, mut body) = request.into_parts();
                while !body.is_end_stream() && body.frame().await.is_some() {}
            });
            return Ok(Response::new(full("ok")));
        }
        if !request.uri().path().ends_with("/big") {
            return Ok::<_, std::convert::Infallible>(Response::new(full("ok")));
        }
        let (mut send, body) = Channel::<Bytes, std::io::Error>::new(1);
        tokio::spawn(async move {
            for _ in 0..pieces {
                if send.send_data(vec![b'x'; 16_000].into()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(body.boxed()))
    });
    let io = TokioIo::new(Heard::new(theirs, who.clone(), |_| {}));
    tokio::spawn(async move {
        let builder = protocols();
        let service = Counting::new(service, who.clone());
        Connection::new(builder.serve_connection(io, service), who).await;
    });
    ours
}

/// Until the other side closes, without taking anything.
async fn until_closed(stream: &mut DuplexStream) -> Duration {
    let start = Instant::now();
    while stream.write_all(b"").await.is_ok() && stream.read_u8().await.is_ok() {}
    start.elapsed()
}

#[track_caller]
fn about(took: Duration, expected: Duration) {
    assert!(took >= expected && took < expected + Duration::from_millis(1_100), "{took:?}, not {expected:?}");
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const BIG: &[u8] = b"GET /big HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

async fn answered(stream: &mut DuplexStream) {
    answered_to(stream, GET).await;
}

async fn answered_to(stream: &mut DuplexStream, head: &[u8]) {
    stream.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_however_it_comes() {
    let limits = limits();
    let mut silent = connect(limits, 0);
    about(until_closed(&mut silent).await, limits.head_timeout);

    // The first, and one on a connection that was kept alive for a while.
    for kept_alive in [None, Some(Duration::from_secs(30))] {
        let mut stream = connect(limits, 0);
        if let Some(time) = kept_alive {
            answered(&mut stream).await;
            tokio::time::sleep(time).await;
        }
        let start = Instant::now();
        let mut head = b"GET / HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'x'));
        while stream.write_all(&[*head.next().unwrap()]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        about(start.elapsed(), limits.head_timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_call_is_kept_for_a_while() {
    let limits = limits();
    let mut stream = connect(limits, 0);
    for _ in 0..5 {
        answered(&mut stream).await;
        tokio::time::sleep(limits.idle_timeout - Duration::from_secs(1)).await;
    }
    answered(&mut stream).await;
    about(until_closed(&mut stream).await, limits.idle_timeout);
}

/// What comes then was taken for a head: it was refused for its size, or cut when a head's time was over.
#[tokio::test(start_paused = true)]
async fn an_upload_may_go_on_behind_its_answer_until_the_deadline() {
    let limits = limits();
    let mut stream = connect(limits, 0);
    for _ in 0..2 {
        answered_to(&mut stream, b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await;
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stream.write_all(&[b'x'; 20_000]).await.unwrap();
        }
    }
    answered(&mut stream).await;

    answered_to(&mut stream, b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nx").await;
    about(until_closed(&mut stream).await, limits.deadline);
}

#[tokio::test(start_paused = true)]
async fn an_upload_behind_its_answer_is_finished_before_a_stop() {
    let load = Load::new(limits());
    let mut stream = connect_with(&load, 0);
    let place = load.place();
    answered_to(&mut stream, b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n").await;
    let finish = tokio::spawn({
        let load = load.clone();
        async move { load.finish().await }
    });
    for byte in b"hello" {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(load.open(), 1);
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert!(until_closed(&mut stream).await < Duration::from_secs(3));
    assert_eq!(load.all_cut(), 0);
    drop(place);
    finish.await.unwrap();
}

/// Who reads an upload sees its end in a task of its own.
#[tokio::test(start_paused = true)]
async fn behind_an_upload_a_connection_is_kept_for_a_while() {
    let limits = limits();
    for (head, last) in [("content-length: 2", "xx"), ("transfer-encoding: chunked", "2\r\nxx\r\n0\r\n\r\n")]
    {
        let mut stream = connect(limits, 0);
        let head = format!("POST /early HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n");
        answered_to(&mut stream, head.as_bytes()).await;
        tokio::time::sleep(limits.idle_timeout * 2).await;
        stream.write_all(last.as_bytes()).await.unwrap();
        about(until_closed(&mut stream).await, limits.idle_timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn so_is_one_of_http_2() {
    let limits = limits();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connect(limits, 0)))
            .await
            .unwrap();
    let ended = tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get("http://x/").body(full("")).unwrap();
        let reply = send.send_request(request).await.unwrap();
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "ok");
        tokio::time::sleep(limits.idle_timeout - Duration::from_secs(1)).await;
    }
    let start = Instant::now();
    // It is told to go, not cut.
    ended.await.unwrap().unwrap();
    about(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_to_be_taken() {
    let limits = limits();
    let mut stream = connect(limits, 100);
    stream.write_all(BIG).await.unwrap();
    tokio::time::sleep(limits.timeout - Duration::from_secs(1)).await;
    // It is still there: as much as fits in between.
    assert_eq!(stream.read(&mut [0; 4_096]).await.unwrap(), 4_096);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() <= 4_096, "{}", rest.len());
}

#[tokio::test(start_paused = true)]
async fn slowly_but_not_for_ever() {
    let limits = limits();
    // Bytes a second, and whether that is enough for one that takes minutes.
    for (rate, whole) in [(10_000, true), (4_000, false)] {
        // Two million bytes: either is within the deadline.
        let mut stream = connect(limits, 125);
        stream.write_all(BIG).await.unwrap();
        let (mut read, mut piece) = (0, vec![0; rate]);
        while let Ok(n) = stream.read_exact(&mut piece).await {
            read += n;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(read > 1_990_000, whole, "{read}");
    }
}

#[tokio::test(start_paused = true)]
async fn and_not_beyond_the_deadline() {
    let limits = limits();
    let mut stream = connect(limits, usize::MAX);
    let start = Instant::now();
    stream.write_all(BIG).await.unwrap();
    let mut piece = vec![0; 20_000];
    while stream.read_exact(&mut piece).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    about(start.elapsed(), limits.deadline + Duration::from_secs(1));
}
