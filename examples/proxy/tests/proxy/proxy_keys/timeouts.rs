//! The timeouts of calls, which may take minutes.
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::world::{Files, TestKey, assert_refused, chat, chat_body, chat_events, send};
use crate::peer::{read_head, scripted, write_then_wait};

/// Longer than the timeouts of the first test.
const PAUSE: Duration = Duration::from_millis(500);

/// Starts an upstream that pauses before the headers of each response, and before its body.
async fn slow_upstream() -> String {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let events = chat_events(true);
        let length = events.len();
        tokio::time::sleep(PAUSE).await;
        let headers =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(headers.as_bytes()).await.unwrap();
        tokio::time::sleep(PAUSE).await;
        write_then_wait(&mut stream, &events).await;
    })
    .await;
    format!("http://{address}")
}

#[tokio::test]
async fn timeout_and_deadline_of_the_naming_proxy_cut_no_stream() {
    let key = TestKey::new("key_a", &json!({}));
    let upstream = slow_upstream().await;
    let files = Files::new(&[&key]);
    let service = files.start(&upstream, &["--timeout", "0.2", "--deadline", "0.3"]);
    let reply = send(service.address, "/v1/chat/completions", &key.text, &chat_body(true)).await;
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{reply:?}");
}

#[tokio::test]
async fn silent_upstream_is_an_error_after_the_response_timeout() {
    let key = TestKey::new("key_a", &json!({}));
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        write_then_wait(&mut stream, "").await;
    })
    .await;
    let files = Files::new(&[&key]);
    let service = files.start(&format!("http://{address}"), &["--response-timeout", "0.2"]);
    let reply = chat(service.address, &key.text).await;
    assert_refused(&reply, 504, "upstream_timeout");
    assert!(reply.text().contains("for 0.2 s (--response-timeout)"), "{reply:?}");
}
