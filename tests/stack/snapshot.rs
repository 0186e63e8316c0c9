//! Law 5: one request sees one map, however often it is replaced meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use tower::{ServiceBuilder, service_fn};

use super::*;

const ROWS: usize = 40;

/// Every id has the generation in its name; every other generation does not know `key_odd`, so that the
/// answer also says what it did not find there.
fn generation(number: u64) -> KeyNames {
    let known = ["key_a", "key_b", "key_odd"].into_iter().take(if number.is_multiple_of(2) { 2 } else { 3 });
    KeyNames::new(known.map(|id| (id, format!("generation-{number}")))).unwrap()
}

/// An array of rows, a few frames a row, and the map replaced before each.
struct Rows {
    names: Option<SharedKeyNames>,
    frames: VecDeque<Bytes>,
}

impl Rows {
    fn new(names: Option<SharedKeyNames>) -> Self {
        let row = |nth: usize| {
            let id = ["key_a", "key_odd", "key_b"][nth % 3];
            let comma = if nth == 0 { "[" } else { "," };
            // The frames end within the member's name, within the id and within the row.
            [
                format!("{comma}{{\"n\":{nth},\"api_k"),
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
            // Gives the other threads their turn, in the middle of an answer.
            std::thread::yield_now();
        }
        Poll::Ready(self.frames.pop_front().map(|frame| Ok(Frame::data(frame))))
    }
}

/// The only generation in the answer.
#[track_caller]
fn only_generation(text: &str) -> u64 {
    let rows: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    assert_eq!(rows.len(), ROWS);
    let name = |nth: usize| rows[nth]["api_key_name"].as_str().unwrap();
    let first = name(0);
    let number = first.strip_prefix("generation-").unwrap().parse().unwrap();
    for (nth, row) in rows.iter().enumerate() {
        let known = row["api_key_id"] != "key_odd" || number % 2 == 1;
        assert_eq!(name(nth), if known { first } else { "unknown" }, "row {nth} of generation {number}");
    }
    number
}

async fn ask(layer: ApiKeyNameLayer, body: Rows) -> String {
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

/// Held whole, streamed from some byte, streamed from the first.
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
                ask(ApiKeyNameLayer::new(names.clone()).limit(limit), Rows::new(Some(names.clone()))).await;
            assert_eq!(only_generation(&text), first, "the map of the moment the request came");
            assert!(names.status().generation > 4 * ROWS as u64);
        }
    }
}

/// The map is taken when the request comes, not when the answer does.
#[tokio::test]
async fn replaced_between_the_call_and_the_answer() {
    let names = SharedKeyNames::new(generation(1));
    let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(page(Rows::new(None)))));
    let mut service = ServiceBuilder::new().layer(ApiKeyNameLayer::new(names.clone())).service(inner);
    let answer = service.call(Request::get(COSTS).body(()).unwrap());
    names.replace(generation(2));
    let text = answer.await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(only_generation(std::str::from_utf8(&text).unwrap()), 1);
}

/// A thread that replaces the map as fast as it can, while others ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_by_a_thread_while_requests_are_in_flight() {
    const ANSWERS: usize = 200;
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
    let asking = LIMITS.map(|limit| {
        let layer = ApiKeyNameLayer::new(names.clone()).limit(limit);
        tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            for answers in 1.. {
                let text = ask(layer.clone(), Rows::new(None)).await;
                seen.insert(only_generation(&text));
                // Only answers of many generations say anything.
                if answers >= ANSWERS && seen.len() >= GENERATIONS {
                    break;
                }
            }
            seen
        })
    });
    for seen in asking {
        let seen = tokio::time::timeout(DEADLINE, seen).await.unwrap().unwrap();
        assert!(seen.len() >= GENERATIONS);
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(swapper.join().unwrap(), names.status().generation);
}
