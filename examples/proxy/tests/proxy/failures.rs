//! Upstreams that send no response, or a part of one.
use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::peer::{
    COSTS, Proxy, Reply, Upstream, client, exchange, full, listen, read_answer, read_head, scripted,
    settings, soon, write_then_wait,
};

/// Long enough for a response on a busy machine.
const SHORT: Duration = Duration::from_millis(700);

async fn impatient(address: std::net::SocketAddr) -> Proxy {
    let mut settings = settings(&format!("http://{address}"));
    settings.timeout = SHORT;
    Proxy::with(settings).await
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_7\r\n";

#[tokio::test]
async fn refused_connection_fails_with_502() {
    // The port was free a moment ago.
    let (listener, address) = listen().await;
    drop(listener);
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let reply = proxy.get(COSTS).await;
    reply.is_error(502, "upstream_transport_error");
    assert!(reply.text().contains("cannot be reached"));
}

#[tokio::test]
async fn unresolved_name_fails_with_502() {
    // RFC 6761 §6.4: never resolved.
    let proxy = Proxy::to("http://nobody.invalid").await;
    proxy.get(COSTS).await.is_error(502, "upstream_transport_error");
}

#[tokio::test]
async fn upstream_without_an_http_response_fails_with_502() {
    for text in ["", "HTTP/1.1 200 OK\r\nx: ", "SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/1.1 999999 x\r\n\r\n"] {
        let address = scripted(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let proxy = Proxy::to(&format!("http://{address}")).await;
        proxy.get(COSTS).await.is_error(502, "upstream_transport_error");
    }
}

#[tokio::test]
async fn silent_upstream_fails_with_504() {
    let address = scripted(|mut stream| async move { write_then_wait(&mut stream, "").await }).await;
    let reply = impatient(address).await.get(COSTS).await;
    reply.is_error(504, "upstream_timeout");
    assert!(reply.text().contains("0.7 s"), "{}", reply.text());
}

#[tokio::test]
async fn stalled_tls_handshake_fails_with_504() {
    // The system accepts the connection. The handshake never begins.
    let (_listener, address) = listen().await;
    let mut settings = settings(&format!("https://{address}"));
    settings.timeout = SHORT;
    Proxy::with(settings).await.get(COSTS).await.is_error(504, "upstream_timeout");
}

#[tokio::test]
async fn buffered_body_that_stalls_fails_with_504() {
    for text in ["content-length: 100\r\n\r\n{\"data\":[", "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"] {
        let address = scripted(move |mut stream| async move {
            read_head(&mut stream).await;
            write_then_wait(&mut stream, &format!("{HEAD}{text}")).await;
        })
        .await;
        let reply = impatient(address).await.get(COSTS).await;
        reply.is_error(504, "upstream_timeout");
        // The response headers had arrived, so the upstream's support can find the call.
        assert_eq!(reply.header("x-request-id"), Some("req_7"));
    }
}

#[tokio::test]
async fn buffered_body_that_breaks_fails_with_502() {
    for text in [
        "content-length: 100\r\n\r\n{\"data\":[",
        "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
        "transfer-encoding: chunked\r\n\r\n1\r\n{\r\nnot a chunk\r\n",
    ] {
        let address = scripted(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(format!("{HEAD}{text}").as_bytes()).await.unwrap();
        })
        .await;
        let reply = Proxy::to(&format!("http://{address}")).await.get(COSTS).await;
        reply.is_error(502, "upstream_transport_error");
        assert_eq!(reply.header("x-request-id"), Some("req_7"));
        assert_eq!(reply.header("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn invalid_compressed_body_fails_with_502() {
    for coding in ["gzip", "br"] {
        let upstream = Upstream::answering(move |_| {
            let mut response = crate::peer::json("this was never compressed");
            response.headers_mut().insert("content-encoding", coding.parse().unwrap());
            response
        })
        .await;
        let proxy = Proxy::to(&upstream.base()).await;
        proxy.get(COSTS).await.is_error(502, "upstream_transport_error");
    }
}

/// A proxy whose upstream breaks or stalls after the response headers were sent to the client.
async fn breaks_late(stalls: bool) -> Proxy {
    let address = scripted(move |mut stream| async move {
        read_head(&mut stream).await;
        let rows = format!("[{}", "{\"api_key_id\":\"key_a\"},".repeat(2_000));
        let text = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{:x}\r\n{rows}\r\n", rows.len());
        match stalls {
            true => write_then_wait(&mut stream, &text).await,
            false => stream.write_all(text.as_bytes()).await.unwrap(),
        }
    })
    .await;
    let mut settings = settings(&format!("http://{address}"));
    settings.limit = Some(1_000);
    if stalls {
        settings.timeout = SHORT;
    }
    Proxy::with(settings).await
}

#[tokio::test]
async fn streamed_body_that_fails_breaks_the_connection() {
    for stalls in [false, true] {
        let proxy = breaks_late(stalls).await;
        for coding in ["identity", "gzip", "br"] {
            let response = exchange(
                proxy.address,
                &format!(
                    "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\naccept-encoding: {coding}\r\n\r\n"
                ),
            )
            .await;
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
            assert!(response.contains("transfer-encoding: chunked"));
            assert_eq!(coding == "identity", response.contains("\"api_key_name\":\"Alpha\""));
            // Without the last chunk the response is incomplete (RFC 9112 §8).
            assert!(!response.ends_with("0\r\n\r\n"), "{coding} ended well");
        }
        let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
        let response = soon(client(true).request(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        let error = Reply::read(response).await.unwrap_err();
        let reset = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(reset.contains("stream"), "{error:?}");
    }
}

#[tokio::test]
async fn unscanned_body_that_breaks_is_cut_short() {
    // A body that is not JSON is never buffered.
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let text = "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: 100\r\n\r\na,b\r\n";
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let response = exchange(proxy.address, "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(response.len() < 100 + response.find("\r\n\r\n").unwrap_or(0), "{response}");
}

#[tokio::test]
async fn bytes_before_a_break_are_passed_on() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun").await.unwrap();
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let response = exchange(proxy.address, &format!("GET {COSTS} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nbegun"), "{response}");
}

/// In HTTP/1.0 the end of the connection is the end of a body without a length.
#[tokio::test]
async fn http10_client_gets_a_reset_for_a_broken_body() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let text =
            format!("{HEAD}transfer-encoding: chunked\r\n\r\n11\r\n[{{\"api_key_id\":1}}\r\nnot a chunk\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let mut settings = settings(&format!("http://{address}"));
    settings.limit = Some(0);
    let proxy = Proxy::with(settings).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(format!("GET {COSTS} HTTP/1.0\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let error = soon(stream.read_to_end(&mut response)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn client_connection_survives_upstream_failures() {
    let address = scripted(|mut stream| async move {
        let received = read_head(&mut stream).await;
        let text = match received.contains("/bad") {
            true => format!("{HEAD}content-length: 100\r\n\r\n{{"),
            false => format!("{HEAD}content-length: 2\r\nconnection: close\r\n\r\n{{}}"),
        };
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    for _ in 0..3 {
        // Each 502 was complete, so the client's connection stays open.
        stream.write_all(b"GET /v1/organization/bad HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let response = read_answer(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    }
    assert_eq!(proxy.get(COSTS).await.text(), "{}");
}
