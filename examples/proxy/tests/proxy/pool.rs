//! Connections to the upstream: which are used again, and which are not.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::forwarding::with_trailers;
use crate::peer::{COSTS, NAMED, Proxy, ROWS, Upstream, client, full, json, read_head, scripted, soon};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

/// An upstream that gives the same answer to so many calls on each connection, and tells when one is at its end.
async fn answering(text: &'static str, calls: usize) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let (tell, told) = mpsc::unbounded_channel();
    let address = scripted(move |mut stream| {
        let tell = tell.clone();
        async move {
            for _ in 0..calls {
                if read_head(&mut stream).await.is_empty() {
                    break;
                }
                stream.write_all(text.as_bytes()).await.unwrap();
            }
            drop(stream);
            tell.send(()).unwrap();
        }
    })
    .await;
    (address, told)
}

#[tokio::test]
async fn one_serves_all_calls_that_come_one_after_another() {
    // One that had an upload, of either kind, goes back a moment after its answer.
    for is_known in [true, false] {
        let upstream = Upstream::rows().await;
        let proxy = Proxy::to(&upstream.base()).await;
        for _ in 0..20 {
            let body = if is_known { full("{}") } else { full("{}").map_frame(|frame| frame).boxed() };
            let post = Request::post(proxy.url(COSTS)).body(body).unwrap();
            assert_eq!(proxy.send(post).await.text(), NAMED);
        }
        assert!(upstream.connections() < 10, "{}", upstream.connections());
    }

    // Of a known length; of an unknown one, which ends a moment after its last byte; and with trailers.
    for nth in 0..3 {
        let upstream = Upstream::answering(move |_| {
            let mut answer = json(ROWS).map(|rows| match nth {
                0 => rows,
                1 => rows.map_frame(|frame| frame).boxed(),
                _ => with_trailers(ROWS, "x-trailer", "1"),
            });
            answer.headers_mut().insert("trailer", HeaderValue::from_static("x-trailer"));
            answer
        })
        .await;
        let proxy = Proxy::to(&upstream.base()).await;
        for _ in 0..20 {
            assert_eq!(proxy.get(COSTS).await.text(), NAMED);
        }
        assert_eq!(upstream.connections(), 1);
    }
}

#[tokio::test]
async fn a_long_answer_gives_its_connection_back() {
    // More reads than a task may do in one turn, and an end at any place of a turn.
    for extra in 0..8 {
        let upstream =
            Upstream::answering(move |_| http::Response::new(full(vec![b'x'; (24 << 20) + extra * 100_000])))
                .await;
        let proxy = Proxy::to(&upstream.base()).await;
        for _ in 0..3 {
            assert_eq!(proxy.get(COSTS).await.body.len(), (24 << 20) + extra * 100_000);
        }
        assert_eq!(upstream.connections(), 1);
    }
}

#[tokio::test]
async fn one_that_the_upstream_has_closed_fails_no_call() {
    // With its first answer, and with its second.
    for calls in [1, 2] {
        let (address, mut ended) = answering(ANSWER, calls).await;
        let proxy = Proxy::to(&format!("http://{address}")).await;
        for _ in 0..10 {
            for _ in 0..calls {
                assert_eq!(proxy.get(COSTS).await.text(), "done");
            }
            soon(ended.recv()).await.unwrap();
        }
    }

    // While it waits.
    let (gate, is_closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (close, closed) = (gate.clone(), is_closed.clone());
    let address = scripted(move |mut stream| {
        let (close, closed) = (close.clone(), closed.clone());
        async move {
            read_head(&mut stream).await;
            stream.write_all(ANSWER.as_bytes()).await.unwrap();
            close.notified().await;
            drop(stream);
            closed.notify_one();
        }
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    for _ in 0..10 {
        assert_eq!(proxy.get(COSTS).await.text(), "done");
        gate.notify_one();
        soon(is_closed.notified()).await;
    }
}

#[tokio::test]
async fn one_that_waits_for_half_a_minute_is_closed() {
    let (address, mut ended) = answering(ANSWER, usize::MAX).await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    proxy.get(COSTS).await;
    tokio::time::pause();
    for _ in 0..3 {
        assert!(ended.try_recv().is_err(), "too early");
        tokio::time::advance(Duration::from_secs(11)).await;
        // The timer's turn, then the pool's.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
    tokio::time::resume();
    soon(ended.recv()).await.unwrap();
    assert_eq!(proxy.get(COSTS).await.text(), "done");
}

#[tokio::test]
async fn who_goes_away_before_the_end_ends_it() {
    const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun";
    let (address, mut ended) = answering(BEGUN, usize::MAX).await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
    let mut response = soon(client(false).request(request)).await.unwrap();
    soon(response.body_mut().frame()).await.unwrap().unwrap();
    assert!(ended.try_recv().is_err());
    drop(response);
    soon(ended.recv()).await.unwrap();
}

/// As over a connection that someone else drives: neither waits for the other.
#[tokio::test]
async fn an_upload_goes_on_though_nobody_reads_the_answer() {
    // More than all sockets on the way have room for.
    const LENGTH: usize = 128 << 20;
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = scripted(move |mut stream| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await;
            let (mut read, mut write) = stream.split();
            let answer = async {
                write.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").await.unwrap();
                // More than all that is between here and a client.
                while write.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
            };
            let upload = async {
                let mut left = LENGTH;
                let mut some = vec![0; 64 * 1024];
                while left > 0 {
                    left -= read.read(&mut some).await.unwrap();
                }
                tell.send(()).unwrap();
            };
            tokio::join!(answer, upload);
        }
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let head = format!("POST {COSTS} HTTP/1.1\r\nhost: x\r\ncontent-length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = soon(read_head(&mut stream)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    soon(stream.write_all(&vec![b'y'; LENGTH])).await.unwrap();
    soon(told.recv()).await.unwrap();
}
