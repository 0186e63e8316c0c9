//! Runs the examples as a reader would, against an upstream on this machine, and reads what they say.
#![cfg(feature = "watch")]
#![allow(clippy::unwrap_used)]

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
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower::{ServiceBuilder, service_fn};
use tower_http::compression::CompressionLayer;

const PLAIN: &str = r#"{"object":"page","data":[{"object":"bucket","results":[{"amount":{"value":0.003627500000000000000000000000,"currency":"usd"},"api_key_id":"key_a"},{"amount":{"value":12.50,"currency":"usd"},"api_key_id":null}]}]}"#;
const EVENTS: &str = "data: {\"api_key_id\":\"key_a\"}\n\ndata: [DONE]\n\n";

/// Nothing here waits for the clock; what hangs fails after this long instead.
const DEADLINE: Duration = Duration::from_secs(60);

fn named(name: &str) -> String {
    PLAIN
        .replace("\"key_a\"", &format!("\"key_a\",\"api_key_name\":\"{name}\""))
        .replace("\"api_key_id\":null", "\"api_key_id\":null,\"api_key_name\":null")
}

/// `cargo test` builds the examples beside the tests: `…/deps/examples-…` and `…/examples/NAME`.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "the example {name} is not built. `cargo test` does it; before `cargo test --test examples`, run `cargo \
         build --examples` with the same features and profile"
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

/// A file with one name in it, in a folder of its own.
struct Names {
    folder: TempDir,
}

impl Names {
    fn new(name: &str) -> Self {
        let names = Self { folder: tempfile::tempdir().unwrap() };
        names.save(name);
        names
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("names.json")
    }

    /// As an editor does: whole, then renamed.
    fn save(&self, name: &str) {
        let draft = self.folder.path().join("names.json.new");
        std::fs::write(&draft, format!("{{\"key_a\": \"{name}\"}}")).unwrap();
        std::fs::rename(draft, self.path()).unwrap();
    }
}

/// An API on this machine that compresses, and keeps the heads of what it was asked.
struct Api {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<request::Parts>>>,
}

impl Api {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let log = asked.clone();
        let service = ServiceBuilder::new().layer(CompressionLayer::new()).service(service_fn(
            move |request: Request<Incoming>| {
                let head = request.into_parts().0;
                let answer = answer(&head);
                log.lock().unwrap().push(head);
                ready(Ok::<_, Infallible>(answer))
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
        Self { address, asked }
    }

    /// The head of the only request since it was last asked for.
    fn asked(&self) -> request::Parts {
        let mut asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        asked.remove(0)
    }
}

fn answer(head: &request::Parts) -> Response<Full<Bytes>> {
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
    let (api, names) = (Api::start().await, Names::new("checkout"));
    for suffix in ["", "/", "/v1", "/v1/"] {
        let mut minimal = example("minimal");
        minimal.arg(names.path());
        minimal.env("OPENAI_BASE_URL", format!("http://{}{suffix}", api.address));
        minimal.env("OPENAI_ADMIN_KEY", "let-me-in");
        let output = output(minimal).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), named("checkout") + "\n");
        assert_eq!(text(&output.stderr), "");

        let asked = api.asked();
        assert_eq!((asked.method, asked.uri.path()), (Method::GET, "/v1/organization/costs"));
        let query = asked.uri.query().unwrap();
        assert!(query.starts_with("start_time=1") && query.ends_with("&group_by=api_key_id"), "{query}");
        assert!(
            text(asked.headers[header::ACCEPT_ENCODING].as_bytes()).contains("gzip"),
            "and was compressed"
        );
    }
}

#[tokio::test]
async fn minimal_finds_the_map_where_it_stands() {
    let (api, names) = (Api::start().await, Names::new("found"));
    let mut minimal = example("minimal");
    minimal.current_dir(names.folder.path());
    minimal.env("OPENAI_BASE_URL", format!("http://{}", api.address)).env("OPENAI_ADMIN_KEY", "let-me-in");
    assert_eq!(text(&output(minimal).await.stdout), named("found") + "\n");
}

#[tokio::test]
async fn minimal_fails_aloud() {
    let (api, names) = (Api::start().await, Names::new("checkout"));
    let minimal = |key: Option<&str>| {
        let mut minimal = example("minimal");
        minimal.arg(names.path()).env("OPENAI_BASE_URL", format!("http://{}", api.address));
        key.map(|key| minimal.env("OPENAI_ADMIN_KEY", key));
        minimal
    };
    let no_key = output(minimal(None)).await;
    assert!(!no_key.status.success());
    assert!(text(&no_key.stderr).contains("OPENAI_ADMIN_KEY"));

    let refused = output(minimal(Some("wrong"))).await;
    assert!(!refused.status.success());
    assert!(text(&refused.stdout).contains("who are you?"));
    assert!(text(&refused.stderr).contains("401"));

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
    async fn start(names: &Names, base: &str) -> Self {
        let mut command = example("axum_gateway");
        command.args(["--listen", "127.0.0.1:0", "--openai-base-url", base, "--names"]).arg(names.path());
        // What keeps it from starting is shown; what it logs of the failures that are asked of it is not.
        command.stderr(Stdio::inherit()).env("RUST_LOG", "off");
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line =
            timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().expect("it says where it listens");
        let address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { address, _process: process }
    }

    async fn ask(&self, target: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
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
async fn axum_gateway_names_the_costs_and_nothing_else() {
    let (api, names) = (Api::start().await, Names::new("checkout"));
    let gateway = Gateway::start(&names, &format!("http://{}/v1", api.address)).await;

    let plain = gateway.ask(COSTS, &[KEY]).await;
    assert_eq!(text(plain.body()), named("checkout"));
    assert!(plain.headers().contains_key(header::CONTENT_LENGTH));
    let asked = api.asked();
    assert_eq!(asked.uri, "/v1/organization/costs?start_time=1730419200&group_by=api_key_id");
    assert_eq!(asked.headers[header::HOST], *api.address.to_string());
    let encodings = text(asked.headers[header::ACCEPT_ENCODING].as_bytes());
    assert!(encodings.contains("gzip") && encodings.contains("br"));

    let packed = gateway.ask(COSTS, &[KEY, ("accept-encoding", "gzip")]).await;
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    let mut decoder = GzipDecoder::new(Vec::new());
    decoder.write_all(packed.body()).await.unwrap();
    decoder.shutdown().await.unwrap();
    assert_eq!(text(&decoder.into_inner()), named("checkout"));
    api.asked();

    // The API's other answers, with what the client asked as it asked it.
    let models = gateway.ask("/openai/v1/models?group_by=api_key_name", &[KEY, ("keep-alive", "5")]).await;
    assert_eq!(text(models.body()), PLAIN);
    let asked = api.asked();
    assert_eq!(asked.uri, "/v1/models?group_by=api_key_name");
    assert!(!asked.headers.contains_key("keep-alive"));
    let events = gateway.ask("/openai/v1/responses", &[KEY]).await;
    assert_eq!(
        (text(events.body()), &events.headers()[header::CONTENT_TYPE]),
        (EVENTS, &"text/event-stream".parse().unwrap())
    );
    api.asked();
    let refused = gateway.ask(COSTS, &[]).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(text(refused.body()).contains("who are you?"));
    api.asked();

    // The gateway's own routes.
    assert!(text(gateway.ask("/", &[]).await.body()).starts_with("A gateway."));
    assert_eq!(text(gateway.ask("/health", &[]).await.body()), "ok");
    assert_eq!(gateway.ask("/v1/organization/costs", &[KEY]).await.status(), StatusCode::NOT_FOUND);
    assert!(api.asked.lock().unwrap().is_empty(), "they reach no API");
}

#[tokio::test]
async fn axum_gateway_follows_its_map() {
    let (api, names) = (Api::start().await, Names::new("before"));
    let gateway = Gateway::start(&names, &format!("http://{}", api.address)).await;
    assert_eq!(text(gateway.ask(COSTS, &[KEY]).await.body()), named("before"));
    names.save("after");
    let follows = async {
        loop {
            let answer = gateway.ask(COSTS, &[KEY]).await;
            if text(answer.body()) == named("after") {
                return;
            }
            assert_eq!(text(answer.body()), named("before"), "the one or the other");
        }
    };
    timeout(DEADLINE, follows).await.unwrap();
}

#[tokio::test]
async fn axum_gateway_says_when_the_api_is_not_there() {
    let names = Names::new("checkout");
    // A port that is taken, and where nobody listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let deaf = socket.local_addr().unwrap();
    let gateway = Gateway::start(&names, &format!("http://{deaf}")).await;
    assert_eq!(gateway.ask(COSTS, &[KEY]).await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(text(gateway.ask("/health", &[]).await.body()), "ok", "and goes on");
}
