//! Long answers: the first rows leave before the last arrive, for every kind of client.
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
    // Well over the limit set below, so that the head does not wait for the end.
    format!("{{\"api_key_id\":\"key_a\",\"{marker}\":1}},").repeat(2_000)
}

/// Answers in two halves, the second only when told to.
async fn halves() -> (Upstream, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let gate = go_on.clone();
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
    (upstream, go_on)
}

#[tokio::test]
async fn the_first_rows_leave_before_the_last_arrive() {
    for coding in ["identity", "gzip", "br"] {
        for h2 in [false, true] {
            let (upstream, go_on) = halves().await;
            let mut settings = settings(&upstream.base());
            settings.limit = Some(1_000);
            let proxy = Proxy::with(settings).await;
            let request =
                Request::get(proxy.url(COSTS)).header("accept-encoding", coding).body(full("")).unwrap();
            let response = soon(client(h2).request(request)).await.unwrap();
            let said = response.headers().get("content-encoding").map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(said.as_deref(), (coding != "identity").then_some(coding));
            let mut body = response.into_body();
            let mut bytes = Vec::new();
            let count = async |bytes: &[u8], what: &str| so_far(coding, bytes).await.matches(what).count();
            // All of the first half that is settled: the upstream has not sent more.
            while count(&bytes, "\"first\"").await < 2_000 {
                let frame = soon(body.frame()).await.expect("it ended").unwrap();
                bytes.extend_from_slice(&frame.into_data().unwrap());
            }
            assert_eq!(count(&bytes, "\"last\"").await, 0);
            go_on.notify_one();
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

/// One that an upstream never ends holds what is left for others, until whoever asked for it goes away.
#[tokio::test]
async fn past_the_total_limit_answers_stream() {
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
    settings.total_limit = Some(ROWS.len() + 99);
    let proxy = Proxy::with(settings).await;
    let is_held = async || {
        let reply = proxy.get(COSTS).await;
        assert_eq!(reply.text(), NAMED);
        reply.header("content-length").is_some()
    };
    assert!(is_held().await);
    let stalled = Request::get(proxy.url(&format!("{COSTS}?stalls"))).body(full("")).unwrap();
    let stalled = tokio::spawn(client(false).request(stalled));
    soon(async { while is_held().await {} }).await;
    stalled.abort();
    soon(async { while !is_held().await {} }).await;
}

/// What can be read of an answer that goes on.
async fn so_far(coding: &str, bytes: &[u8]) -> String {
    let mut text = Vec::new();
    let mut read: Box<dyn AsyncRead + Unpin> = match coding {
        "gzip" => Box::new(GzipDecoder::new(bytes)),
        "br" => Box::new(BrotliDecoder::new(bytes)),
        _ => Box::new(bytes),
    };
    // Ends in an error where the coding is not at its end.
    while read.read_buf(&mut text).await.is_ok_and(|n| n > 0) {}
    String::from_utf8_lossy(&text).into_owned()
}
