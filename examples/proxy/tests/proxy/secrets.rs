//! Secrets: a marker in each place where a secret may be, and a search for it in logs, errors and Debug output.
use std::fs;
use std::path::Path;
use std::process::Stdio;

use http::{Request, Response};
use tokio::io::AsyncWriteExt;

use crate::binary::{Running, program};
use crate::peer::{
    COSTS, ROWS, Reply, Upstream, client, exchange, full, read_head, scripted, settings, soon,
};
use crate::tls::secure;
use api_key_name_proxy::flags::ServeFlags;
use tower_api_key_name::directory::BaseUrl;

/// Part of no other text.
const MARK: &str = "Marked7Qx";

#[track_caller]
fn unmarked(place: &str, text: &str) {
    if let Some(line) = text.lines().find(|line| line.contains(MARK)) {
        panic!("{place}: {line}");
    }
}

/// Queries: plain ones, filters by name, and broken ones.
const QUERIES: &[&str] = &[
    "key=Marked7Qx",
    "api%5Fkey=Marked7Qx&group_by=api_key_name",
    "a=1&&Marked7Qx&=Marked7Qx&%zz",
    "access_token=Marked7Qx#Marked7Qx",
    "api_key_names=Marked7Qx",
    "api_key_names[Marked7Qx]=x",
    "group_by=api_key_name,Marked7Qx&api_key_ids[]=Marked7Qx",
];

const FIELDS: &[(&str, &str)] = &[
    ("authorization", "Bearer Marked7Qx"),
    ("x-api-key", "Marked7Qx"),
    ("cookie", "session=Marked7Qx"),
    ("via", "1.1 Marked7Qx"),
    ("x-unknown", "Marked7Qx"),
];

/// Broken requests that contain a secret.
const BROKEN: &[&str] = &[
    "Marked7Qx\r\n\r\n",
    "GET /v1/organization/costs?Marked7Qx Marked7Qx HTTP/1.1\r\n\r\n",
    "GET /v1/organization/costs?Marked7Qx HTTP/1.1\r\nhost: x\r\nauthorization Marked7Qx\r\n\r\n",
    "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\nauthorization: Marked7Qx\0\r\n\r\n",
    "GET http://user:Marked7Qx@x/v1/organization/costs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "GET /v1/organization/costs HTTP/1.1\r\nauthorization: Marked7Qx\r\nconnection: close\r\n\r\n",
    "POST /v1/organization/costs HTTP/1.1\r\nhost: x\r\ncontent-length: Marked7Qx\r\n\r\n",
    "POST /v1/organization/costs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: Marked7Qx\r\n\r\n",
    "POST /v1/organization/costs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nMarked7Qx\r\n\r\n",
];

/// Responses of a broken upstream that contain secrets in status line, headers or body.
const RESPONSES: &[&str] = &[
    "HTTP/1.1 401 Marked7Qx\r\nwww-authenticate: Bearer Marked7Qx\r\ncontent-length: 9\r\n\r\nMarked7Qx",
    "HTTP/1.1 200 OK\r\nset-cookie: Marked7Qx\r\nx-request-id: Marked7Qx\r\ncontent-type: application/json\r\n\
     content-length: 90\r\n\r\n{\"error\":\"Marked7Qx",
    "HTTP/1.1 200 OK\r\nMarked7Qx\r\n\r\n",
    "Marked7Qx\r\n\r\n",
    "HTTP/1.1 Marked7Qx\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: Marked7Qx\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\nMarked7Qx",
    "HTTP/1.1 200 OK\r\ncontent-encoding: Marked7Qx\r\ncontent-length: 9\r\n\r\nMarked7Qx",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;Marked7Qx\r\n{\r\nMarked7Qx\r\n",
    "HTTP/1.1 302 Found\r\nlocation: https://x/?key=Marked7Qx\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 101 Marked7Qx\r\nupgrade: Marked7Qx\r\n\r\n",
];

/// Starts an upstream that sends the next of these responses on each connection, and closes it.
async fn broken_upstream() -> String {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let address = scripted(move |mut stream| {
        let response = RESPONSES[next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % RESPONSES.len()];
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(response.as_bytes()).await;
        }
    })
    .await;
    format!("http://{address}")
}

