//! All bodies of up to six events, over documents that are split at each offset, polled by one task or by changing tasks.
//!
//! An inner body must not be polled after trailers, an error or its end, which each script checks. Of the 55,987
//! sequences, 1,821 differ before that.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};
use tower_api_key_name::outcome::{Outcome, ResponseState};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, ResponseBody, ResponseFuture, SharedKeyNames};

mod drops;
mod laws;
mod total;

// === Scripts ===

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Data,
    Empty,
    Pending,
    Trailers,
    Error,
    End,
}

/// Returns the sequences that differ, each with an end.
fn sequences() -> Vec<Vec<Event>> {
    let mut open: Vec<Vec<Event>> = vec![Vec::new()];
    let mut all = Vec::new();
    for length in 0..=6 {
        for events in &open {
            let ends: &[_] =
                if length < 6 { &[Event::Trailers, Event::Error, Event::End] } else { &[Event::End] };
            all.extend(ends.iter().map(|end| [&events[..], &[*end]].concat()));
        }
        let longer = |events: &Vec<Event>| {
            [Event::Data, Event::Empty, Event::Pending].map(|event| [&events[..], &[event]].concat())
        };
        open = open.iter().flat_map(longer).collect();
    }
    assert_eq!(all.len(), 1821);
    all
}

/// Returns the number of pieces of the document.
fn pieces(events: &[Event]) -> usize {
    events.iter().filter(|event| **event == Event::Data).count()
}

