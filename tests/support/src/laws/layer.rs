//! Laws of the whole layer, over a service with a scripted response.

mod upstream;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use tower_layer::Layer;
use tower_service::Service;

use self::upstream::{Failed, Script, ScriptedService, Step};
use super::amend::{Amended, label_rules, names, snapshot};
use crate::cases::naive;
use crate::documents;
use crate::unstructured::{Unstructured, smallest_chunks, split_at_offsets};
use tower_api_key_name::_internal::rules::Rules;
use tower_api_key_name::_internal::scan::ScanError;
use tower_api_key_name::names::Labels;
use tower_api_key_name::outcome::API_KEY_NAME_SENT;
use tower_api_key_name::outcome::{Counts, Outcome, ResponseState, Skip};
use tower_api_key_name::settings::InsertNames;
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};

/// Checks one exchange: bytes, headers, trailers, error and outcome are those that the laws require, for any frames; the
/// hints are correct; and the outcome is reported once, even if the body is dropped early.
pub fn check(input: &[u8]) {
    let mut source = Unstructured::new(input);
    let mut exchange = Exchange::generate(&mut source);
    let offsets = source.offsets(6);
    let pending_polls = source.byte();
    let frame_count = source.byte() % 8;
    let limit = (source.byte(), source.byte());
    let body = documents::body(&mut source);
    exchange.set_limit(limit, &body);

    let expected = exchange.expected(&body);
    for chunks in [vec![&*body], split_at_offsets(&body, &offsets), smallest_chunks(&body)] {
        let result = exchange.run(&chunks, pending_polls, usize::MAX);
        assert_eq!(result, expected, "{exchange:?} {:?}", String::from_utf8_lossy(&body));
    }
    let partial = exchange.run(&split_at_offsets(&body, &offsets), pending_polls, frame_count.into());
    assert!(expected.data.starts_with(&partial.data), "{exchange:?}");
}

// === The request and the upstream response ===

#[derive(Debug)]
struct Exchange {
    method: Method,
    uri: &'static str,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    end: BodyEnd,
    /// The inner body reports its exact size and its end.
    has_hints: bool,
    limit: usize,
    honor_no_transform: bool,
    /// Names are inserted only if the query contains one.
    only_requested: bool,
    rules: Rules,
    naive: naive::Rules,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum BodyEnd {
    Complete,
    Trailers,
    Error,
}

/// The smallest window, with any limit.
const MIN_WINDOW: usize = 16 << 10;

impl Exchange {
    /// Draws a request and a response. The limit is set by `set_limit`, when the body is known.
    fn generate(source: &mut Unstructured<'_>) -> Self {
        let (rules, naive) = label_rules(source);
        let method = source.choose(&["GET", "GET", "GET", "GET", "GET", "HEAD", "POST"]);
        let mut headers = Vec::new();
        let mut header = |name, all: &[&'static str]| {
            let value = source.choose(all);
            if !value.is_empty() {
                headers.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
            }
        };
        let json = "application/json";
        header(
            "content-type",
            &[json, json, json, "application/problem+json; charset=utf-8", "text/plain", ""],
        );
        header("content-encoding", &["", "", "", "identity", "gzip"]);
        header("content-length", &["", "", "0", "22", "1000"]);
        header("content-range", &["", "", "", "", "", "", "bytes 0-1/2"]);
        header("cache-control", &["", "", "no-transform"]);
        header("trailer", &["", "", "", "x-sum, content-digest", "digest"]);
        header("etag", &["", "\"x\""]);
        header("accept-ranges", &["", "bytes"]);
        header("content-digest", &["", "sha-256=:x:"]);
        header("x-request-id", &["", "1"]);
        let mut exchange = Self {
            method: method.parse().unwrap_or_default(),
            uri: source.choose(&[
                "/v1/organization/costs",
                "/v1/organizations/usage?group_by=api_key_name",
                "/v1/models",
                "/v1/organization/usage/completions?group_by=project_name,user_name",
                "/v1/organization/projects?group_by=project_name,api_key_name",
            ]),
            status: StatusCode::from_u16(source.choose(&[200, 200, 200, 200, 404, 204, 206, 304]))
                .unwrap_or_default(),
            headers,
            end: source.choose(&[BodyEnd::Complete, BodyEnd::Complete, BodyEnd::Trailers, BodyEnd::Error]),
            has_hints: source.boolean(),
            limit: 0,
            honor_no_transform: source.boolean(),
            only_requested: source.byte() % 4 == 1,
            rules,
            naive,
        };
        exchange.set_active_labels();
        exchange
    }

