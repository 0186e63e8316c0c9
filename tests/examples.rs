//! Runs the examples against a local upstream and checks their output.
#![cfg(feature = "watch")]
#![allow(clippy::unwrap_used)]

#[cfg(feature = "directory")]
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_compression::tokio::write::GzipDecoder;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tempfile::TempDir;
#[cfg(feature = "directory")]
use test_support::organization::{Organization, SECRET};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower::{ServiceBuilder, service_fn};
use tower_http::compression::CompressionLayer;

const PLAIN: &str = r#"{"object":"page","data":[{"object":"bucket","results":[{"amount":{"value":0.003627500000000000000000000000,"currency":"usd"},"api_key_id":"key_a"},{"amount":{"value":12.50,"currency":"usd"},"api_key_id":null}]}]}"#;
const EVENTS: &str = "data: {\"api_key_id\":\"key_a\"}\n\ndata: [DONE]\n\n";

/// The time after which a test that hangs fails. Nothing else waits for the clock.
const DEADLINE: Duration = Duration::from_secs(60);

fn named(name: &str) -> String {
    PLAIN
        .replace("\"key_a\"", &format!("\"key_a\",\"api_key_name\":\"{name}\""))
        .replace("\"api_key_id\":null", "\"api_key_id\":null,\"api_key_name\":null")
}

