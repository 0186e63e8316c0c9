//! Connections to the upstream: which are used again, and which are closed.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::forwarding::with_trailers;
use crate::peer::{
    AnyBody, COSTS, NAMED, Proxy, ROWS, Upstream, client, full, json, read_head, scripted, soon,
};

const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

/// An upstream that sends `text` to this number of requests on each connection, and reports each connection's end.
async fn responding(text: &'static str, calls: usize) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let (report, ended) = mpsc::unbounded_channel();
    let address = scripted(move |mut stream| {
        let report = report.clone();
        async move {
            for _ in 0..calls {
                if read_head(&mut stream).await.is_empty() {
                    break;
                }
                stream.write_all(text.as_bytes()).await.unwrap();
            }
            drop(stream);
            report.send(()).unwrap();
        }
    })
    .await;
    (address, ended)
}

/// Asserts that one connection carries 20 calls with this response, one after another.
async fn assert_one_connection(body: fn() -> AnyBody) {
    let upstream = Upstream::answering(move |_| {
        let mut response = json(ROWS).map(|_| body());
        response.headers_mut().insert("trailer", HeaderValue::from_static("x-trailer"));
        response
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    for _ in 0..20 {
        assert_eq!(proxy.get(COSTS).await.text(), NAMED);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn connection_is_reused_after_a_response_of_known_length() {
    assert_one_connection(|| full(ROWS)).await;
}

#[tokio::test]
async fn connection_is_reused_after_a_response_of_unknown_length() {
    assert_one_connection(|| full(ROWS).map_frame(|frame| frame).boxed()).await;
}

#[tokio::test]
async fn connection_is_reused_after_a_response_with_trailers() {
    assert_one_connection(|| with_trailers(ROWS, "x-trailer", "1")).await;
}

#[tokio::test]
async fn connection_is_reused_after_a_long_response() {
    // More reads than tokio's budget for one poll, and an end at any place of it.
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
async fn upload_has_its_own_connection_in_http1() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for nth in 1..4 {
        assert_eq!(proxy.get(COSTS).await.text(), NAMED);
        let post = Request::post(proxy.url(COSTS)).body(full("{}")).unwrap();
        assert_eq!(proxy.send(post).await.text(), NAMED);
        assert_eq!(upstream.connections(), 1 + nth);
    }
}

#[tokio::test]
async fn connection_that_the_upstream_closes_after_a_response_fails_no_request() {
    for calls in [1, 2] {
        let (address, mut ended) = responding(RESPONSE, calls).await;
        let proxy = Proxy::to(&format!("http://{address}")).await;
        for _ in 0..10 {
            for _ in 0..calls {
                assert_eq!(proxy.get(COSTS).await.text(), "done");
            }
            soon(ended.recv()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn connection_that_the_upstream_closes_while_idle_fails_no_request() {
    let (gate, is_closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (close, closed) = (gate.clone(), is_closed.clone());
    let address = scripted(move |mut stream| {
        let (close, closed) = (close.clone(), closed.clone());
        async move {
            read_head(&mut stream).await;
            stream.write_all(RESPONSE.as_bytes()).await.unwrap();
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
async fn connection_that_the_upstream_closes_at_the_next_request_fails_no_get() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(RESPONSE.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    for _ in 0..10 {
        assert_eq!(proxy.get(COSTS).await.text(), "done");
    }
}

#[tokio::test]
async fn idle_connection_is_closed_within_half_a_minute() {
    let (address, mut ended) = responding(RESPONSE, usize::MAX).await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    proxy.get(COSTS).await;
    assert!(ended.try_recv().is_err(), "closed at once");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    soon(ended.recv()).await.unwrap();
    assert_eq!(proxy.get(COSTS).await.text(), "done");
}

#[tokio::test]
async fn client_that_leaves_during_a_response_closes_its_upstream_connection() {
    const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun";
    let (address, mut ended) = responding(BEGUN, usize::MAX).await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
    let mut response = soon(client(false).request(request)).await.unwrap();
    soon(response.body_mut().frame()).await.unwrap().unwrap();
    assert!(ended.try_recv().is_err());
    drop(response);
    soon(ended.recv()).await.unwrap();
}

#[tokio::test]
async fn upload_goes_on_while_its_response_is_not_read() {
    // More than all sockets on the way can buffer.
    const LENGTH: usize = 128 << 20;
    let (report, mut is_read) = mpsc::unbounded_channel();
    let address = scripted(move |mut stream| {
        let report = report.clone();
        async move {
            read_head(&mut stream).await;
            let (mut read, mut write) = stream.split();
            let response = async {
                write.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").await.unwrap();
                while write.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
            };
            let upload = async {
                let mut left = LENGTH;
                let mut buffer = vec![0; 64 * 1024];
                while left > 0 {
                    left -= read.read(&mut buffer).await.unwrap();
                }
                report.send(()).unwrap();
            };
            tokio::join!(response, upload);
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
    soon(is_read.recv()).await.unwrap();
}
