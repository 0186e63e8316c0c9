//! The laws of settlement through the layer: each admitted call is settled once, and the counters are the sum of the rows.

use proptest::prelude::*;

use super::*;

/// A call of a random schedule.
#[derive(Clone, Debug)]
struct RandomCall {
    key: usize,
    /// The index of a response, or the lack of one.
    response: usize,
    /// The offsets at which the response is cut into chunks.
    offsets: Vec<prop::sample::Index>,
    /// The number of chunks that the client reads before it drops the body. `None` if it reads all.
    read_count: Option<usize>,
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

fn random_call() -> impl Strategy<Value = RandomCall> {
    let offsets = prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    let read_count = prop::option::of(0_usize..5);
    (0_usize..2, 0_usize..8, offsets, read_count)
        .prop_map(|(key, response, offsets, read_count)| RandomCall { key, response, offsets, read_count })
}

/// Returns the step of the upstream, and the charged tokens, which are `None` if they depend on the drop.
fn step(call: &RandomCall) -> (Step, Option<u64>) {
    let stream = format!("{DELTA}{USAGE}{DONE}");
    let (status, content_type, body, tokens) = match call.response {
        0 => return (Step::Fail, Some(0)),
        1 => (500, JSON, CHAT_RESPONSE, 0),
        2 => (429, JSON, CHAT_RESPONSE, 0),
        3 => (200, JSON, CHAT_RESPONSE, 15),
        4 => (200, JSON, "{}", 8),
        5 => (200, EVENTS, &*stream, 15),
        6 => (200, EVENTS, DELTA, 9),
        _ => (200, EVENTS, "data: cut", 8),
    };
    let mut offsets: Vec<usize> = call.offsets.iter().map(|offset| offset.index(body.len() + 1)).collect();
    offsets.extend([0, body.len()]);
    offsets.sort_unstable();
    let chunks: Vec<&str> = offsets.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
    (response(status, content_type, &chunks), Some(tokens))
}

/// Makes the call, and reads as much of the response as it requires.
async fn make(world: &World, call: &RandomCall) {
    let request = world.request(call.key, CHAT, CHAT_BODY);
    let Ok(response) = world.layer.layer(world.upstream.clone()).oneshot(request).await else { return };
    let mut body = response.into_body();
    let mut count = 0;
    while call.read_count.is_none_or(|read_count| count < read_count) {
        count += 1;
        if body.frame().await.is_none() {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_are_settled_once_and_counters_are_the_sum_of_the_rows(
        calls in prop::collection::vec(random_call(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::new(json!({}));
            let mut expected = 0;
            for call in &calls {
                let (step, tokens) = step(call);
                expected += tokens.unwrap_or(0);
                world.expect(step);
                make(&world, call).await;
            }
            let rows = world.fixture.wait_for_rows(calls.len()).await;
            assert_eq!(rows.len(), calls.len());
            assert_eq!(world.calls.lock().unwrap().len(), calls.len());
            let sum: u64 = rows.iter().map(|row| row.charge.tokens).sum();
            let picodollars: u64 = rows.iter().map(|row| row.charge.picodollars).sum();
            assert_eq!(sum, expected, "{rows:?}");
            let group = world.fixture.counter(&Owner::Group("g".into()), Window::Ever).await;
            assert_eq!((group.spent.tokens, group.spent.picodollars), (sum, picodollars));
            assert_eq!(group.spent.requests, calls.len() as u64);
            assert_eq!(group.reserved, Counter::default().reserved);
            let keys = [world.counter("key_1").await, world.counter("key_2").await];
            assert_eq!(keys[0].spent.plus(keys[1].spent), group.spent);
        });
    }
}
