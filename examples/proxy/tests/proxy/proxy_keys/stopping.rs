//! Signals and changes of the keys file while the service runs.
use std::pin::pin;
use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::timeout;

use super::world::{
    Files, TestKey, assert_refused, chat, chat_body, endless_upstream, gated_upstream, providers, request,
    start_stream,
};
use crate::peer::{Reply, client, soon};
use crate::stopping::until_refused;

/// The estimated tokens of a stream that is cut behind its first event: a token for 4 bytes of the request, and one for the
/// event.
fn cut_stream_tokens() -> i64 {
    chat_body(true).to_string().len().div_ceil(4) as i64 + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_stream_is_cut_at_the_end_of_the_grace_period() {
    let upstream = endless_upstream().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream, &["--grace", "2"]);
    let response = start_stream(&client(false), service.address, &key).await;
    service.signal("-TERM");
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("stopped with 1 calls in flight: the time to finish is over (--grace)"), "{log}");
    assert_eq!(files.usage_rows(), [("key_a".to_owned(), cut_stream_tokens(), 1)]);
    assert_eq!(files.open_calls(), 0);
    // The client must not take a part of the stream for all of it.
    assert!(soon(response.into_body().collect()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_that_ends_within_the_grace_period_is_whole_and_charged_exactly() {
    let (upstream, gate) = gated_upstream().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream, &["--grace", "3600"]);
    let response = start_stream(&client(false), service.address, &key).await;
    service.signal("-TERM");
    until_refused(&service).await;
    gate.send_replace(true);
    let reply = soon(Reply::read(response)).await.unwrap();
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{reply:?}");
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(files.usage_rows(), [("key_a".to_owned(), 12, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_call_on_the_connection_of_an_open_stream_is_refused_after_sigterm() {
    let (upstream, gate) = gated_upstream().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream, &["--grace", "3600"]);
    let client = client(true);
    let mut streams = vec![start_stream(&client, service.address, &key).await];
    service.signal("-TERM");
    let error = soon(async {
        loop {
            let call = request(service.address, "/v1/chat/completions", &key.text, &chat_body(true));
            match client.request(call).await {
                // The call has arrived before the end of the connection.
                Ok(stream) => streams.push(stream),
                Err(error) => return error,
            }
        }
    });
    assert!(error.await.is_connect());
    let call_count = streams.len();
    assert_eq!(files.open_calls(), call_count as i64);
    gate.send_replace(true);
    for stream in streams {
        soon(Reply::read(stream)).await.unwrap();
    }
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(files.usage_rows().len(), call_count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_ends_only_after_the_settlements_of_cut_streams() {
    let upstream = endless_upstream().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let mut service = files.start(&upstream, &["--grace", "0.1"]);
    let client = client(false);
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(start_stream(&client, service.address, &key).await);
    }
    let ledger = files.open_ledger();
    // No settlement can be written before the end of this transaction. The service waits 5 s for it.
    ledger.execute_batch("BEGIN IMMEDIATE").unwrap();
    service.signal("-TERM");
    service.logged("stopped with 50 calls in flight").await;
    let mut ended = pin!(service.ended());
    assert!(timeout(Duration::from_secs(2), &mut ended).await.is_err(), "the settlements are lost");
    ledger.execute_batch("ROLLBACK").unwrap();
    let (code, log) = ended.await;
    assert_eq!(code, Some(3), "{log}");
    assert_eq!(files.usage_rows(), vec![("key_a".to_owned(), cut_stream_tokens(), 1); streams.len()]);
}

#[tokio::test]
async fn revoked_key_is_refused_for_new_calls() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let other_key = TestKey::new("key_b", &json!({}));
    let files = Files::new(&[&key, &other_key]);
    let service = files.start(&upstream.base(), &[]);
    assert_eq!(chat(service.address, &key.text).await.status, 200);
    files.write_keys(&[&other_key]);
    let refused = soon(async {
        loop {
            let reply = chat(service.address, &key.text).await;
            if reply.status != 200 {
                return reply;
            }
        }
    });
    assert_refused(&refused.await, 401, "invalid_api_key");
    assert_eq!(chat(service.address, &other_key.text).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_stream_of_a_revoked_key_is_cut_with_the_flag() {
    let upstream = endless_upstream().await;
    let key = TestKey::new("key_a", &json!({}));
    let other_key = TestKey::new("key_b", &json!({}));
    let files = Files::new(&[&key, &other_key]);
    let service = files.start(&upstream, &["--cut-revoked", "--drain-timeout", "0.1"]);
    let mut streams = Vec::new();
    for key in [&key, &other_key] {
        streams.push(start_stream(&client(false), service.address, key).await.into_body());
    }
    files.write_keys(&[&other_key]);
    assert!(soon(streams.remove(0).collect()).await.is_err());
    // The stream of the other key has no further event, and is not cut.
    assert!(futures_util::FutureExt::now_or_never(streams[0].frame()).is_none());
}

#[tokio::test]
async fn added_key_is_accepted() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let added_key = TestKey::new("key_b", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    assert_eq!(chat(service.address, &added_key.text).await.status, 401);
    files.write_keys(&[&key, &added_key]);
    soon(async { while chat(service.address, &added_key.text).await.status != 200 {} }).await;
}
