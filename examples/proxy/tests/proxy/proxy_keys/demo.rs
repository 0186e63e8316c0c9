//! `--demo --keys`: one customer reaches its limit, and the other one calls.
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::world::{assert_refused, chat, chat_body, send};
use crate::binary::{Running, program};

/// The demo with the text that it printed.
struct DemoService {
    running: Running,
    shown: String,
}

impl DemoService {
    fn start() -> Self {
        let mut running = Running::start(program().args(["--demo", "--keys", "--port", "0"]));
        let mut shown = String::new();
        while !shown.contains("or with an SDK") {
            let line = running.read_line();
            assert!(!line.is_empty(), "{shown}");
            shown += &line;
        }
        Self { running, shown }
    }

    fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The printed key of a customer.
    fn key_of(&self, customer: &str) -> &str {
        let line = self.shown.lines().find(|line| line.trim_start().starts_with(customer)).unwrap();
        line.split_whitespace().find(|word| word.starts_with("sk-px-")).unwrap()
    }
}

#[tokio::test]
async fn customer_with_a_small_limit_reaches_it_in_the_text() {
    let demo = DemoService::start();
    assert!(demo.shown.contains("  200 28 tokens\n"), "{}", demo.shown);
    assert!(
        demo.shown.contains("  429 insufficient_quota: The key has used up its 60 tokens"),
        "{}",
        demo.shown
    );
    assert_refused(&chat(demo.address(), demo.key_of("Pilot")).await, 429, "insufficient_quota");
}

#[tokio::test]
async fn usage_by_name_of_the_customer_with_a_small_limit_is_in_the_text() {
    let demo = DemoService::start();
    let usage = "  \"Pilot\": 3 requests, 24 input tokens, 60 output tokens\n";
    assert!(demo.shown.contains(usage), "{}", demo.shown);
}

#[tokio::test]
async fn customer_with_a_large_limit_has_streams_of_both_providers() {
    let demo = DemoService::start();
    let key = demo.key_of("St Mary's School");
    let reply = send(demo.address(), "/v1/chat/completions", key, &chat_body(true)).await;
    assert!(
        reply.text().ends_with("data: [DONE]\n\n") && !reply.text().contains("total_tokens"),
        "{reply:?}"
    );
    let message = json!({"model": "claude-opus-4-1", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "Hi"}]});
    let reply = send(demo.address(), "/v1/messages", key, &message).await;
    assert!(reply.text().contains("event: message_stop\n"), "{reply:?}");
    let reply = chat(demo.address(), key).await;
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["usage"]["total_tokens"], 28);
}

#[tokio::test]
async fn real_key_and_other_keys_are_refused() {
    let demo = DemoService::start();
    for credential in ["sk-demo-real-key", "sk-other"] {
        assert_refused(&chat(demo.address(), credential).await, 401, "invalid_api_key");
    }
}
