//! Memory in the worst case is `limit × requests + constant`, whatever comes: pages without an end, of every shape
//! that makes something wait, many at the same time, each as far as the others.
//!
//! In a binary of its own, for the counting allocator is everybody's. The large test is for a release build:
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
/// What a request may take beyond its limit.
const BESIDE: usize = 512 * KIB;

// === Pages without an end ===

/// What a page begins with, what follows again and again, and in frames of how many bytes.
struct Shape {
    name: &'static str,
    begin: fn() -> String,
    again: fn() -> String,
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
        name: "the deepest nest, a long native name on each floor, full of ids",
        begin: || {
            let native = "n".repeat(512);
            format!(r#"{{"api_key_name":"{native}","api_key_id":"key_1","in":"#).repeat(1022) + "["
        },
        again: || r#"{"api_key_id":1},"#.into(),
        frame: 64 * KIB,
    },
    Shape {
        name: "long ids that nobody knows, in ever new white space",
        begin: || "[".into(),
        again: || {
            let row = |n| format!("{{{:n$}\"api_key_id\" :\"{n:0>len$}\"}},", "", len = 256);
            (0..256).map(row).collect()
        },
        frame: 16 * KIB,
    },
];

/// A page of some shape, of which a frame comes every other time that it is asked for.
struct Endless<'a> {
    shape: &'a Shape,
    /// What comes before the rest: from here on.
    begin: (&'a [u8], usize),
    /// More than a frame of the rest, from anywhere.
    rest: (&'a [u8], usize),
    /// How many bytes are still to come.
    left: usize,
    waits: bool,
}

impl Endless<'_> {
    /// Memory of its own for each frame, as one that was read has.
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
        self.waits = !self.waits;
        if self.waits {
            return Poll::Pending;
        }
        Poll::Ready((self.left > 0).then(|| Ok(Frame::data(self.next()))))
    }
}

// === Those who ask ===

/// Has one answer to give.
struct Once<B>(Option<B>);

impl<B: Body> Service<Request<()>> for Once<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Answer<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let head = Response::builder().header(header::CONTENT_TYPE, "application/json");
        ready(Ok(head.body(self.0.take().unwrap()).unwrap()))
    }
}

type Answer<B> = Ready<Result<Response<B>, Infallible>>;

enum Asking<B: Body> {
    ForHead(Pin<Box<ResponseFuture<Answer<B>, B>>>),
    ForBody(Pin<Box<ResponseBody<B>>>),
    Done,
}

impl<B: Body<Error = Infallible>> Asking<B> {
    fn new(layer: &ApiKeyNameLayer, body: B) -> Self {
        let request = Request::get("/v1/organization/costs").body(()).unwrap();
        Self::ForHead(Box::pin(layer.layer(Once(Some(body))).call(request)))
    }

    /// Takes what there is, and says how many bytes.
    fn poll(&mut self, cx: &mut Context<'_>) -> usize {
        if let Self::ForHead(future) = self
            && let Poll::Ready(Ok(response)) = future.as_mut().poll(cx)
        {
            *self = Self::ForBody(Box::pin(response.into_body()));
        }
        let mut read = 0;
        while let Self::ForBody(body) = self
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

/// The most memory that `requests` for such a page take, all at the same time.
fn peak(layer: impl Fn() -> ApiKeyNameLayer, shape: &Shape, requests: usize, size: usize) -> usize {
    let (begin, again) = ((shape.begin)(), (shape.again)());
    let rest = again.repeat(shape.frame / again.len() + 1).into_bytes();
    // As long as `again` is, beyond a frame: wherever a frame begins, it goes on as it should.
    let rest = [&rest[..], &rest[..]].concat();
    let rest = &rest[..shape.frame + again.len()];
    // The first snapshot of a thread makes what lasts.
    SharedKeyNames::default().snapshot();
    let mut read = 0;
    let info = measure(|| {
        let layer = layer();
        let cx = &mut Context::from_waker(Waker::noop());
        let page =
            || Endless { shape, begin: (begin.as_bytes(), 0), rest: (rest, 0), left: size, waits: false };
        let mut asking: Vec<_> = (0..requests).map(|_| Asking::new(&layer, page())).collect();
        while asking.iter().any(|asking| !matches!(asking, Asking::Done)) {
            read += asking.iter_mut().map(|asking| asking.poll(cx)).sum::<usize>();
        }
    });
    assert!(read >= requests * size, "{}: only {read} bytes", shape.name);
    assert_eq!((info.count_current, info.bytes_current), (0, 0), "{}: something is left", shape.name);
    info.bytes_max as usize
}

#[test]
fn a_few_endless_pages() {
    const REQUESTS: usize = 4;
    for limit in [64 * KIB, MIB] {
        for shape in SHAPES {
            let peak = peak(|| layer(limit), shape, REQUESTS, limit + 3 * MIB / 2);
            // While a queue grows, it is there twice.
            assert!(peak <= REQUESTS * (limit + BESIDE) + MIB, "{}: {peak} bytes", shape.name);
        }
    }
}

/// With a total, what is held is not multiplied by those who ask: what streams keeps a row, and a piece.
#[test]
fn a_total_is_for_all() {
    const REQUESTS: usize = 16;
    let layer = || layer(MIB).total_limit(MIB);
    let peak = peak(layer, &SHAPES[0], REQUESTS, 2 * MIB);
    assert!(peak <= MIB + REQUESTS * 128 * KIB, "{peak} bytes");
}

/// What a frame is made of is read, and written, little by little.
#[test]
fn a_frame_of_any_size() {
    for (again, size) in
        [(r#"{"api_key_id":1},"#, 2 * MIB), (r#"{"api_key_id":1},"#, 4 * MIB), (ROW, 4 * MIB)]
    {
        let frame = Bytes::from(format!("[{}1]", again.repeat(size / again.len())));
        for limit in [0, 64 * KIB, 2 * MIB] {
            let mut read = 0;
            let info = measure(|| {
                let mut asking = Asking::new(&layer(limit), Full::<Bytes>::from(frame.clone()));
                read = asking.poll(&mut Context::from_waker(Waker::noop()));
            });
            assert!(read > frame.len() * 21 / 20, "it is named");
            assert!(
                info.bytes_max <= (limit + MIB) as u64,
                "{size}, limit {limit}: {} bytes",
                info.bytes_max
            );
        }
    }
}

/// Each shape in a process of its own, for what one leaves behind in the heap is in the way of the next.
#[test]
#[ignore = "takes a minute in a release build"]
fn endless_pages_for_256() {
    const REQUESTS: usize = 256;
    const LIMIT: usize = 2 * MIB;
    const MOST: usize = REQUESTS * (LIMIT + BESIDE) + 64 * MIB;
    const SHAPE: &str = "SHAPE_OF_ENDLESS_PAGES";
    let Some(name) = std::env::var_os(SHAPE) else {
        let child = |shape: &Shape| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "endless_pages_for_256", "--ignored", "--nocapture"]);
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
    assert!(peak.max(resident.unwrap_or(0)) <= MOST, "{MOST} bytes is the most");
}

/// The most memory that this process has had, where the system says so.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.parse::<usize>().ok()? * KIB)
}
