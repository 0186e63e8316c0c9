//! The layer between sockets: hyper-util's client, a hyper server with the layer, and a hyper server as upstream, with
//! HTTP/1.1 and HTTP/2 on either side.

use std::net::{Ipv4Addr, SocketAddr};

use http::Version;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower::{BoxError, service_fn};
use tower_api_key_name::proxy_keys::MeteredCall;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Http1,
    Http2,
}

use Protocol::{Http1, Http2};

/// The protocols towards the client and towards the upstream.
const PROTOCOLS: [(Protocol, Protocol); 4] = [(Http1, Http1), (Http1, Http2), (Http2, Http1), (Http2, Http2)];

type BoxResponse = Response<BoxBody<Bytes, BoxError>>;

/// Starts a server on a free port of this machine.
async fn serve<S, B>(protocol: Protocol, service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let server = if protocol == Http1 { server.http1_only() } else { server.http2_only() };
                // A body that fails is an error of the connection too.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn client(protocol: Protocol) -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).http2_only(protocol == Http2).build_http()
}

/// A gateway between sockets.
struct Gateway {
    address: SocketAddr,
    key: MintedKey,
    protocol: Protocol,
    /// The reported calls.
    calls: UnboundedReceiver<MeteredCall>,
}

impl Gateway {
    /// Starts an upstream with this response to each request, and a gateway before it.
    async fn start(
        (front, back): (Protocol, Protocol),
        respond: impl Fn(Request<Incoming>) -> BoxResponse + Clone + Send + 'static,
    ) -> Self {
        let upstream_service = service_fn(move |request| {
            std::future::ready(Ok::<_, std::convert::Infallible>(respond(request)))
        });
        let upstream_address = serve(back, upstream_service).await;
        let key = mint().unwrap();
        let (sender, calls) = unbounded_channel();
        let base = format!("http://{upstream_address}").parse().unwrap();
        let real_key = UpstreamKey::new(REAL_KEY.to_owned()).unwrap();
        let upstreams = Upstreams::default().with(Upstream::new(Provider::OpenAi, base, real_key).unwrap());
        let layer = ProxyKeyLayer::new(keys_with(&key, json!({}), &[]), Ledger::memory(), upstreams)
            .on_usage(move |call| sender.send(call.clone()).unwrap());
        let address = serve(front, layer.layer(client(back))).await;
        Self { address, key, protocol: front, calls }
    }

    async fn send(&self, method: &str, path: &str, body: &'static str) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.key.key()))
            .body(Full::from(body))
            .unwrap();
        let sent = client(self.protocol).request(request);
        let response = tokio::time::timeout(DEADLINE, sent).await.unwrap().unwrap();
        let version = if self.protocol == Http1 { Version::HTTP_11 } else { Version::HTTP_2 };
        assert_eq!(response.version(), version);
        response
    }

    async fn next_call(&mut self) -> MeteredCall {
        tokio::time::timeout(DEADLINE, self.calls.recv()).await.unwrap().unwrap()
    }
}

async fn read(response: Response<Incoming>) -> (http::response::Parts, Bytes) {
    let (parts, body) = response.into_parts();
    let body = tokio::time::timeout(DEADLINE, body.collect()).await.unwrap().unwrap();
    (parts, body.to_bytes())
}

fn respond_with(content_type: &str, body: &'static str) -> BoxResponse {
    let body = Full::from(body).map_err(|never| match never {});
    let response =
        Response::builder().header("content-type", content_type).header("openai-project", "proj_secret");
    response.body(BoxBody::new(body)).unwrap()
}

const CHAT_BODY: &str = r#"{"model":"gpt-5","messages":[]}"#;
const STREAMED_BODY: &str = r#"{"model":"gpt-5","messages":[],"stream":true}"#;

#[tokio::test]
async fn json_call_passes_with_its_length() {
    const BODY: &str = r#"{"model":"gpt-5-2025-08-07","usage":{"prompt_tokens":12}}"#;
    for protocols in PROTOCOLS {
        let mut gateway = Gateway::start(protocols, |request| {
            assert_eq!(request.headers()["authorization"], format!("Bearer {REAL_KEY}"));
            assert_eq!(request.headers()["content-length"], CHAT_BODY.len().to_string());
            respond_with("application/json", BODY)
        })
        .await;
        let (parts, body) = read(gateway.send("POST", CHAT, CHAT_BODY).await).await;
        assert_eq!((parts.status.as_u16(), &body[..]), (200, BODY.as_bytes()), "{protocols:?}");
        assert_eq!(parts.headers["content-length"], BODY.len().to_string());
        assert!(!parts.headers.contains_key("openai-project"));
        let call = gateway.next_call().await;
        assert_eq!(call.usage.unwrap().input_tokens, Some(12));
    }
}

#[tokio::test]
async fn streamed_call_passes_without_the_usage_event() {
    const BODY: &str = "data: {\"choices\":[{}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":12}}\n\ndata: [DONE]\n\n";
    for protocols in PROTOCOLS {
        let mut gateway = Gateway::start(protocols, |_| respond_with("text/event-stream", BODY)).await;
        let (parts, body) = read(gateway.send("POST", CHAT, STREAMED_BODY).await).await;
        assert_eq!(&body[..], b"data: {\"choices\":[{}]}\n\ndata: [DONE]\n\n", "{protocols:?}");
        assert!(!parts.headers.contains_key("content-length"));
        assert_eq!(gateway.next_call().await.usage.unwrap().input_tokens, Some(12));
    }
}

