//! The law of secrecy: no log line, error, `Debug` output or response contains a proxy key, its digest or a real key.

use std::collections::BTreeSet;
use std::io::Write;

use test_support::shown::Shown;
use tower_api_key_name::proxy_keys::{
    ApiKeyError, BaseUrl, BodyForm, OperatorToken, Picodollars, UpstreamError, UsageLayer, UsageMeter,
    UsageSource,
};
use tracing::Level;

use super::*;

/// The number of consecutive bytes of a secret that count as its repetition.
const PART: usize = 12;

/// The token of an operator.
const OPERATOR_TOKEN: &str = "operator-0123456789ABCDEFGHIJklmnopqrstuvwxyz";

/// The secrets of a gate.
struct Canaries(Vec<String>);

impl Canaries {
    fn of(gate: &Gate) -> Self {
        let key = gate.key.key().to_owned();
        let digest = gate.key.digest().trim_start_matches("sha256:").to_owned();
        let others = [REAL_KEY, REAL_ANTHROPIC_KEY, OPERATOR_TOKEN].map(str::to_owned);
        Self([vec![key, digest], others.to_vec()].concat())
    }

    /// Checks that a text contains no part of a secret.
    fn assert_absent(&self, text: &str, context: &str) {
        for secret in &self.0 {
            for part in secret.as_bytes().windows(PART) {
                let part = std::str::from_utf8(part).unwrap();
                assert!(!text.contains(part), "{context}: {text}");
            }
        }
    }

    fn assert_absent_in_response(&self, response: &Response<Bytes>, context: &str) {
        self.assert_absent(&format!("{:?}", response.headers()), context);
        self.assert_absent(&String::from_utf8_lossy(response.body()), context);
    }
}

/// The log of one test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a test with a subscriber of all events. Returns their text.
fn with_log(test: impl Future<Output = ()>) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(test));
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// An error of the upstream that repeats the real key in its body and headers.
fn echoing_upstream(status: u16, text: String) -> RecordedUpstream {
    RecordedUpstream::new(move || {
        let body = TestBody::chunks([Bytes::from(format!("{{\"error\":{{\"message\":\"{text}\"}}}}"))]);
        let mut response = json_response(status, body);
        for name in ["www-authenticate", "location", "set-cookie", "x-echo"] {
            response.headers_mut().insert(name, text.parse().unwrap());
        }
        response
    })
}

#[test]
fn error_of_the_upstream_that_repeats_the_real_key_is_replaced() {
    let log = with_log(async {
        for echo in [REAL_KEY, &REAL_KEY[..16], &REAL_KEY[REAL_KEY.len() - 16..]] {
            for status in [302, 400, 401, 403, 404, 429, 500, 529] {
                let gate = Gate::new(echoing_upstream(status, format!("Incorrect API key: {echo}.")));
                let response = gate.send(gate.post(CHAT, chat())).await;
                Canaries::of(&gate).assert_absent_in_response(&response, &status.to_string());
                assert!(response.status().is_client_error() || response.status().is_server_error());
            }
        }
    });
    assert!(!log.contains(&REAL_KEY[..PART]), "{log}");
}

/// Requests that contain their key where it does not belong.
fn misplaced(key: &str) -> Vec<Request<Full<Bytes>>> {
    let post = |target: &str| Request::post(target).header("content-type", "application/json");
    let authorized = |target: &str| post(target).header("authorization", format!("Bearer {key}"));
    let body = |text: String| full(text);
    vec![
        post(CHAT).header("authorization", format!("Basic {key}")).body(chat()).unwrap(),
        post(CHAT).header("authorization", format!("Bearer {key}x")).body(chat()).unwrap(),
        authorized(CHAT).header("x-api-key", format!("{key}x")).body(chat()).unwrap(),
        authorized(&format!("/v1/{key}")).body(chat()).unwrap(),
        authorized(&format!("{CHAT}?key={key}")).body(chat()).unwrap(),
        authorized(CHAT).header("upgrade", key).body(chat()).unwrap(),
        authorized(CHAT).header("content-encoding", key).body(chat()).unwrap(),
        authorized(CHAT).body(body(key.to_owned())).unwrap(),
        authorized(CHAT).body(body(format!("{{\"{key}\":1,\"model\":\"gpt-5\",\"messages\":[]}}"))).unwrap(),
        authorized(CHAT)
            .body(body(format!("{{\"model\":\"gpt-5\",\"messages\":[],\"stream\":\"{key}\"}}")))
            .unwrap(),
        authorized(CHAT)
            .body(body(format!("{{\"model\":\"gpt-5\",\"messages\":[],\"user\":\"{key}\"}}")))
            .unwrap(),
        authorized(&format!("/v1/models?{key}=1")).body(body(String::new())).unwrap(),
        authorized(CHAT)
            .body(body(format!(
                "{{\"model\":\"gpt-5\",\"messages\":[{{\"{key}\":{{\"model\":\"{key}\"}}}}]}}"
            )))
            .unwrap(),
    ]
}

