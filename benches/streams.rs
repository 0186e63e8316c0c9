//! Streamed calls through a proxy on loopback: with the layer, and with the same server and client alone.
//!
//! The proxy runs on a thread of its own. The client and the upstream share another one, and send and receive plain bytes,
//! so that most of the time is that of the proxy.

use std::error::Error;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tower::{Layer, Service, service_fn};

use super::KeyedLayer;
use super::comparison::{Comparison, Side, Unit};
use super::event_stream::{LAST_CHUNK, http_chunk, stream};

const CLIENTS: u32 = 32;

/// So many that the clients do not wait for one another most of the time.
const STREAMS_PER_CLIENT: u32 = 16;

const BODY: &str = r#"{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":true}}"#;

type BoxError = Box<dyn Error + Send + Sync>;

/// Streams of 32 clients at once, through the layer and without it.
pub fn compare_with_forwarding() -> Comparison {
    let upstream = start_on_thread(|listener| accept(listener, send_streams));
    let keyed = KeyedLayer::new(&format!("http://{upstream}"));
    let key = keyed.key.key().to_owned();
    let with_layer = start_on_thread(move |listener| async move {
        // The folder of the ledger exists as long as the thread.
        let keyed = keyed;
        let client = upstream_client::<Full<Bytes>>();
        serve(listener, keyed.layer.layer(client)).await;
    });
    let without_layer = start_on_thread(move |listener| {
        let client = upstream_client::<Incoming>();
        let forward = move |mut request: Request<Incoming>| {
            let target = format!("http://{upstream}{}", request.uri().path());
            *request.uri_mut() = target.parse::<Uri>().expect("a valid URI");
            client.request(request)
        };
        serve(listener, service_fn(forward))
    });
    Comparison {
        unit: Unit::Rate { items: CLIENTS * STREAMS_PER_CLIENT },
        ours: receive_streams(with_layer, &key),
        baseline: receive_streams(without_layer, &key),
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// Starts a server on a thread of its own, which ends with the process. Returns its address.
fn start_on_thread<F: Future<Output = ()>>(
    start: impl FnOnce(TcpListener) -> F + Send + 'static,
) -> SocketAddr {
    let listener = StdListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("a socket can be nonblocking");
    let address = listener.local_addr().expect("the listener is bound");
    thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::from_std(listener).expect("the runtime has I/O");
            start(listener).await;
        });
    });
    address
}

/// Calls a function for each connection, in a task of its own.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    handle: impl Fn(TcpStream) -> F,
) {
    loop {
        let (connection, _) = listener.accept().await.expect("a connection is accepted");
        connection.set_nodelay(true).expect("a TCP connection");
        tokio::spawn(handle(connection));
    }
}

/// Serves HTTP/1.1.
async fn serve<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let handle = |connection| {
        let service = TowerToHyperService::new(service.clone());
        async move {
            let served = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
            // The client closes its connection after the last stream.
            let _ = served;
        }
    };
    accept(listener, handle).await;
}

fn upstream_client<B>() -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Returns a side whose run is 16 streams for each of 32 clients.
fn receive_streams(proxy: SocketAddr, key: &str) -> Side {
    let runtime = runtime();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        BODY.len()
    );
    let request = Bytes::from(head + BODY);
    Box::new(move |runs| {
        let begin = Instant::now();
        runtime.block_on(async {
            let mut clients = JoinSet::new();
            for _ in 0..CLIENTS {
                clients.spawn(receive_in_turn(proxy, request.clone(), runs * STREAMS_PER_CLIENT));
            }
            clients.join_all().await;
        });
        begin.elapsed()
    })
}

/// Receives streams one after another on one connection, and checks that each has all its events.
async fn receive_in_turn(proxy: SocketAddr, request: Bytes, count: u32) {
    let mut connection = TcpStream::connect(proxy).await.expect("the proxy listens");
    connection.set_nodelay(true).expect("a TCP connection");
    let body_len = stream().concat().len();
    let mut received = Vec::new();
    for _ in 0..count {
        received.clear();
        connection.write_all(&request).await.expect("the proxy reads");
        while !received.ends_with(LAST_CHUNK) {
            let len = connection.read_buf(&mut received).await.expect("the proxy writes");
            assert!(len > 0, "the proxy closed the connection");
        }
        let is_success = received.starts_with(b"HTTP/1.1 200 ");
        assert!(is_success && received.len() > body_len, "{}", String::from_utf8_lossy(&received));
    }
}

/// Reads requests, and writes the stream after each, one event a write.
async fn send_streams(mut connection: TcpStream) {
    let mut chunks = vec![Bytes::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )];
    for event in stream() {
        chunks.push(http_chunk(&event));
    }
    chunks.push(http_chunk(b"data: [DONE]\n\n"));
    chunks.push(LAST_CHUNK.into());
    let mut request = Vec::new();
    while connection.read_buf(&mut request).await.is_ok_and(|len| len > 0) {
        if !request.ends_with(BODY.as_bytes()) {
            continue;
        }
        request.clear();
        for chunk in &chunks {
            connection.write_all(chunk).await.expect("the proxy reads");
            // Other streams continue between two events.
            tokio::task::yield_now().await;
        }
    }
}
