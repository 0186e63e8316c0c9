//! Too many responses, and a ledger that cannot be read.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::proxy_keys::ledger::tests::{DEADLINE, end_writer};

/// The target of a response with two buckets, which stays in flight until its body is read.
fn two_days() -> String {
    format!("{COMPLETIONS}?start_time={DAY}&end_time={}", DAY + 2 * 86_400)
}

#[tokio::test]
async fn fifth_response_of_a_key_is_refused_until_another_one_ends() {
    let world = World::with_calls(&[]).await;
    let mut responses = Vec::new();
    for _ in 0..4 {
        let response = world.start("key_own", &two_days()).await;
        assert_eq!(response.status(), 200);
        responses.push(response);
    }
    let refused = world.send("key_own", &two_days()).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(parse(refused.body())["error"]["code"], "rate_limit_exceeded");
    assert!(!refused.headers().contains_key("x-should-retry"));
    assert_eq!(world.send("key_group", &two_days()).await.status(), 200);
    // A body that is read to its end keeps no slot, even if it is not dropped.
    let mut read = responses.pop().unwrap();
    while read.body_mut().frame().await.is_some() {}
    assert!(read.body().is_end_stream());
    assert_eq!(world.send("key_own", &two_days()).await.status(), 200);
}

#[tokio::test]
async fn keys_that_see_all_rows_have_slots_of_their_own() {
    let world = World::with_calls(&[]).await;
    let mut responses = Vec::new();
    for _ in 0..4 {
        responses.push(world.start("key_all", &two_days()).await);
    }
    assert_eq!(world.send("key_all", &two_days()).await.status(), 429);
    assert_eq!(world.send("operator", &two_days()).await.status(), 200);
}

#[tokio::test]
async fn response_that_is_dropped_keeps_its_slot_until_its_query_has_run() {
    let world = World::with_calls(&[]).await;
    let (end, ended) = mpsc::channel();
    let delay = world.fixture.ledger.read(move |_| ended.recv_timeout(DEADLINE).unwrap());
    let target = two_days();
    for _ in 0..4 {
        let response = pin!(world.start("key_own", &target));
        assert!(timeout(Duration::ZERO, response).await.is_err(), "the query waits");
    }
    assert_eq!(world.send("key_own", &two_days()).await.status(), 429);
    end.send(()).unwrap();
    delay.await.unwrap();
    // A query of another caller runs after those of the dropped responses.
    assert_eq!(world.send("key_group", &two_days()).await.status(), 200);
    assert_eq!(world.send("key_own", &two_days()).await.status(), 200);
}

#[tokio::test]
async fn ledger_that_cannot_be_read_is_a_503() {
    let world = World::with_calls(&[]).await;
    end_writer(&world.fixture.ledger).await;
    let response = world.send("key_own", &two_days()).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert_eq!(parse(response.body())["error"]["code"], "ledger_unavailable");
}

#[tokio::test]
async fn ledger_that_fails_later_ends_the_body_with_an_error() {
    let world = World::with_calls(&[]).await;
    let target = format!("{COMPLETIONS}?start_time={DAY}&end_time={}", DAY + 3 * 86_400);
    let mut response = world.start("key_own", &target).await;
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert!(first.into_data().unwrap().starts_with(br#"{"object":"page","data":[{"#));
    end_writer(&world.fixture.ledger).await;
    let error = response.body_mut().frame().await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("the usage cannot be read: "), "{error}");
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn body_reads_a_bucket_only_when_it_is_polled() {
    let world = World::with_calls(&[]).await;
    let mut response = world.start("key_own", &two_days()).await;
    // The second day gets a call after the headers of the response.
    world.add(&TestCall::chat(DAY + 86_400, "key_own")).await;
    let mut text = Vec::new();
    while let Some(frame) = response.body_mut().frame().await {
        text.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    let page = parse(&text);
    assert_eq!(page["data"][1]["results"][0]["num_model_requests"], 1);
}

#[test]
fn debug_output_has_no_content() {
    let world = World::new(Fixture::memory());
    let service = world.layer.layer(Arc::new(()));
    let shown = format!("{:?} {service:?} {:?}", world.layer, UsageBody::<Full<Bytes>>::default());
    for (_, key) in &world.minted {
        assert!(!shown.contains(key.key()) && !shown.contains(&key.digest()));
    }
    assert!(!shown.contains(OPERATOR) && !shown.contains("Own, EU"));
}
