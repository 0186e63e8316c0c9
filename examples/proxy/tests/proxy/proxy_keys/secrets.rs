//! The log at TRACE, with every kind of call, contains no proxy key, no digest and no real key.
use std::sync::atomic::Ordering;

use serde_json::json;

use super::world::{Files, REAL_KEY, TestKey, chat, chat_body, request, respond, send};
use crate::peer::{Reply, Upstream, client, full, soon};
use crate::tls::secure;

/// Starts an upstream that repeats the real key in the error of a request without content.
async fn echoing_upstream() -> Upstream {
    Upstream::answering(|request| {
        let mut response = respond(request);
        if request.body.windows(4).any(|part| part == b"Echo") {
            *response.status_mut() = http::StatusCode::BAD_REQUEST;
            let text = format!(r#"{{"error":{{"message":"{REAL_KEY}"}}}}"#);
            return response.map(|_| full(text));
        }
        response.headers_mut().insert("set-cookie", REAL_KEY.parse().unwrap());
        response
    })
    .await
}

/// The hexadecimal digits of a key's digest.
fn digest_of(key: &TestKey) -> &str {
    key.digest.strip_prefix("sha256:").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_at_trace_level_contains_no_key_and_no_digest() {
    let upstream = echoing_upstream().await;
    let key = TestKey::new("key_a", &json!({}));
    let other_key = TestKey::new("key_b", &json!({}));
    let files = Files::new(&[&key]);
    let mut command = files.command(&upstream.base());
    command.arg("--access-log").env("RUST_LOG", "trace");
    let mut service = crate::binary::Running::start(&mut command);
    let address = service.address;
    let mut replies = Vec::new();
    replies.push(chat(address, &key.text).await);
    replies.push(chat(address, &other_key.text).await);
    replies.push(send(address, "/v1/chat/completions", &key.text, &chat_body(true)).await);
    replies.push(send(address, &format!("/v1/{}", key.text), &key.text, &json!({})).await);
    replies.push(send(address, "/v1/chat/completions?key=x", &key.text, &json!({})).await);
    let echo = json!({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Echo"}]});
    replies.push(send(address, "/v1/chat/completions", &key.text, &echo).await);
    // A keys file with a key in place of its digest is invalid.
    std::fs::write(files.path("keys.json"), json!({"data": [{"id": "x", "hashes": [key.text]}]}).to_string())
        .unwrap();
    service.logged("keys.json:1:").await;
    service.signal("-TERM");
    let (_, log) = service.ended().await;
    assert!(log.contains("TRACE ") && log.contains("POST /v1/chat/completions "), "{log}");
    assert!(!log.contains("log lines were dropped"), "dropped lines cannot be searched");
    for secret in [&key.text[6..], &other_key.text[6..], digest_of(&key), &REAL_KEY[8..]] {
        assert!(!log.contains(secret), "{secret}: {log}");
        for reply in &replies {
            assert!(
                !reply.text().contains(secret) && !format!("{:?}", reply.headers).contains(secret),
                "{reply:?}"
            );
        }
    }
}

/// Runs with each protocol of the upstream over TLS, and with HTTP/2 to the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_tls_share_a_connection_and_leave_no_key_in_the_log() {
    for (protocol, version) in [("h2", http::Version::HTTP_2), ("http/1.1", http::Version::HTTP_11)] {
        let upstream = secure(&[protocol]).await;
        let key = TestKey::new("key_a", &json!({}));
        let files = Files::new(&[&key]);
        std::fs::write(files.path("root.pem"), &upstream.root).unwrap();
        let mut command = files.command(&format!("https://localhost:{}/v1", upstream.address.port()));
        command.env("SSL_CERT_FILE", files.path("root.pem")).env("RUST_LOG", "trace");
        let service = crate::binary::Running::start(&mut command);
        let client = client(true);
        for _ in 0..3 {
            let call = request(service.address, "/v1/chat/completions", &key.text, &chat_body(false));
            let reply = Reply::read(soon(client.request(call)).await.unwrap()).await.unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        service.signal("-TERM");
        let (_, log) = service.ended().await;
        for call in upstream.asked.lock().unwrap().iter() {
            assert_eq!(call.version, version);
            assert_eq!(call.headers["authorization"], format!("Bearer {REAL_KEY}"));
        }
        assert_eq!(upstream.connections.load(Ordering::SeqCst), 1, "{protocol}");
        assert!(log.contains("TRACE ") && !log.contains("log lines were dropped"), "{protocol}");
        for secret in [&key.text[6..], digest_of(&key), &REAL_KEY[8..]] {
            assert!(!log.contains(secret), "{protocol}: {secret}: {log}");
        }
    }
}
