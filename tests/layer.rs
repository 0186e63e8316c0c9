//! What the layer does to requests, heads and bodies, with an inner service and bodies made of scripts.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_api_key_name::outcome::{Counts, Outcome, RequestContext, ResponseState, Skip};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, ResponseBody, SharedKeyNames, Unmatched};

use test_support::cases::{CASES, NAMES, naive};

const COSTS: &str = "/v1/organization/costs?group_by=api_key_name";

// === A body that follows a script ===

#[derive(Clone, Debug)]
enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Error(&'static str),
    /// Pending once; the waker is called at once.
    Pending,
    /// Pending for ever.
    Stall,
}

#[derive(Clone, Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
    read: Arc<Mutex<u64>>,
    /// Says what it knows of its end, as good bodies do.
    honest: bool,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }

    fn chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::new(chunks.into_iter().map(data))
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

fn data(chunk: &[u8]) -> Step {
    Step::Data(Bytes::copy_from_slice(chunk))
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.steps.pop_front() {
            Some(Step::Data(data)) => {
                *self.read.lock().unwrap() += data.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Error(error)) => Poll::Ready(Some(Err(error))),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Stall) => {
                self.steps.push_front(Step::Stall);
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.honest && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let len = |step: &Step| if let Step::Data(data) = step { data.len() as u64 } else { 0 };
        if self.honest { SizeHint::with_exact(self.steps.iter().map(len).sum()) } else { SizeHint::default() }
    }
}

// === Asking ===

fn names() -> SharedKeyNames {
    SharedKeyNames::new(KeyNames::new(NAMES.iter().copied()).unwrap())
}

