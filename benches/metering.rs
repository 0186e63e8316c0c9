//! The usage meter on a streamed chat completion of 40 events.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;
use tower_api_key_name::names::Provider;
use tower_api_key_name::proxy_keys::{BodyForm, UsageMeter};

use super::comparison::{Comparison, Unit, timed};
use super::event_stream::{LAST_CHUNK, event, http_chunk, stream};
use test_support::service::{BenchClient, FixedService, MODELS};

/// A meter that is read at the end of its body.
struct ReadAtEnd(UsageMeter);

impl ReadAtEnd {
    fn new() -> Self {
        Self(UsageMeter::new(Provider::OpenAi, BodyForm::Events))
    }
}

impl Drop for ReadAtEnd {
    fn drop(&mut self) {
        let usage = self.0.usage().expect("the stream has usage");
        assert_eq!(black_box(usage).output_tokens, Some(100));
    }
}

/// The events of a body in memory: polled and metered, and only polled.
pub fn compare_with_polling() -> Comparison {
    let body = stream().concat();
    let bytes = body.len();
    // The last event arrives in two frames.
    let frames = || FixedService::new(body.clone().into(), event(0).len());
    let mut metered = BenchClient::new(frames(), MODELS);
    let mut polled = BenchClient::new(frames(), MODELS);
    Comparison {
        unit: Unit::Speed { bytes },
        ours: timed(move || {
            let mut meter = ReadAtEnd::new();
            metered.call(|frame| meter.0.feed(black_box(&frame)));
        }),
        baseline: timed(move || polled.call_and_drop()),
    }
}

/// The events through a proxy of HTTP/1.1, hyper's client and server: metered, and only passed.
pub fn compare_with_passing() -> Comparison {
    let mut metered = Passing::new(true);
    let mut passed = Passing::new(false);
    Comparison {
        unit: Unit::Speed { bytes: stream().concat().len() },
        ours: timed(move || metered.pass()),
        baseline: timed(move || passed.pass()),
    }
}

/// A proxy between two connections in memory, whose other ends send and receive plain bytes.
struct Passing {
    runtime: Runtime,
    client: DuplexStream,
    received: Vec<u8>,
    body_len: usize,
}

impl Passing {
    fn new(is_metered: bool) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime starts");
        let (upstream, to_upstream) = duplex(1 << 16);
        let (client, to_client) = duplex(1 << 16);
        runtime.spawn(send_responses(upstream));
        runtime.block_on(start_proxy(to_upstream, to_client, is_metered));
        Self { runtime, client, received: Vec::new(), body_len: stream().concat().len() }
    }

    /// Sends a request, and receives its response.
    fn pass(&mut self) {
        self.received.clear();
        self.runtime.block_on(async {
            self.client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("the proxy reads");
            while !self.received.ends_with(LAST_CHUNK) {
                let len = self.client.read_buf(&mut self.received).await.expect("the proxy writes");
                assert!(len > 0, "the proxy closed the connection");
            }
        });
        assert!(self.received.len() > self.body_len);
    }
}

/// Reads requests, and writes the stream after each, one event a write.
async fn send_responses(mut upstream: DuplexStream) {
    let mut chunks = vec![Bytes::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )];
    for event in stream() {
        chunks.push(http_chunk(&event));
    }
    chunks.push(LAST_CHUNK.into());
    let mut request = Vec::new();
    while upstream.read_buf(&mut request).await.is_ok_and(|len| len > 0) {
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            for chunk in &chunks {
                upstream.write_all(chunk).await.expect("the proxy reads");
                // The proxy passes each event before the next one comes.
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// Starts a proxy on the runtime of the caller.
async fn start_proxy(to_upstream: DuplexStream, to_client: DuplexStream, is_metered: bool) {
    let (sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(to_upstream))
            .await
            .expect("an HTTP/1.1 connection starts without I/O");
    tokio::spawn(connection);
    let sender = Arc::new(Mutex::new(sender));
    let service = service_fn(move |_: Request<Incoming>| {
        let sender = sender.clone();
        async move {
            let mut sender = sender.lock().await;
            sender.ready().await?;
            let request = Request::get("/").header("host", "x").body(Empty::new()).expect("a valid request");
            let response = sender.send_request(request).await?;
            Ok::<_, hyper::Error>(response.map(|body| pass_on(body, is_metered)))
        }
    });
    tokio::spawn(
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(to_client), service),
    );
}

/// Returns the body, which is metered on its way.
fn pass_on(body: Incoming, is_metered: bool) -> BoxBody<Bytes, hyper::Error> {
    if !is_metered {
        return body.boxed();
    }
    let mut meter = ReadAtEnd::new();
    let metered = body.map_frame(move |frame| {
        if let Some(data) = frame.data_ref() {
            meter.0.feed(data);
        }
        frame
    });
    metered.boxed()
}
