//! An upstream like the providers, a keys file, and the program between them.
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use rusqlite::types::Value as SqlValue;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tower_api_key_name::proxy_keys::mint;

use crate::binary::{Running, program, run};
use crate::peer::json as json_response;
use crate::peer::{
    AnyBody, Asked, ROWS, Reply, Upstream, client, full, read_head, scripted, soon, write_then_wait,
};

/// The real key of both providers.
pub(super) const REAL_KEY: &str = "sk-real-Marked7QxRt3LmZ9f";

/// The flags of an operator listener with a token, for [`Files::start_with_token`].
pub(super) const WITH_TOKEN: [&str; 4] =
    ["--operator-listen", "127.0.0.1:0", "--operator-token-file", "TOKEN_FILE"];

/// A proxy key with the members of its entry in the keys file.
pub(super) struct TestKey {
    pub(super) text: String,
    pub(super) digest: String,
    entry: Value,
}

impl TestKey {
    /// Mints a key. The members are added to its entry.
    pub(super) fn new(id: &str, members: &Value) -> Self {
        let minted = mint().unwrap();
        let mut entry = json!({"id": id, "name": id, "hashes": [minted.digest()]});
        for (name, value) in members.as_object().unwrap() {
            entry[name] = value.clone();
        }
        Self { text: minted.key().to_owned(), digest: minted.digest(), entry }
    }
}

/// A folder with a keys file and a ledger.
pub(super) struct Files {
    folder: TempDir,
}

