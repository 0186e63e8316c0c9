//! Every body that there can be, in short: all sequences of up to six events, over documents that are cut at every
//! place, under wakers that are fair and under such as are not.
//!
//! A body below is polled no more once it gave trailers, an error or its end, which each script makes sure of. So of
//! the 55,987 sequences those are run that differ before that: 1,821.
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

/// The sequences that differ, each with an end.
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

/// How many pieces a document comes in.
fn pieces(events: &[Event]) -> usize {
    events.iter().filter(|event| **event == Event::Data).count()
}

/// A document in so many pieces, in every way that they have a seam at some place and the next ones right behind.
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

/// What a script and who runs it know of each other.
#[derive(Default)]
struct Stage {
    /// Who is to be woken.
    waker: Option<Waker>,
    /// What was waited for is here.
    is_open: bool,
    is_over: bool,
}

impl Stage {
    /// Lets nobody by who has not waited.
    fn pass(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_open {
            self.is_open = false;
            return Poll::Ready(());
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A body that does as it is told.
struct Script {
    events: VecDeque<Event>,
    pieces: VecDeque<&'static [u8]>,
    /// Says what it knows of its end and its size.
    honest: bool,
    stage: Rc<RefCell<Stage>>,
}

impl Script {
    fn new(events: &[Event], pieces: &[&'static [u8]], honest: bool) -> Self {
        let (events, pieces) = (events.iter().copied().collect(), pieces.iter().copied().collect());
        Self { events, pieces, honest, stage: Rc::default() }
    }

    /// A body that comes at once.
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
        let stage = self.stage.clone();
        let mut stage = stage.borrow_mut();
        assert!(!stage.is_over, "polled after its end");
        loop {
            let frame = match self.events.front().unwrap() {
                Event::Pending => {
                    if stage.pass(cx).is_pending() {
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
            stage.is_over = self.events.is_empty();
            if let Some(frame) = frame {
                return Poll::Ready(frame);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.honest && self.events.front().is_none_or(|event| *event == Event::End)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        if self.honest { SizeHint::with_exact(rest) } else { SizeHint::default() }
    }
}

fn trailers() -> HeaderMap {
    let digest = (header::HeaderName::from_static("repr-digest"), HeaderValue::from_static("sha-256=:x:"));
    HeaderMap::from_iter([(header::AGE, HeaderValue::from_static("1")), digest])
}

// === The service below ===

struct Below(Option<Script>);

/// Waits once, and gives a head.
struct Head(Option<Script>, bool);

impl Service<Request<()>> for Below {
    type Response = Response<Script>;
    type Error = Infallible;
    type Future = Head;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Head {
        Head(self.0.take(), false)
    }
}

impl Future for Head {
    type Output = Result<Response<Script>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stage = self.0.as_ref().unwrap().stage.clone();
        if stage.borrow_mut().pass(cx).is_pending() {
            return Poll::Pending;
        }
        self.1 = true;
        let mut response = Response::new(self.0.take().unwrap());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Poll::Ready(Ok(response))
    }
}

// === Who polls ===

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How an answer is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Polling {
    /// By one task, when it was woken.
    Fair,
    /// By another task each time, which is also woken for nothing, before and after.
    Hostile,
}

/// An answer on its way.
struct Asking {
    future: Option<Pin<Box<ResponseFuture<Head, Script>>>>,
    body: Option<Pin<Box<ResponseBody<Script>>>>,
    stage: Rc<RefCell<Stage>>,
    polling: Polling,
    wakes: Arc<Wakes>,
    /// How often it may be polled before whoever asks goes away.
    patience: usize,
    seen: Seen,
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    length: Option<u64>,
    /// As the head says.
    outcome: Option<ResponseState>,
    bytes: Vec<u8>,
    trailers: Option<HeaderMap>,
    error: Option<&'static str>,
}

/// Whoever asked has gone.
struct Gone;

impl Asking {
    fn new(layer: &ApiKeyNameLayer, script: Script, polling: Polling) -> Self {
        let stage = script.stage.clone();
        let request = Request::get("/v1/organization/costs").body(()).unwrap();
        Self {
            future: Some(Box::pin(layer.layer(Below(Some(script))).call(request))),
            body: None,
            stage,
            polling,
            wakes: Arc::default(),
            // Nothing that ends takes longer.
            patience: 1000,
            seen: Seen::default(),
        }
    }

    /// Polls until something comes.
    fn wait<T>(&mut self, mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>) -> Result<T, Gone> {
        let mut looked = false;
        loop {
            self.patience = self.patience.checked_sub(1).ok_or(Gone)?;
            if self.polling == Polling::Hostile {
                let before = std::mem::take(&mut self.wakes);
                before.wake();
            }
            let waker = Waker::from(self.wakes.clone());
            let woken = self.wakes.0.load(Ordering::Relaxed);
            if let Poll::Ready(it) = poll(self, &mut Context::from_waker(&waker)) {
                return Ok(it);
            }
            let mut stage = self.stage.borrow_mut();
            let last = stage.waker.take().expect("it waits for nobody");
            assert!(last.will_wake(&waker), "not the last waker is kept");
            if self.polling == Polling::Hostile && !looked {
                // Once more, for nothing.
                stage.waker = Some(last);
                looked = true;
                continue;
            }
            stage.is_open = true;
            drop(stage);
            last.wake();
            assert_eq!(self.wakes.0.load(Ordering::Relaxed), woken + 1);
            looked = false;
        }
    }

    fn head(&mut self) -> Result<(), Gone> {
        let Ok(response) = self.wait(|this, cx| this.future.as_mut().unwrap().as_mut().poll(cx))?;
        self.future = None;
        let length = response.headers().get(header::CONTENT_LENGTH);
        self.seen.length = length.map(|length| length.to_str().unwrap().parse().unwrap());
        self.seen.outcome = response.extensions().get().copied();
        self.body = Some(Box::pin(response.into_body()));
        Ok(())
    }

    /// The body to its end, and what it says of itself on the way.
    fn body(&mut self) -> Result<(), Gone> {
        let mut hints = Vec::new();
        loop {
            let body = self.body.as_ref().unwrap();
            let at_end = body.is_end_stream();
            hints.push((self.seen.bytes.len() as u64, body.size_hint()));
            let frame = self.wait(|this, cx| this.body.as_mut().unwrap().as_mut().poll_frame(cx))?;
            assert!(!at_end || frame.is_none(), "something came after the end");
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    assert!(self.seen.trailers.is_none(), "data after trailers");
                    self.seen.bytes.extend_from_slice(&data);
                }
                Some(Ok(Err(frame))) => {
                    assert!(self.seen.trailers.is_none(), "trailers twice");
                    self.seen.trailers = frame.into_trailers().ok();
                }
                Some(Err(error)) => {
                    self.seen.error = Some(error);
                    break;
                }
                None => break,
            }
        }
        for _ in 0..3 {
            let frame = self.wait(|this, cx| this.body.as_mut().unwrap().as_mut().poll_frame(cx))?;
            assert!(frame.is_none(), "something came after the end");
        }
        let body = self.body.as_ref().unwrap();
        assert!(body.is_end_stream() && (body.size_hint().upper().is_none_or(|upper| upper == 0)));
        for (at, hint) in hints {
            let rest = self.seen.bytes.len() as u64 - at;
            assert!(hint.upper().is_none_or(|upper| rest <= upper), "{rest} bytes are not {hint:?}");
            assert!(self.seen.error.is_some() || rest >= hint.lower(), "{rest} bytes are not {hint:?}");
        }
        Ok(())
    }

    /// All of it.
    fn run(mut self) -> Seen {
        let Ok(()) = self.head().and_then(|()| self.body()) else { panic!("it has no end") };
        self.seen
    }
}

fn layer(limit: usize) -> ApiKeyNameLayer {
    ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new([("key_1", "x")]).unwrap())).limit(limit)
}