fn layer() -> ApiKeyNameLayer {
    ApiKeyNameLayer::new(names())
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

fn json(body: Script) -> Response<Script> {
    Response::builder().header("content-type", "application/json").body(body).unwrap()
}

/// What the layer makes of one answer to one request.
async fn ask(
    layer: ApiKeyNameLayer,
    request: Request<()>,
    response: Response<Script>,
) -> Response<ResponseBody<Script>> {
    let mut response = Some(response);
    let inner = service_fn(move |_: Request<()>| {
        let response = response.take().unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    layer_on(layer, inner).oneshot(request).await.unwrap()
}

fn layer_on<S>(layer: ApiKeyNameLayer, inner: S) -> tower_api_key_name::ApiKeyName<S> {
    ServiceBuilder::new().layer(layer).service(inner)
}

/// All of a body: its bytes, its trailers, its error.
async fn drain(body: &mut ResponseBody<Script>) -> (Vec<u8>, Option<HeaderMap>, Option<&'static str>) {
    let (mut bytes, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame {
            Err(error) => {
                assert!(body.frame().await.is_none(), "nothing follows an error");
                return (bytes, trailers, Some(error));
            }
            Ok(frame) => match frame.into_data() {
                Ok(data) => {
                    assert!(trailers.is_none(), "no data after trailers");
                    bytes.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none(), "it ends once and for all");
    (bytes, trailers, None)
}

fn told() -> (Arc<Mutex<Vec<Outcome>>>, impl Fn(&Outcome, &RequestContext) + Send + Sync + 'static) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let writer = told.clone();
    (told, move |outcome: &Outcome, _: &RequestContext| writer.lock().unwrap().push(*outcome))
}

fn four(counts: Counts) -> [u64; 4] {
    [counts.named, counts.unmatched, counts.not_a_string, counts.skipped]
}

fn length(response: &Response<ResponseBody<Script>>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH).map(|value| value.to_str().unwrap().parse().unwrap())
}

// === The table ===

#[tokio::test]
async fn every_case_held_and_streamed() {
    for case in CASES {
        let text = case.input.as_bytes();
        let valid = naive::is_json(text);
        let changed = case.input != case.output;
        let cuts: [Vec<&[u8]>; 3] = [vec![text], text.chunks(1).collect(), text.chunks(7).collect()];
        for chunks in cuts {
            let (told, on_outcome) = told();
            let mut head = json(Script::chunks(chunks.iter().copied()));
            head.headers_mut().insert("content-length", text.len().into());
            head.headers_mut().insert("etag", http::HeaderValue::from_static("\"x\""));
            let mut response = ask(layer().on_outcome(on_outcome), get(COSTS), head).await;
            let state: ResponseState = *response.extensions().get().unwrap();
            let outcome = state.outcome().unwrap();
            assert_eq!(length(&response), Some(case.output.len() as u64), "{}", case.name);
            assert_eq!(response.headers().contains_key("etag"), !changed, "{}", case.name);
            match outcome {
                Outcome::Amended { counts } => {
                    assert!(changed && four(counts) == case.counts, "{}", case.name)
                }
                Outcome::Unchanged { counts } => {
                    assert!(!changed && four(counts) == case.counts, "{}", case.name)
                }
                // What holds nothing to name is not parsed.
                Outcome::Skipped { skip: Skip::NotJson { .. }, counts } => {
                    assert!(!valid && four(counts) == [0; 4], "{}", case.name);
                }
                other => panic!("{}: {other:?}", case.name),
            }
            let (bytes, trailers, error) = drain(response.body_mut()).await;
            assert_eq!(String::from_utf8_lossy(&bytes), case.output, "{}", case.name);
            assert!(trailers.is_none() && error.is_none());
            drop(response);
            assert_eq!(*told.lock().unwrap(), [outcome], "{}", case.name);

            // Streamed: the same where it is JSON.
            let body = Script::chunks(chunks.iter().copied());
            let mut response = ask(layer().limit(0), get(COSTS), json(body)).await;
            let (bytes, ..) = drain(response.body_mut()).await;
            if valid {
                assert_eq!(String::from_utf8_lossy(&bytes), case.output, "{}, streamed", case.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Law 4 at the layer: whatever the limit, how a body is cut into frames changes not a byte of it, nor
    /// the outcome, nor the headers.
    #[test]
    fn frames_change_nothing(
        nth in 0..CASES.len(), repeat in 1..4_usize, limit in 0..400_usize, cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let text = vec![CASES[nth].input; repeat].join(",");
        let text = format!("[{text}]").into_bytes();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (text.len() + 1)).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let run = |chunks: Vec<&[u8]>| {
            let (told, on_outcome) = told();
            let steps = chunks.into_iter().flat_map(|chunk| [data(chunk), Step::Pending]);
            let answer = json(Script::new(steps));
            runtime.block_on(async {
                let mut response = ask(layer().limit(limit).on_outcome(on_outcome), get(COSTS), answer).await;
                let (bytes, ..) = drain(response.body_mut()).await;
                let length = length(&response);
                drop(response);
                let outcomes = told.lock().unwrap().clone();
                assert_eq!(outcomes.len(), 1);
                (String::from_utf8_lossy(&bytes).into_owned(), length, outcomes)
            })
        };
        let whole = run(vec![&text]);
        prop_assert_eq!(&run(cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect()), &whole);
        prop_assert_eq!(&run(text.chunks(1).collect()), &whole);
        if text.len() <= limit || naive::is_json(&text) {
            prop_assert_eq!(whole.0.as_bytes(), naive::amend(&text, naive::Rules::default()).0);
        }
    }
}

// === Requests ===

/// What the inner service was asked.
async fn asked(layer: ApiKeyNameLayer, request: Request<()>) -> Request<()> {
    let seen = Arc::new(Mutex::new(None));
    let inner = service_fn(|request: Request<()>| {
        *seen.lock().unwrap() = Some(request);
        async { Ok::<_, Infallible>(json(Script::default())) }
    });
    layer_on(layer, inner).oneshot(request).await.unwrap();
    seen.lock().unwrap().take().unwrap()
}

fn conditional(uri: &str) -> Request<()> {
    let mut request = get(uri);
    for name in
        ["accept-encoding", "if-none-match", "if-modified-since", "range", "if-range", "authorization"]
    {
        request.headers_mut().insert(name, http::HeaderValue::from_static("x"));
    }
    request
}

#[tokio::test]
async fn a_request_in_scope_is_made_one_that_the_api_knows() {
    for path in [
        "/v1/organization/costs",
        "/v1/organization/usage/completions",
        "/v1/organizations/usage_report/messages",
    ] {
        let request = asked(layer(), conditional(&format!("{path}?a=%5b&group_by[]=api_key_name"))).await;
        assert_eq!(request.uri(), format!("{path}?a=%5b&group_by[]=api_key_id").as_str());
        assert_eq!(request.headers().len(), 1);
        assert!(request.headers().contains_key("authorization"));
    }
}

#[tokio::test]
async fn a_request_out_of_scope_is_not_touched() {
    for uri in [
        "/v1/chat/completions?group_by=api_key_name",
        "/v1/organization?group_by=api_key_name",
        "/v1/organizational/?group_by=api_key_name",
        "/openai/v1/organization/costs?group_by=api_key_name",
        "/V1/organization/costs?group_by=api_key_name",
    ] {
        let request = asked(layer(), conditional(uri)).await;
        assert_eq!((request.uri().to_string().as_str(), request.headers().len()), (uri, 6));
        let steps = [data(b"{\"api_key_id\""), Step::Stall];
        let mut response = ask(layer(), get(uri), json(Script::new(steps))).await;
        assert!(response.extensions().get::<ResponseState>().is_none());
        // It is not held either: the body has no end yet.
        let first = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "{\"api_key_id\"");
    }
}

#[tokio::test]
async fn the_scope_is_a_setting() {
    let scoped = || layer().scope(|uri| uri.path().starts_with("/openai/"));
    let request = asked(scoped(), get("/openai/v1/organization/costs?group_by=api_key_name")).await;
    assert_eq!(request.uri().query(), Some("group_by=api_key_id"));
    let request = asked(scoped(), get("/v1/organization/costs?group_by=api_key_name")).await;
    assert_eq!(request.uri().query(), Some("group_by=api_key_name"));
}

// === Limits ===

#[tokio::test]
async fn the_limit_is_inclusive() {
    let text = br#"{"api_key_id":"key_1"}"#;
    let named = br#"{"api_key_id":"key_1","api_key_name":"x"}"#;
    for (limit, held) in [(text.len(), true), (text.len() - 1, false), (0, false)] {
        for chunks in [vec![&text[..]], text.chunks(1).collect()] {
            let mut response = ask(layer().limit(limit), get(COSTS), json(Script::chunks(chunks))).await;
            assert_eq!(length(&response), held.then_some(named.len() as u64));
            assert_eq!(response.extensions().get() == Some(&ResponseState::Streaming), !held);
            assert_eq!(drain(response.body_mut()).await.0, named);
        }
    }
}

/// An edit is 40 bytes, with the room that their queue keeps, and 224 KiB of them are free.
#[tokio::test]
async fn edits_count_as_bytes_where_there_are_many() {
    let run = async |text: &[u8], size| {
        let script = Script::chunks(text.chunks(size));
        let mut response = ask(layer().limit(200_000), get(COSTS), json(script)).await;
        let (bytes, ..) = drain(response.body_mut()).await;
        (response.extensions().get::<ResponseState>().copied().unwrap(), bytes)
    };
    // 17 bytes each, and the two brackets.
    let rows = |n| vec![r#"{"api_key_id":1}"#; n].join(",");
    let most = (200_000 + 224 * 1024 - 1) / (17 + 40);
    for (n, end, streams) in [
        (most, "]", false),
        (most + 1, "]", true),
        (most - 1, "!", false),
        (most, "!", false),
        (most + 1, "!", true),
    ] {
        let text = format!("[{}{end}", rows(n)).into_bytes();
        let whole = run(&text, text.len()).await;
        assert_eq!(whole.0 == ResponseState::Streaming, streams, "{n}{end}");
        for size in [1, 17, 1000, 40_000] {
            assert!(run(&text, size).await == whole, "{n}{end} in frames of {size}");
        }
    }
}

#[tokio::test]
async fn limit_0_streams_from_the_first_byte() {
    let steps = [data(b"{\"rows\":[{\"api_key_id\":\"key_1\"},"), Step::Stall];
    let mut response = ask(layer().limit(0), get(COSTS), json(Script::new(steps))).await;
    let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "{\"rows\":[{\"api_key_id\":\"key_1\",\"api_key_name\":\"x\"},");
}

/// An hour of minute buckets of a large organization is not held in memory, by anyone.
#[tokio::test]
async fn a_page_of_88_mb_streams_in_bounded_memory() {
    const SIZE: usize = 88_000_000;
    const LIMIT: u64 = 256 * 1024;
    let row = r#"{"object":"organization.usage.completions.result","input_tokens":141201,"output_tokens":9756,"input_cached_tokens":0,"num_model_requests":470,"project_id":"proj_Hq3vT9zLm2Xw7BcD","user_id":null,"api_key_id":"key_a","model":"gpt-4o-mini-2024-07-18","batch":false},"#;
    let mut frame = String::with_capacity(64 * 1024);
    while frame.len() + row.len() < 64 * 1024 {
        frame.push_str(row);
    }
    let frame = Bytes::from(frame);
    let frames = SIZE / frame.len();
    let mut script = Script::new([data(b"{\"object\":\"page\",\"data\":[{\"results\":[")]);
    script.steps.extend(std::iter::repeat_n(Step::Data(frame.clone()), frames));
    let rows = frames * (frame.len() / row.len());
    let script = script.then(data(b"{\"api_key_id\":\"key_1\"}]}],\"has_more\":false}"));
    let read = script.read.clone();

    let (told, on_outcome) = told();
    let mut response =
        ask(layer().limit(LIMIT as usize).on_outcome(on_outcome), get(COSTS), json(script)).await;
    assert!(*read.lock().unwrap() <= LIMIT + frame.len() as u64, "the head waits for no more than the limit");
    let (mut sent, mut last) = (0, Vec::new());
    let mut names = 0;
    while let Some(frame) = response.body_mut().frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        sent += piece.len() as u64;
        // What was read is sent, but for what the limit and a frame may hold back.
        assert!(*read.lock().unwrap() <= sent + LIMIT + 2 * 64 * 1024);
        names += memchr::memmem::find_iter(&piece, "\"api_key_name\":").count();
        last = piece.to_vec();
    }
    assert!(last.ends_with(br#"{"api_key_id":"key_1","api_key_name":"x"}]}],"has_more":false}"#));
    // A member may be cut by the end of a piece, so that it is not found: the counts know.
    assert!(names > rows * 99 / 100);
    drop(response);
    let told = told.lock().unwrap();
    let [Outcome::Amended { counts }] = told[..] else { panic!("{told:?}") };
    assert_eq!(four(counts), [rows as u64 + 1, 0, 0, 0]);
}

#[tokio::test]
async fn what_is_no_json_any_more_passes_as_it_came() {
    let good = r#"[{"api_key_id":"key_1"},{"o":{"api_key_id":"key_1"},"api_key_id":"key_1","#;
    let rest = r#"} {"api_key_id":"key_1"} and so on"#;
    let text = format!("{good}{rest}");
    let amended = text.replacen(r#""key_1"}"#, r#""key_1","api_key_name":"x"}"#, 1);
    let amended = amended.replacen(
        r#"{"o":{"api_key_id":"key_1"}"#,
        r#"{"o":{"api_key_id":"key_1","api_key_name":"x"}"#,
        1,
    );
    let (told, on_outcome) = told();
    let layer = layer().on_outcome(on_outcome).limit(10);
    let mut response = ask(layer, get(COSTS), json(Script::chunks(text.as_bytes().chunks(5)))).await;
    assert_eq!(String::from_utf8(drain(response.body_mut()).await.0).unwrap(), amended);
    drop(response);
    let told = told.lock().unwrap();
    let [Outcome::Skipped { skip: Skip::NotJson { offset }, counts }] = told[..] else { panic!("{told:?}") };
    assert_eq!((offset, four(counts)), (good.len() as u64, [2, 0, 0, 0]));
}

#[tokio::test]
async fn a_hopeless_body_is_not_held() {
    let steps = [data(b"<html>api_key_id"), Step::Stall];
    let mut response = ask(layer(), get(COSTS), json(Script::new(steps))).await;
    let skipped = Outcome::Skipped { skip: Skip::NotJson { offset: 0 }, counts: Counts::default() };
    assert_eq!(response.extensions().get(), Some(&ResponseState::from(skipped)));
    let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "<html>api_key_id");
}

/// A body cut into frames of this size, with its end: the head, the body, and what was told.
async fn went(text: &str, size: usize, end: &Step, limit: usize) -> impl PartialEq + std::fmt::Debug + use<> {
    let (told, on_outcome) = told();
    let script = Script::chunks(text.as_bytes().chunks(size)).then(end.clone());
    let mut answer = json(script);
    answer.headers_mut().insert("etag", http::HeaderValue::from_static("\"x\""));
    let mut response = ask(layer().limit(limit).on_outcome(on_outcome), get(COSTS), answer).await;
    let body = drain(response.body_mut()).await;
    let head = (response.headers().clone(), response.extensions().get::<ResponseState>().copied());
    drop(response);
    (head, body, told.lock().unwrap().clone())
}

/// Law 4, for the head, the outcome and the trailers too: which of two frames a fault came in decides nothing.
#[tokio::test]
async fn a_fault_weighs_the_same_in_one_frame_as_in_many() {
    for text in [
        r#"[{"api_key_id":"key_1","api_key_name":"x"},!{"api_key_id":"key_1"},"and more"]"#,
        r#"[{"api_key_id":"key_1"},!{"api_key_id":"key_1"},"and more"]"#,
        r#"[1,2,!{"api_key_id":"key_1"},"and more"]"#,
    ] {
        let end = Step::Trailers(trailers());
        for limit in 0..=text.len() {
            let whole = went(text, text.len(), &end, limit).await;
            for size in 1..text.len() {
                let cut = went(text, size, &end, limit).await;
                assert!(cut == whole, "limit {limit}, frames of {size}: {text}");
            }
        }
    }
}

/// Nor which of many frames the edits came in that alone make a body long.
#[tokio::test]
async fn edits_weigh_the_same_in_one_frame_as_in_many() {
    let rows = format!("[{}", r#"{"api_key_id":0},"#.repeat(12_000));
    let last = format!(r#"{{"api_key_id":0,"pad":"{}""#, "x".repeat(300));
    // Here one byte brings an edit.
    let deep = format!("{}0{}]", r#"{"api_key_id":"#.repeat(300), "}".repeat(300));
    for (last, end) in [
        (deep, Step::Trailers(trailers())),
        (format!("{last}}}]"), Step::Trailers(trailers())),
        (format!("{last}}}]"), Step::Data(Bytes::new())),
        (last, Step::Error("broken")),
    ] {
        let text = format!("{rows}{last}");
        let weight = text.len() + (12_000 + last.matches("_id").count()) * 40 - (224 << 10);
        for limit in (weight - 18_000..weight + 1_000).step_by(887) {
            let whole = went(&text, text.len(), &end, limit).await;
            for size in [20_000, 2_500, 1_500] {
                assert!(went(&text, size, &end, limit).await == whole, "limit {limit}, frames of {size}");
            }
        }
    }
}

// === Heads ===

#[tokio::test]
async fn skipped_answers_pass_with_a_reason() {
    let text = r#"{"api_key_id":"key_1"}"#;
    let with = |status: u16, headers: &[(&str, &str)]| {
        let mut response = Response::builder().status(status).header("etag", "\"x\"");
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Script { honest: true, ..Script::chunks([text.as_bytes()]) }).unwrap()
    };
    const JSON: (&str, &str) = ("content-type", "application/json");
    let table = [
        (Method::GET, with(200, &[("content-type", "text/plain")]), Skip::MediaType),
        (Method::GET, with(200, &[JSON, ("content-encoding", "gzip")]), Skip::ContentEncoding),
        (Method::GET, with(206, &[JSON]), Skip::Partial),
        (Method::GET, with(204, &[JSON]), Skip::NoBody),
        (Method::GET, with(304, &[JSON]), Skip::NoBody),
        (Method::HEAD, with(200, &[("content-type", "text/plain")]), Skip::MediaType),
        (Method::GET, with(200, &[JSON, ("cache-control", "no-transform")]), Skip::NoTransform),
    ];
    for (method, answer, skip) in table {
        let (told, on_outcome) = told();
        let layer = layer().honor_no_transform(true).on_outcome(on_outcome);
        let before = answer.headers().clone();
        let request = Request::builder().method(method).uri(COSTS).body(()).unwrap();
        let mut response = ask(layer, request, answer).await;
        let outcome = Outcome::Skipped { skip, counts: Counts::default() };
        assert_eq!(response.extensions().get(), Some(&ResponseState::from(outcome)));
        assert_eq!(*response.headers(), before);
        assert_eq!(drain(response.body_mut()).await.0, text.as_bytes());
        assert_eq!(*told.lock().unwrap(), [outcome], "{skip:?}");
        drop(response);
        assert_eq!(told.lock().unwrap().len(), 1, "{skip:?}");
    }
}

#[tokio::test]
async fn head_describes_what_get_would_bring() {
    let mut answer = json(Script { honest: true, ..Script::default() });
    for (name, value) in
        [("content-length", "7"), ("etag", "\"x\""), ("accept-ranges", "bytes"), ("x-request-id", "r")]
    {
        answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let response = ask(layer(), Request::head(COSTS).body(()).unwrap(), answer).await;
    let names: Vec<_> = response.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["content-type", "x-request-id"]);
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn an_amended_body_knows_its_length_to_the_end() {
    let steps = [data(br#"[{"api_key_id":"#), Step::Pending, data(br#""key_1"}]"#)];
    let mut response = ask(layer(), get(COSTS), json(Script::new(steps))).await;
    let length = length(&response).unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(length));
    let (bytes, ..) = drain(response.body_mut()).await;
    assert_eq!(bytes.len() as u64, length);
    assert_eq!(response.body().size_hint().exact(), Some(0));
}

/// Law 7: a body that is not what its head says fails as it would without the layer. A server that found an
/// exact length here would write the head's, send fewer bytes, and go on to the next answer.
#[tokio::test]
async fn a_length_that_the_head_denies_is_not_claimed() {
    for text in
        [r#"{"id":"key_1"}"#, r#"{"api_key_id":null,"api_key_name":null}"#, r#"{"api_key_id":"key_1","#]
    {
        for (declared, claimed) in [(1000, None), (text.len(), Some(text.len() as u64))] {
            let mut answer = json(Script::chunks([text.as_bytes()]));
            answer.headers_mut().insert("content-length", declared.into());
            let mut response = ask(layer(), get(COSTS), answer).await;
            assert_eq!(length(&response), Some(declared as u64), "{text}");
            assert_eq!(response.body().size_hint().exact(), claimed, "{text}");
            assert_eq!(drain(response.body_mut()).await.0, text.as_bytes());
        }
    }
}

/// Law 7: the server that would have written Content-Length from the body's own hint still can.
#[tokio::test]
async fn a_body_that_is_left_alone_knows_its_length_as_before() {
    for text in [r#"{"id":"key_1"}"#, r#"{"api_key_id":!"#, r#"{"api_key_id":"key_1","#] {
        let answer = json(Script { honest: true, ..Script::chunks([text.as_bytes()]) });
        let mut response = ask(layer(), get(COSTS), answer).await;
        assert_eq!(response.body().size_hint().exact(), Some(text.len() as u64), "{text}");
        assert_eq!(drain(response.body_mut()).await.0, text.as_bytes());
    }
}

#[tokio::test]
async fn an_empty_body_is_at_its_end() {
    for honest in [true, false] {
        let response = ask(layer(), get(COSTS), json(Script { honest, ..Script::default() })).await;
        let unchanged = Outcome::Unchanged { counts: Counts::default() };
        assert_eq!(response.extensions().get(), Some(&ResponseState::from(unchanged)));
        assert!(response.body().is_end_stream());
        assert_eq!(response.body().size_hint().exact(), Some(0));
    }
}

#[tokio::test]
async fn the_same_bytes_are_not_copied() {
    let text = Bytes::from(format!("{{\"data\":\"{}\"}}", "x".repeat(10_000)));
    let with_id = Bytes::from(format!(
        "{{\"api_key_id\":null,\"api_key_name\":null,\"x\":\"{}\"}}",
        "x".repeat(10_000)
    ));
    for text in [text, with_id] {
        let mut response = ask(layer(), get(COSTS), json(Script::new([Step::Data(text.clone())]))).await;
        let frame = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((frame.as_ptr(), frame.len()), (text.as_ptr(), text.len()));
    }
}

// === Trailers ===

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", http::HeaderValue::from_static("1"));
    trailers.insert("repr-digest", http::HeaderValue::from_static("sha-256=:x:"));
    trailers
}

#[tokio::test]
async fn trailers_are_kept_but_for_digests_of_other_bytes() {
    for (text, changed) in [(r#"{"api_key_id":"key_1"}"#, true), (r#"{"id":"key_1"}"#, false)] {
        for limit in [1 << 20, 0] {
            for announced in [true, false] {
                let mut answer = json(Script::chunks([text.as_bytes()]).then(Step::Trailers(trailers())));
                if announced {
                    answer
                        .headers_mut()
                        .insert("trailer", http::HeaderValue::from_static("x-checksum, repr-digest"));
                }
                let mut response = ask(layer().limit(limit), get(COSTS), answer).await;
                // hyper sends no trailers with a length, and takes one from an exact hint.
                assert_eq!((length(&response), response.body().size_hint().exact()), (None, None));
                assert!(!response.body().is_end_stream());
                let kept = !changed && limit > 0;
                if announced {
                    let expected = if kept { "x-checksum, repr-digest" } else { "x-checksum" };
                    assert_eq!(response.headers()["trailer"], expected);
                }
                let (_, trailers, error) = drain(response.body_mut()).await;
                let trailers = trailers.unwrap();
                assert_eq!((trailers.len(), error), (if kept { 2 } else { 1 }, None));
                assert_eq!(trailers["x-checksum"], "1");
            }
        }
    }
}

// === Failures ===

#[tokio::test]
async fn a_body_that_fails_while_held_fails_as_without_the_layer() {
    for text in [r#"{"api_key_id":"key_1"}"#, r#"{"api_key_id":"key_1","#, "", "<html>", r#"{"a":1}"#] {
        let (told, on_outcome) = told();
        let mut answer = json(Script::chunks(text.as_bytes().chunks(3)).then(Step::Error("reset")));
        answer.headers_mut().insert("content-length", 1000.into());
        answer.headers_mut().insert("etag", http::HeaderValue::from_static("\"x\""));
        let before = answer.headers().clone();
        let mut response = ask(layer().on_outcome(on_outcome), get(COSTS), answer).await;
        let failed = Outcome::Skipped { skip: Skip::BodyFailed, counts: Counts::default() };
        assert_eq!(response.extensions().get(), Some(&ResponseState::from(failed)), "{text}");
        assert_eq!(*response.headers(), before);
        let (bytes, _, error) = drain(response.body_mut()).await;
        assert_eq!((bytes.as_slice(), error), (text.as_bytes(), Some("reset")));
        drop(response);
        assert_eq!(*told.lock().unwrap(), [failed]);
    }
}

#[tokio::test]
async fn a_body_that_fails_while_streaming_loses_nothing() {
    let (told, on_outcome) = told();
    let steps = [
        data(br#"[{"api_key_id":"key_1"},{"api_key_id":"key_1""#),
        data(br#","o":{"api_key_id":"key_1"}"#),
        Step::Error("reset"),
    ];
    let layer = layer().limit(0).on_outcome(on_outcome);
    let mut response = ask(layer, get(COSTS), json(Script::new(steps))).await;
    let (bytes, _, error) = drain(response.body_mut()).await;
    let expected =
        r#"[{"api_key_id":"key_1","api_key_name":"x"},{"api_key_id":"key_1","o":{"api_key_id":"key_1"}"#;
    assert_eq!((String::from_utf8(bytes).unwrap().as_str(), error), (expected, Some("reset")));
    drop(response);
    let told = told.lock().unwrap();
    let [Outcome::Skipped { skip: Skip::BodyFailed, counts }] = told[..] else { panic!("{told:?}") };
    assert_eq!(four(counts), [1, 0, 0, 0]);
}

#[tokio::test]
async fn an_error_of_the_service_passes_and_nothing_is_told() {
    let (told, on_outcome) = told();
    let inner = service_fn(|_: Request<()>| async { Err::<Response<Script>, _>("refused") });
    let error = layer_on(layer().on_outcome(on_outcome), inner).oneshot(get(COSTS)).await.unwrap_err();
    assert_eq!(error, "refused");
    assert!(told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_dropped_is_told_once() {
    // While held.
    let (held, on_outcome) = told();
    let answer = json(Script::new([data(br#"[{"api_key_id":"key_1"},"#), Step::Stall]));
    {
        let mut asking = tokio_test_task(ask(layer().on_outcome(on_outcome), get(COSTS), answer));
        assert!(asking.poll().is_pending());
    }
    assert_eq!(*held.lock().unwrap(), [Outcome::Skipped { skip: Skip::Dropped, counts: Counts::default() }]);

    // While streaming.
    let (streamed, on_outcome) = told();
    let answer = json(Script::new([data(br#"[{"api_key_id":"key_1"},"#), Step::Stall]));
    let mut response = ask(layer().limit(0).on_outcome(on_outcome), get(COSTS), answer).await;
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    let streamed = streamed.lock().unwrap();
    let [Outcome::Skipped { skip: Skip::Dropped, counts }] = streamed[..] else { panic!("{streamed:?}") };
    assert_eq!(four(counts), [1, 0, 0, 0]);
}

/// A future that is polled by hand.
struct Task<F>(Pin<Box<F>>);

fn tokio_test_task<F: Future>(future: F) -> Task<F> {
    Task(Box::pin(future))
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.0.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}

// === Settings and the map ===

#[tokio::test]
async fn the_settings_of_the_three_states() {
    let text = r#"[{"api_key_id":"key_x"},{"api_key_id":null}]"#;
    for (layer, unmatched, null) in [
        (layer(), r#","api_key_name":"unknown""#, r#","api_key_name":null"#),
        (layer().unmatched(Unmatched::Null), r#","api_key_name":null"#, r#","api_key_name":null"#),
        (layer().unmatched(Unmatched::Omit), "", r#","api_key_name":null"#),
        (layer().null_as_unmatched(true), r#","api_key_name":"unknown""#, r#","api_key_name":"unknown""#),
        (layer().null_as_unmatched(true).unmatched(Unmatched::Omit), "", ""),
    ] {
        let mut response = ask(layer, get(COSTS), json(Script::chunks([text.as_bytes()]))).await;
        let expected = format!(r#"[{{"api_key_id":"key_x"{unmatched}}},{{"api_key_id":null{null}}}]"#);
        assert_eq!(String::from_utf8(drain(response.body_mut()).await.0).unwrap(), expected);
    }
}

#[tokio::test]
async fn one_request_sees_one_map() {
    let names = names();
    let rows = |n| vec![r#"{"api_key_id":"key_1"}"#; n].join(",");
    for limit in [0, 1 << 20] {
        let (first, second) = (format!("[{},", rows(3)), format!("{}]", rows(3)));
        let steps = [data(first.as_bytes()), Step::Pending, data(second.as_bytes())];
        let mut service = layer_on(
            ApiKeyNameLayer::new(names.clone()).limit(limit),
            service_fn(move |_: Request<()>| {
                let answer = json(Script::new(steps.clone()));
                async { Ok::<_, Infallible>(answer) }
            }),
        );
        names.replace(KeyNames::new([("key_1", "old")]).unwrap());
        let mut asking = tokio_test_task(service.call(get(COSTS)));
        names.replace(KeyNames::new([("key_1", "new")]).unwrap());
        let mut response = loop {
            if let Poll::Ready(response) = asking.poll() {
                break response.unwrap();
            }
            names.replace(KeyNames::new([("key_1", "newer")]).unwrap());
        };
        let text = String::from_utf8(drain(response.body_mut()).await.0).unwrap();
        assert_eq!((text.matches("\"old\"").count(), text.matches("new").count()), (6, 0), "{text}");
        let again = service.call(get(COSTS)).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&again).contains("old"));
    }
}

#[tokio::test]
async fn unmatched_ids_are_noted_in_the_handle() {
    let names = names();
    let mut unmatched = names.unmatched_ids().unwrap();
    let text = r#"[{"api_key_id":"key_x"},{"api_key_id":"sk-proj-abcdefghijkl"},{"api_key_id":"key_y"},{"api_key_id":"key_x"}]"#;
    for limit in [0, 1 << 20] {
        names.replace(KeyNames::default());
        for expected in [&["key_x", "key_y"][..], &[]] {
            let layer = ApiKeyNameLayer::new(names.clone()).limit(limit);
            let mut response = ask(layer, get(COSTS), json(Script::chunks([text.as_bytes()]))).await;
            drain(response.body_mut()).await;
            assert_eq!(unmatched.try_recv(), expected);
        }
    }
}

#[tokio::test]
async fn nobody_is_told_of_ids_in_a_body_that_goes_out_as_it_came() {
    let names = names();
    let mut unmatched = names.unmatched_ids().unwrap();
    let text = br#"[{"api_key_id":"key_1"},{"api_key_id":"key_x"},] and so on"#;
    for (limit, expected) in [(1 << 20, &[][..]), (30, &["key_x"])] {
        let layer = ApiKeyNameLayer::new(names.clone()).limit(limit);
        let mut response = ask(layer, get(COSTS), json(Script::chunks(text.chunks(40)))).await;
        drain(response.body_mut()).await;
        assert_eq!(unmatched.try_recv(), expected);
    }
}

/// The same in a body longer than the limit, whose early fault is seen in the frame that makes it long.
#[tokio::test]
async fn how_a_body_is_cut_changes_nothing_of_what_is_told() {
    let names = names();
    let mut unmatched = names.unmatched_ids().unwrap();
    let text = br#"[{"api_key_id":"key_x"},] and so on, for longer than the limit"#;
    for chunk in [1, 30, text.len()] {
        let layer = ApiKeyNameLayer::new(names.clone()).unmatched(Unmatched::Omit).limit(40);
        let mut response = ask(layer, get(COSTS), json(Script::chunks(text.chunks(chunk)))).await;
        assert_eq!(drain(response.body_mut()).await.0, text);
        assert_eq!(unmatched.try_recv(), &[] as &[&str], "{chunk}");
    }
}

#[test]
fn nothing_of_a_body_shows_in_debug() {
    let shown = format!("{:?}", layer_on(layer(), "inner"));
    assert_eq!(shown, "ApiKeyName { inner: \"inner\", .. }");
    let shown = format!("{:?}", layer());
    assert!(shown.contains("entries") && !shown.contains("checkout") && !shown.contains("key_1"), "{shown}");
}
