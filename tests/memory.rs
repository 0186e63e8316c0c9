//! The memory bound: each response in flight takes at most the limit, 512 KiB and one frame.
//!
//! The pages have no end, and have shapes that make the layer hold bytes or edits. Many responses are in flight at once.
//! The tests have a binary of their own because the counting allocator is global. The large test needs a release build:
//! `cargo test --release --test memory -- --ignored`.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::process::{Command, ExitStatus};
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, ResponseBody, ResponseFuture, SharedKeyNames};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// The memory that a response may take beyond its limit.
const OVERHEAD: usize = 512 * KIB;

// === Pages without an end ===

struct Shape {
    name: &'static str,
    /// The start of the page.
    begin: fn() -> String,
    /// The text that is repeated after the start.
    again: fn() -> String,
    /// The length of a frame.
    frame: usize,
}

const ROW: &str = r#"{"object":"organization.usage.completions.result","input_tokens":141201,"num_model_requests":470,"project_id":"proj_Hq3vT9zLm2Xw7BcD","user_id":null,"api_key_id":"key_1","model":"gpt-4o-mini-2024-07-18","batch":false},"#;

const SHAPES: &[Shape] = &[
    Shape { name: "rows", begin: || "[".into(), again: || ROW.into(), frame: 16 * KIB },
    Shape { name: "rows in small frames", begin: || "[".into(), again: || ROW.into(), frame: 1000 },
    Shape {
        name: "an object that never closes",
        begin: || r#"{"api_key_id":"key_1","rows":["#.into(),
        again: || ROW.into(),
        frame: 16 * KIB,
    },
    Shape {
        name: "a string that never ends",
        begin: || r#"[{"api_key_id":"key_1"},{"api_key_name":1,"api_key_id":""#.into(),
        again: || "xyz\\u0041".into(),
        frame: 16 * KIB,
    },
    Shape {
        name: "nothing but ids",
        begin: || "[".into(),
        again: || r#"{"api_key_id":1},"#.into(),
        frame: 64 * KIB,
    },
    Shape {
        name: "nothing but white space",
        begin: || " ".into(),
        again: || "  \n\t".into(),
        frame: 16 * KIB,
    },
    Shape {
        name: "white space in a member",
        begin: || r#"{"api_key_name":1,"api_key_id""#.into(),
        again: || "  \n\t".into(),
        frame: 16 * KIB,
    },
    Shape {
        name: "the deepest nesting, a long native name at each depth, full of ids",
        begin: || {
            let native = "n".repeat(512);
            format!(r#"{{"api_key_name":"{native}","api_key_id":"key_1","in":"#).repeat(1022) + "["
        },
        again: || r#"{"api_key_id":1},"#.into(),
        frame: 64 * KIB,
    },
    Shape {
        name: "long unmatched ids, in ever new white space",
        begin: || "[".into(),
        again: || {
            let row = |n| format!("{{{:n$}\"api_key_id\" :\"{n:0>len$}\"}},", "", len = 256);
            (0..256).map(row).collect()
        },
        frame: 16 * KIB,
    },
];

/// A page of some shape. Every second poll is pending.
struct Endless<'a> {
    shape: &'a Shape,
    /// The start of the page, and the position in it.
    begin: (&'a [u8], usize),
    /// The repeated text, longer than a frame, and the position in it.
    rest: (&'a [u8], usize),
    /// The number of bytes until the end.
    left: usize,
    is_pending: bool,
}

impl Endless<'_> {
    /// Returns the next frame. It has its own memory, like a frame from a socket.
    fn next(&mut self) -> Bytes {
        let (begin, from) = &mut self.begin;
        let frame = if *from < begin.len() {
            let frame = &begin[*from..begin.len().min(*from + self.shape.frame)];
            *from += frame.len();
            frame
        } else {
            let (rest, from) = &mut self.rest;
            let frame = &rest[*from..*from + self.shape.frame];
            *from = (*from + frame.len()) % (rest.len() - self.shape.frame);
            frame
        };
        self.left = self.left.saturating_sub(frame.len());
        Bytes::copy_from_slice(frame)
    }
}

impl Body for Endless<'_> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.is_pending = !self.is_pending;
        if self.is_pending {
            return Poll::Pending;
        }
        Poll::Ready((self.left > 0).then(|| Ok(Frame::data(self.next()))))
    }
}

// === Exchanges ===

/// A service with one response.
struct OneResponse<B>(Option<B>);

impl<B: Body> Service<Request<()>> for OneResponse<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = ResponseReady<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let head = Response::builder().header(header::CONTENT_TYPE, "application/json");
        ready(Ok(head.body(self.0.take().unwrap()).unwrap()))
    }
}

type ResponseReady<B> = Ready<Result<Response<B>, Infallible>>;

enum Exchange<B: Body> {
    Headers(Pin<Box<ResponseFuture<ResponseReady<B>, B>>>),
    Body(Pin<Box<ResponseBody<B>>>),
    Done,
}

impl<B: Body<Error = Infallible>> Exchange<B> {
    fn new(layer: &ApiKeyNameLayer, body: B) -> Self {
        let request = Request::get("/v1/organization/costs").body(()).unwrap();
        Self::Headers(Box::pin(layer.layer(OneResponse(Some(body))).call(request)))
    }