    /// Sets the labels that are named in the response.
    fn set_active_labels(&mut self) {
        let has_all_labels = self.applies_all_labels();
        self.naive.active = if !self.is_report() && (self.naive.replaces_ids || self.uri == "/v1/models") {
            [false; 4]
        } else if self.only_requested {
            self.requested_labels()
        } else {
            [true, has_all_labels, has_all_labels, has_all_labels]
        };
        let indexes = (0..4).filter(|index| self.naive.active[usize::from(*index)]);
        self.rules = self.rules.clone().with_labels(self.rules.labels.clone(), indexes);
    }

    fn is_report(&self) -> bool {
        self.uri.contains("/usage") || self.uri.contains("/costs")
    }

    /// True if the names of all labels are translated in the query.
    fn applies_all_labels(&self) -> bool {
        self.is_report() && self.rules.labels != Labels::default()
    }

    /// The labels whose names are in the query.
    fn requested_labels(&self) -> [bool; 4] {
        let has_all_labels = self.applies_all_labels();
        let is_requested = |name| self.uri.contains(name) && (name == "api_key_name" || has_all_labels);
        naive::LABELS.map(|label| is_requested(label.name))
    }

    fn is_in_scope(&self) -> bool {
        self.naive.active != [false; 4]
    }

    /// Sets any limit, the default, or one near the length of the body or the offset of its error.
    fn set_limit(&mut self, (kind, limit): (u8, u8), body: &[u8]) {
        let limit = usize::from(limit);
        let around = |at: usize| (at + limit % 5).saturating_sub(2);
        self.limit = match kind % 8 {
            0..=1 => 4 * limit,
            2 => MIN_WINDOW,
            3..=4 => 2 << 20,
            5 => around(body.len()),
            _ => around(self.error(body).map_or(body.len(), |error| error.offset() as usize)),
        };
        let window = self.limit.max(MIN_WINDOW);
        self.rules.window = window as u64;
        self.naive.window = window;
    }

    fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(this, _)| this == name);
        header.and_then(|(_, value)| value.to_str().ok()).unwrap_or_default()
    }

    fn headers(&self) -> HeaderMap {
        self.headers.iter().cloned().collect()
    }

    /// The headers of the upstream response and, if the query contains a name, that with the text in its place.
    fn headers_with_name_sent(&self) -> HeaderMap {
        let mut headers = self.headers();
        let mut sent = Vec::new();
        for (label, is_requested) in naive::LABELS.iter().zip(self.requested_labels()) {
            if is_requested && self.is_in_scope() {
                sent.push(format!("group_by={}", label.id));
            }
        }
        if let Ok(value) = HeaderValue::from_str(&sent.join(", "))
            && !sent.is_empty()
        {
            headers.insert(&API_KEY_NAME_SENT, value);
        }
        headers
    }

    fn trailers(&self) -> HeaderMap {
        let fields =
            [("x-sum", "1"), ("content-digest", "sha-256=:y:"), ("digest", "z"), ("content-md5", "z")];
        fields
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }
}

// === The expected result ===

/// The response as the client receives it, and the reported outcomes.
#[derive(Debug, Default, PartialEq)]
struct ExchangeResult {
    headers: HeaderMap,
    state: Option<ResponseState>,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    failed: bool,
    outcomes: Vec<Outcome>,
}