/// The program with all log output enabled.
fn verbose(base: &str, names: &Path) -> std::process::Command {
    let mut command = program();
    let bases = ["--openai-base-url", base, "--anthropic-base-url", base];
    command.args(["--port", "0", "--access-log"]).args(bases).arg("--names").arg(names);
    for variable in ["OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_ADMIN_KEY"] {
        command.env(variable, MARK);
    }
    command.env("RUST_LOG", "trace");
    command
}

/// Sends each request with secrets over both protocols, the broken requests, and /health.
async fn send_everything(proxy: &Running) {
    for query in QUERIES {
        for path in [
            COSTS,
            "/v1/organizations/usage_report/messages",
            "/v1/organization/%zz",
            "/elsewhere",
            "/spend.json",
        ] {
            let fields: String = FIELDS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = format!("POST {path}?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}");
            let response = exchange(proxy.address, &format!("{head}content-length: 9\r\n\r\n{MARK}")).await;
            if response.contains("proxy_error") {
                let (_, body) = response.split_once("\r\n\r\n").unwrap();
                unmarked("an error", body);
            }
            let url = format!("http://{}{path}?{}", proxy.address, query.split('#').next().unwrap());
            let request = FIELDS
                .iter()
                .fold(Request::post(url), |request, (name, value)| request.header(*name, *value));
            if let Ok(response) = soon(client(true).request(request.body(full(MARK)).unwrap())).await {
                let _ = Reply::read(response).await;
            }
        }
    }
    for broken in BROKEN {
        let response = exchange(proxy.address, broken).await;
        // The absolute form is valid, so its response is the upstream's.
        if !response.contains("\r\nvia: ") {
            unmarked("an response to a broken request", &response);
        }
    }
    let health =
        "GET /health?Marked7Qx HTTP/1.1\r\nhost: x\r\nauthorization: Marked7Qx\r\nconnection: close\r\n\r\n";
    unmarked("/health", &exchange(proxy.address, health).await);
}