#[tokio::test]
async fn first_event_passes_before_the_next_is_sent() {
    for protocols in PROTOCOLS {
        let (senders, mut receiver) = unbounded_channel();
        let gateway = Gateway::start(protocols, move |_| {
            let (sender, body) = Channel::<Bytes, BoxError>::new(1);
            senders.send(sender).unwrap();
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(BoxBody::new(body)).unwrap()
        })
        .await;
        let send_events = async {
            let mut sender = receiver.recv().await.unwrap();
            sender.send_data(Bytes::from_static(b"data: 1\n\ndata: ")).await.unwrap();
            sender
        };
        let (response, sender) = tokio::join!(gateway.send("POST", CHAT, STREAMED_BODY), send_events);
        let mut body = response.into_body();
        let first = tokio::time::timeout(DEADLINE, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "data: 1\n\n", "{protocols:?}");
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "data: ", "{protocols:?}");
    }
}

#[tokio::test]
async fn call_is_reported_if_the_client_disconnects() {
    for protocols in PROTOCOLS {
        let (senders, mut receiver) = unbounded_channel();
        let mut gateway = Gateway::start(protocols, move |_| {
            let (sender, body) = Channel::<Bytes, BoxError>::new(1);
            senders.send(sender).unwrap();
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(BoxBody::new(body)).unwrap()
        })
        .await;
        let response = gateway.send("POST", CHAT, STREAMED_BODY).await;
        let mut sender = receiver.recv().await.unwrap();
        drop(response);
        // The gateway notices that the client is gone when it sends the next event.
        while sender.send_data(Bytes::from_static(b"data: 1\n\n")).await.is_ok() && gateway.calls.is_empty() {
            tokio::task::yield_now().await;
        }
        // The body ends, so the drain does not wait for its timeout.
        drop(sender);
        assert_eq!(gateway.next_call().await.usage, None, "{protocols:?}");
    }
}

#[tokio::test]
async fn refused_methods_get_a_response_and_the_connection_continues() {
    for protocols in PROTOCOLS {
        let gateway = Gateway::start(protocols, |_| respond_with("application/json", "{}")).await;
        for (method, path, status) in [
            ("HEAD", "/v1/models", 405),
            ("OPTIONS", CHAT, 405),
            ("GET", "/v1/files", 404),
            ("DELETE", CHAT, 405),
        ] {
            let (parts, body) = read(gateway.send(method, path, "").await).await;
            assert_eq!(parts.status, status, "{protocols:?} {method} {path}");
            assert_eq!(body.is_empty(), method == "HEAD");
        }
        assert_eq!(gateway.send("POST", CHAT, CHAT_BODY).await.status(), 200);
    }
}

#[tokio::test]
async fn error_of_the_upstream_passes_with_its_length() {
    const BODY: &str = r#"{"error":{"message":"Invalid value."}}"#;
    for protocols in PROTOCOLS {
        let gateway = Gateway::start(protocols, |_| {
            let mut response = respond_with("application/json", BODY);
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        })
        .await;
        let (parts, body) = read(gateway.send("POST", CHAT, CHAT_BODY).await).await;
        assert_eq!((parts.status.as_u16(), &body[..]), (400, BODY.as_bytes()));
        assert_eq!(parts.headers["content-length"], BODY.len().to_string());
    }
}

/// Sends the headers of a request over a socket. Returns the socket and the first bytes of the response.
async fn send_headers(gateway: &Gateway, authorization: &str, header: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let headers = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         authorization: Bearer {authorization}\r\n{header}\r\n\r\n",
        CHAT_BODY.len()
    );
    stream.write_all(headers.as_bytes()).await.unwrap();
    let start = read_some(&mut stream).await;
    (stream, start)
}

/// Reads the next bytes from a socket.
async fn read_some(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 64 * 1024];
    let len = tokio::time::timeout(DEADLINE, stream.read(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8(bytes[..len].to_vec()).unwrap()
}

#[tokio::test]
async fn expectation_is_met_only_for_a_valid_key() {
    let gateway = Gateway::start((Http1, Http1), |_| respond_with("application/json", "{}")).await;
    let (_, start) = send_headers(&gateway, "sk-px-wrong", "expect: 100-continue").await;
    assert!(start.starts_with("HTTP/1.1 401 "), "{start}");
    let (mut stream, start) = send_headers(&gateway, gateway.key.key(), "expect: 100-continue").await;
    assert_eq!(start, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(CHAT_BODY.as_bytes()).await.unwrap();
    let response = read_some(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

#[tokio::test]
async fn upgrade_is_refused() {
    let gateway = Gateway::start((Http1, Http1), |_| respond_with("application/json", "{}")).await;
    let header = "connection: upgrade\r\nupgrade: websocket";
    let (_, start) = send_headers(&gateway, gateway.key.key(), header).await;
    assert!(start.starts_with("HTTP/1.1 400 "), "{start}");
}