impl Exchange {
    /// Computes the result that the laws require, with the oracle.
    fn expected(&self, body: &[u8]) -> ExchangeResult {
        let unchanged = || ExchangeResult {
            headers: self.headers_with_name_sent(),
            data: body.to_vec(),
            trailers: (self.end == BodyEnd::Trailers).then(|| self.trailers()),
            failed: self.end == BodyEnd::Error,
            ..ExchangeResult::default()
        };
        if !self.is_in_scope() {
            return unchanged();
        }
        let skipped = |skip| {
            let outcome = Outcome::Skipped { skip, counts: Counts::default() };
            ExchangeResult { state: Some(outcome.into()), outcomes: vec![outcome], ..unchanged() }
        };
        if let Some(skip) = self.skip() {
            return skipped(skip);
        }
        if self.method == Method::HEAD {
            return ExchangeResult { headers: self.corrected(None), ..skipped(Skip::NoBody) };
        }

        let error = self.error(body);
        let end = error.map_or(body.len(), |error| error.offset() as usize);
        let (data, counts) = naive::amend_until(body, end, self.naive);
        let changed = data != body;
        let counts = named_counts(counts);
        let edit_charge = naive::edit_charge(naive::edits_with(body, end, self.naive));
        // A body without an id is not scanned, so its names are not charged.
        let charged = if self.may_contain_an_id(body) { edit_charge } else { 0 };
        let is_long = body.len() + charged > self.limit;
        // A body with an error before any edit is not buffered any longer.
        let has_early_error = error.is_some() && !changed;
        if is_long && (!has_early_error || end + edit_charge >= self.limit) {
            let outcome = match error {
                _ if self.end == BodyEnd::Error => Outcome::Skipped { skip: Skip::BodyFailed, counts },
                Some(error) => Outcome::Skipped { skip: error.into(), counts },
                None if changed => Outcome::Amended { counts },
                None => Outcome::Unchanged { counts },
            };
            return ExchangeResult {
                headers: self.corrected(None),
                state: Some(ResponseState::Streaming),
                data,
                trailers: unchanged().trailers.map(without_digests),
                outcomes: vec![outcome],
                ..unchanged()
            };
        }
        // A body that cannot contain an id is not parsed.
        let error = error.filter(|_| is_long || self.may_contain_an_id(body));
        match error {
            Some(error) if self.end != BodyEnd::Error || has_early_error => return skipped(error.into()),
            _ if self.end == BodyEnd::Error => return skipped(Skip::BodyFailed),
            _ if !changed => {
                let outcome = Outcome::Unchanged { counts };
                return ExchangeResult {
                    state: Some(outcome.into()),
                    outcomes: vec![outcome],
                    ..unchanged()
                };
            }
            _ => {}
        }
        let has_length = self.end == BodyEnd::Complete && self.header("trailer").is_empty();
        let outcome = Outcome::Amended { counts };
        ExchangeResult {
            headers: self.corrected(has_length.then_some(data.len())),
            state: Some(outcome.into()),
            data,
            trailers: unchanged().trailers.map(without_digests),
            outcomes: vec![outcome],
            ..unchanged()
        }
    }

    /// True if the body contains the id member of an active label, or an escape that may be a part of one.
    fn may_contain_an_id(&self, body: &[u8]) -> bool {
        let contains = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
        let mut labels = naive::LABELS.iter().zip(self.naive.active);
        contains("\\u00") || labels.any(|(label, is_active)| is_active && contains(label.id))
    }

    /// Returns the reason to skip the body, except the method.
    fn skip(&self) -> Option<Skip> {
        match self.status.as_u16() {
            204 | 304 => return Some(Skip::NoBody),
            206 => return Some(Skip::Partial),
            _ => {}
        }
        if !self.header("content-range").is_empty() {
            Some(Skip::Partial)
        } else if !self.header("content-type").contains("json") {
            Some(Skip::MediaType)
        } else if self.header("content-encoding") == "gzip" {
            Some(Skip::ContentEncoding)
        } else if self.honor_no_transform && self.header("cache-control") == "no-transform" {
            Some(Skip::NoTransform)
        } else {
            None
        }
    }

    /// Returns the error of the body. If it fails, an unexpected end is not an error.
    fn error(&self, body: &[u8]) -> Option<ScanError> {
        let error = Amended::of(&[body], &snapshot(), &self.rules, false).error;
        error.filter(|error| self.end != BodyEnd::Error || error.offset() < body.len() as u64)
    }

    /// Returns the headers without those of the original bytes.
    fn corrected(&self, length: Option<usize>) -> HeaderMap {
        let mut headers = without_digests(self.headers_with_name_sent());
        for name in ["etag", "accept-ranges", "content-length", "trailer"] {
            headers.remove(name);
        }
        if self.header("trailer").starts_with("x-sum") {
            headers.insert("trailer", HeaderValue::from_static("x-sum"));
        }
        if let Some(length) = length {
            headers.insert("content-length", length.into());
        }
        headers
    }
}

fn without_digests(mut fields: HeaderMap) -> HeaderMap {
    for name in ["content-digest", "digest", "content-md5"] {
        fields.remove(name);
    }
    fields
}

fn named_counts([named, unmatched, not_a_string, skipped]: naive::Counts) -> Counts {
    let mut counts = Counts::default();
    counts.named = named;
    counts.unmatched = unmatched;
    counts.not_a_string = not_a_string;
    counts.skipped = skipped;
    counts
}

// === The actual result ===

