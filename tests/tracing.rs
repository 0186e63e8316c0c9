//! The events of the feature `tracing`.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "tracing")]

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames};
use tracing::Level;

const SECRET: &str = "sk-proj-0123456789abcdef";

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

impl Log {
    /// Returns the lines since the last call.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Returns the log lines down to `level` of one request to `uri` with the response `body`.
fn log_lines(level: Level, layer: ApiKeyNameLayer, uri: &str, body: &'static str) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .without_time()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let inner = service_fn(move |_: Request<()>| async move {
                let response = Response::builder().header("content-type", "application/json");
                Ok::<_, Infallible>(response.body(Full::<bytes::Bytes>::from(body)).unwrap())
            });
            let request =
                Request::get(uri).header("authorization", format!("Bearer {SECRET}")).body(()).unwrap();
            let response = ServiceBuilder::new().layer(layer).service(inner).oneshot(request).await.unwrap();
            response.into_body().collect().await.unwrap();
        });
    });
    log.take()
}

fn names() -> SharedKeyNames {
    SharedKeyNames::new(KeyNames::new([("key_1", "checkout")]).unwrap())
}

const COSTS: &str = "/v1/organization/costs?group_by=api_key_name&user=sk-proj-0123456789abcdef";
const PAGE: &str = r#"{"data":[{"results":[{"api_key_id":"key_1"},{"api_key_id":"key_x"},{"api_key_id":null},{"api_key_id":"sk-proj-0123456789abcdef"},{"api_key_id":"key_x"}]}]}"#;

#[test]
fn response_causes_one_event_with_its_counts() {
    let lines = log_lines(Level::DEBUG, ApiKeyNameLayer::new(names()), COSTS, PAGE);
    let events: Vec<_> = lines.iter().filter(|line| line.starts_with("DEBUG")).collect();
    let [event] = events[..] else { panic!("{lines:#?}") };
    for part in [
        "method=GET",
        "path=\"/v1/organization/costs\"",
        "outcome=\"amended\"",
        "named=1",
        "unmatched=3",
        "not_a_string=1",
        "skipped=0",
        "generation=1",
    ] {
        assert!(event.contains(part), "{part}: {event}");
    }
    assert!(!event.contains("reason"));

    let lines = log_lines(Level::DEBUG, ApiKeyNameLayer::new(names()), COSTS, r#"{"api_key_id":}"#);
    let [event] = &lines[..] else { panic!("{lines:#?}") };
    assert!(
        event.contains("outcome=\"skipped\"") && event.contains("reason=NotJson { offset: 14 }"),
        "{event}"
    );
}

#[test]
fn unmatched_id_causes_one_warning_in_each_generation() {
    let names = names();
    let layer = || ApiKeyNameLayer::new(names.clone());
    let lines = log_lines(Level::WARN, layer(), COSTS, PAGE);
    let [warning] = &lines[..] else { panic!("{lines:#?}") };
    let offset = PAGE.find("\"key_x\"").unwrap() + "\"key_x\"".len();
    for part in ["id=\"key_x\"", "at=\"$.data[0].results[1]\"", &format!("offset={offset}"), "generation=1"] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    assert!(log_lines(Level::WARN, layer(), COSTS, PAGE).is_empty(), "logged once");

    names.replace(KeyNames::new([("key_1", "checkout")]).unwrap());
    // A streamed body has no JSON paths.
    let lines = log_lines(Level::WARN, layer().limit(0), COSTS, PAGE);
    let [warning] = &lines[..] else { panic!("{lines:#?}") };
    assert!(warning.contains("generation=2") && warning.contains(&format!("offset={offset}")), "{warning}");
    assert!(!warning.contains("$."), "{warning}");
}

#[test]
fn inserted_name_is_logged_at_trace_level_only() {
    let is_match = |line: &&String| line.contains("named") && line.contains("id=\"key_1\"");
    let lines = log_lines(Level::TRACE, ApiKeyNameLayer::new(names()), COSTS, PAGE);
    let [line] = lines.iter().filter(is_match).collect::<Vec<_>>()[..] else { panic!("{lines:#?}") };
    assert!(line.starts_with("TRACE") && line.contains("name=\"checkout\""), "{line}");
    assert_eq!(
        log_lines(Level::DEBUG, ApiKeyNameLayer::new(names()), COSTS, PAGE).iter().filter(is_match).count(),
        0
    );
}

#[test]
fn path_out_of_scope_with_an_organization_segment_is_logged() {
    let lines_of = |uri| log_lines(Level::DEBUG, ApiKeyNameLayer::new(names()), uri, PAGE);
    let lines = lines_of("/openai/v1/organization/costs?x=sk-proj-0123456789abcdef");
    let [line] = &lines[..] else { panic!("{lines:#?}") };
    assert!(line.contains("out of scope") && line.contains("/openai/v1/organization/costs"), "{line}");
    assert!(lines_of("/v1/chat/completions?organization").is_empty());
    let lines = lines_of("/openai/v1/organization/admin_api_keys/sk-admin-0123456789abcdef");
    assert!(lines.len() == 1 && !lines[0].contains("sk-"), "{lines:#?}");
}

#[test]
fn refusal_causes_an_event_without_the_query() {
    let uri = "/v1/organization/costs?api_key_names=sk-proj-0123456789abcdef";
    let lines = log_lines(Level::TRACE, ApiKeyNameLayer::new(names()).suggest_names(true), uri, PAGE);
    let [event] = &lines[..] else { panic!("{lines:#?}") };
    for part in
        ["outcome=\"refused\"", "reason=UnknownName", "path=\"/v1/organization/costs\"", "generation=1"]
    {
        assert!(event.contains(part), "{part}: {event}");
    }
    assert!(!event.contains("sk-") && !event.contains("api_key_names"), "{event}");
}

#[test]
fn events_contain_no_secrets() {
    for limit in [0, 1 << 20] {
        // The second path contains a key in place of an id.
        for uri in [COSTS, "/v1/organization/admin_api_keys/sk-admin-0123456789abcdef"] {
            let lines = log_lines(Level::TRACE, ApiKeyNameLayer::new(names()).limit(limit), uri, PAGE);
            assert!(!lines.is_empty());
            assert!(
                lines.iter().all(|line| !line.contains("sk-") && !line.contains("results\":")),
                "{lines:#?}"
            );
        }
    }
}