/// Splits a document into pieces: at each offset, followed by pieces of one byte and the rest.
fn cuts(text: &'static [u8], pieces: usize) -> Vec<Vec<&'static [u8]>> {
    if pieces < 2 {
        return vec![vec![text; pieces]];
    }
    let ways = 1..text.len() - (pieces - 2);
    let cut = |at: usize| {
        let (first, rest) = text.split_at(at);
        let (small, last) = rest.split_at(pieces - 2);
        std::iter::once(first).chain(small.chunks(1)).chain([last]).collect()
    };
    ways.map(cut).collect()
}

/// The state that a script shares with its runner.
#[derive(Default)]
struct ScriptState {
    /// The waker of the last pending poll.
    waker: Option<Waker>,
    /// The next event may happen.
    is_open: bool,
    has_ended: bool,
}

impl ScriptState {
    /// Is pending until the runner has opened the gate.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_open {
            self.is_open = false;
            return Poll::Ready(());
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A body that follows a sequence of events.
struct Script {
    events: VecDeque<Event>,
    pieces: VecDeque<&'static [u8]>,
    /// Reports its exact size and its end.
    has_hints: bool,
    state: Rc<RefCell<ScriptState>>,
}

impl Script {
    fn new(events: &[Event], pieces: &[&'static [u8]], has_hints: bool) -> Self {
        let (events, pieces) = (events.iter().copied().collect(), pieces.iter().copied().collect());
        Self { events, pieces, has_hints, state: Rc::default() }
    }

    /// Creates a body that is never pending.
    fn whole(text: &'static [u8]) -> Self {
        Self::new(&[Event::Data, Event::End], &[text], true)
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let state = self.state.clone();
        let mut state = state.borrow_mut();
        assert!(!state.has_ended, "polled after the end");
        loop {
            let frame = match self.events.front().unwrap() {
                Event::Pending => {
                    if state.poll_open(cx).is_pending() {
                        return Poll::Pending;
                    }
                    None
                }
                Event::Data => {
                    Some(Some(Ok(Frame::data(Bytes::from_static(self.pieces.pop_front().unwrap())))))
                }
                Event::Empty => Some(Some(Ok(Frame::data(Bytes::new())))),
                Event::Trailers => Some(Some(Ok(Frame::trailers(trailers())))),
                Event::Error => Some(Some(Err("reset"))),
                Event::End => Some(None),
            };
            self.events.pop_front();
            state.has_ended = self.events.is_empty();
            if let Some(frame) = frame {
                return Poll::Ready(frame);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_hints && self.events.front().is_none_or(|event| *event == Event::End)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        if self.has_hints { SizeHint::with_exact(rest) } else { SizeHint::default() }
    }
}

fn trailers() -> HeaderMap {
    let digest = (header::HeaderName::from_static("repr-digest"), HeaderValue::from_static("sha-256=:x:"));
    HeaderMap::from_iter([(header::AGE, HeaderValue::from_static("1")), digest])
}

// === The inner service ===

struct ScriptService(Option<Script>);

/// Is pending once, and returns the response headers.
struct HeadersFuture(Option<Script>);

impl Service<Request<()>> for ScriptService {
    type Response = Response<Script>;
    type Error = Infallible;
    type Future = HeadersFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> HeadersFuture {
        HeadersFuture(self.0.take())
    }
}

impl Future for HeadersFuture {
    type Output = Result<Response<Script>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let state = self.0.as_ref().unwrap().state.clone();
        if state.borrow_mut().poll_open(cx).is_pending() {
            return Poll::Pending;
        }
        let mut response = Response::new(self.0.take().unwrap());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Poll::Ready(Ok(response))
    }
}

// === The runner ===

/// A waker that counts its calls.
#[derive(Default)]
struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The way in which a response is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Polling {
    /// By one task, after it was woken.
    Regular,
    /// By another task each time, with additional wake-ups before and after.
    Irregular,
}

/// A call in progress.
struct Call {
    future: Option<Pin<Box<ResponseFuture<HeadersFuture, Script>>>>,
    body: Option<Pin<Box<ResponseBody<Script>>>>,
    state: Rc<RefCell<ScriptState>>,
    polling: Polling,
    wakes: Arc<WakeCount>,
    /// The number of polls until the client disconnects.
    max_polls: usize,
    result: CallResult,
}

/// The response as the client receives it.
#[derive(Debug, Default, PartialEq)]
struct CallResult {
    length: Option<u64>,
    state: Option<ResponseState>,
    bytes: Vec<u8>,
    trailers: Option<HeaderMap>,
    error: Option<&'static str>,
}

/// The client has disconnected.
struct Disconnected;

impl Call {
    fn new(layer: &ApiKeyNameLayer, script: Script, polling: Polling) -> Self {
        let state = script.state.clone();
        let request = Request::get("/v1/organization/costs").body(()).unwrap();
        Self {
            future: Some(Box::pin(layer.layer(ScriptService(Some(script))).call(request))),
            body: None,
            state,
            polling,
            wakes: Arc::default(),
            // More than any call takes.
            max_polls: 1000,
            result: CallResult::default(),
        }
    }

    /// Polls until the result is ready.
    fn wait<T>(
        &mut self,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Disconnected> {
        let mut is_repeated = false;
        loop {
            self.max_polls = self.max_polls.checked_sub(1).ok_or(Disconnected)?;
            if self.polling == Polling::Irregular {
                let before = std::mem::take(&mut self.wakes);
                before.wake();
            }
            let waker = Waker::from(self.wakes.clone());
            let woken = self.wakes.0.load(Ordering::Relaxed);
            if let Poll::Ready(result) = poll(self, &mut Context::from_waker(&waker)) {
                return Ok(result);
            }
            let mut state = self.state.borrow_mut();
            let last = state.waker.take().expect("no waker was stored");
            assert!(last.will_wake(&waker), "not the last waker is stored");
            if self.polling == Polling::Irregular && !is_repeated {
                // Polls again without a wake-up.
                state.waker = Some(last);
                is_repeated = true;
                continue;
            }
            state.is_open = true;
            drop(state);
            last.wake();
            assert_eq!(self.wakes.0.load(Ordering::Relaxed), woken + 1);
            is_repeated = false;
        }
    }

    fn run_headers(&mut self) -> Result<(), Disconnected> {
        let Ok(response) = self.wait(|this, cx| this.future.as_mut().unwrap().as_mut().poll(cx))?;
        self.future = None;
        let length = response.headers().get(header::CONTENT_LENGTH);
        self.result.length = length.map(|length| length.to_str().unwrap().parse().unwrap());
        self.result.state = response.extensions().get().copied();
        self.body = Some(Box::pin(response.into_body()));
        Ok(())
    }

    /// Reads the body to its end, and checks its hints.
    fn run_body(&mut self) -> Result<(), Disconnected> {
        let mut hints = Vec::new();
        loop {
            let body = self.body.as_ref().unwrap();
            let at_end = body.is_end_stream();
            hints.push((self.result.bytes.len() as u64, body.size_hint()));
            let frame = self.wait(|this, cx| this.body.as_mut().unwrap().as_mut().poll_frame(cx))?;
            assert!(!at_end || frame.is_none(), "a frame follows the end");
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    assert!(self.result.trailers.is_none(), "data follow trailers");
                    self.result.bytes.extend_from_slice(&data);
                }
                Some(Ok(Err(frame))) => {
                    assert!(self.result.trailers.is_none(), "trailers follow trailers");
                    self.result.trailers = frame.into_trailers().ok();
                }
                Some(Err(error)) => {
                    self.result.error = Some(error);
                    break;
                }
                None => break,
            }
        }
        for _ in 0..3 {
            let frame = self.wait(|this, cx| this.body.as_mut().unwrap().as_mut().poll_frame(cx))?;
            assert!(frame.is_none(), "a frame follows the end");
        }
        let body = self.body.as_ref().unwrap();
        assert!(body.is_end_stream() && (body.size_hint().upper().is_none_or(|upper| upper == 0)));
        for (at, hint) in hints {
            let rest = self.result.bytes.len() as u64 - at;
            assert!(hint.upper().is_none_or(|upper| rest <= upper), "{rest} bytes contradict {hint:?}");
            assert!(self.result.error.is_some() || rest >= hint.lower(), "{rest} bytes contradict {hint:?}");
        }
        Ok(())
    }

    /// Runs the whole call.
    fn run(mut self) -> CallResult {
        let Ok(()) = self.run_headers().and_then(|()| self.run_body()) else {
            panic!("the call did not end")
        };
        self.result
    }
}

fn layer(limit: usize) -> ApiKeyNameLayer {
    ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new([("key_1", "x")]).unwrap())).limit(limit)
}
