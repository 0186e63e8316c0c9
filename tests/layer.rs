//! The layer's changes to requests, response headers and bodies, over an inner service with scripted bodies.
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
use tower_api_key_name::outcome::API_KEY_NAME_SENT;
use tower_api_key_name::outcome::{Counts, Outcome, RequestContext, ResponseState, Skip};
use tower_api_key_name::settings::Unmatched;
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, ResponseBody, SharedKeyNames};

use test_support::cases::{CASES, NAMES, naive};

const COSTS: &str = "/v1/organization/costs?group_by=api_key_name";

// === Scripted bodies ===

#[derive(Clone, Debug)]
enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Error(&'static str),
    /// Pending once. The waker is called immediately.
    Pending,
    /// Pending forever.
    Stall,
}

#[derive(Clone, Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
    read: Arc<Mutex<u64>>,
    /// Reports its exact size and its end.
    has_hints: bool,
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
        self.has_hints && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let len = |step: &Step| if let Step::Data(data) = step { data.len() as u64 } else { 0 };
        if self.has_hints {
            SizeHint::with_exact(self.steps.iter().map(len).sum())
        } else {
            SizeHint::default()
        }
    }
}

// === Calls ===

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

/// Calls a service once that sends this response.
async fn call(
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

/// Reads a body to its end: data, trailers and error.
async fn drain(body: &mut ResponseBody<Script>) -> (Vec<u8>, Option<HeaderMap>, Option<&'static str>) {
    let (mut bytes, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame {
            Err(error) => {
                assert!(body.frame().await.is_none(), "a frame follows an error");
                return (bytes, trailers, Some(error));
            }
            Ok(frame) => match frame.into_data() {
                Ok(data) => {
                    assert!(trailers.is_none(), "data follow trailers");
                    bytes.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none(), "a frame follows the end");
    (bytes, trailers, None)
}

type Outcomes = Arc<Mutex<Vec<Outcome>>>;

/// Returns a callback and the outcomes that it receives.
fn recorder() -> (Outcomes, impl Fn(&Outcome, &RequestContext) + Send + Sync + 'static) {
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let writer = outcomes.clone();
    (outcomes, move |outcome: &Outcome, _: &RequestContext| writer.lock().unwrap().push(*outcome))
}

fn four(counts: Counts) -> [u64; 4] {
    [counts.named, counts.unmatched, counts.not_a_string, counts.skipped]
}

fn length(response: &Response<ResponseBody<Script>>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH).map(|value| value.to_str().unwrap().parse().unwrap())
}

// === The case table ===

#[tokio::test]
async fn case_table_buffered_and_streamed_is_amended() {
    for case in CASES {
        let text = case.input.as_bytes();
        let valid = naive::is_json(text);
        let changed = case.input != case.output;
        let cuts: [Vec<&[u8]>; 3] = [vec![text], text.chunks(1).collect(), text.chunks(7).collect()];
        for chunks in cuts {
            let (outcomes, on_outcome) = recorder();
            let mut headers = json(Script::chunks(chunks.iter().copied()));
            headers.headers_mut().insert("content-length", text.len().into());
            headers.headers_mut().insert("etag", http::HeaderValue::from_static("\"x\""));
            let mut response = call(layer().on_outcome(on_outcome), get(COSTS), headers).await;
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
                // A body without ids is not parsed, so it may be `Unchanged` instead.
                Outcome::Skipped { skip: Skip::NotJson { .. }, counts } => {
                    assert!(!valid && four(counts) == [0; 4], "{}", case.name);
                }
                other => panic!("{}: {other:?}", case.name),
            }
            let (bytes, trailers, error) = drain(response.body_mut()).await;
            assert_eq!(String::from_utf8_lossy(&bytes), case.output, "{}", case.name);
            assert!(trailers.is_none() && error.is_none());
            drop(response);
            assert_eq!(*outcomes.lock().unwrap(), [outcome], "{}", case.name);

            // A streamed body is amended in the same way if it is JSON.
            let body = Script::chunks(chunks.iter().copied());
            let mut response = call(layer().limit(0), get(COSTS), json(body)).await;
            let (bytes, ..) = drain(response.body_mut()).await;
            if valid {
                assert_eq!(String::from_utf8_lossy(&bytes), case.output, "{}, streamed", case.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Law 4 with any limit: the frames of the input change neither the bytes nor the outcome nor the length.
    #[test]
    fn input_frames_do_not_change_the_output(
        case in 0..CASES.len(), repeat in 1..4_usize, limit in 0..400_usize, cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let text = vec![CASES[case].input; repeat].join(",");
        let text = format!("[{text}]").into_bytes();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (text.len() + 1)).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let run = |chunks: Vec<&[u8]>| {
            let (outcomes, on_outcome) = recorder();
            let steps = chunks.into_iter().flat_map(|chunk| [data(chunk), Step::Pending]);
            let response = json(Script::new(steps));
            runtime.block_on(async {
                let mut response = call(layer().limit(limit).on_outcome(on_outcome), get(COSTS), response).await;
                let (bytes, ..) = drain(response.body_mut()).await;
                let length = length(&response);
                drop(response);
                let outcomes = outcomes.lock().unwrap().clone();
                assert_eq!(outcomes.len(), 1);
                (String::from_utf8_lossy(&bytes).into_owned(), length, outcomes)
            })
        };
        let whole = run(vec![&text]);
        prop_assert_eq!(&run(cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect()), &whole);
        prop_assert_eq!(&run(text.chunks(1).collect()), &whole);
        let charge = naive::edit_charge(naive::edits(&text, text.len()));
        if text.len() + charge <= limit || naive::is_json(&text) {
            prop_assert_eq!(whole.0.as_bytes(), naive::amend(&text, naive::Rules::default()).0);
        }
    }
}

// === Requests ===

/// Returns the request that the inner service receives.
async fn forwarded(layer: ApiKeyNameLayer, request: Request<()>) -> Request<()> {
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
async fn request_in_scope_is_rewritten() {
    for path in [
        "/v1/organization/costs",
        "/v1/organization/usage/completions",
        "/v1/organizations/usage_report/messages",
    ] {
        let request = forwarded(layer(), conditional(&format!("{path}?a=%5b&group_by[]=api_key_name"))).await;
        assert_eq!(request.uri(), format!("{path}?a=%5b&group_by[]=api_key_id").as_str());
        assert_eq!(request.headers().len(), 1);
        assert!(request.headers().contains_key("authorization"));
    }
}

#[tokio::test]
async fn request_out_of_scope_is_unchanged() {
    for uri in [
        "/v1/chat/completions?group_by=api_key_name",
        "/v1/organization?group_by=api_key_name",
        "/v1/organizational/?group_by=api_key_name",
        "/openai/v1/organization/costs?group_by=api_key_name",
        "/V1/organization/costs?group_by=api_key_name",
    ] {
        let request = forwarded(layer(), conditional(uri)).await;
        assert_eq!((request.uri().to_string().as_str(), request.headers().len()), (uri, 6));
        let steps = [data(b"{\"api_key_id\""), Step::Stall];
        let mut response = call(layer(), get(uri), json(Script::new(steps))).await;
        assert!(response.extensions().get::<ResponseState>().is_none());
        // The body is not buffered, although it has not ended.
        let first = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "{\"api_key_id\"");
    }
}

#[tokio::test]
async fn scope_setting_selects_requests() {
    let scoped = || layer().scope(|uri| uri.path().starts_with("/openai/"));
    let request = forwarded(scoped(), get("/openai/v1/organization/costs?group_by=api_key_name")).await;
    assert_eq!(request.uri().query(), Some("group_by=api_key_id"));
    let request = forwarded(scoped(), get("/v1/organization/costs?group_by=api_key_name")).await;
    assert_eq!(request.uri().query(), Some("group_by=api_key_name"));
}

// === Limits ===

#[tokio::test]
async fn body_of_exactly_the_limit_is_buffered() {
    let text = br#"{"api_key_id":"key_1"}"#;
    let named = br#"{"api_key_id":"key_1","api_key_name":"x"}"#;
    let most = text.len() + naive::edit_charge(1);
    for (limit, buffered) in [(most, true), (most - 1, false), (0, false)] {
        for chunks in [vec![&text[..]], text.chunks(1).collect()] {
            let mut response = call(layer().limit(limit), get(COSTS), json(Script::chunks(chunks))).await;
            assert_eq!(length(&response), buffered.then_some(named.len() as u64));
            assert_eq!(response.extensions().get() == Some(&ResponseState::Streaming), !buffered);
            assert_eq!(drain(response.body_mut()).await.0, named);
        }
    }
}

#[tokio::test]
async fn many_pending_edits_count_toward_the_limit() {
    let run = async |text: &[u8], size| {
        let script = Script::chunks(text.chunks(size));
        let mut response = call(layer().limit(200_000), get(COSTS), json(script)).await;
        let (bytes, ..) = drain(response.body_mut()).await;
        (response.extensions().get::<ResponseState>().copied().unwrap(), bytes)
    };
    // A row has 17 bytes and one edit. The brackets take one byte more than the last comma would.
    let rows = |n| vec![r#"{"api_key_id":1}"#; n].join(",");
    let max_rows = (200_000 - 1) / (17 + naive::edit_charge(1));
    for (count, end, streams) in [
        (max_rows, "]", false),
        (max_rows + 1, "]", true),
        (max_rows - 1, "!", false),
        (max_rows, "!", false),
        (max_rows + 1, "!", true),
    ] {
        let text = format!("[{}{end}", rows(count)).into_bytes();
        let whole = run(&text, text.len()).await;
        assert_eq!(whole.0 == ResponseState::Streaming, streams, "{count}{end}");
        for size in [1, 17, 1000, 40_000] {
            assert!(run(&text, size).await == whole, "{count}{end} in frames of {size}");
        }
    }
}

#[tokio::test]
async fn limit_of_zero_streams_from_the_first_byte() {
    let steps = [data(b"{\"rows\":[{\"api_key_id\":\"key_1\"},"), Step::Stall];
    let mut response = call(layer().limit(0), get(COSTS), json(Script::new(steps))).await;
    let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "{\"rows\":[{\"api_key_id\":\"key_1\",\"api_key_name\":\"x\"},");
}

/// The size is that of an hour of minute buckets of a large organization.
#[tokio::test]
async fn page_of_88_mb_is_streamed_in_bounded_memory() {
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

    let (outcomes, on_outcome) = recorder();
    let mut response =
        call(layer().limit(LIMIT as usize).on_outcome(on_outcome), get(COSTS), json(script)).await;
    assert!(*read.lock().unwrap() <= LIMIT + frame.len() as u64, "the headers wait for more than the limit");
    let (mut sent, mut last) = (0, Vec::new());
    let mut names = 0;
    while let Some(frame) = response.body_mut().frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        sent += piece.len() as u64;
        // At max_rows the limit and two frames are buffered back.
        assert!(*read.lock().unwrap() <= sent + LIMIT + 2 * 64 * 1024);
        names += memchr::memmem::find_iter(&piece, "\"api_key_name\":").count();
        last = piece.to_vec();
    }
    assert!(last.ends_with(br#"{"api_key_id":"key_1","api_key_name":"x"}]}],"has_more":false}"#));
    // A search does not find a member that is split between two frames. The counts below are exact.
    assert!(names > rows * 99 / 100);
    drop(response);
    let outcomes = outcomes.lock().unwrap();
    let [Outcome::Amended { counts }] = outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(four(counts), [rows as u64 + 1, 0, 0, 0]);
}

#[tokio::test]
async fn streamed_body_is_unchanged_after_a_syntax_error() {
    let good = r#"[{"api_key_id":"key_1"},{"o":{"api_key_id":"key_1"},"api_key_id":"key_1","#;
    let rest = r#"} {"api_key_id":"key_1"} and so on"#;
    let text = format!("{good}{rest}");
    let amended = text.replacen(r#""key_1"}"#, r#""key_1","api_key_name":"x"}"#, 1);
    let amended = amended.replacen(
        r#"{"o":{"api_key_id":"key_1"}"#,
        r#"{"o":{"api_key_id":"key_1","api_key_name":"x"}"#,
        1,
    );
    let (outcomes, on_outcome) = recorder();
    let layer = layer().on_outcome(on_outcome).limit(10);
    let mut response = call(layer, get(COSTS), json(Script::chunks(text.as_bytes().chunks(5)))).await;
    assert_eq!(String::from_utf8(drain(response.body_mut()).await.0).unwrap(), amended);
    drop(response);
    let outcomes = outcomes.lock().unwrap();
    let [Outcome::Skipped { skip: Skip::NotJson { offset }, counts }] = outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((offset, four(counts)), (good.len() as u64, [2, 0, 0, 0]));
}

#[tokio::test]
async fn body_with_a_syntax_error_before_any_edit_is_not_buffered() {
    let steps = [data(b"<html>api_key_id"), Step::Stall];
    let mut response = call(layer(), get(COSTS), json(Script::new(steps))).await;
    let skipped = Outcome::Skipped { skip: Skip::NotJson { offset: 0 }, counts: Counts::default() };
    assert_eq!(response.extensions().get(), Some(&ResponseState::from(skipped)));
    let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "<html>api_key_id");
}

/// Sends a body in frames of one size, and returns the headers, the body and the outcomes.
async fn exchange(
    text: &str,
    size: usize,
    end: &Step,
    limit: usize,
) -> impl PartialEq + std::fmt::Debug + use<> {
    let (outcomes, on_outcome) = recorder();
    let script = Script::chunks(text.as_bytes().chunks(size)).then(end.clone());
    let mut response = json(script);
    response.headers_mut().insert("etag", http::HeaderValue::from_static("\"x\""));
    let mut response = call(layer().limit(limit).on_outcome(on_outcome), get(COSTS), response).await;
    let body = drain(response.body_mut()).await;
    let headers = (response.headers().clone(), response.extensions().get::<ResponseState>().copied());
    drop(response);
    (headers, body, outcomes.lock().unwrap().clone())
}

/// Law 4 also covers the headers, the outcome and the trailers.
#[tokio::test]
async fn syntax_error_in_one_frame_or_in_many_has_the_same_result() {
    for text in [
        r#"[{"api_key_id":"key_1","api_key_name":"x"},!{"api_key_id":"key_1"},"and more"]"#,
        r#"[{"api_key_id":"key_1"},!{"api_key_id":"key_1"},"and more"]"#,
        r#"[1,2,!{"api_key_id":"key_1"},"and more"]"#,
    ] {
        let end = Step::Trailers(trailers());
        for limit in 0..=text.len() {
            let whole = exchange(text, text.len(), &end, limit).await;
            for size in 1..text.len() {
                let cut = exchange(text, size, &end, limit).await;
                assert!(cut == whole, "limit {limit}, frames of {size}: {text}");
            }
        }
    }
}

/// The charges for edits alone exceed the limit here.
#[tokio::test]
async fn edits_in_one_frame_or_in_many_have_the_same_result() {
    let rows = format!("[{}", r#"{"api_key_id":0},"#.repeat(12_000));
    let last = format!(r#"{{"api_key_id":0,"pad":"{}""#, "x".repeat(300));
    // Each closing brace completes an edit.
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
            let whole = exchange(&text, text.len(), &end, limit).await;
            for size in [20_000, 2_500, 1_500] {
                assert!(exchange(&text, size, &end, limit).await == whole, "limit {limit}, frames of {size}");
            }
        }
    }
}

// === Headers ===

#[tokio::test]
async fn skipped_response_is_unchanged_and_has_a_reason() {
    let text = r#"{"api_key_id":"key_1"}"#;
    let with = |status: u16, headers: &[(&str, &str)]| {
        let mut response = Response::builder().status(status).header("etag", "\"x\"");
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Script { has_hints: true, ..Script::chunks([text.as_bytes()]) }).unwrap()
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
    for (method, response, skip) in table {
        let (outcomes, on_outcome) = recorder();
        let layer = layer().honor_no_transform(true).on_outcome(on_outcome);
        let mut before = response.headers().clone();
        before.insert(&API_KEY_NAME_SENT, http::HeaderValue::from_static("group_by=api_key_id"));
        let request = Request::builder().method(method).uri(COSTS).body(()).unwrap();
        let mut response = call(layer, request, response).await;
        let outcome = Outcome::Skipped { skip, counts: Counts::default() };
        assert_eq!(response.extensions().get(), Some(&ResponseState::from(outcome)));
        assert_eq!(*response.headers(), before);
        assert_eq!(drain(response.body_mut()).await.0, text.as_bytes());
        assert_eq!(*outcomes.lock().unwrap(), [outcome], "{skip:?}");
        drop(response);
        assert_eq!(outcomes.lock().unwrap().len(), 1, "{skip:?}");
    }
}

#[tokio::test]
async fn head_response_has_no_headers_of_the_original_bytes() {
    let mut response = json(Script { has_hints: true, ..Script::default() });
    for (name, value) in
        [("content-length", "7"), ("etag", "\"x\""), ("accept-ranges", "bytes"), ("x-request-id", "r")]
    {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let response = call(layer(), Request::head(COSTS).body(()).unwrap(), response).await;
    let names: Vec<_> = response.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["content-type", "x-request-id", "api-key-name-sent"]);
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn amended_body_reports_its_exact_remaining_size() {
    let steps = [data(br#"[{"api_key_id":"#), Step::Pending, data(br#""key_1"}]"#)];
    let mut response = call(layer(), get(COSTS), json(Script::new(steps))).await;
    let length = length(&response).unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(length));
    let (bytes, ..) = drain(response.body_mut()).await;
    assert_eq!(bytes.len() as u64, length);
    assert_eq!(response.body().size_hint().exact(), Some(0));
}

/// Law 7: a body that is shorter than its Content-Length fails as without the layer. With an exact size hint, a server
/// would send fewer bytes than announced and continue with the next response.
#[tokio::test]
async fn body_that_contradicts_its_content_length_has_no_exact_size() {
    for text in
        [r#"{"id":"key_1"}"#, r#"{"api_key_id":null,"api_key_name":null}"#, r#"{"api_key_id":"key_1","#]
    {
        for (declared, hint) in [(1000, None), (text.len(), Some(text.len() as u64))] {
            let mut response = json(Script::chunks([text.as_bytes()]));
            response.headers_mut().insert("content-length", declared.into());
            let mut response = call(layer(), get(COSTS), response).await;
            assert_eq!(length(&response), Some(declared as u64), "{text}");
            assert_eq!(response.body().size_hint().exact(), hint, "{text}");
            assert_eq!(drain(response.body_mut()).await.0, text.as_bytes());
        }
    }
}

/// Law 7: a server can still derive the Content-Length from the size hint.
#[tokio::test]
async fn unchanged_body_keeps_its_exact_size_hint() {
    for text in [r#"{"id":"key_1"}"#, r#"{"api_key_id":!"#, r#"{"api_key_id":"key_1","#] {
        let response = json(Script { has_hints: true, ..Script::chunks([text.as_bytes()]) });
        let mut response = call(layer(), get(COSTS), response).await;
        assert_eq!(response.body().size_hint().exact(), Some(text.len() as u64), "{text}");
        assert_eq!(drain(response.body_mut()).await.0, text.as_bytes());
    }
}

#[tokio::test]
async fn empty_body_is_at_its_end_stream() {
    for has_hints in [true, false] {
        let response = call(layer(), get(COSTS), json(Script { has_hints, ..Script::default() })).await;
        let unchanged = Outcome::Unchanged { counts: Counts::default() };
        assert_eq!(response.extensions().get(), Some(&ResponseState::from(unchanged)));
        assert!(response.body().is_end_stream());
        assert_eq!(response.body().size_hint().exact(), Some(0));
    }
}

#[tokio::test]
async fn unchanged_bytes_are_not_copied() {
    let text = Bytes::from(format!("{{\"data\":\"{}\"}}", "x".repeat(10_000)));
    let with_id = Bytes::from(format!(
        "{{\"api_key_id\":null,\"api_key_name\":null,\"x\":\"{}\"}}",
        "x".repeat(10_000)
    ));
    for text in [text, with_id] {
        let mut response = call(layer(), get(COSTS), json(Script::new([Step::Data(text.clone())]))).await;
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
async fn trailers_of_changed_bytes_lose_their_digests() {
    for (text, changed) in [(r#"{"api_key_id":"key_1"}"#, true), (r#"{"id":"key_1"}"#, false)] {
        for limit in [1 << 20, 0] {
            for announced in [true, false] {
                let mut response = json(Script::chunks([text.as_bytes()]).then(Step::Trailers(trailers())));
                if announced {
                    response
                        .headers_mut()
                        .insert("trailer", http::HeaderValue::from_static("x-checksum, repr-digest"));
                }
                let mut response = call(layer().limit(limit), get(COSTS), response).await;
                // hyper sends no trailers with a Content-Length, and derives one from an exact size hint.
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
async fn body_that_fails_while_buffered_is_unchanged() {
    for text in [r#"{"api_key_id":"key_1"}"#, r#"{"api_key_id":"key_1","#, "", "<html>", r#"{"a":1}"#] {
        let (outcomes, on_outcome) = recorder();
        let mut response = json(Script::chunks(text.as_bytes().chunks(3)).then(Step::Error("reset")));
        response.headers_mut().insert("content-length", 1000.into());
        response.headers_mut().insert("etag", http::HeaderValue::from_static("\"x\""));
        let mut before = response.headers().clone();
        before.insert(&API_KEY_NAME_SENT, http::HeaderValue::from_static("group_by=api_key_id"));
        let mut response = call(layer().on_outcome(on_outcome), get(COSTS), response).await;
        let failed = Outcome::Skipped { skip: Skip::BodyFailed, counts: Counts::default() };
        assert_eq!(response.extensions().get(), Some(&ResponseState::from(failed)), "{text}");
        assert_eq!(*response.headers(), before);
        let (bytes, _, error) = drain(response.body_mut()).await;
        assert_eq!((bytes.as_slice(), error), (text.as_bytes(), Some("reset")));
        drop(response);
        assert_eq!(*outcomes.lock().unwrap(), [failed]);
    }
}

#[tokio::test]
async fn body_that_fails_while_streamed_loses_no_bytes() {
    let (outcomes, on_outcome) = recorder();
    let steps = [
        data(br#"[{"api_key_id":"key_1"},{"api_key_id":"key_1""#),
        data(br#","o":{"api_key_id":"key_1"}"#),
        Step::Error("reset"),
    ];
    let layer = layer().limit(0).on_outcome(on_outcome);
    let mut response = call(layer, get(COSTS), json(Script::new(steps))).await;
    let (bytes, _, error) = drain(response.body_mut()).await;
    let expected =
        r#"[{"api_key_id":"key_1","api_key_name":"x"},{"api_key_id":"key_1","o":{"api_key_id":"key_1"}"#;
    assert_eq!((String::from_utf8(bytes).unwrap().as_str(), error), (expected, Some("reset")));
    drop(response);
    let outcomes = outcomes.lock().unwrap();
    let [Outcome::Skipped { skip: Skip::BodyFailed, counts }] = outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(four(counts), [1, 0, 0, 0]);
}

#[tokio::test]
async fn service_error_is_returned_without_an_outcome() {
    let (outcomes, on_outcome) = recorder();
    let inner = service_fn(|_: Request<()>| async { Err::<Response<Script>, _>("refused") });
    let error = layer_on(layer().on_outcome(on_outcome), inner).oneshot(get(COSTS)).await.unwrap_err();
    assert_eq!(error, "refused");
    assert!(outcomes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn outcome_callback_receives_the_request_context() {
    let contexts = Arc::new(Mutex::new(Vec::new()));
    let writer = contexts.clone();
    let layer = layer().on_outcome(move |outcome, request| {
        let tenant = request.extensions().get::<&str>().copied();
        let context = (outcome.as_str(), request.method().clone(), request.uri().to_string(), tenant);
        writer.lock().unwrap().push(context);
    });
    let mut request = get(COSTS);
    request.extensions_mut().insert("tenant");
    let mut response = call(layer, request, json(Script::chunks([&b"{}"[..]]))).await;
    drain(response.body_mut()).await;
    let expected = [("unchanged", Method::GET, COSTS.to_owned(), Some("tenant"))];
    assert_eq!(*contexts.lock().unwrap(), expected);
}

#[tokio::test]
async fn dropped_response_is_reported_once() {
    // While the body is buffered.
    let (buffered, on_outcome) = recorder();
    let response = json(Script::new([data(br#"[{"api_key_id":"key_1"},"#), Step::Stall]));
    {
        let mut task = manual_task(call(layer().on_outcome(on_outcome), get(COSTS), response));
        assert!(task.poll().is_pending());
    }
    assert_eq!(
        *buffered.lock().unwrap(),
        [Outcome::Skipped { skip: Skip::Dropped, counts: Counts::default() }]
    );

    // While the body is streamed.
    let (streamed, on_outcome) = recorder();
    let response = json(Script::new([data(br#"[{"api_key_id":"key_1"},"#), Step::Stall]));
    let mut response = call(layer().limit(0).on_outcome(on_outcome), get(COSTS), response).await;
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    let streamed = streamed.lock().unwrap();
    let [Outcome::Skipped { skip: Skip::Dropped, counts }] = streamed[..] else { panic!("{streamed:?}") };
    assert_eq!(four(counts), [1, 0, 0, 0]);
}

/// A future that the test polls.
struct ManualTask<F>(Pin<Box<F>>);

fn manual_task<F: Future>(future: F) -> ManualTask<F> {
    ManualTask(Box::pin(future))
}

impl<F: Future> ManualTask<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.0.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}

// === Settings and the map ===

#[tokio::test]
async fn unmatched_settings_determine_the_inserted_value() {
    let text = r#"[{"api_key_id":"key_x"},{"api_key_id":null}]"#;
    for (layer, unmatched, null) in [
        (layer(), r#","api_key_name":"unknown""#, r#","api_key_name":null"#),
        (layer().unmatched(Unmatched::Null), r#","api_key_name":null"#, r#","api_key_name":null"#),
        (layer().unmatched(Unmatched::Omit), "", r#","api_key_name":null"#),
        (layer().null_as_unmatched(true), r#","api_key_name":"unknown""#, r#","api_key_name":"unknown""#),
        (layer().null_as_unmatched(true).unmatched(Unmatched::Omit), "", ""),
    ] {
        let mut response = call(layer, get(COSTS), json(Script::chunks([text.as_bytes()]))).await;
        let expected = format!(r#"[{{"api_key_id":"key_x"{unmatched}}},{{"api_key_id":null{null}}}]"#);
        assert_eq!(String::from_utf8(drain(response.body_mut()).await.0).unwrap(), expected);
    }
}

#[tokio::test]
async fn request_uses_one_snapshot_to_its_last_byte() {
    let names = names();
    let rows = |n| vec![r#"{"api_key_id":"key_1"}"#; n].join(",");
    for limit in [0, 1 << 20] {
        let (first, second) = (format!("[{},", rows(3)), format!("{}]", rows(3)));
        let steps = [data(first.as_bytes()), Step::Pending, data(second.as_bytes())];
        let mut service = layer_on(
            ApiKeyNameLayer::new(names.clone()).limit(limit),
            service_fn(move |_: Request<()>| {
                let response = json(Script::new(steps.clone()));
                async { Ok::<_, Infallible>(response) }
            }),
        );
        names.replace(KeyNames::new([("key_1", "old")]).unwrap());
        let mut task = manual_task(service.call(get(COSTS)));
        names.replace(KeyNames::new([("key_1", "new")]).unwrap());
        let mut response = loop {
            if let Poll::Ready(response) = task.poll() {
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
async fn unmatched_ids_are_recorded_once_in_the_handle() {
    let names = names();
    let mut unmatched = names.unmatched_ids().unwrap();
    let text = r#"[{"api_key_id":"key_x"},{"api_key_id":"sk-proj-abcdefghijkl"},{"api_key_id":"key_y"},{"api_key_id":"key_x"}]"#;
    for limit in [0, 1 << 20] {
        names.replace(KeyNames::default());
        for expected in [&["key_x", "key_y"][..], &[]] {
            let layer = ApiKeyNameLayer::new(names.clone()).limit(limit);
            let mut response = call(layer, get(COSTS), json(Script::chunks([text.as_bytes()]))).await;
            drain(response.body_mut()).await;
            assert_eq!(unmatched.try_recv(), expected);
        }
    }
}

#[tokio::test]
async fn unmatched_ids_of_an_unchanged_body_are_not_recorded() {
    let names = names();
    let mut unmatched = names.unmatched_ids().unwrap();
    let text = br#"[{"api_key_id":"key_1"},{"api_key_id":"key_x"},] and so on"#;
    for (limit, expected) in [(1 << 20, &[][..]), (30, &["key_x"])] {
        let layer = ApiKeyNameLayer::new(names.clone()).limit(limit);
        let mut response = call(layer, get(COSTS), json(Script::chunks(text.chunks(40)))).await;
        drain(response.body_mut()).await;
        assert_eq!(unmatched.try_recv(), expected);
    }
}

/// The body is longer than the limit, and its syntax error is in the frame that exceeds it.
#[tokio::test]
async fn unmatched_ids_before_a_syntax_error_do_not_depend_on_frames() {
    let names = names();
    let mut unmatched = names.unmatched_ids().unwrap();
    let text = br#"[{"api_key_id":"key_x"},] and so on, for longer than the limit"#;
    for chunk in [1, 30, text.len()] {
        let layer = ApiKeyNameLayer::new(names.clone()).unmatched(Unmatched::Omit).limit(80);
        let mut response = call(layer, get(COSTS), json(Script::chunks(text.chunks(chunk)))).await;
        assert_eq!(drain(response.body_mut()).await.0, text);
        assert_eq!(unmatched.try_recv(), &[] as &[&str], "{chunk}");
    }
}

#[test]
fn debug_output_contains_no_names_or_ids() {
    let output = format!("{:?}", layer_on(layer(), "inner"));
    assert_eq!(output, "ApiKeyName { inner: \"inner\", .. }");
    let output = format!("{:?}", layer());
    assert!(
        output.contains("entries") && !output.contains("checkout") && !output.contains("key_1"),
        "{output}"
    );
}