impl Files {
    pub(super) fn new(keys: &[&TestKey]) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write_keys(keys);
        files
    }

    /// Replaces the keys file by one with these keys.
    pub(super) fn write_keys(&self, keys: &[&TestKey]) {
        let entries: Vec<&Value> = keys.iter().map(|key| &key.entry).collect();
        let file = json!({"object": "list", "data": entries});
        fs::write(self.path("keys.new"), file.to_string()).unwrap();
        fs::rename(self.path("keys.new"), self.path("keys.json")).unwrap();
    }

    /// Replaces the keys file by one with these keys, the group `school`, and prices with odd picodollars.
    pub(super) fn write_priced_keys(&self, keys: &[&TestKey]) {
        let entries: Vec<&Value> = keys.iter().map(|key| &key.entry).collect();
        // A call has 7 input tokens and 5 output tokens, so it costs 7 + 5 * 2,000,001 picodollars.
        let prices = json!({"gpt-5-mini*": {"input": "0.000001", "output": "2.000001"}});
        let file = json!({"object": "list", "data": entries, "groups": {"school": {}}, "prices": prices});
        fs::write(self.path("keys.json"), file.to_string()).unwrap();
    }

    pub(super) fn open_ledger(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("ledger.sqlite")).unwrap()
    }

    /// The rows of the ledger: the id of the key, the tokens, and 1 if these are an estimate.
    pub(super) fn usage_rows(&self) -> Vec<(String, i64, i64)> {
        let ledger = self.open_ledger();
        let mut statement =
            ledger.prepare("SELECT key_id, tokens, estimated FROM usage ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The number of calls in the ledger that are not settled.
    pub(super) fn open_calls(&self) -> i64 {
        self.open_ledger().query_row("SELECT count(*) FROM reservations", [], |row| row.get(0)).unwrap()
    }

    /// The counters of all owners and windows, with all their columns.
    pub(super) fn counters(&self) -> Vec<Vec<SqlValue>> {
        let ledger = self.open_ledger();
        let mut statement = ledger.prepare("SELECT * FROM counters ORDER BY 1, 2, 3, 4").unwrap();
        let column_count = statement.column_count();
        let rows = statement.query_map([], |row| (0..column_count).map(|column| row.get(column)).collect());
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// The output of `keys usage --json`.
    pub(super) async fn usage(&self) -> Value {
        let keys = self.path("keys.json");
        let ledger = self.path("ledger.sqlite");
        let arguments =
            ["keys", "usage", "--json", "--ledger", ledger.to_str().unwrap(), keys.to_str().unwrap()];
        let output = run(&arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with the files of this folder, and the real key for both providers at one address.
    pub(super) fn command(&self, base: &str) -> Command {
        let mut command = program();
        command.args(["--port", "0", "--openai-base-url", base, "--anthropic-base-url", base]);
        command.arg("--keys").arg(self.path("keys.json")).arg("--ledger").arg(self.path("ledger.sqlite"));
        command.envs([("OPENAI_API_KEY", REAL_KEY), ("ANTHROPIC_API_KEY", REAL_KEY)]);
        command
    }

    /// Starts the program with a file that contains an operator token. `TOKEN_FILE` in an argument is its path.
    pub(super) fn start_with_token(&self, base: &str, token: &str, more: &[&str]) -> Running {
        let path = self.path("token");
        fs::write(&path, token).unwrap();
        let mut command = self.command(base);
        for argument in more {
            command.arg(argument.replace("TOKEN_FILE", path.to_str().unwrap()));
        }
        Running::start(&mut command)
    }

    pub(super) fn start(&self, base: &str, more: &[&str]) -> Running {
        Running::start(self.command(base).args(more))
    }
}

/// Starts an upstream with the endpoints of both providers.
pub(super) async fn providers() -> Upstream {
    Upstream::answering(respond).await
}

/// Starts an upstream that sends the first event of each stream, and then nothing.
pub(super) async fn endless_upstream() -> String {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let first = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
                     data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n";
        write_then_wait(&mut stream, first).await;
    })
    .await;
    format!("http://{address}")
}

/// Starts an upstream that sends the first event of each stream, and the others when the test sends `true`.
pub(super) async fn gated_upstream() -> (String, watch::Sender<bool>) {
    let (open, gate) = watch::channel(false);
    let address = scripted(move |mut stream| {
        let mut gate = gate.clone();
        async move {
            read_head(&mut stream).await;
            let events = chat_events(true);
            let (first, others) = events.split_once("\n\n").unwrap();
            let headers = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            stream.write_all(format!("{headers}{first}\n\n").as_bytes()).await.unwrap();
            if gate.wait_for(|is_open| *is_open).await.is_ok() {
                stream.write_all(others.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                // A close before the request is read would discard the events.
                write_then_wait(&mut stream, "").await;
            }
        }
    })
    .await;
    (format!("http://{address}"), open)
}

/// Responds like the providers: 7 input tokens and 5 output tokens for each call.
pub(super) fn respond(request: &Asked) -> Response<AnyBody> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match request.uri.path() {
        "/v1/chat/completions" if body["stream"] == true => {
            let has_usage = body["stream_options"]["include_usage"] == true;
            event_stream(&chat_events(has_usage))
        }
        "/v1/chat/completions" => json_response(CHAT),
        "/v1/messages" => json_response(MESSAGE),
        _ => json_response(ROWS),
    }
}

pub(super) const CHAT: &str = r#"{"id":"c1","object":"chat.completion","model":"gpt-5-mini-2025-08-07","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#;

pub(super) const MESSAGE: &str = r#"{"id":"m1","type":"message","role":"assistant","model":"claude-opus-4-1","content":[{"type":"text","text":"Hello."}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":5}}"#;

/// The events of a streamed chat, with the event of the usage if it was requested.
pub(super) fn chat_events(has_usage: bool) -> String {
    let usage = if has_usage { r#","usage":null"# } else { "" };
    let start = r#"{"id":"c1","object":"chat.completion.chunk","model":"gpt-5-mini""#;
    let mut events = String::new();
    for text in ["Hel", "lo."] {
        events += &format!(
            "data: {start},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]{usage}}}\n\n"
        );
    }
    if has_usage {
        events += &format!(
            "data: {start},\"choices\":[],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}}}\n\n"
        );
    }
    events + "data: [DONE]\n\n"
}

fn event_stream(events: &str) -> Response<AnyBody> {
    Response::builder().header("content-type", "text/event-stream").body(full(events.to_owned())).unwrap()
}

/// Sends a `GET` with a credential.
pub(super) async fn get(address: SocketAddr, path: &str, key: &str) -> Reply {
    let request =
        Request::get(format!("http://{address}{path}")).header("authorization", format!("Bearer {key}"));
    Reply::read(soon(client(false).request(request.body(full("")).unwrap())).await.unwrap()).await.unwrap()
}

/// Sends a chat request with a proxy key.
pub(super) async fn chat(address: SocketAddr, key: &str) -> Reply {
    send(address, "/v1/chat/completions", key, &chat_body(false)).await
}

/// The body of a chat request.
pub(super) fn chat_body(streams: bool) -> Value {
    json!({"model": "gpt-5-mini", "stream": streams, "messages": [{"role": "user", "content": "Hi"}]})
}

/// Starts a streamed chat, and returns the response behind its first event.
pub(super) async fn start_stream(
    client: &Client<HttpConnector, AnyBody>,
    address: SocketAddr,
    key: &TestKey,
) -> Response<Incoming> {
    let call = request(address, "/v1/chat/completions", &key.text, &chat_body(true));
    let mut response = soon(client.request(call)).await.unwrap();
    let first = soon(response.body_mut().frame()).await.unwrap().unwrap();
    assert!(first.data_ref().unwrap().starts_with(b"data: "));
    response
}

/// Sends a body with a credential, and reads the whole response.
pub(super) async fn send(address: SocketAddr, path: &str, key: &str, body: &Value) -> Reply {
    Reply::read(soon(client(false).request(request(address, path, key, body))).await.unwrap()).await.unwrap()
}

pub(super) fn request(address: SocketAddr, path: &str, key: &str, body: &Value) -> Request<AnyBody> {
    Request::post(format!("http://{address}{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(full(body.to_string()))
        .unwrap()
}

/// Asserts the status of a refusal and its code in OpenAI's form.
#[track_caller]
pub(super) fn assert_refused(reply: &Reply, status: u16, code: &str) {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status.as_u16(), body["error"]["code"].as_str()), (status, Some(code)), "{reply:?}");
}
