//! Limits through the program: the two refusals, and counters that survive a restart.
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::world::{
    Files, TestKey, assert_refused, chat, chat_body, endless_upstream, providers, request, send,
};
use crate::peer::{client, soon};

/// A key that one call of 12 tokens does not use up, and two do.
fn small_key() -> TestKey {
    TestKey::new("key_small", &json!({"limits": {"tokens": {"ever": 20}}}))
}

#[tokio::test]
async fn key_with_a_used_up_limit_is_refused_without_a_call() {
    let upstream = providers().await;
    let key = small_key();
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    let streamed = send(service.address, "/v1/chat/completions", &key.text, &chat_body(true)).await;
    assert!(streamed.text().ends_with("data: [DONE]\n\n"), "{streamed:?}");
    assert_eq!(chat(service.address, &key.text).await.status, 200);
    let refused = chat(service.address, &key.text).await;
    assert_refused(&refused, 429, "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(upstream.asked().len(), 2);
    let key_and_tokens = ("key_small".to_owned(), 12, 0);
    assert_eq!(files.usage_rows(), [key_and_tokens.clone(), key_and_tokens]);
}

#[tokio::test]
async fn refusal_of_anthropic_has_its_form() {
    let upstream = providers().await;
    let key = small_key();
    let files = Files::new(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    let body =
        json!({"model": "claude-opus-4-1", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    let mut reply = send(service.address, "/v1/messages", &key.text, &body).await;
    while reply.status == 200 {
        reply = send(service.address, "/v1/messages", &key.text, &body).await;
    }
    let error: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status.as_u16(), error["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert_eq!(upstream.asked().len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn counters_survive_a_restart() {
    let upstream = providers().await;
    let key = small_key();
    let files = Files::new(&[&key]);
    for expected_status in [200, 200, 429] {
        let service = files.start(&upstream.base(), &[]);
        assert_eq!(chat(service.address, &key.text).await.status, expected_status);
        service.signal("-TERM");
        let (code, log) = service.ended().await;
        assert_eq!(code, Some(0), "{log}");
    }
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn call_beyond_the_parallel_limit_is_refused_until_the_other_call_ends() {
    let upstream = endless_upstream().await;
    let key = TestKey::new("key_a", &json!({"limits": {"parallel": 1}}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream, &["--drain-timeout", "0.1"]);
    let call = || request(service.address, "/v1/chat/completions", &key.text, &chat_body(true));
    let mut open_call = soon(client(false).request(call())).await.unwrap();
    soon(open_call.body_mut().frame()).await.unwrap().unwrap();
    let refused = chat(service.address, &key.text).await;
    assert_refused(&refused, 429, "rate_limit_exceeded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // The client disconnects.
    drop(open_call);
    soon(async {
        loop {
            let response = client(false).request(call()).await.unwrap();
            if response.status() == 200 {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn real_key_of_one_provider_serves_no_call_to_the_other() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    let mut command = files.command(&upstream.base());
    command.env_remove("ANTHROPIC_API_KEY");
    let service = crate::binary::Running::start(&mut command);
    assert_eq!(chat(service.address, &key.text).await.status, 200);
    let body =
        json!({"model": "claude-opus-4-1", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(send(service.address, "/v1/messages", &key.text, &body).await.status, 502);
    assert_eq!(upstream.asked().len(), 1);
}
