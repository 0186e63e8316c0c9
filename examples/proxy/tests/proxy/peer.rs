//! The test harness: upstreams that record requests and follow a script, clients, and the proxy between them.
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tower_api_key_name::names::Labels;
use tower_api_key_name::settings::{InsertNames, NamePosition, Prefer, Unmatched};
use tower_api_key_name::{KeyNames, SharedKeyNames};

use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::flags::ServeFlags;
use api_key_name_proxy::metrics::Metrics;
use api_key_name_proxy::operator::hosts::AllowedHosts;
use api_key_name_proxy::operator::{self, OperatorPaths, PageWithHosts};
use api_key_name_proxy::server::limits::Limits;
use api_key_name_proxy::server::{self, ShutdownSignal};
use api_key_name_proxy::settings::{ProxySettings, Roots};
use api_key_name_proxy::spend_page::PageRuns;
use api_key_name_proxy::stack;

pub(crate) const COSTS: &str = "/v1/organization/costs";
/// The rows of an upstream's response; the proxy's map contains the first id.
pub(crate) const ROWS: &str =
    r#"{"data":[{"api_key_id":"key_a","n":1.10},{"api_key_id":"key_b"},{"api_key_id":null}]}"#;
pub(crate) const NAMED: &str = r#"{"data":[{"api_key_id":"key_a","api_key_name":"Alpha","n":1.10},{"api_key_id":"key_b","api_key_name":"unknown"},{"api_key_id":null,"api_key_name":null}]}"#;

pub(crate) type AnyBody = BoxBody<Bytes, io::Error>;

/// Fails a test that hangs. The limit is high enough for a busy machine.
pub(crate) async fn soon<T>(it: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), it).await.expect("timeout of the test")
}

pub(crate) fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

// === upstreams ===

/// A request as the upstream received it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) async fn answering(
        answer: impl Fn(&Asked) -> Response<AnyBody> + Clone + Send + Sync + 'static,
    ) -> Self {
        let (listener, address) = listen().await;
        let this = Self { address, asked: Arc::default(), connections: Arc::default() };
        let up = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                up.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer_all(stream, up.asked.clone(), answer.clone()));
            }
        });
        this
    }

    /// The rows, as JSON.
    pub(crate) async fn rows() -> Self {
        Self::answering(|_| json(ROWS)).await
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Asked {
        self.asked().pop().expect("no request")
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Serves one connection of HTTP/1.1 or HTTP/2.
pub(crate) async fn answer_all<I>(
    stream: I,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: impl Fn(&Asked) -> Response<AnyBody> + Clone + Send + Sync + 'static,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (asked, answer) = (asked.clone(), answer.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?;
            let it = Asked {
                method: head.method,
                uri: head.uri,
                version: head.version,
                headers: head.headers,
                trailers: body.trailers().cloned(),
                body: body.to_bytes(),
            };
            asked.lock().unwrap().push(it.clone());
            Ok::<_, hyper::Error>(answer(&it))
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

pub(crate) fn json(text: impl Into<Bytes>) -> Response<AnyBody> {
    Response::builder().header("content-type", "application/json").body(full(text)).unwrap()
}

/// An upstream that runs a script for each connection.
pub(crate) async fn scripted<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    address
}

/// Reads headers. Bytes after them in the same read belong to a body and are dropped.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            break;
        }
    }
    String::from_utf8(head).unwrap()
}

/// Reads one response: its headers, and a body of its Content-Length.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    soon(async {
        loop {
            let head = answer.windows(4).position(|w| w == b"\r\n\r\n");
            let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next());
            if head.is_some_and(|head| answer.len() == head + 4 + length.unwrap().parse::<usize>().unwrap()) {
                return;
            }
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{text}");
        }
    })
    .await;
    String::from_utf8(answer).unwrap()
}

/// Writes, and keeps the connection open until the other side closes it.
pub(crate) async fn write_then_wait(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

// === the proxy ===

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) ask_to_stop: watch::Sender<u8>,
    pub(crate) serving: tokio::task::JoinHandle<usize>,
}

