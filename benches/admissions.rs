//! Admissions and settlements in a ledger file, through the layer over a service in memory.

use std::cell::Cell;
use std::convert::Infallible;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::KeyedLayer;
use super::comparison::{Comparison, Side, Unit, timed};

const CALLERS: u32 = 32;

/// The calls of each caller in one run of the percentile, so that a run has 256 admissions.
const CALLS_OF_CALLER: u32 = 8;

/// The bytes of a page of SQLite.
const PAGE: [u8; 4096] = [7; 4096];

/// The pages of the file that is synced. SQLite too writes its log from the start again after about 1,000 pages.
const PAGES: u64 = 1000;

tokio::task_local! {
    /// The time at which the inner service received the call of this task.
    static ADMITTED_AT: Cell<Option<Instant>>;
}

/// The admissions of calls that follow one another, and syncs of a page of a file.
pub fn compare_with_sync() -> Comparison {
    let runtime = runtime();
    let keyed = KeyedLayer::new("http://127.0.0.1:9");
    let service = keyed.layer.layer(service_fn(respond));
    let key = keyed.key.key().to_owned();
    Comparison {
        unit: Unit::Rate { items: 1 },
        ours: Box::new(move |runs| {
            let _ = &keyed;
            let admissions = runtime.block_on(call_in_turn(service.clone(), key.clone(), runs));
            admissions.iter().sum()
        }),
        baseline: syncs(),
    }
}

/// The 99th percentile of the admissions of 32 callers at once, and syncs of a page of a file.
pub fn compare_percentile_with_sync() -> Comparison {
    let mut callers = Callers::new(CALLERS);
    Comparison {
        unit: Unit::Rate { items: 1 },
        ours: Box::new(move |runs| {
            let mut admissions = callers.make_calls(runs * CALLS_OF_CALLER);
            admissions.sort_unstable();
            // A side returns the time of all its runs.
            runs * admissions[admissions.len() * 99 / 100]
        }),
        baseline: syncs(),
    }
}

/// Returns a side whose run is one sync of a page of a file.
fn syncs() -> Side {
    let mut file = SyncedFile::new();
    timed(move || file.sync_page())
}

/// As many calls of 32 callers at once, and of one caller. Each call is an admission and a settlement.
pub fn compare_callers() -> Comparison {
    Comparison { unit: Unit::Rate { items: CALLERS }, ours: calls(CALLERS), baseline: calls(1) }
}

/// Returns a side whose run is 32 calls, which are shared by the callers.
fn calls(caller_count: u32) -> Side {
    let mut callers = Callers::new(caller_count);
    Box::new(move |runs| {
        let begin = Instant::now();
        callers.make_calls(runs * CALLERS / caller_count);
        begin.elapsed()
    })
}

/// Callers that make calls at the same time through one layer.
struct Callers {
    count: u32,
    keyed: KeyedLayer,
    runtime: Runtime,
}

impl Callers {
    fn new(count: u32) -> Self {
        Self { count, keyed: KeyedLayer::new("http://127.0.0.1:9"), runtime: runtime() }
    }

    /// Makes this number of calls with each caller. Returns the times of their admissions.
    fn make_calls(&mut self, calls_of_caller: u32) -> Vec<Duration> {
        let service = self.keyed.layer.layer(service_fn(respond));
        let mut callers = JoinSet::new();
        self.runtime.block_on(async {
            for _ in 0..self.count {
                let key = self.keyed.key.key().to_owned();
                callers.spawn(call_in_turn(service.clone(), key, calls_of_caller));
            }
            callers.join_all().await.concat()
        })
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// Responds to an admitted call, and notes the time in its task.
async fn respond(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    ADMITTED_AT.with(|admitted_at| admitted_at.set(Some(Instant::now())));
    let body = r#"{"model":"gpt-5-mini","usage":{"prompt_tokens":12,"completion_tokens":100}}"#;
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::from(body)).expect("a valid response"))
}

/// Makes calls one after another. Returns the times until the inner service receives them.
async fn call_in_turn<S, B>(mut service: S, key: String, count: u32) -> Vec<Duration>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data: Send, Error: std::fmt::Debug>,
{
    let work = async {
        let mut admissions = Vec::new();
        for _ in 0..count {
            let request = Request::post("/v1/chat/completions")
                .header("authorization", format!("Bearer {key}"))
                .header("content-type", "application/json")
                .body(Full::from(r#"{"model":"gpt-5-mini","messages":[]}"#))
                .expect("a valid request");
            let begin = Instant::now();
            let response = service.ready().await.expect("ready").call(request).await.expect("a response");
            assert_eq!(response.status(), StatusCode::OK);
            let admitted_at = ADMITTED_AT.with(Cell::take).expect("the call was admitted");
            admissions.push(admitted_at - begin);
            response.into_body().collect().await.expect("a whole body");
        }
        admissions
    };
    ADMITTED_AT.scope(Cell::new(None), work).await
}

/// A file of which one page after another is written and synced.
struct SyncedFile {
    file: File,
    next_page: u64,
}

impl SyncedFile {
    /// Creates a temporary file, and writes all its pages once.
    fn new() -> Self {
        let mut file = tempfile::tempfile().expect("a file is created");
        for _ in 0..PAGES {
            file.write_all(&PAGE).expect("the disk has space");
        }
        file.sync_all().expect("the file is synced");
        Self { file, next_page: 0 }
    }

    fn sync_page(&mut self) {
        let start = self.next_page * PAGE.len() as u64;
        self.file.seek(SeekFrom::Start(start)).expect("the page exists");
        self.file.write_all(&PAGE).expect("the page exists");
        self.file.sync_data().expect("the file is synced");
        self.next_page = (self.next_page + 1) % PAGES;
    }
}
