//! The limits of request bodies.

use std::task::Waker;

use super::*;

const BODY: &str = r#"{"model":"gpt-5","messages":[]}"#;

fn gate() -> Gate {
    Gate::new(RecordedUpstream::json(200, "{}"))
}

#[tokio::test]
async fn stated_length_over_the_limit_is_refused_before_the_body_is_polled() {
    let gate = gate().set(|layer| layer.max_request_body(30));
    let body = TestBody::whole(BODY);
    let polls = body.polls.clone();
    let mut request = gate.post(CHAT, body);
    request.headers_mut().insert("content-length", "31".parse().unwrap());
    assert_refused(&gate.send(request).await, 413, "request_too_large");
    assert_eq!(polls.load(Ordering::SeqCst), 0);
    // The size hint of this body states its length.
    assert_refused(&gate.send(gate.post(CHAT, full(BODY))).await, 413, "request_too_large");
}

#[tokio::test]
async fn body_over_the_limit_is_refused_and_a_body_of_the_limit_passes() {
    for (limit, status) in [(31, 200), (30, 413)] {
        let gate = gate().set(|layer| layer.max_request_body(limit));
        let chunks = BODY.as_bytes().chunks(7).map(Bytes::from_static);
        let response = gate.send(gate.post(CHAT, TestBody::chunks(chunks))).await;
        assert_eq!(response.status(), status, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn body_slower_than_the_timeout_is_refused() {
    let gate = gate().set(|layer| layer.upload_timeout(Duration::from_secs(5)));
    let start = tokio::time::Instant::now();
    let response = gate.send(gate.post(CHAT, TestBody::stalled("{"))).await;
    assert_refused(&response, 408, "upload_timeout");
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(gate.upstream.count(), 0);
}

#[tokio::test]
async fn body_of_frames_that_are_always_ready_is_refused_after_the_timeout() {
    for (frame_count, status) in [(60, 200), (100, 408)] {
        let gate = gate().set(|layer| layer.upload_timeout(Duration::ZERO));
        let mut body = TestBody::chunks(vec![Bytes::new(); frame_count]);
        body.frames.push_back(Ok(Frame::data(Bytes::from_static(BODY.as_bytes()))));
        assert_eq!(gate.send(gate.post(CHAT, body)).await.status(), status, "{frame_count}");
    }
}

#[tokio::test]
async fn uploads_of_one_key_may_use_a_quarter_of_the_budget() {
    let other_key = mint().unwrap();
    let other = json!({"id": "key_other", "name": "Other", "hashes": [other_key.digest()]});
    let gate = Gate::with_keys(RecordedUpstream::json(200, "{}"), json!({}), &[other]);
    // Each body holds 8 KiB.
    let gate = gate.set(|layer| layer.max_request_body(8 * 1024).request_budget(16 * 8 * 1024));
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut future = Box::pin(gate.start(gate.post(CHAT, TestBody::stalled("{"))));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        idle.push(future);
    }
    let refused = gate.send(gate.post(CHAT, full(BODY))).await;
    assert_refused(&refused, 503, "overloaded");
    assert_eq!(refused.headers()["retry-after"], "1");
    let mut request = gate.post(CHAT, full(BODY));
    let credential = format!("Bearer {}", other_key.key());
    request.headers_mut().insert("authorization", credential.parse().unwrap());
    assert_eq!(gate.send(request).await.status(), 200);
    idle.pop();
    assert_eq!(gate.send(gate.post(CHAT, full(BODY))).await.status(), 200);
}

/// Returns a body of this number of bytes that is refused for its last member.
fn body_of_len(len: usize) -> String {
    let start = r#"{"model":"gpt-5","messages":[""#;
    let end = r#""],"no_such_member":1}"#;
    format!("{start}{}{end}", "x".repeat(len - start.len() - end.len()))
}

#[tokio::test]
async fn long_body_is_checked_outside_of_the_task_of_its_request() {
    let gate = gate();
    for (len, is_pending) in [(256 * 1024, false), (256 * 1024 + 1, true)] {
        let mut future = Box::pin(gate.start(gate.post(CHAT, full(body_of_len(len)))));
        let first_poll = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(first_poll.is_pending(), is_pending, "{len}");
        let response = match first_poll {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => tokio::time::timeout(DEADLINE, future).await.unwrap().unwrap(),
        };
        assert_eq!(response.status(), 400, "{len}");
    }
    assert_eq!(gate.upstream.count(), 0);
}

#[tokio::test]
async fn stated_length_of_a_request_whose_body_is_not_read_is_ignored() {
    let gate = Gate::new(RecordedUpstream::json(200, r#"{"data":[]}"#));
    let gate = gate.set(|layer| layer.max_request_body(30));
    let mut request = gate.post("/v1/models", full(BODY));
    *request.method_mut() = http::Method::GET;
    assert_eq!(gate.send(request).await.status(), 200);
}

#[tokio::test]
async fn body_that_fails_is_refused() {
    let gate = gate();
    let response = gate.send(gate.post(CHAT, TestBody::cut(BODY))).await;
    assert_refused(&response, 400, "invalid_request");
    assert_eq!(gate.upstream.count(), 0);
}

#[tokio::test]
async fn trailers_of_a_request_are_not_sent() {
    let gate = gate();
    let mut body = TestBody::whole(BODY);
    body.frames.push_back(Ok(Frame::trailers(HeaderMap::new())));
    assert_eq!(gate.send(gate.post(CHAT, body)).await.status(), 200);
    assert_eq!(gate.upstream.take_request().1, BODY);
}

/// The memory of the first bytes of a body is 8 KiB.
#[tokio::test]
async fn body_over_the_budget_is_refused_until_another_ends() {
    let gate = gate().set(|layer| layer.request_budget(12 * 1024));
    let mut idle = Box::pin(gate.start(gate.post(CHAT, TestBody::stalled("{"))));
    assert!(idle.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let refused = gate.send(gate.post(CHAT, full(BODY))).await;
    assert_refused(&refused, 503, "overloaded");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(gate.upstream.count(), 0);
    drop(idle);
    assert_eq!(gate.send(gate.post(CHAT, full(BODY))).await.status(), 200);
}

#[tokio::test]
async fn body_of_the_upstream_request_counts_until_it_is_dropped() {
    let gate = gate().set(|layer| layer.request_budget(12 * 1024));
    assert_eq!(gate.send(gate.post(CHAT, full(BODY))).await.status(), 200);
    // The recorded upstream keeps the body.
    let kept = gate.upstream.take_request();
    assert_eq!(gate.send(gate.post(CHAT, full(BODY))).await.status(), 503);
    drop(kept);
    assert_eq!(gate.send(gate.post(CHAT, full(BODY))).await.status(), 200);
}

#[tokio::test]
async fn edited_body_counts_with_its_length() {
    let gate = gate().set(|layer| layer.request_budget(8 * 1024 + 100));
    let streamed = r#"{"model":"gpt-5","messages":[],"stream":true}"#;
    assert_eq!(gate.send(gate.post(CHAT, full(streamed))).await.status(), 200);
    // The kept copy has less than 100 bytes, so the first 8 KiB of the next body fit.
    let kept = gate.upstream.take_request();
    assert!(kept.1.len() > streamed.len() && kept.1.len() < 100);
    assert_eq!(gate.send(gate.post(CHAT, full(BODY))).await.status(), 200);
}

#[tokio::test]
async fn idle_uploads_hold_only_the_memory_of_their_bytes() {
    let gate = gate().set(|layer| layer.request_budget(200 * 8 * 1024));
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut request = gate.post(CHAT, TestBody::stalled("{"));
        request.headers_mut().insert("content-length", "30000000".parse().unwrap());
        let mut future = Box::pin(gate.start(request));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        idle.push(future);
    }
    assert_eq!(gate.send(gate.post(CHAT, full(BODY))).await.status(), 503);
    idle.pop();
    assert_eq!(gate.send(gate.post(CHAT, full(BODY))).await.status(), 200);
}
