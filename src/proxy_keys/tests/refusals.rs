//! The calls that the ledger does not admit.

use super::*;
use crate::proxy_keys::ledger::tests::failures::controlled;

/// Returns the message of a refusal after the checks of its status, its codes and its headers.
fn refusal(response: &Response<Bytes>, status: u16, code: &str, headers: [Option<&str>; 2]) -> String {
    assert_eq!(response.status(), status, "{response:?}");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["error"]["code"], code);
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!([header("retry-after"), header("x-should-retry")], headers);
    body["error"]["message"].as_str().unwrap().to_owned()
}

// The clock of the ledger is at 2026-07-15T13:45:45Z: 36,855 seconds before the next day.

#[tokio::test]
async fn exhausted_key_is_refused_until_the_next_window() {
    let world = World::new(json!({"limits": {"tokens": {"day": 15}}}));
    world.expect(json_response(200, CHAT_RESPONSE));
    assert_eq!(world.send(CHAT, CHAT_BODY).await.status(), 200);
    let refused = world.send(CHAT, CHAT_BODY).await;
    let message = refusal(&refused, 429, "insufficient_quota", [Some("36855"), Some("false")]);
    assert_eq!(message, "The key has used up its 15 tokens per day. The next day starts in 11 h.");
    assert_eq!(world.upstream_call_count(), 1);
    world.fixture.clock.advance(36_855);
    world.expect(json_response(200, CHAT_RESPONSE));
    assert_eq!(world.send(CHAT, CHAT_BODY).await.status(), 200);
}

#[tokio::test]
async fn exhausted_key_is_refused_in_the_form_of_anthropic() {
    let world = World::new(json!({"limits": {"requests": {"ever": 1}}}));
    let body = r#"{"model":"claude-a","messages":[]}"#;
    world.expect(json_response(200, "{}"));
    world.send(MESSAGES, body).await;
    let refused = world.send(MESSAGES, body).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-should-retry"]),
        (429, &"false".parse().unwrap())
    );
    assert!(!refused.headers().contains_key("retry-after"));
    let expected = json!({"type": "error", "error": {
        "type": "rate_limit_error",
        "message": "The key has used up its 1 request. This limit has no next window.",
    }});
    assert_eq!(serde_json::from_slice::<Value>(refused.body()).unwrap(), expected);
}

#[tokio::test]
async fn call_may_exceed_a_limit_of_money_and_the_next_is_refused() {
    // The call costs 42 microdollars.
    let world = World::new(json!({"limits": {"dollars": {"month": "0.000001"}}}));
    world.expect(json_response(200, CHAT_RESPONSE));
    assert_eq!(world.send(CHAT, CHAT_BODY).await.status(), 200);
    assert_eq!(world.counter("key_1").await.spent.picodollars, 42_000_000);
    let refused = world.send(CHAT, CHAT_BODY).await;
    let message = refusal(&refused, 429, "insufficient_quota", [Some("1419255"), Some("false")]);
    assert_eq!(message, "The key has used up its $0.000001 per month. The next month starts in 17 days.");
}

#[tokio::test]
async fn concurrent_call_at_a_limit_is_refused_until_the_first_is_settled() {
    let world = World::new(json!({"limits": {"tokens": {"day": 16}}, "reserve": 9}));
    let (mut sender, step) = open_response(200, "application/json");
    world.expect(step);
    let first = world.start(CHAT, CHAT_BODY).await.unwrap();
    let refused = world.send(CHAT, CHAT_BODY).await;
    let message = refusal(&refused, 429, "rate_limit_exceeded", [Some("1"), None]);
    let expected = "The key has calls in flight that may use up its 16 tokens per day. \
                    Repeat the request when a call has ended.";
    assert_eq!(message, expected);
    send(&mut sender, CHAT_RESPONSE);
    drop(sender);
    first.into_body().collect().await.unwrap();
    world.expect(json_response(200, CHAT_RESPONSE));
    assert_eq!(world.send(CHAT, CHAT_BODY).await.status(), 200);
}

#[tokio::test]
async fn declared_output_is_reserved_instead_of_the_default() {
    // 12 tokens of input, and 2 times 3 of output.
    let body = r#"{"model":"gpt-5","messages":[],"n":2,"max_tokens":3}"#;
    assert_eq!(body.len().div_ceil(4), 13);
    let world = World::new(json!({}));
    let (_sender, step) = open_response(200, "application/json");
    world.expect(step);
    let _response = world.start(CHAT, body).await.unwrap();
    let reserved = world.counter("key_1").await.reserved;
    assert_eq!((reserved.requests, reserved.tokens, reserved.picodollars), (1, 19, 190_000_000));
}

#[tokio::test]
async fn parallel_limit_counts_the_calls_in_flight() {
    let world = World::new(json!({"limits": {"parallel": 1}}));
    let (sender, step) = open_response(200, "application/json");
    world.expect(step);
    let first = world.start(CHAT, CHAT_BODY).await.unwrap();
    let message = refusal(&world.send(CHAT, CHAT_BODY).await, 429, "rate_limit_exceeded", [Some("1"), None]);
    assert_eq!(message, "The key has its 1 call in flight. Repeat the request when a call has ended.");
    drop(sender);
    first.into_body().collect().await.unwrap();
    world.expect(json_response(200, CHAT_RESPONSE));
    assert_eq!(world.send(CHAT, CHAT_BODY).await.status(), 200);
}

#[tokio::test]
async fn limit_of_the_group_counts_the_calls_of_its_other_keys() {
    let world = World::with(Fixture::memory(), json!({}), json!({"requests": {"hour": 1}}));
    world.expect(json_response(200, CHAT_RESPONSE));
    assert_eq!(world.send_with(1, CHAT, CHAT_BODY).await.status(), 200);
    let refused = world.send(CHAT, CHAT_BODY).await;
    let message = refusal(&refused, 429, "insufficient_quota", [Some("855"), Some("false")]);
    assert_eq!(
        message,
        "The group of the key has used up its 1 request per hour. The next hour starts in 15 min."
    );
}

#[tokio::test]
async fn ledger_that_cannot_be_written_admits_no_call() {
    let (fixture, control) = controlled();
    let world = World::with(fixture, json!({}), json!({}));
    control.fails_at_commit.store(true, Ordering::SeqCst);
    let refused = world.send(CHAT, CHAT_BODY).await;
    let message = refusal(&refused, 503, "ledger_unavailable", [Some("1"), None]);
    assert_eq!(message, "The ledger of this service cannot record the call. Repeat the request later.");
    assert_eq!(world.upstream_call_count(), 0);
}

#[tokio::test]
async fn refused_body_changes_no_counter() {
    let world = World::new(json!({}));
    assert_eq!(world.send(CHAT, r#"{"model":"gpt-5","messages":[],"max_tokens":1.5}"#).await.status(), 400);
    assert_eq!(world.counter("key_1").await, Counter::default());
}
