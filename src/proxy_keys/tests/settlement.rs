//! The charge of a call at each of its ends.

use super::*;
use crate::proxy_keys::ledger::tests::failures::gated;

const IMAGES: &str = "/v1/images/generations";

/// The picodollars of these tokens.
fn price(input: u64, output: u64) -> u64 {
    1_000_000 * input + 10_000_000 * output
}

/// Checks the tokens, money and mark of a row, and the split of the tokens in its counts.
fn assert_charge(row: &UsageRow, (input, output): (u64, u64), is_estimated: bool) {
    let charge = (row.charge.tokens, row.charge.picodollars, row.is_estimated);
    assert_eq!(charge, (input + output, price(input, output), is_estimated), "{row:?}");
    let split = (count(row, "input_tokens"), count(row, "output_tokens"));
    assert_eq!((split.0.unwrap_or(0), split.1.unwrap_or(0)), (input, output), "{row:?}");
}

/// Returns a count of a row.
fn count(row: &UsageRow, name: &str) -> Option<u64> {
    let counts: Value = serde_json::to_value(&row.counts).unwrap();
    counts[name].as_u64()
}

#[tokio::test]
async fn usage_of_a_response_is_charged_at_the_prices_of_the_requested_model() {
    for step in [json_response(200, CHAT_RESPONSE), events(&[DELTA, USAGE, DONE])] {
        let world = World::new(json!({}));
        world.expect(step);
        assert_eq!(world.send(CHAT, STREAM_BODY).await.status(), 200);
        let row = world.row().await;
        assert_charge(&row, (12, 3), false);
        assert_eq!((row.info.model.as_str(), row.status), ("gpt-5-2025", Some(200)));
        assert_eq!((&*row.info.provider, &*row.info.endpoint), ("openai", CHAT));
        assert_eq!((&*row.key_id, row.group_id.as_deref()), ("key_1", Some("g")));
        assert_eq!((row.counts.input_tokens, row.counts.output_tokens), (Some(12), Some(3)));
        let call = world.calls.lock().unwrap()[0].clone();
        assert_eq!((call.key_id.as_str(), call.group_id.as_deref()), ("key_1", Some("g")));
    }
}

#[tokio::test]
async fn error_or_replaced_response_charges_only_the_request() {
    for step in [
        json_response(500, CHAT_RESPONSE),
        json_response(401, CHAT_RESPONSE),
        json_response(302, CHAT_RESPONSE),
        response(200, "text/html", &[CHAT_RESPONSE]),
    ] {
        let world = World::new(json!({}));
        world.expect(step);
        world.send(CHAT, CHAT_BODY).await;
        assert_charge(&world.row().await, (0, 0), false);
        assert_eq!(world.counter("key_1").await.spent.requests, 1);
    }
}

#[tokio::test]
async fn failure_of_the_inner_service_charges_only_the_request() {
    let world = World::new(json!({}));
    world.expect(Step::Fail);
    assert!(world.start(CHAT, CHAT_BODY).await.is_err());
    let row = world.row().await;
    assert_charge(&row, (0, 0), false);
    assert_eq!(row.status, None);
}

#[tokio::test]
async fn drop_before_the_headers_charges_the_estimated_input() {
    let world = World::new(json!({}));
    world.expect(Step::Hang);
    let mut future = Box::pin(world.start(CHAT, CHAT_BODY));
    poll_until(&mut future, || world.upstream_call_count() == 1).await;
    drop(future);
    assert_charge(&world.row().await, (8, 0), true);
}

