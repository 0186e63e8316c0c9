//! The command `keys usage` beside the service.
use serde_json::json;

use super::world::{Files, TestKey, gated_upstream, start_stream};
use crate::peer::{Reply, client, soon};

const STREAMS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_command_during_open_streams_changes_no_counter_and_ends_no_stream() {
    let (upstream, gate) = gated_upstream().await;
    let key = TestKey::new("key_a", &json!({"limits": {"tokens": {"ever": 1_000_000}, "parallel": STREAMS}}));
    let files = Files::new(&[&key]);
    let service = files.start(&upstream, &[]);
    let client = client(false);
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(start_stream(&client, service.address, &key).await);
    }
    let counters = files.counters();
    for _ in 0..5 {
        let usage = files.usage().await;
        assert_eq!(usage["data"][0]["calls_in_flight"], STREAMS, "{usage}");
    }
    assert_eq!(files.counters(), counters);
    assert_eq!(files.open_calls(), STREAMS as i64);

    gate.send_replace(true);
    for stream in streams {
        let reply = soon(Reply::read(stream)).await.unwrap();
        assert!(reply.text().ends_with("data: [DONE]\n\n"), "{reply:?}");
    }
    // Each call has 7 input tokens and 5 output tokens, and no charge is an estimate.
    assert_eq!(files.usage_rows(), vec![("key_a".to_owned(), 12, 0); STREAMS]);
    let usage = files.usage().await;
    let tokens = json!({
        "meter": "tokens", "window": "ever", "limit": 1_000_000,
        "used": 12 * STREAMS, "reserved": 0, "left": 1_000_000 - 12 * STREAMS,
    });
    assert_eq!(usage["data"][0]["counters"][0], tokens, "{usage}");
    assert_eq!(usage["data"][0]["calls_in_flight"], 0, "{usage}");
}