    /// Takes what there is, and says how many bytes.
    fn poll(&mut self, cx: &mut Context<'_>) -> usize {
        if let Self::Headers(future) = self
            && let Poll::Ready(Ok(response)) = future.as_mut().poll(cx)
        {
            *self = Self::Body(Box::pin(response.into_body()));
        }
        let mut read = 0;
        while let Self::Body(body) = self
            && let Poll::Ready(frame) = body.as_mut().poll_frame(cx)
        {
            match frame {
                Some(Ok(frame)) => read += frame.into_data().unwrap().len(),
                _ => *self = Self::Done,
            }
        }
        read
    }
}

fn layer(limit: usize) -> ApiKeyNameLayer {
    ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new([("key_1", "checkout")]).unwrap())).limit(limit)
}

/// Returns the peak memory of this number of requests for such a page at the same time.
fn peak(layer: impl Fn() -> ApiKeyNameLayer, shape: &Shape, requests: usize, size: usize) -> usize {
    let (begin, again) = ((shape.begin)(), (shape.again)());
    let rest = again.repeat(shape.frame / again.len() + 1).into_bytes();
    // One frame and one repetition, so that a frame can start at any position of the repeated text.
    let rest = [&rest[..], &rest[..]].concat();
    let rest = &rest[..shape.frame + again.len()];
    // The first snapshot of a thread allocates memory that stays.
    SharedKeyNames::default().snapshot();
    let mut read = 0;
    let info = measure(|| {
        let layer = layer();
        let cx = &mut Context::from_waker(Waker::noop());
        let page = || Endless {
            shape,
            begin: (begin.as_bytes(), 0),
            rest: (rest, 0),
            left: size,
            is_pending: false,
        };
        let mut exchanges: Vec<_> = (0..requests).map(|_| Exchange::new(&layer, page())).collect();
        while exchanges.iter().any(|exchange| !matches!(exchange, Exchange::Done)) {
            read += exchanges.iter_mut().map(|exchange| exchange.poll(cx)).sum::<usize>();
        }
    });
    assert!(read >= requests * size, "{}: only {read} bytes", shape.name);
    assert_eq!((info.count_current, info.bytes_current), (0, 0), "{}: memory was not freed", shape.name);
    info.bytes_max as usize
}

#[test]
fn endless_pages_of_each_shape_stay_within_the_bound() {
    const REQUESTS: usize = 4;
    for limit in [64 * KIB, MIB] {
        for shape in SHAPES {
            let peak = peak(|| layer(limit), shape, REQUESTS, limit + 3 * MIB / 2);
            // A growing queue exists twice for a moment.
            assert!(peak <= REQUESTS * (limit + OVERHEAD) + MIB, "{}: {peak} bytes", shape.name);
        }
    }
}

/// With a total limit, only what a stream holds is multiplied by the number of responses: a row and a chunk.
#[test]
fn total_limit_bounds_the_memory_of_all_responses() {
    const REQUESTS: usize = 16;
    let layer = || layer(MIB).total_limit(MIB);
    let peak = peak(layer, &SHAPES[0], REQUESTS, 2 * MIB);
    assert!(peak <= MIB + REQUESTS * 128 * KIB, "{peak} bytes");
}

/// A frame is scanned in slices and written in chunks.
#[test]
fn large_frame_is_amended_in_bounded_memory() {
    for (again, size) in
        [(r#"{"api_key_id":1},"#, 2 * MIB), (r#"{"api_key_id":1},"#, 4 * MIB), (ROW, 4 * MIB)]
    {
        let frame = Bytes::from(format!("[{}1]", again.repeat(size / again.len())));
        for limit in [0, 64 * KIB, 2 * MIB] {
            let mut read = 0;
            let info = measure(|| {
                let mut exchange = Exchange::new(&layer(limit), Full::<Bytes>::from(frame.clone()));
                read = exchange.poll(&mut Context::from_waker(Waker::noop()));
            });
            assert!(read > frame.len() * 21 / 20, "the names are inserted");
            assert!(
                info.bytes_max <= (limit + MIB) as u64,
                "{size}, limit {limit}: {} bytes",
                info.bytes_max
            );
        }
    }
}

/// Each shape has its own process, because the heap of one would influence the next.
#[test]
#[ignore = "takes a minute in a release build"]
fn endless_pages_for_256_requests_stay_within_the_bound() {
    const REQUESTS: usize = 256;
    const LIMIT: usize = 2 * MIB;
    const MOST: usize = REQUESTS * (LIMIT + OVERHEAD) + 64 * MIB;
    const SHAPE: &str = "SHAPE_OF_ENDLESS_PAGES";
    let Some(name) = std::env::var_os(SHAPE) else {
        let child = |shape: &Shape| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args([
                "--exact",
                "endless_pages_for_256_requests_stay_within_the_bound",
                "--ignored",
                "--nocapture",
            ]);
            command.env(SHAPE, shape.name).spawn().unwrap()
        };
        for shapes in SHAPES.chunks(2) {
            let children: Vec<_> = shapes.iter().map(child).collect();
            let ends: Vec<_> = children.into_iter().map(|mut child| child.wait().unwrap()).collect();
            assert!(ends.iter().all(ExitStatus::success), "{ends:?}");
        }
        return;
    };
    let shape = SHAPES.iter().find(|shape| name == shape.name).unwrap();
    let peak = peak(|| layer(LIMIT), shape, REQUESTS, 32 * MIB);
    let resident = resident();
    println!("{} MiB, {:?} MiB resident: {}", peak / MIB, resident.map(|peak| peak / MIB), shape.name);
    assert!(peak.max(resident.unwrap_or(0)) <= MOST, "the bound is {MOST} bytes");
}

/// Returns the peak resident memory of this process, if the system reports it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.parse::<usize>().ok()? * KIB)
}