#[tokio::test]
async fn drop_before_the_admission_charges_only_the_request() {
    let (fixture, _, gate) = gated();
    let world = World::with(fixture, json!({}), json!({}));
    let mut future = Box::pin(world.start(CHAT, CHAT_BODY));
    // The first poll queues the admission, which waits for the gate of the store.
    assert!(Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(future);
    drop(gate);
    let rows = world.fixture.wait_for_rows(1).await;
    assert_charge(&rows[0], (0, 0), false);
    assert!(world.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn drop_while_an_error_is_read_charges_only_the_request() {
    let world = World::new(json!({}));
    let (_sender, step) = open_response(500, "application/json");
    world.expect(step);
    let mut future = Box::pin(world.start(CHAT, CHAT_BODY));
    poll_until(&mut future, || world.upstream_call_count() == 1).await;
    drop(future);
    assert_charge(&world.row().await, (0, 0), false);
}

#[tokio::test]
async fn panic_of_the_inner_service_settles_once() {
    let world = World::new(json!({}));
    world.expect(Step::Panic);
    let service = world.layer.layer(world.upstream.clone());
    let task = tokio::spawn(service.oneshot(world.request(0, CHAT, CHAT_BODY)));
    assert!(task.await.unwrap_err().is_panic());
    assert_charge(&world.row().await, (8, 0), true);
}

#[tokio::test]
async fn moderation_charges_no_tokens() {
    let world = World::new(json!({}));
    world.expect(json_response(200, r#"{"model":"omni","results":[]}"#));
    world.send("/v1/moderations", r#"{"model":"omni","input":"x"}"#).await;
    assert_charge(&world.row().await, (0, 0), false);
}

#[tokio::test]
async fn response_without_usage_charges_the_estimated_input_and_a_token_for_each_event() {
    for (step, output) in [
        (json_response(200, "{}"), 0),
        (json_response(200, "not JSON"), 0),
        (events(&[DELTA, DELTA, DONE]), 2),
        (events(&[DELTA]), 1),
    ] {
        let world = World::new(json!({}));
        world.expect(step);
        world.send(CHAT, CHAT_BODY).await;
        assert_charge(&world.row().await, (8, output), true);
    }
}

#[tokio::test]
async fn cut_response_charges_an_estimate() {
    let world = World::new(json!({}));
    let (mut sender, step) = open_response(200, "text/event-stream");
    world.expect(step);
    send(&mut sender, DELTA);
    sender.abort(io::Error::other("cut"));
    let response = world.start(CHAT, CHAT_BODY).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert_charge(&world.row().await, (8, 1), true);
}

#[tokio::test]
async fn first_usage_of_a_cut_stream_of_anthropic_is_only_a_lower_bound() {
    let start = |input| {
        format!(
            "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":{{\"input_tokens\":{input},\"output_tokens\":1}}}}}}\n\n"
        )
    };
    let delta = "data: {\"type\":\"content_block_delta\"}\n\n";
    let last = "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":9}}\n\n";
    // The body has 40 bytes, which are 10 tokens.
    let body = r#"{"model":"claude-a","messages":[       ]}"#;
    assert_eq!(body.len().div_ceil(4), 11);
    for (chunks, counts, is_estimated) in [
        (vec![start(2), delta.to_owned()], (11, 2), true),
        (vec![start(500)], (500, 1), true),
        // Of the input the usage so far is larger, and of the output the number of events.
        (vec![start(500), delta.repeat(9)], (500, 10), true),
        (vec![start(500), last.to_owned()], (500, 9), false),
    ] {
        let world = World::new(json!({}));
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        world.expect(events(&chunks));
        world.send(MESSAGES, body).await;
        assert_charge(&world.row().await, counts, is_estimated);
    }
}

#[tokio::test]
async fn rest_of_a_dropped_stream_is_metered() {
    let world = World::new(json!({}));
    let (mut sender, step) = open_response(200, "text/event-stream");
    world.expect(step);
    send(&mut sender, DELTA);
    let mut body = world.start(CHAT, CHAT_BODY).await.unwrap().into_body();
    next_chunk(&mut body).await;
    drop(body);
    // The upstream sends the rest after the client has gone.
    send(&mut sender, USAGE);
    drop(sender);
    assert_charge(&world.row().await, (12, 3), false);
}

#[tokio::test]
async fn dropped_json_response_is_metered() {
    let world = World::new(json!({}));
    let (start, end) = CHAT_RESPONSE.split_at(20);
    world.expect(response(200, "application/json", &[start, end]));
    drop(world.start(CHAT, CHAT_BODY).await.unwrap());
    assert_charge(&world.row().await, (12, 3), false);
}

#[tokio::test]
async fn stream_that_does_not_end_within_the_drain_timeout_is_estimated() {
    let mut world = World::new(json!({}));
    world.layer = world.layer.drain_timeout(Duration::ZERO);
    let (mut sender, step) = open_response(200, "text/event-stream");
    world.expect(step);
    send(&mut sender, DELTA);
    drop(world.start(CHAT, CHAT_BODY).await.unwrap());
    assert_charge(&world.row().await, (8, 1), true);
}

#[test]
fn stream_that_is_dropped_outside_of_a_runtime_is_estimated() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let world = World::new(json!({}));
    let (mut sender, step) = open_response(200, "text/event-stream");
    world.expect(step);
    send(&mut sender, DELTA);
    let mut body = runtime.block_on(world.start(CHAT, CHAT_BODY)).unwrap().into_body();
    runtime.block_on(next_chunk(&mut body));
    drop(body);
    assert_charge(&runtime.block_on(world.row()), (8, 1), true);
}

#[tokio::test]
async fn stream_that_is_dropped_behind_its_terminal_event_is_not_drained() {
    let mut world = World::new(json!({}));
    world.layer = world.layer.drain_timeout(DEADLINE * 2);
    let (mut sender, step) = open_response(200, "text/event-stream");
    world.expect(step);
    send(&mut sender, &format!("{USAGE}{DONE}"));
    let mut body = world.start(CHAT, CHAT_BODY).await.unwrap().into_body();
    next_chunk(&mut body).await;
    drop(body);
    assert_charge(&world.row().await, (12, 3), false);
    assert!(sender.send_data(Bytes::new()).await.is_err(), "the body is dropped");
}

#[tokio::test]
async fn endpoint_that_is_not_metered_changes_no_counter() {
    let world = World::new(json!({"limits": {"requests": {"day": 1}}}));
    for _ in 0..2 {
        world.expect(json_response(200, r#"{"input_tokens":9}"#));
        let response = world.send("/v1/messages/count_tokens", r#"{"model":"claude-a","messages":[]}"#).await;
        assert_eq!(response.status(), 200);
    }
    assert_eq!(world.counter("key_1").await, Counter::default());
    assert!(world.fixture.rows().await.is_empty());
}

/// Sends a request for images, and returns the number of images in the row and in the report of the call.
async fn image_counts(step: Step, members: Value) -> (Option<u64>, Option<u64>) {
    let world = World::new(json!({}));
    world.expect(step);
    let mut body = json!({"model": "gpt-image-1", "prompt": "a cat"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    world.send(IMAGES, &body.to_string()).await;
    let in_row = count(&world.row().await, "images");
    let calls = world.calls.lock().unwrap();
    let in_report = calls[0].usage.as_ref().and_then(|usage| usage.images);
    (in_row, in_report)
}

#[tokio::test]
async fn images_of_a_complete_response_are_the_requested_number() {
    let json = r#"{"data":[],"usage":{"input_tokens":5,"output_tokens":9}}"#;
    let event = "data: {\"type\":\"image_generation.completed\",\"usage\":{\"input_tokens\":5,\"output_tokens\":9}}\n\n";
    for (step, members, images) in [
        (json_response(200, json), json!({"n": 3}), 3),
        (json_response(200, json), json!({"n": null}), 1),
        (json_response(200, json), json!({}), 1),
        // Older models send no usage.
        (json_response(200, r#"{"data":[]}"#), json!({"n": 2}), 2),
        (events(&[event]), json!({"stream": true}), 1),
    ] {
        assert_eq!(image_counts(step, members).await, (Some(images), Some(images)));
    }
}

#[tokio::test]
async fn images_of_a_failed_or_cut_response_are_not_counted() {
    let partial = "data: {\"type\":\"image_generation.partial_image\"}\n\n";
    for step in
        [json_response(400, r#"{"error":{}}"#), json_response(200, r#"{"data":["#), events(&[partial])]
    {
        assert_eq!(image_counts(step, json!({"n": 3})).await, (None, None));
    }
}

#[tokio::test]
async fn chat_with_several_outputs_has_no_images() {
    let world = World::new(json!({}));
    world.expect(json_response(200, CHAT_RESPONSE));
    world.send(CHAT, r#"{"model":"gpt-5","messages":[],"n":3}"#).await;
    assert_eq!(count(&world.row().await, "images"), None);
}