impl Exchange {
    /// Sends the body in these chunks, and reads up to `frames` frames.
    fn run(&self, chunks: &[&[u8]], pending_polls: u8, frames: usize) -> ExchangeResult {
        let outcomes = Arc::<Mutex<Vec<Outcome>>>::default();
        let recorded = outcomes.clone();
        let layer = ApiKeyNameLayer::new(SharedKeyNames::new(names()))
            .limit(self.limit)
            .unmatched(self.rules.unmatched)
            .null_as_unmatched(self.rules.null_as_unmatched)
            .labels(self.rules.labels.clone())
            .insert_null(self.rules.insert_null)
            .name_position(self.rules.position)
            .prefer(self.rules.prefer)
            .honor_no_transform(self.honor_no_transform)
            .insert_names(if self.only_requested { InsertNames::Requested } else { InsertNames::Always })
            .on_outcome(move |outcome, _| recorded.lock().iter_mut().for_each(|all| all.push(*outcome)));
        let mut service = layer.layer(ScriptedService(Some(self.response(chunks, pending_polls))));
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = http::Uri::from_static(self.uri);

        let mut result = ExchangeResult::default();
        {
            let Ok(response) = run_to_end(pin!(service.call(request)), |future, cx| future.poll(cx));
            let (parts, body) = response.into_parts();
            result.headers = parts.headers;
            result.state = parts.extensions.get().copied();
            read_body(pin!(body), frames, &mut result);
        }
        result.outcomes = outcomes.lock().map(|outcomes| outcomes.clone()).unwrap_or_default();
        result
    }

    /// The upstream response with the body in these chunks.
    fn response(&self, chunks: &[&[u8]], pending_polls: u8) -> Response<Script> {
        let mut steps: Vec<Step> =
            chunks.iter().map(|chunk| Step::Data(Bytes::copy_from_slice(chunk))).collect();
        match self.end {
            BodyEnd::Complete => {}
            BodyEnd::Trailers => steps.push(Step::Trailers(self.trailers())),
            BodyEnd::Error => steps.push(Step::Error),
        }
        steps.reverse();
        let mut response =
            Response::new(Script { steps, has_hints: self.has_hints, pending_polls, polls: 0 });
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers();
        response
    }
}

/// Reads up to `frames` frames, and compares the hints of the body with them.
fn read_body<B>(mut body: Pin<&mut B>, frames: usize, result: &mut ExchangeResult)
where
    B: Body<Data = Bytes, Error = Failed>,
{
    let mut hints = Vec::new();
    let mut ended = false;
    for _ in 0..frames {
        hints.push((result.data.len() as u64, body.size_hint()));
        let is_end = body.is_end_stream();
        let frame = run_to_end(body.as_mut(), |body, cx| body.poll_frame(cx));
        assert!(!(is_end && frame.is_some()), "a frame follows the end");
        assert!(
            result.trailers.is_none() && !result.failed || frame.is_none(),
            "a frame follows trailers or an error"
        );
        match frame.map(|frame| frame.map(Frame::into_data)) {
            None => {
                ended = true;
                break;
            }
            Some(Err(Failed)) => result.failed = true,
            Some(Ok(Ok(data))) => result.data.extend_from_slice(&data),
            Some(Ok(Err(frame))) => result.trailers = frame.into_trailers().ok(),
        }
    }
    if !ended {
        return;
    }
    assert!(run_to_end(body.as_mut(), |body, cx| body.poll_frame(cx)).is_none(), "a frame follows the end");
    for (at, hint) in hints {
        let left = result.data.len() as u64 - at;
        let is_correct = hint.lower() <= left && hint.upper().is_none_or(|upper| left <= upper);
        assert!(is_correct, "{hint:?}, but {left} bytes arrived");
    }
}

/// Polls until the result is ready. Each pending poll must have woken the task, because only the script is pending.
fn run_to_end<T: ?Sized, R>(
    mut this: Pin<&mut T>,
    poll: impl Fn(Pin<&mut T>, &mut Context<'_>) -> Poll<R>,
) -> R {
    let woken = Arc::new(WakeFlag::default());
    let waker = Waker::from(woken.clone());
    loop {
        if let Poll::Ready(result) = poll(this.as_mut(), &mut Context::from_waker(&waker)) {
            return result;
        }
        assert!(woken.0.swap(false, std::sync::atomic::Ordering::Relaxed), "pending without a wake-up");
    }
}

#[derive(Default)]
struct WakeFlag(std::sync::atomic::AtomicBool);

impl std::task::Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