/// The defaults of the command line.
pub(crate) fn limits() -> Limits {
    let limits = <ServeFlags as clap::Parser>::parse_from(["proxy"]).limits;
    // The environment can change this one.
    Limits { timeout: Duration::from_secs(60), ..limits }
}

/// One upstream for both providers.
pub(crate) fn settings(base: &str) -> ProxySettings {
    ProxySettings {
        base: ByProvider::both(base.parse().unwrap()),
        timeout: limits().timeout,
        deadline: limits().deadline,
        limit: None,
        total_limit: None,
        labels: Labels::default(),
        insert_names: InsertNames::default(),
        name_position: NamePosition::default(),
        prefer: Prefer::default(),
        unmatched: Unmatched::default(),
        roots: Roots::Platform,
        metrics: Metrics::default(),
    }
}

pub(crate) fn names() -> SharedKeyNames {
    SharedKeyNames::new(KeyNames::new([("key_a", "Alpha")]).unwrap())
}

impl Proxy {
    pub(crate) async fn to(base: &str) -> Self {
        Self::with(settings(base)).await
    }

    pub(crate) async fn with(settings: ProxySettings) -> Self {
        Self::limited(settings, limits()).await
    }

    pub(crate) async fn limited(settings: ProxySettings, limits: Limits) -> Self {
        Self::naming(names(), settings, limits).await
    }

    /// Uses the same names for both providers.
    pub(crate) async fn naming(names: SharedKeyNames, settings: ProxySettings, limits: Limits) -> Self {
        Self::naming_each(ByProvider::both(names), settings, limits).await
    }

    pub(crate) async fn naming_each(
        names: ByProvider<SharedKeyNames>,
        settings: ProxySettings,
        limits: Limits,
    ) -> Self {
        let (listener, address) = listen().await;
        let (ask_to_stop, shutdown) = ShutdownSignal::channel();
        let stack = stack::stack(names.clone(), &settings).unwrap();
        let runs = PageRuns::new(names.clone(), settings.clone());
        let page = PageWithHosts { hosts: AllowedHosts::new(address.ip(), &[]), runs };
        let service = operator::with_operator(stack, OperatorPaths::with_details(names, Some(page)));
        let serving = tokio::spawn(server::Server::new(service, limits).serve(listener, shutdown));
        Self { address, ask_to_stop, serving }
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// Sends a `GET` over HTTP/1.1, and reads the whole response.
    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.send(Request::get(self.url(target)).body(full("")).unwrap()).await
    }

    pub(crate) async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        let request = headers
            .iter()
            .fold(Request::get(self.url(target)), |request, (name, value)| request.header(*name, *value));
        self.send(request.body(full("")).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<AnyBody>) -> Reply {
        Reply::read(soon(client(false).request(request)).await.unwrap()).await.unwrap()
    }
}

// === clients ===

pub(crate) fn client(h2: bool) -> Client<HttpConnector, AnyBody> {
    Client::builder(TokioExecutor::new()).http2_only(h2).build_http()
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Reply {
    pub(crate) async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = response.into_parts();
        let body = soon(body.collect()).await?;
        Ok(Self {
            status: head.status,
            version: head.version,
            headers: head.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that this is an error of the proxy in OpenAI's form, with exactly its four members.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let error = body["error"].as_object().unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1);
        assert_eq!(error.len(), 4, "{error:?}");
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert_eq!(error["type"], "proxy_error");
        assert_eq!(error["param"], serde_json::Value::Null);
        assert_eq!(error["code"], code);
    }
}

/// Sends bytes, and reads to the end of the connection.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the response is an end as well.
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// An upstream that reports each request, and responds when the gate opens.
pub(crate) async fn gated() -> (SocketAddr, mpsc::Receiver<()>, Arc<Notify>) {
    let (tell, told) = mpsc::channel(8);
    let gate = Arc::new(Notify::new());
    let go_on = gate.clone();
    let address = scripted(move |mut stream| {
        let (tell, gate) = (tell.clone(), gate.clone());
        async move {
            while !read_head(&mut stream).await.is_empty() {
                tell.send(()).await.unwrap();
                gate.notified().await;
                let said = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\ndone";
                stream.write_all(said.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (address, told, go_on)
}