/// Runs with each kind of upstream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_at_trace_level_contains_nothing_of_requests_responses_or_environment() {
    let upstream_rows = Upstream::answering(|_| {
        Response::builder()
            .header("content-type", "application/json")
            .header("set-cookie", "session=Marked7Qx")
            .header("x-request-id", "Marked7Qx")
            .body(full(ROWS.replace("\"n\"", "\"Marked7Qx\"")))
            .unwrap()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let [names, root] = ["names.json", "root.pem"].map(|name| folder.path().join(name));
    for upstream in ["plain", "broken", "h2", "http/1.1"] {
        // The form of a key in the API's list.
        fs::write(
            &names,
            r#"{"data":[{"id":"key_a","name":"Alpha","redacted_value":"Marked7Qx","value":"Marked7Qx"}]}"#,
        )
        .unwrap();
        let coded;
        let base = match upstream {
            "plain" => upstream_rows.base(),
            "broken" => broken_upstream().await,
            protocol => {
                coded = secure(&[protocol]).await;
                fs::write(&root, &coded.root).unwrap();
                format!("https://localhost:{}/v1", coded.address.port())
            }
        };
        let mut command = verbose(&base, &names);
        command.env("SSL_CERT_FILE", &root);
        let running = Running::start(&mut command);
        send_everything(&running).await;

        // A names file with a secret becomes invalid.
        fs::write(&names, r#"{"key_a": "Alpha", "Marked7Qx": ["Marked7Qx"]}"#).unwrap();
        let health = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let reported = soon(async {
            loop {
                let health = exchange(running.address, health).await;
                if health.contains("names.json:1:") {
                    return health;
                }
            }
        });
        unmarked("/health", &reported.await);
        running.signal("-TERM");
        let (_, text) = running.ended().await;
        assert!(text.contains("TRACE ") && text.contains("POST /v1/organization/costs "), "{text}");
        assert!(!text.contains("log lines were dropped"), "dropped lines cannot be searched");
        unmarked(upstream, &text);
    }
}

#[tokio::test]
async fn error_of_a_failed_start_contains_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let names = folder.path().join("names.json");
    for (base, map) in [
        ("https://user:Marked7Qx@x", "{}"),
        ("https://x/?key=Marked7Qx", "{}"),
        ("Marked7Qx://x", "{}"),
        ("http://127.0.0.1:9/Marked7Qx", r#"{"Marked7Qx": "x", "Marked7Qx": "y"}"#),
        ("http://127.0.0.1:9", r#"{"key_a": Marked7Qx}"#),
        ("http://127.0.0.1:9", r#"["Marked7Qx"]"#),
        ("http://127.0.0.1:9", "Marked7Qx"),
    ] {
        fs::write(&names, map).unwrap();
        let mut command = verbose(base, &names);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let ended = soon(tokio::process::Command::from(command).kill_on_drop(true).output()).await.unwrap();
        assert!(!ended.status.success(), "{base} {map}");
        unmarked(base, &String::from_utf8(ended.stdout).unwrap());
        unmarked(base, &String::from_utf8(ended.stderr).unwrap());
    }
}

#[test]
fn debug_output_of_settings_contains_no_secret() {
    use clap::Parser;
    let base = "https://x.example/Marked7Qx/v1";
    let settings = settings(base);
    assert!(settings.base.openai.to_string().contains(MARK), "requests need the whole path");
    unmarked("ProxySettings", &format!("{settings:?} {:#?}", settings.base));
    let flags = ServeFlags::parse_from(["proxy", "--openai-base-url", "https://u:Marked7Qx@x"]);
    unmarked("ServeFlags", &format!("{flags:?} {:?}", flags.settings()));
    unmarked("BaseUrl", &format!("{:?}", "https://u:Marked7Qx@x".parse::<BaseUrl>()));
}

/// Runs with both protocols, with the log at TRACE.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_key_is_neither_logged_nor_written() {
    const PARTS: [&str; 2] = ["Marked7Qx", "Rt3LmZ9f"];
    for protocol in ["h2", "http/1.1"] {
        let upstream = secure(&[protocol]).await;
        let folder = tempfile::tempdir().unwrap();
        let [synced, root] = ["synced.json", "root.pem"].map(|name| folder.path().join(name));
        fs::write(&root, &upstream.root).unwrap();
        let mut command = program();
        command
            .args(["--port", "0", "--openai-base-url"])
            .arg(format!("https://localhost:{}/v1", upstream.address.port()))
            .arg("--sync")
            .arg(&synced)
            .envs([("OPENAI_ADMIN_KEY", PARTS.concat().as_str()), ("RUST_LOG", "trace")])
            .env("SSL_CERT_FILE", &root);
        let mut running = Running::start(&mut command);
        // The upstream's lists are invalid.
        running.logged("names from the API: ").await;
        let sent = upstream.asked.lock().unwrap()[0].headers["authorization"].clone();
        assert_eq!(sent, format!("Bearer {}", PARTS.concat()));
        running.signal("-TERM");
        let (code, log) = running.ended().await;
        assert_eq!((code, log.contains("TRACE ")), (Some(0), true), "{log}");
        assert!(!log.contains("log lines were dropped"), "dropped lines cannot be searched");
        let text = fs::read_to_string(&synced).unwrap();
        assert!(PARTS.iter().all(|part| !log.contains(part) && !text.contains(part)), "{text}{log}");
    }
}
