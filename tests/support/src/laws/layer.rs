//! The whole layer, over a service that answers by a script.

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

use self::upstream::{Failed, Script, Step, Upstream};
use super::amend::{Amended, names, rules};
use crate::cases::naive;
use crate::choices::{Choices, crumbs, cut};
use crate::documents;
use tower_api_key_name::_internal::rules::Rules;
use tower_api_key_name::_internal::scan::Fault;
use tower_api_key_name::outcome::{Counts, Outcome, ResponseState, Skip};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};

/// Bytes, head, trailers, error and outcome are what the laws say, however the body comes; hints are honest; what ends
/// has ended; one outcome is told, even if nobody listens to the end.
pub fn hold(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut exchange = Exchange::drawn(&mut choices);
    let (cuts, pends, left_at) = (choices.cuts(6), choices.byte(), choices.byte());
    let limit = (choices.byte(), choices.byte());
    let body = documents::body(&mut choices);
    exchange.set_limit(limit, &body);

    let expected = exchange.expected(&body);
    for chunks in [vec![&*body], cut(&body, &cuts), crumbs(&body)] {
        let went = exchange.run(&chunks, pends, usize::MAX);
        assert_eq!(went, expected, "{exchange:?} {:?}", String::from_utf8_lossy(&body));
    }
    let left = exchange.run(&cut(&body, &cuts), pends, usize::from(left_at % 8));
    assert!(expected.data.starts_with(&left.data), "{exchange:?}");
}

// === What is asked, and what upstream answers ===

#[derive(Debug)]
struct Exchange {
    method: Method,
    uri: &'static str,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    end: End,
    /// The body below says what it knows of its end and its length.
    honest: bool,
    limit: usize,
    honor_no_transform: bool,
    rules: Rules,
    naive: naive::Rules,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Well,
    Trailers,
    Error,
}

/// The shortest window there is, whatever the limit.
const MIN_WINDOW: usize = 16 << 10;

