//! Law 5: one request uses one map, even if it is replaced meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use tower::{ServiceBuilder, service_fn};

use super::*;

const ROWS: usize = 40;

/// Creates a map whose names contain the generation. Even generations do not contain `key_odd`, so a response also
/// shows which ids its map did not contain.
fn generation(number: u64) -> KeyNames {
    let known = ["key_a", "key_b", "key_odd"].into_iter().take(if number.is_multiple_of(2) { 2 } else { 3 });
    KeyNames::new(known.map(|id| (id, format!("generation-{number}")))).unwrap()
}

/// An array of rows in several frames each. The map is replaced before each frame.
struct Rows {
    names: Option<SharedKeyNames>,
    frames: VecDeque<Bytes>,
}

impl Rows {
    fn new(names: Option<SharedKeyNames>) -> Self {
        let row = |index: usize| {
            let id = ["key_a", "key_odd", "key_b"][index % 3];
            let comma = if index == 0 { "[" } else { "," };
            // The frames end within the member's name, within the id and within the row.
            [
                format!("{comma}{{\"n\":{index},\"api_k"),
                format!("ey_id\":\"{}", &id[..5]),
                format!("{}\"", &id[5..]),
                "}".into(),
            ]
        };
        let frames = (0..ROWS).flat_map(row).chain(["]".into()]).map(Bytes::from).collect();
        Self { names, frames }
    }
}

impl Body for Rows {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(names) = &self.names {
            names.replace(generation(names.status().generation + 1));
        } else {
            // Lets the other threads run in the middle of a response.
            std::thread::yield_now();
        }
        Poll::Ready(self.frames.pop_front().map(|frame| Ok(Frame::data(frame))))
    }
}

/// Returns the only generation in a response.
#[track_caller]
fn only_generation(text: &str) -> u64 {
    let rows: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    assert_eq!(rows.len(), ROWS);
    let name = |index: usize| rows[index]["api_key_name"].as_str().unwrap();
    let first = name(0);
    let number = first.strip_prefix("generation-").unwrap().parse().unwrap();
    for (index, row) in rows.iter().enumerate() {
        let known = row["api_key_id"] != "key_odd" || number % 2 == 1;
        assert_eq!(name(index), if known { first } else { "unknown" }, "row {index} of generation {number}");
    }
    number
}

async fn call(layer: ApiKeyNameLayer, body: Rows) -> String {
    let mut body = Some(body);
    let inner = service_fn(move |_: Request<()>| {
        let head = Response::builder().header(header::CONTENT_TYPE, "application/json");
        ready(Ok::<_, Infallible>(head.body(body.take().unwrap()).unwrap()))
    });
    let service = ServiceBuilder::new().layer(layer).service(inner);
    let response = service.oneshot(Request::get(COSTS).body(()).unwrap()).await.unwrap();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(text.into()).unwrap()
}

/// The body is buffered, streamed from some byte, or streamed from the first byte.
const LIMITS: [usize; 3] = [1 << 20, 300, 0];

#[tokio::test]
async fn replaced_before_every_frame() {
    for limit in LIMITS {
        for first in [1, 2] {
            let names = SharedKeyNames::new(generation(1));
            if first == 2 {
                names.replace(generation(2));
            }
            let text =
                call(ApiKeyNameLayer::new(names.clone()).limit(limit), Rows::new(Some(names.clone()))).await;
            assert_eq!(only_generation(&text), first, "the map at the time of the request");
            assert!(names.status().generation > 4 * ROWS as u64);
        }
    }
}

#[tokio::test]
async fn map_replaced_between_request_and_response_is_not_used() {
    let names = SharedKeyNames::new(generation(1));
    let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(page(Rows::new(None)))));
    let mut service = ServiceBuilder::new().layer(ApiKeyNameLayer::new(names.clone())).service(inner);
    let response = service.call(Request::get(COSTS).body(()).unwrap());
    names.replace(generation(2));
    let text = response.await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(only_generation(std::str::from_utf8(&text).unwrap()), 1);
}

/// A thread replaces the map as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn map_replaced_by_a_thread_is_not_mixed_within_a_response() {
    const RESPONSES: usize = 200;
    const GENERATIONS: usize = 10;
    let names = SharedKeyNames::new(generation(1));
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (names, stop) = (names.clone(), stop.clone());
        move || {
            for number in 2.. {
                if stop.load(Ordering::Relaxed) {
                    return number - 1;
                }
                names.replace(generation(number));
                std::thread::yield_now();
            }
            unreachable!()
        }
    });
    let tasks = LIMITS.map(|limit| {
        let layer = ApiKeyNameLayer::new(names.clone()).limit(limit);
        tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            for responses in 1.. {
                let text = call(layer.clone(), Rows::new(None)).await;
                seen.insert(only_generation(&text));
                // The test requires responses of many generations.
                if responses >= RESPONSES && seen.len() >= GENERATIONS {
                    break;
                }
            }
            seen
        })
    });
    for seen in tasks {
        let seen = tokio::time::timeout(DEADLINE, seen).await.unwrap().unwrap();
        assert!(seen.len() >= GENERATIONS);
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(swapper.join().unwrap(), names.status().generation);
}