#[test]
fn refusal_of_a_path_is_logged_with_the_id_of_the_key() {
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let log = with_log(async {
        gate.send(gate.post("/v1/files", chat())).await;
    });
    if cfg!(feature = "tracing") {
        let line = log.lines().find(|line| line.contains("kind=UnknownEndpoint")).unwrap();
        assert!(line.contains("key_stmary"), "{line}");
    }
}

#[test]
fn refusals_and_the_log_contain_no_secret() {
    let upstream = RecordedUpstream::json(200, r#"{"usage":{"prompt_tokens":7}}"#);
    let gate = Gate::new(upstream);
    let canaries = Canaries::of(&gate);
    let log = with_log(async {
        for secret in [gate.key.key(), REAL_KEY, OPERATOR_TOKEN] {
            for request in misplaced(secret) {
                canaries.assert_absent_in_response(&gate.send(request).await, "refusal");
            }
        }
        gate.send(gate.post(CHAT, chat())).await;
    });
    canaries.assert_absent(&log, "log");
    if cfg!(feature = "tracing") {
        assert!(log.contains("key_stmary") && log.contains("kind=UnknownEndpoint"), "{log}");
        assert!(log.contains("input_tokens=7") && log.contains("status=200"), "{log}");
    }
}

/// Adds the types of the usage API.
async fn usage_types(gate: &Gate, shown: &mut Shown) {
    let layer = UsageLayer::new(gate.keys.clone(), Ledger::memory());
    let mut service = layer.layer(gate.layer.layer(gate.upstream.clone()));
    shown.debug("UsageSource", &UsageSource::from(Ledger::memory()));
    shown.debug("UsageLayer", &layer);
    shown.debug("UsageService", &layer.layer(()));
    shown.debug("UsageFuture", &service.call(gate.post(CHAT, chat())));
    shown.debug("UsageBody", service.call(gate.post(CHAT, chat())).await.unwrap().body());
}

#[tokio::test]
async fn debug_and_display_of_public_types_show_no_secret() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = calls.clone();
    let gate = Gate::new(RecordedUpstream::json(200, "{}"))
        .set(|layer| layer.on_usage(move |call| log.lock().unwrap().push(call.clone())));
    let mut shown = Shown::default();
    let request = gate.post(CHAT, chat());
    let future = gate.layer.layer(gate.upstream.clone()).oneshot(request);
    let service = gate.layer.layer(());
    shown.debug("ProxyKeyService", &service);
    let mut inner = gate.layer.layer(gate.upstream.clone());
    shown.debug("ProxyKeyFuture", &inner.call(gate.post(CHAT, chat())));
    shown.debug("ProxyKeyBody", future.await.unwrap().body());
    shown.debug("ProxyKeyLayer", &gate.layer);
    usage_types(&gate, &mut shown).await;
    shown.debug("MeteredCall", &*calls.lock().unwrap());
    shown.debug("Ledger", &Ledger::memory());
    shown.debug("LedgerStatus", &Ledger::memory().status());
    #[cfg(feature = "sqlite")]
    ledger_files(&mut shown);
    shown.debug("Picodollars", &Picodollars(25));
    shown.debug("MintedKey", &gate.key);
    shown.debug("ProxyKeys", &gate.keys);
    let token = OperatorToken::new(OPERATOR_TOKEN.to_owned()).unwrap();
    shown.debug("OperatorToken", &token);
    shown.debug("ProxyKeys", &gate.keys.clone().operator_token(token));
    shown.debug("Upstreams", &upstreams());
    keys_files(&gate, &mut shown);
    real_keys(&mut shown);
    for form in [BodyForm::Json, BodyForm::Events] {
        shown.debug("BodyForm", &form);
        let mut meter = UsageMeter::new(Provider::OpenAi, form);
        meter.feed(format!("{{\"error\":\"{REAL_KEY}\"}}").as_bytes());
        shown.debug("UsageMeter", &meter);
        shown.debug("TokenUsage", &meter.usage());
    }
    for (name, texts) in &shown.0 {
        for text in texts {
            Canaries::of(&gate).assert_absent(text, name);
        }
    }
    let names: BTreeSet<String> = shown.0.keys().map(ToString::to_string).collect();
    assert_eq!(names, public_types(), "each public type has a line in this test");
}