/// Returns the command of an example. `cargo test` builds `…/deps/examples-…` and `…/examples/NAME`.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "the example {name} is missing. `cargo test` builds it. Before `cargo test --test examples`, run `cargo build \
         --examples` with the same features and profile"
    );
    let mut command = Command::new(path);
    for variable in ["OPENAI_BASE_URL", "OPENAI_ADMIN_KEY", "GATEWAY_LISTEN", "GATEWAY_NAMES", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn output(mut command: Command) -> Output {
    timeout(DEADLINE, command.output()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A temporary map file with one name.
struct NamesFile {
    folder: TempDir,
}

impl NamesFile {
    fn new(name: &str) -> Self {
        let names = Self { folder: tempfile::tempdir().unwrap() };
        names.save(name);
        names
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("names.json")
    }

    /// Replaces the file by a rename, as editors do.
    fn save(&self, name: &str) {
        let draft = self.folder.path().join("names.json.new");
        std::fs::write(&draft, format!("{{\"key_a\": \"{name}\"}}")).unwrap();
        std::fs::rename(draft, self.path()).unwrap();
    }
}

/// A local API that compresses its responses and stores its requests.
struct LocalApi {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<request::Parts>>>,
}

impl LocalApi {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let log = requests.clone();
        let service = ServiceBuilder::new().layer(CompressionLayer::new()).service(service_fn(
            move |request: Request<Incoming>| {
                let head = request.into_parts().0;
                let response = respond(&head);
                log.lock().unwrap().push(head);
                ready(Ok::<_, Infallible>(response))
            },
        ));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, requests }
    }

    /// Removes and returns the only request.
    fn take_request(&self) -> request::Parts {
        let mut requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }
}

fn respond(head: &request::Parts) -> Response<Full<Bytes>> {
    let (status, kind, body) = match head.uri.path() {
        _ if head.headers.get(header::AUTHORIZATION).is_none_or(|key| key != "Bearer let-me-in") => {
            (StatusCode::UNAUTHORIZED, "application/json", r#"{"error":{"message":"who are you?"}}"#)
        }
        "/v1/organization/costs" => (StatusCode::OK, "application/json", PLAIN),
        "/v1/responses" => (StatusCode::OK, "text/event-stream", EVENTS),
        "/v1/models" => (StatusCode::OK, "application/json", PLAIN),
        _ => (StatusCode::NOT_FOUND, "application/json", "{}"),
    };
    Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(body.into()).unwrap()
}

// === minimal ===

#[tokio::test]
async fn minimal_prints_the_named_costs() {
    let (api, names) = (LocalApi::start().await, NamesFile::new("checkout"));
    for suffix in ["", "/", "/v1", "/v1/"] {
        let mut minimal = example("minimal");
        minimal.arg(names.path());
        minimal.env("OPENAI_BASE_URL", format!("http://{}{suffix}", api.address));
        minimal.env("OPENAI_ADMIN_KEY", "let-me-in");
        let output = output(minimal).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), named("checkout") + "\n");
        assert_eq!(text(&output.stderr), "");

        let request = api.take_request();
        assert_eq!((request.method, request.uri.path()), (Method::GET, "/v1/organization/costs"));
        let query = request.uri.query().unwrap();
        assert!(query.starts_with("start_time=1") && query.ends_with("&group_by=api_key_id"), "{query}");
        assert!(
            text(request.headers[header::ACCEPT_ENCODING].as_bytes()).contains("gzip"),
            "the response was compressed"
        );
    }
}

#[tokio::test]
async fn minimal_reads_the_map_in_the_current_directory() {
    let (api, names) = (LocalApi::start().await, NamesFile::new("found"));
    let mut minimal = example("minimal");
    minimal.current_dir(names.folder.path());
    minimal.env("OPENAI_BASE_URL", format!("http://{}", api.address)).env("OPENAI_ADMIN_KEY", "let-me-in");
    assert_eq!(text(&output(minimal).await.stdout), named("found") + "\n");
}

#[tokio::test]
async fn minimal_fails_with_a_message() {
    let (api, names) = (LocalApi::start().await, NamesFile::new("checkout"));
    let minimal = |key: Option<&str>| {
        let mut minimal = example("minimal");
        minimal.arg(names.path()).env("OPENAI_BASE_URL", format!("http://{}", api.address));
        key.map(|key| minimal.env("OPENAI_ADMIN_KEY", key));
        minimal
    };
    let no_key = output(minimal(None)).await;
    assert!(!no_key.status.success());
    assert!(text(&no_key.stderr).contains("OPENAI_ADMIN_KEY"));

    let rejected = output(minimal(Some("wrong"))).await;
    assert!(!rejected.status.success());
    assert!(text(&rejected.stdout).contains("who are you?"));
    assert!(text(&rejected.stderr).contains("401"));

    std::fs::write(names.path(), "{\"key_a\": 1}").unwrap();
    let bad_map = output(minimal(Some("let-me-in"))).await;
    assert!(!bad_map.status.success());
    assert!(text(&bad_map.stderr).contains("names.json"), "{}", text(&bad_map.stderr));
}

// === axum_gateway ===

struct Gateway {
    address: SocketAddr,
    _process: Child,
}

impl Gateway {
    async fn start(names: &NamesFile, base: &str) -> Self {
        let mut command = example("axum_gateway");
        command.args(["--listen", "127.0.0.1:0", "--openai-base-url", base, "--names"]).arg(names.path());
        // Start errors are printed. The log is off, because the tests cause failures.
        command.stderr(Stdio::inherit()).env("RUST_LOG", "off");
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line =
            timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().expect("no address was printed");
        let address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { address, _process: process }
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::get(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let (head, body) = timeout(DEADLINE, client.request(request)).await.unwrap().unwrap().into_parts();
        let body = timeout(DEADLINE, body.collect()).await.unwrap().unwrap().to_bytes();
        if let Some(length) = head.headers.get(header::CONTENT_LENGTH) {
            assert_eq!(*length, *body.len().to_string());
        }
        Response::from_parts(head, body)
    }
}

const KEY: (&str, &str) = ("authorization", "Bearer let-me-in");
const COSTS: &str = "/openai/v1/organization/costs?start_time=1730419200&group_by=api_key_name";

#[tokio::test]
async fn axum_gateway_amends_only_costs() {
    let (api, names) = (LocalApi::start().await, NamesFile::new("checkout"));
    let gateway = Gateway::start(&names, &format!("http://{}/v1", api.address)).await;

    let plain = gateway.get(COSTS, &[KEY]).await;
    assert_eq!(text(plain.body()), named("checkout"));
    assert!(plain.headers().contains_key(header::CONTENT_LENGTH));
    let request = api.take_request();
    assert_eq!(request.uri, "/v1/organization/costs?start_time=1730419200&group_by=api_key_id");
    assert_eq!(request.headers[header::HOST], *api.address.to_string());
    let encodings = text(request.headers[header::ACCEPT_ENCODING].as_bytes());
    assert!(encodings.contains("gzip") && encodings.contains("br"));

    let packed = gateway.get(COSTS, &[KEY, ("accept-encoding", "gzip")]).await;
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    let mut decoder = GzipDecoder::new(Vec::new());
    decoder.write_all(packed.body()).await.unwrap();
    decoder.shutdown().await.unwrap();
    assert_eq!(text(&decoder.into_inner()), named("checkout"));
    api.take_request();

    // Other requests and responses are unchanged.
    let models = gateway.get("/openai/v1/models?group_by=api_key_name", &[KEY, ("keep-alive", "5")]).await;
    assert_eq!(text(models.body()), PLAIN);
    let request = api.take_request();
    assert_eq!(request.uri, "/v1/models?group_by=api_key_name");
    assert!(!request.headers.contains_key("keep-alive"));
    let events = gateway.get("/openai/v1/responses", &[KEY]).await;
    assert_eq!(
        (text(events.body()), &events.headers()[header::CONTENT_TYPE]),
        (EVENTS, &"text/event-stream".parse().unwrap())
    );
    api.take_request();
    let rejected = gateway.get(COSTS, &[]).await;
    assert_eq!(rejected.status(), StatusCode::UNAUTHORIZED);
    assert!(text(rejected.body()).contains("who are you?"));
    api.take_request();

    // The gateway's own routes.
    assert!(text(gateway.get("/", &[]).await.body()).starts_with("A gateway."));
    assert_eq!(text(gateway.get("/health", &[]).await.body()), "ok");
    assert_eq!(gateway.get("/v1/organization/costs", &[KEY]).await.status(), StatusCode::NOT_FOUND);
    assert!(api.requests.lock().unwrap().is_empty(), "a request reached the API");
}

#[tokio::test]
async fn axum_gateway_reloads_its_map() {
    let (api, names) = (LocalApi::start().await, NamesFile::new("before"));
    let gateway = Gateway::start(&names, &format!("http://{}", api.address)).await;
    assert_eq!(text(gateway.get(COSTS, &[KEY]).await.body()), named("before"));
    names.save("after");
    let reloaded = async {
        loop {
            let response = gateway.get(COSTS, &[KEY]).await;
            if text(response.body()) == named("after") {
                return;
            }
            assert_eq!(text(response.body()), named("before"), "neither the old nor the new map");
        }
    };
    timeout(DEADLINE, reloaded).await.unwrap();
}

#[tokio::test]
async fn axum_gateway_without_an_api_returns_502() {
    let names = NamesFile::new("checkout");
    // A bound port without a listener refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let unreachable = socket.local_addr().unwrap();
    let gateway = Gateway::start(&names, &format!("http://{unreachable}")).await;
    assert_eq!(gateway.get(COSTS, &[KEY]).await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(text(gateway.get("/health", &[]).await.body()), "ok", "the gateway still runs");
}

// === sync_names ===

#[cfg(feature = "directory")]
#[tokio::test]
async fn sync_names_writes_the_names_of_the_lists() {
    let organization = Organization::new(3, 40);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.json");
    let address = organization.serve().await;
    let mut sync = example("sync_names");
    sync.arg(&path).env("OPENAI_BASE_URL", format!("http://{address}/v1")).env("OPENAI_ADMIN_KEY", SECRET);
    let output = output(sync).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("3 projects, "), "{}", text(&output.stdout));
    let names: HashMap<String, String> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(names, organization.names());
}

#[cfg(feature = "directory")]
#[tokio::test]
async fn sync_names_with_a_rejected_key_fails_without_a_file() {
    let api = LocalApi::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.json");
    let mut sync = example("sync_names");
    sync.arg(&path).env("OPENAI_BASE_URL", format!("http://{}", api.address));
    sync.env("OPENAI_ADMIN_KEY", "sk-admin-wrong");
    let output = output(sync).await;
    assert!(!output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("401"), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("sk-admin-wrong"));
    assert!(!path.exists());
}

// === meter ===

#[cfg(feature = "proxy-keys")]
#[tokio::test]
async fn meter_prints_the_counts_of_each_recording() {
    let output = output(example("meter")).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected = "\
chat                 gpt-5-nano-2025-08-07       input    12 (    0 cached)  output  100
chat, streamed       gpt-5-nano-2025-08-07       input    12 (    0 cached)  output  100
response, streamed   gpt-5-nano-2025-08-07       input   328 (   64 cached)  output   52
embeddings           text-embedding-3-small      input     8 (    - cached)  output    -
moderation           omni-moderation-latest      no usage
image, streamed      -                           input    50 (    - cached)  output 1056
message, streamed    claude-sonnet-4-5-20250929  input  2264 ( 2051 cached)  output  503
";
    assert_eq!(text(&output.stdout), expected);
}
