//! Streaming: long responses, and the total limit.
use std::sync::Arc;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Channel};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;

use crate::peer::{COSTS, NAMED, Proxy, ROWS, Upstream, client, full, json, settings, soon};

fn rows(marker: &str) -> String {
    // Longer than the limit that the tests set, so that the headers do not wait for the end.
    format!("{{\"api_key_id\":\"key_a\",\"{marker}\":1}},").repeat(2_000)
}

/// An upstream that sends the second half of its response when the gate opens.
async fn halves() -> (Upstream, Arc<Notify>) {
    let opened = Arc::new(Notify::new());
    let gate = opened.clone();
    let upstream = Upstream::answering(move |_| {
        let (mut send, body) = Channel::<Bytes, std::io::Error>::new(1);
        let gate = gate.clone();
        tokio::spawn(async move {
            send.send(Frame::data(format!("[{}", rows("first")).into())).await.unwrap();
            gate.notified().await;
            send.send(Frame::data(format!("{}0]", rows("last")).into())).await.unwrap();
        });
        Response::builder().header("content-type", "application/json").body(body.boxed()).unwrap()
    })
    .await;
    (upstream, opened)
}

#[tokio::test]
async fn first_rows_are_sent_before_the_last_arrive() {
    for coding in ["identity", "gzip", "br"] {
        for h2 in [false, true] {
            let (upstream, gate) = halves().await;
            let mut settings = settings(&upstream.base());
            settings.limit = Some(1_000);
            let proxy = Proxy::with(settings).await;
            let request =
                Request::get(proxy.url(COSTS)).header("accept-encoding", coding).body(full("")).unwrap();
            let response = soon(client(h2).request(request)).await.unwrap();
            let sent = response.headers().get("content-encoding").map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(sent.as_deref(), (coding != "identity").then_some(coding));
            let mut body = response.into_body();
            let mut bytes = Vec::new();
            let count = async |bytes: &[u8], text: &str| decoded(coding, bytes).await.matches(text).count();
            while count(&bytes, "\"first\"").await < 2_000 {
                let frame = soon(body.frame()).await.expect("an early end").unwrap();
                bytes.extend_from_slice(&frame.into_data().unwrap());
            }
            assert_eq!(count(&bytes, "\"last\"").await, 0);
            gate.notify_one();
            while let Some(frame) = soon(body.frame()).await {
                if let Ok(data) = frame.unwrap().into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
            assert_eq!(count(&bytes, "\"first\"").await, 2_000);
            assert_eq!(count(&bytes, "\"last\"").await, 2_000);
            assert_eq!(count(&bytes, "\"api_key_name\":\"Alpha\"").await, 4_000);
        }
    }
}

/// A response that never ends occupies the total limit until its client disconnects.
#[tokio::test]
async fn response_above_the_total_limit_is_streamed() {
    let upstream = Upstream::answering(|asked| {
        if asked.uri.query() != Some("stalls") {
            return json(ROWS);
        }
        let (mut send, body) = Channel::<Bytes, std::io::Error>::new(1);
        tokio::spawn(async move {
            send.send(Frame::data("[".repeat(100).into())).await.unwrap();
            std::future::pending::<()>().await;
            drop(send);
        });
        Response::builder().header("content-type", "application/json").body(body.boxed()).unwrap()
    })
    .await;
    let mut settings = settings(&upstream.base());
    // The rows, the charge for their three edits, and one byte less than the response that stalls.
    settings.total_limit = Some(ROWS.len() + 3 * 40 + 99);
    let proxy = Proxy::with(settings).await;
    let is_buffered = async || {
        let reply = proxy.get(COSTS).await;
        assert_eq!(reply.text(), NAMED);
        reply.header("content-length").is_some()
    };
    assert!(is_buffered().await);
    let stalled = Request::get(proxy.url(&format!("{COSTS}?stalls"))).body(full("")).unwrap();
    let stalled = tokio::spawn(client(false).request(stalled));
    soon(async { while is_buffered().await {} }).await;
    stalled.abort();
    soon(async { while !is_buffered().await {} }).await;
}

/// Decodes the bytes of a response that is not complete.
async fn decoded(coding: &str, bytes: &[u8]) -> String {
    let mut text = Vec::new();
    let mut read: Box<dyn AsyncRead + Unpin> = match coding {
        "gzip" => Box::new(GzipDecoder::new(bytes)),
        "br" => Box::new(BrotliDecoder::new(bytes)),
        _ => Box::new(bytes),
    };
    // Ends with an error before the end of the coding.
    while read.read_buf(&mut text).await.is_ok_and(|n| n > 0) {}
    String::from_utf8_lossy(&text).into_owned()
}