/// The types of a ledger file.
#[cfg(feature = "sqlite")]
fn ledger_files(shown: &mut Shown) {
    use tower_api_key_name::proxy_keys::{LedgerOptions, LedgerReader};

    shown.debug("LedgerError", &Ledger::open("/missing/ledger.sqlite").unwrap_err());
    shown.debug("LedgerOptions", &LedgerOptions::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let ledger = Ledger::open(&path).unwrap();
    let reader = LedgerReader::open(&path).unwrap();
    drop(ledger);
    shown.debug("LedgerReader", &reader);
    let usage = reader.usage().unwrap();
    let of_key = usage.keys.values().next().copied().unwrap_or_default();
    shown.debug("LedgerUsage", &usage);
    shown.debug("OwnerUsage", &of_key);
    shown.debug("WindowUsage", &of_key.day);
    shown.debug("UsageAmounts", &of_key.day.spent);
}

/// Errors of keys files that contain secrets at wrong places.
fn keys_files(gate: &Gate, shown: &mut Shown) {
    for secret in [gate.key.key().to_owned(), gate.key.digest(), REAL_KEY.to_owned()] {
        for file in [
            secret.clone(),
            format!("\"{secret}\""),
            format!("{{\"{secret}\":1}}"),
            format!("{{\"data\":[{{\"id\":\"{secret}\",\"name\":\"x\",\"hashes\":[]}}]}}"),
            format!("{{\"data\":[{{\"id\":\"a\",\"name\":\"x\",\"hashes\":[\"{secret}x\"]}}]}}"),
            format!("{{\"data\":[{{\"id\":\"a\",\"name\":\"x\",\"hashes\":[],\"{secret}\":1}}]}}"),
            format!("{{\"data\":[{{\"id\":\"a\",\"name\":\"x\",\"hashes\":[],\"group\":\"{secret}\"}}]}}"),
        ] {
            // A digest is accepted as an id.
            let Err(error) = ProxyKeys::from_json(file.as_bytes()) else { continue };
            shown.error("ProxyKeysError", &error);
            shown.debug("ProxyKeysErrorKind", &error.kind());
        }
    }
}

/// Errors of real keys and addresses that contain secrets.
fn real_keys(shown: &mut Shown) {
    let key = UpstreamKey::new(REAL_KEY.to_owned()).unwrap();
    shown.debug("UpstreamKey", &key);
    let errors: [ApiKeyError; 5] = [
        OperatorToken::new(format!("{OPERATOR_TOKEN}\n{OPERATOR_TOKEN}")).unwrap_err(),
        OperatorToken::new(OPERATOR_TOKEN[..31].to_owned()).unwrap_err(),
        OperatorToken::from_file(OPERATOR_TOKEN).unwrap_err(),
        UpstreamKey::new(format!("{REAL_KEY}\n{REAL_KEY}")).unwrap_err(),
        UpstreamKey::from_file(REAL_KEY).unwrap_err(),
    ];
    for error in &errors {
        shown.error("ApiKeyError", error);
    }
    let base: BaseUrl = format!("http://gateway.example/{REAL_KEY}").parse().unwrap();
    shown.debug("BaseUrl", &base);
    let error: UpstreamError = Upstream::new(Provider::OpenAi, base, key.clone()).unwrap_err();
    shown.error("UpstreamError", &error);
    let base = format!("https://gateway.example/{REAL_KEY}").parse().unwrap();
    shown.debug("Upstream", &Upstream::new(Provider::OpenAi, base, key).unwrap());
    shown.error("BaseUrlError", &format!("https://x/?key={REAL_KEY}").parse::<BaseUrl>().unwrap_err());
}

/// The types that the module `proxy_keys` exports.
fn public_types() -> BTreeSet<String> {
    let source = include_str!("../../src/proxy_keys.rs");
    let mut names = BTreeSet::new();
    for declaration in source.split("pub use ").skip(1) {
        let path = declaration.split(';').next().unwrap();
        let exported = path.rsplit("::").next().unwrap().trim_matches(['{', '}']);
        names.extend(exported.split(',').map(|name| name.trim().to_owned()));
    }
    // `PermittedRequest` is exported for the laws only.
    names.retain(|name| name.starts_with(char::is_uppercase) && name != "PermittedRequest");
    if cfg!(not(feature = "sqlite")) {
        let needs_sqlite =
            |name: &String| name != "Ledger" && (name.starts_with("Ledger") || name.contains("Usage"));
        names.retain(|name| matches!(&**name, "UsageMeter" | "TokenUsage") || !needs_sqlite(name));
    }
    names
}
