//! The bytes that are held until the settlement is durable, and those that are not.

use std::sync::mpsc;

use super::*;
use crate::proxy_keys::ledger::tests::failures::{controlled, gated};

/// Starts a call while each commit of the ledger waits for a message. The admission is committed.
async fn start_with_gate(
    path: &str,
    body: &str,
    step: Step,
) -> (World, Response<ProxyKeyBody<TestBody>>, mpsc::Sender<()>) {
    let (fixture, _, gate) = gated();
    let world = World::with(fixture, json!({}), json!({}));
    world.expect(step);
    gate.send(()).unwrap();
    let response = world.start(path, body).await.unwrap();
    (world, response, gate)
}

/// Checks that the next chunk, or the end, waits for one commit.
async fn assert_held(body: &mut ProxyKeyBody<TestBody>, gate: &mpsc::Sender<()>) {
    for _ in 0..3 {
        assert!(is_pending(body));
    }
    assert!(!http_body::Body::is_end_stream(body));
    gate.send(()).unwrap();
}

#[tokio::test]
async fn terminal_event_is_held_until_the_settlement_and_a_delta_is_not() {
    let terminal =
        "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":1}}}\n\n";
    let body = r#"{"model":"gpt-5","input":"x","stream":true}"#;
    let (mut sender, step) = open_response(200, "text/event-stream");
    let (world, response, gate) = start_with_gate(RESPONSES, body, step).await;
    let mut body = response.into_body();
    for delta in ["data: 1\n\n", "data: 2"] {
        send(&mut sender, delta);
        assert_eq!(next_chunk(&mut body).await, delta);
    }
    send(&mut sender, "\n\ndata: {\"type\":\"response.completed\"");
    assert_eq!(next_chunk(&mut body).await, "\n\ndata: {\"type\":\"response.completed\"");
    send(&mut sender, &terminal["data: {\"type\":\"response.completed\"".len()..]);
    assert_held(&mut body, &gate).await;
    assert_eq!(next_chunk(&mut body).await, &terminal["data: {\"type\":\"response.completed\"".len()..]);
    // The settlement is made, so nothing else is held.
    send(&mut sender, ": end\n\n");
    assert_eq!(next_chunk(&mut body).await, ": end\n\n");
    drop(gate);
    assert_eq!(world.row().await.charge.tokens, 1);
}

#[tokio::test]
async fn terminal_event_of_any_kind_is_held() {
    for terminal in [
        "[DONE]",
        r#"{"type":"response.completed"}"#,
        r#"{"type":"response.incomplete"}"#,
        r#"{"type":"response.failed"}"#,
        r#"{"type":"error"}"#,
        r#"{"type":"message_stop"}"#,
        r#"{"type":"image_generation.completed"}"#,
        r#"{"type":"image_edit.completed"}"#,
    ] {
        let event = format!("data: {terminal}\n\n");
        let (mut sender, step) = open_response(200, "text/event-stream");
        let (_world, response, gate) = start_with_gate(CHAT, CHAT_BODY, step).await;
        let mut body = response.into_body();
        send(&mut sender, &event);
        assert_held(&mut body, &gate).await;
        assert_eq!(next_chunk(&mut body).await, event);
    }
}

#[tokio::test]
async fn terminal_event_without_the_usage_event_is_held() {
    let (mut sender, step) = open_response(200, "text/event-stream");
    let (world, response, gate) = start_with_gate(CHAT, STREAM_BODY, step).await;
    let mut body = response.into_body();
    send(&mut sender, DELTA);
    assert_eq!(next_chunk(&mut body).await, DELTA);
    send(&mut sender, &format!("{USAGE}{DONE}"));
    assert_held(&mut body, &gate).await;
    let mut rest = next_chunk(&mut body).await;
    drop(sender);
    while let Some(frame) = body.frame().await {
        rest.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    assert_eq!(rest, DONE);
    drop(gate);
    assert_eq!(world.row().await.charge.tokens, 15);
}

#[tokio::test]
async fn end_of_a_stream_without_a_terminal_event_is_held() {
    let (mut sender, step) = open_response(200, "text/event-stream");
    let (_world, response, gate) = start_with_gate(CHAT, CHAT_BODY, step).await;
    assert!(!response.headers().contains_key("content-length"));
    let mut body = response.into_body();
    send(&mut sender, "data: 1");
    assert_eq!(next_chunk(&mut body).await, "data: 1");
    drop(sender);
    assert_held(&mut body, &gate).await;
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn chunk_that_completes_a_json_document_is_held() {
    let (start, end) = CHAT_RESPONSE.split_at(20);
    let (mut sender, step) = open_response(200, "application/json");
    let (_world, response, gate) = start_with_gate(CHAT, CHAT_BODY, step).await;
    let mut body = response.into_body();
    send(&mut sender, start);
    assert!(is_pending(&mut body), "a chunk of JSON waits for the next one");
    send(&mut sender, end);
    assert_eq!(next_chunk(&mut body).await, start);
    assert_held(&mut body, &gate).await;
    assert_eq!(next_chunk(&mut body).await, end);
    send(&mut sender, "\n");
    assert_eq!(next_chunk(&mut body).await, "\n");
}

#[tokio::test]
async fn last_chunk_of_a_truncated_json_document_is_held() {
    let (mut sender, step) = open_response(200, "application/json");
    let (_world, response, gate) = start_with_gate(CHAT, CHAT_BODY, step).await;
    let mut body = response.into_body();
    send(&mut sender, "{\"choices\":");
    drop(sender);
    assert_held(&mut body, &gate).await;
    assert_eq!(next_chunk(&mut body).await, "{\"choices\":");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn error_of_the_upstream_is_held() {
    let (fixture, _, gate) = gated();
    let world = World::with(fixture, json!({}), json!({}));
    world.expect(json_response(500, "{}"));
    gate.send(()).unwrap();
    let mut future = Box::pin(world.start(CHAT, CHAT_BODY));
    poll_until(&mut future, || !world.calls.lock().unwrap().is_empty()).await;
    assert!(Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    gate.send(()).unwrap();
    assert_eq!(future.await.unwrap().status(), 500);
}

#[tokio::test]
async fn settlement_that_cannot_be_written_releases_the_bytes_and_admits_no_call() {
    let (fixture, control) = controlled();
    let world = World::with(fixture, json!({}), json!({}));
    let (mut sender, step) = open_response(200, "text/event-stream");
    world.expect(step);
    let mut body = world.start(CHAT, CHAT_BODY).await.unwrap().into_body();
    control.fails_at_commit.store(true, Ordering::SeqCst);
    send(&mut sender, &format!("{USAGE}{DONE}"));
    assert_eq!(next_chunk(&mut body).await, format!("{USAGE}{DONE}"));
    assert_eq!(world.send(CHAT, CHAT_BODY).await.status(), 503);
    control.fails_at_commit.store(false, Ordering::SeqCst);
    world.expect(json_response(200, CHAT_RESPONSE));
    assert_eq!(world.send(CHAT, CHAT_BODY).await.status(), 200);
    assert_eq!(world.counter("key_1").await.spent.tokens, 30);
}
