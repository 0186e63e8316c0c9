//! Messages with contradictory lengths, transfer codings or hosts.
use http::Request;
use tokio::io::AsyncWriteExt;

use crate::peer::{COSTS, Proxy, Reply, Upstream, client, exchange, full, read_head, scripted, soon};

/// A proxy whose upstream sends these bytes and closes.
async fn before(text: &str) -> Proxy {
    let text = text.to_owned();
    let address = scripted(move |mut stream| {
        let text = text.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    })
    .await;
    Proxy::to(&format!("http://{address}")).await
}

/// Returns the response to one request.
async fn through(method: &str, text: &str) -> String {
    let proxy = before(text).await;
    let request = format!("{method} {COSTS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    exchange(proxy.address, &request).await
}

const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\na\r\n[123,4567]\r\n0\r\n\r\n";

/// RFC 9112 §6.3: Transfer-Encoding overrides Content-Length.
#[tokio::test]
async fn length_beside_chunks_is_ignored() {
    for kind in ["application/json", "text/plain"] {
        for length in [0, 3, 10, 90] {
            for order in [0, 1] {
                let length = format!("content-length: {length}\r\n");
                let (before, after) = if order == 0 { (&length[..], "") } else { ("", &length[..]) };
                let chunked = CHUNKED.replacen("chunked\r\n", &format!("chunked\r\n{after}"), 1);
                let response =
                    through("GET", &format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{before}{chunked}"))
                        .await;
                assert!(
                    response.starts_with("HTTP/1.1 200 ") && response.contains("[123,4567]"),
                    "{response}"
                );
                let chunks =
                    response.contains("transfer-encoding: chunked") && response.ends_with("0\r\n\r\n");
                assert_ne!(chunks, response.contains("content-length: 10\r\n"), "{response}");
            }
        }
    }
}

/// The client would read coded bytes as plain ones.
#[tokio::test]
async fn unrequested_transfer_coding_fails_with_502() {
    for coding in
        ["gzip, chunked", "chunked, chunked", "gzip", "identity", "chunked\r\ntransfer-encoding: gzip"]
    {
        let coding = format!("transfer-encoding: {coding}\r\n");
        let text = CHUNKED.replacen("transfer-encoding: chunked\r\n", &coding, 1);
        let response =
            through("GET", &format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{text}")).await;
        assert!(
            response.starts_with("HTTP/1.1 502 ") && response.contains("does not fit the request"),
            "{coding}: {response}"
        );
    }
}

/// RFC 9110 §8.6. hyper's server panics for such a length in debug builds, and sends it in release builds.
#[tokio::test]
async fn response_without_content_has_no_length() {
    for status in ["204 No Content", "304 Not Modified"] {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: 60\r\n\r\n");
        let response = through("GET", &text).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
        assert!(!response.contains("content-length"), "{response}");
    }
    for status in ["204 No Content", "304 Not Modified"] {
        let proxy = before(&format!("HTTP/1.1 {status}\r\n\r\n")).await;
        let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
        let response = soon(client(true).request(request)).await.unwrap();
        assert!(status.starts_with(response.status().as_str()), "{status}: {response:?}");
        assert!(!response.headers().contains_key("content-length"), "{status}: {response:?}");
    }
}

/// RFC 9110 §8.6: equal values may be merged.
#[tokio::test]
async fn repeated_length_is_merged_or_fails_with_502() {
    for (text, method) in [
        ("content-length: 2, 2\r\n", "GET"),
        ("content-length: 2\r\ncontent-length: 2\r\n", "GET"),
        ("content-length: 2,2\r\ncontent-length: 2\r\n", "HEAD"),
    ] {
        let body = if method == "GET" { "ok" } else { "" };
        let response = through(method, &format!("HTTP/1.1 200 OK\r\n{text}\r\n{body}")).await;
        assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with(body), "{response}");
        assert!(response.matches("content-length: 2\r\n").count() == 1, "{response}");
    }
    for text in ["2, 3", "x", "-2", "2,", ""] {
        for method in ["GET", "HEAD"] {
            let response =
                through(method, &format!("HTTP/1.1 200 OK\r\ncontent-length: {text}\r\n\r\n")).await;
            assert!(response.starts_with("HTTP/1.1 502 "), "{text}: {response}");
        }
    }
}

/// RFC 9110 §8.6.
#[tokio::test]
async fn repeated_request_length_is_sent_once() {
    let address = scripted(|mut stream| async move {
        let lines = read_head(&mut stream).await.matches("content-length: 5\r\n").count();
        let response =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1\r\n\r\n{lines}");
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let text = Request::post(proxy.url("/v1/organization/projects"));
    let text = text.header("content-length", "5").header("content-length", "5").body(full("hello")).unwrap();
    let reply = Reply::read(soon(client(true).request(text)).await.unwrap()).await.unwrap();
    assert_eq!(reply.text(), "1");
}

#[tokio::test]
async fn request_in_a_transfer_coding_fails_with_501() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let post = async |coding: &str| {
        let head = format!(
            "POST {COSTS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: {coding}\r\n"
        );
        exchange(proxy.address, &format!("{head}\r\n5\r\nbytes\r\n0\r\n\r\n")).await
    };
    for coding in ["gzip, chunked", "chunked, chunked", "gzip\r\ntransfer-encoding: chunked"] {
        let response = post(coding).await;
        assert!(
            response.starts_with("HTTP/1.1 501 ") && response.contains("transfer_coding_unsupported"),
            "{response}"
        );
    }
    assert_eq!(upstream.connections(), 0);
    assert!(post("Chunked").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(&upstream.last().body[..], b"bytes");
}

/// RFC 9112 §3.2.
#[tokio::test]
async fn missing_or_repeated_host_fails_with_400() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for (version, hosts, status) in [
        ("1.1", "", "400"),
        ("1.1", "host: x\r\nhost: x\r\n", "400"),
        ("1.0", "host: x\r\nhost: y\r\n", "400"),
        ("1.0", "", "200"),
        ("1.1", "host: x\r\n", "200"),
    ] {
        let request = format!("GET {COSTS} HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        let response = exchange(proxy.address, &request).await;
        assert_eq!(response.get(9..12), Some(status), "{response}");
        assert_eq!(status == "400", response.contains("one Host"), "{response}");
    }
}