impl Exchange {
    fn drawn(choices: &mut Choices<'_>) -> Self {
        let (rules, naive) = rules(choices);
        let method = choices.of(&["GET", "GET", "GET", "GET", "GET", "HEAD", "POST"]);
        let mut headers = Vec::new();
        let mut header = |name, all: &[&'static str]| {
            let value = choices.of(all);
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
        Self {
            method: method.parse().unwrap_or_default(),
            uri: choices.of(&[
                "/v1/organization/costs",
                "/v1/organizations/usage?group_by=api_key_name",
                "/v1/models",
            ]),
            status: StatusCode::from_u16(choices.of(&[200, 200, 200, 200, 404, 204, 206, 304]))
                .unwrap_or_default(),
            headers,
            end: choices.of(&[End::Well, End::Well, End::Trailers, End::Error]),
            honest: choices.yes(),
            limit: 0,
            honor_no_transform: choices.yes(),
            rules,
            naive,
        }
    }

    /// Any limit, the usual one, or one that is just reached, by the end of a body or by a fault in it.
    fn set_limit(&mut self, (kind, limit): (u8, u8), body: &[u8]) {
        let limit = usize::from(limit);
        let around = |at: usize| (at + limit % 5).saturating_sub(2);
        self.limit = match kind % 8 {
            0..=1 => 4 * limit,
            2 => MIN_WINDOW,
            3..=4 => 2 << 20,
            5 => around(body.len()),
            _ => around(self.fault(body).map_or(body.len(), |fault| fault.offset() as usize)),
        };
        let window = self.limit.max(MIN_WINDOW);
        self.rules.window = window as u64;
        self.naive.window = window;
    }

    fn said(&self, name: &str) -> &str {
        let said = self.headers.iter().find(|(this, _)| this == name);
        said.and_then(|(_, value)| value.to_str().ok()).unwrap_or_default()
    }

    fn head(&self) -> HeaderMap {
        self.headers.iter().cloned().collect()
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

// === What is to come of it ===

/// All that a client gets, and what is told of it.
#[derive(Debug, Default, PartialEq)]
struct Went {
    headers: HeaderMap,
    /// As the head says it.
    outcome: Option<ResponseState>,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    failed: bool,
    told: Vec<Outcome>,
}

impl Exchange {
    fn expected(&self, body: &[u8]) -> Went {
        let as_it_came = || Went {
            headers: self.head(),
            data: body.to_vec(),
            trailers: (self.end == End::Trailers).then(|| self.trailers()),
            failed: self.end == End::Error,
            ..Went::default()
        };
        if self.uri == "/v1/models" {
            return as_it_came();
        }
        let skipped = |skip| {
            let outcome = Outcome::Skipped { skip, counts: Counts::default() };
            Went { outcome: Some(outcome.into()), told: vec![outcome], ..as_it_came() }
        };
        if let Some(skip) = self.skip() {
            return skipped(skip);
        }
        if self.method == Method::HEAD {
            return Went { headers: self.corrected(None), ..skipped(Skip::NoBody) };
        }

        let fault = self.fault(body);
        let end = fault.map_or(body.len(), |fault| fault.offset() as usize);
        let (data, counts) = naive::amend_until(body, end, self.naive);
        let (changed, counts) = (data != body, told(counts));
        let surcharge = naive::surcharge(naive::edits(body, end));
        let is_long = body.len() + surcharge > self.limit;
        // What is no JSON, and would not change, need not be held any longer.
        let is_hopeless = fault.is_some() && !changed;
        if is_long && (!is_hopeless || end + surcharge >= self.limit) {
            let outcome = match fault {
                _ if self.end == End::Error => Outcome::Skipped { skip: Skip::BodyFailed, counts },
                Some(fault) => Outcome::Skipped { skip: fault.into(), counts },
                None if changed => Outcome::Amended { counts },
                None => Outcome::Unchanged { counts },
            };
            return Went {
                headers: self.corrected(None),
                outcome: Some(ResponseState::Streaming),
                data,
                trailers: as_it_came().trailers.map(without_digests),
                told: vec![outcome],
                ..as_it_came()
            };
        }
        // As long as nothing can need a name, nothing is parsed.
        let fault = fault.filter(|_| is_long || may_hold_an_id(body));
        match fault {
            Some(fault) if self.end != End::Error || is_hopeless => return skipped(fault.into()),
            _ if self.end == End::Error => return skipped(Skip::BodyFailed),
            _ if !changed => {
                let outcome = Outcome::Unchanged { counts };
                return Went { outcome: Some(outcome.into()), told: vec![outcome], ..as_it_came() };
            }
            _ => {}
        }
        let says_length = self.end == End::Well && self.said("trailer").is_empty();
        let outcome = Outcome::Amended { counts };
        Went {
            headers: self.corrected(says_length.then_some(data.len())),
            outcome: Some(outcome.into()),
            data,
            trailers: as_it_came().trailers.map(without_digests),
            told: vec![outcome],
            ..as_it_came()
        }
    }

    /// Why the body is not looked at, but for the method.
    fn skip(&self) -> Option<Skip> {
        match self.status.as_u16() {
            204 | 304 => return Some(Skip::NoBody),
            206 => return Some(Skip::Partial),
            _ => {}
        }
        if !self.said("content-range").is_empty() {
            Some(Skip::Partial)
        } else if !self.said("content-type").contains("json") {
            Some(Skip::MediaType)
        } else if self.said("content-encoding") == "gzip" {
            Some(Skip::ContentEncoding)
        } else if self.honor_no_transform && self.said("cache-control") == "no-transform" {
            Some(Skip::NoTransform)
        } else {
            None
        }
    }

    /// A body that fails has no end to be missed.
    fn fault(&self, body: &[u8]) -> Option<Fault> {
        let fault = Amended::of(&[body], &names(), self.rules, false).fault;
        fault.filter(|fault| self.end != End::Error || fault.offset() < body.len() as u64)
    }

    /// The head without what describes other bytes.
    fn corrected(&self, length: Option<usize>) -> HeaderMap {
        let mut headers = without_digests(self.head());
        for name in ["etag", "accept-ranges", "content-length", "trailer"] {
            headers.remove(name);
        }
        if self.said("trailer").starts_with("x-sum") {
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

fn told([named, unmatched, null, left]: naive::Counts) -> Counts {
    let mut counts = Counts::default();
    (counts.named, counts.unmatched, counts.not_a_string, counts.skipped) = (named, unmatched, null, left);
    counts
}

fn may_hold_an_id(body: &[u8]) -> bool {
    let holds = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
    holds(b"api_key_id") || holds(b"\\u00")
}

// === What comes of it ===

impl Exchange {
    /// Has the body come in these chunks, and listens to so many of the frames that come out.
    fn run(&self, chunks: &[&[u8]], pends: u8, frames: usize) -> Went {
        let told = Arc::<Mutex<Vec<Outcome>>>::default();
        let tell = told.clone();
        let layer = ApiKeyNameLayer::new(SharedKeyNames::new(names()))
            .limit(self.limit)
            .unmatched(self.rules.unmatched)
            .null_as_unmatched(self.rules.null_as_unmatched)
            .honor_no_transform(self.honor_no_transform)
            .on_outcome(move |outcome, _| tell.lock().iter_mut().for_each(|told| told.push(*outcome)));
        let mut service = layer.layer(Upstream(Some(self.response(chunks, pends))));
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = http::Uri::from_static(self.uri);

        let mut went = Went::default();
        {
            let Ok(response) = finished(pin!(service.call(request)), |future, cx| future.poll(cx));
            let (head, body) = response.into_parts();
            went.headers = head.headers;
            went.outcome = head.extensions.get().copied();
            listen(pin!(body), frames, &mut went);
        }
        went.told = told.lock().map(|told| told.clone()).unwrap_or_default();
        went
    }

    fn response(&self, chunks: &[&[u8]], pends: u8) -> Response<Script> {
        let mut steps: Vec<Step> =
            chunks.iter().map(|chunk| Step::Data(Bytes::copy_from_slice(chunk))).collect();
        match self.end {
            End::Well => {}
            End::Trailers => steps.push(Step::Trailers(self.trailers())),
            End::Error => steps.push(Step::Error),
        }
        steps.reverse();
        let mut response = Response::new(Script { steps, honest: self.honest, pends, polls: 0 });
        *response.status_mut() = self.status;
        *response.headers_mut() = self.head();
        response
    }
}

/// Takes frames until there are none, or enough, and holds what the body says of itself against what comes.
fn listen<B>(mut body: Pin<&mut B>, frames: usize, went: &mut Went)
where
    B: Body<Data = Bytes, Error = Failed>,
{
    let mut hints = Vec::new();
    let mut ended = false;
    for _ in 0..frames {
        hints.push((went.data.len() as u64, body.size_hint()));
        let says_end = body.is_end_stream();
        let frame = finished(body.as_mut(), |body, cx| body.poll_frame(cx));
        assert!(!(says_end && frame.is_some()), "something after the end");
        assert!(went.trailers.is_none() && !went.failed || frame.is_none(), "something after the last");
        match frame.map(|frame| frame.map(Frame::into_data)) {
            None => {
                ended = true;
                break;
            }
            Some(Err(Failed)) => went.failed = true,
            Some(Ok(Ok(data))) => went.data.extend_from_slice(&data),
            Some(Ok(Err(frame))) => went.trailers = frame.into_trailers().ok(),
        }
    }
    if !ended {
        return;
    }
    assert!(finished(body.as_mut(), |body, cx| body.poll_frame(cx)).is_none(), "it ends once");
    for (at, hint) in hints {
        let left = went.data.len() as u64 - at;
        let is_honest = hint.lower() <= left && hint.upper().is_none_or(|upper| left <= upper);
        assert!(is_honest, "{hint:?}, and {left} bytes came");
    }
}

/// What a future or a stream comes to. Each time that it pends, it was the script that did.
fn finished<T: ?Sized, R>(
    mut this: Pin<&mut T>,
    poll: impl Fn(Pin<&mut T>, &mut Context<'_>) -> Poll<R>,
) -> R {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    loop {
        if let Poll::Ready(result) = poll(this.as_mut(), &mut Context::from_waker(&waker)) {
            return result;
        }
        assert!(
            woken.0.swap(false, std::sync::atomic::Ordering::Relaxed),
            "pending, and nobody will wake it"
        );
    }
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
