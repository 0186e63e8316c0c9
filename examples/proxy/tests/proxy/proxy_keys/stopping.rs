//! Signals and changes of the keys file while the service runs.
use http_body_util::BodyExt;
use serde_json::json;

use super::world::{Files, TestKey, assert_refused, chat, chat_body, endless_upstream, providers, request};
use crate::peer::{client, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_stream_is_cut_at_the_end_of_the_grace_period() {
    let upstream = endless_upstream().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream, &["--grace", "2"]);
    let call = request(service.address, "/v1/chat/completions", &key.text, &chat_body(true));
    let mut response = soon(client(false).request(call)).await.unwrap();
    let first = soon(response.body_mut().frame()).await.unwrap().unwrap();
    assert!(first.data_ref().unwrap().starts_with(b"data: "));
    service.signal("-TERM");
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("stopped with 1 calls in flight"), "{log}");
    let rows = files.usage_rows();
    assert!(matches!(&rows[..], [(id, 1.., 1)] if id == "key_a"), "{rows:?}");
    assert_eq!(files.open_calls(), 0);
    // The client must not take a part of the stream for all of it.
    assert!(soon(response.body_mut().collect()).await.is_err());
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
        let call = request(service.address, "/v1/chat/completions", &key.text, &chat_body(true));
        let mut response = soon(client(false).request(call)).await.unwrap();
        soon(response.body_mut().frame()).await.unwrap().unwrap();
        streams.push(response.into_body());
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
