//! Runs of the page `/spend`: `POST /spend.json` over real sockets, with a fake API as the upstream.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::sync::{Notify, mpsc};

use crate::binary::{Running, names, program};
use crate::peer::{
    AnyBody, Asked, COSTS, Proxy, Reply, Upstream, client, full, json as json_response, limits, read_head,
    scripted, settings, soon, write_then_wait,
};
use api_key_name_proxy::server::limits::Limits;

/// Part of no other text.
const KEY: &str = "sk-admin-Marked7Qx";

/// The parameters of a run over two days, by key.
fn parameters() -> Value {
    json!({
        "from": "2026-11-01", "to": "2026-11-02", "by": ["api_key_name"], "providers": ["openai"],
        "keys": {"openai": KEY}, "focus": false,
    })
}

/// The parameters with a FOCUS file, which needs the names of projects.
fn parameters_with_focus() -> Value {
    let mut parameters = parameters();
    parameters["focus"] = true.into();
    parameters
}

fn run_request(proxy: &Proxy, body: impl Into<bytes::Bytes>) -> Request<AnyBody> {
    let request = Request::post(proxy.url("/spend.json")).header("content-type", "application/json");
    request.body(full(body)).unwrap()
}

async fn run(proxy: &Proxy, parameters: &Value) -> Reply {
    proxy.send(run_request(proxy, parameters.to_string())).await
}

/// Returns the lines of a response.
fn lines(reply: &Reply) -> Vec<Value> {
    assert!(reply.text().ends_with('\n'), "{reply:?}");
    reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One bucket for each request, with the same rows for each day. The lists of names are empty.
fn page_of_costs(asked: &Asked) -> Response<AnyBody> {
    if !asked.uri.path().ends_with("/costs") {
        return json_response(r#"{"object":"list","data":[],"has_more":false}"#);
    }
    json_response(page_of_query(asked.uri.query().unwrap()).to_string())
}

/// Returns the page that the query of a request for costs selects.
fn page_of_query(query: &str) -> Value {
    const DAY: u64 = 86_400;
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let start: u64 = parameter("page").or(parameter("start_time")).unwrap().parse().unwrap();
    let end: u64 = parameter("end_time").unwrap().parse().unwrap();
    let next = if start + DAY < end { Some((start + DAY).to_string()) } else { None };
    let row = |id: Value, value: &str| {
        let amount = json!({"value": value, "currency": "usd"});
        json!({"api_key_id": id, "project_id": null, "line_item": null, "amount": amount})
    };
    let rows = [row("key_a".into(), "0.1"), row("key_b".into(), "1e-36"), row(Value::Null, "2")];
    let bucket = json!({"start_time": start, "end_time": start + DAY, "results": rows});
    json!({"data": [bucket], "has_more": next.is_some(), "next_page": next})
}

async fn proxy_of_costs() -> (Upstream, Proxy) {
    let upstream = Upstream::answering(page_of_costs).await;
    let proxy = Proxy::to(&upstream.base()).await;
    (upstream, proxy)
}

// === results ===

#[tokio::test]
async fn run_is_lines_of_json_with_the_result_at_the_end() {
    let (upstream, proxy) = proxy_of_costs().await;
    let reply = run(&proxy, &parameters()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.header("content-length"), None);

    let mut lines = lines(&reply);
    let last = lines.pop().unwrap();
    assert!(lines.iter().all(|line| line["progress"].is_object()), "{lines:?}");
    let result = &last["result"];
    assert_eq!(result["complete"], true);
    let sum = "4.200000000000000000000000000000000002";
    assert_eq!(result["totals"], json!([{"currency": "USD", "amount": sum}]));
    assert_eq!(
        result["rows"],
        json!([
            {"values": [{"kind": "null", "value": null}], "keys": 0, "currency": "USD", "amount": "4",
             "share": result["rows"][0]["share"]},
            {"values": [{"kind": "text", "value": "Alpha"}], "keys": 1, "currency": "USD", "amount": "0.2",
             "share": result["rows"][1]["share"]},
            {"values": [{"kind": "unnamed", "value": "key_b"}], "keys": 1, "currency": "USD",
             "amount": "0.000000000000000000000000000000000002", "share": result["rows"][2]["share"]},
        ])
    );
    let chart = &result["charts"][0];
    let day_sum = "2.100000000000000000000000000000000001";
    assert_eq!(chart["day_sums"], json!([day_sum, day_sum]));
    assert_eq!(chart["name_sums"][1], "0.2");
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn result_contains_the_csv_file_by_day_and_the_focus_file() {
    let (_upstream, proxy) = proxy_of_costs().await;
    let last = lines(&run(&proxy, &parameters_with_focus()).await).pop().unwrap();
    let csv = last["result"]["csv"].as_str().unwrap();
    assert_eq!(last["result"]["missing_names"], json!([]));
    assert!(csv.starts_with("start,api_key_name,keys,currency,amount,note\n"), "{csv}");
    assert!(csv.contains("\n2026-11-02,Alpha,1,USD,0.1,\n"), "{csv}");
    let focus = last["result"]["focus"].as_str().unwrap();
    assert!(focus.contains(",key_a,Alpha,API key,"), "{focus}");
    assert_eq!(focus.lines().count(), 7);
}

#[tokio::test]
async fn run_without_focus_has_no_focus_file() {
    let (upstream, proxy) = proxy_of_costs().await;
    let last = lines(&run(&proxy, &parameters()).await).pop().unwrap();
    assert_eq!(last["result"]["focus"], Value::Null);
    assert!(!upstream.last().uri.query().unwrap().contains("line_item"));
}

#[tokio::test]
async fn key_of_a_run_is_sent_to_its_provider_only() {
    let (upstream, proxy) = proxy_of_costs().await;
    run(&proxy, &parameters()).await;
    for asked in upstream.asked() {
        assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(asked.headers.get("x-api-key"), None);
    }
}

#[tokio::test]
async fn run_with_a_rejected_key_ends_with_the_error_of_the_api() {
    let upstream = Upstream::answering(|_| {
        let mut response = json_response(r#"{"error":{"message":"Incorrect API key provided."}}"#);
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = run(&proxy, &parameters()).await;
    assert_eq!(reply.status, StatusCode::OK);
    let last = lines(&reply).pop().unwrap();
    let message = last["error"]["message"].as_str().unwrap();
    assert!(message.contains("401") && message.contains("Incorrect API key provided"), "{message}");
}

#[tokio::test]
async fn run_whose_second_page_fails_is_incomplete_with_the_first_page() {
    let upstream = Upstream::answering(|asked| {
        let mut response = page_of_costs(asked);
        if asked.uri.query().unwrap().contains("page=") {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
        response
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let last = lines(&run(&proxy, &parameters()).await).pop().unwrap();
    assert_eq!(last["result"]["complete"], false);
    assert_eq!(last["result"]["missing"].as_array().unwrap().len(), 1);
    assert_eq!(last["result"]["totals"][0]["amount"], "2.100000000000000000000000000000000001");
}

// === rejected runs ===

#[tokio::test]
async fn run_with_an_unknown_member_is_400() {
    let (upstream, proxy) = proxy_of_costs().await;
    let mut parameters = parameters();
    parameters["form"] = "2026-11-01".into();
    let reply = run(&proxy, &parameters).await;
    reply.is_error(400, "invalid_run");
    assert!(reply.text().contains("and no others"), "{reply:?}");
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn run_without_the_key_of_its_provider_is_400_with_the_name_of_the_member() {
    let (_upstream, proxy) = proxy_of_costs().await;
    let mut parameters = parameters();
    parameters["keys"] = json!({"anthropic": KEY});
    let reply = run(&proxy, &parameters).await;
    reply.is_error(400, "invalid_run");
    assert!(reply.text().contains("keys.openai") && !reply.text().contains(KEY), "{reply:?}");
}

#[tokio::test]
async fn body_of_more_than_64_kib_is_413() {
    let (_upstream, proxy) = proxy_of_costs().await;
    let padding = " ".repeat(64 * 1024);
    let reply = proxy.send(run_request(&proxy, parameters().to_string() + &padding)).await;
    reply.is_error(413, "body_too_large");
}

// === runs in flight ===

/// An upstream that never responds. It reports each request, and the end of its connection.
async fn silent() -> (String, mpsc::Receiver<&'static str>) {
    let (events, received) = mpsc::channel(8);
    let address = scripted(move |mut stream| {
        let events = events.clone();
        async move {
            read_head(&mut stream).await;
            events.send("request").await.unwrap();
            // The end is a FIN or a reset.
            let _ = stream.read_u8().await;
            events.send("closed").await.unwrap();
        }
    })
    .await;
    (format!("http://{address}"), received)
}

/// Starts a run whose upstream does not respond, and returns its response.
async fn start_run(proxy: &Proxy, events: &mut mpsc::Receiver<&'static str>) -> Response<Incoming> {
    start_run_with(&parameters(), proxy, events).await
}

async fn start_run_with(
    parameters: &Value,
    proxy: &Proxy,
    events: &mut mpsc::Receiver<&'static str>,
) -> Response<Incoming> {
    let request = run_request(proxy, parameters.to_string());
    let response = soon(client(false).request(request)).await.unwrap();
    assert_eq!(soon(events.recv()).await, Some("request"));
    response
}

#[tokio::test]
async fn dropped_response_ends_the_requests_to_the_upstream() {
    let (base, mut events) = silent().await;
    let proxy = Proxy::to(&base).await;
    let response = start_run(&proxy, &mut events).await;
    drop(response);
    assert_eq!(soon(events.recv()).await, Some("closed"));
}

#[tokio::test]
async fn dropped_response_ends_the_requests_for_names() {
    let (base, mut events) = silent().await;
    let proxy = Proxy::to(&base).await;
    let response = start_run_with(&parameters_with_focus(), &proxy, &mut events).await;
    drop(response);
    soon(async { while events.recv().await != Some("closed") {} }).await;
}

#[tokio::test]
async fn third_run_at_a_time_is_503_until_another_one_has_ended() {
    let (base, mut events) = silent().await;
    let proxy = Proxy::to(&base).await;
    let first = start_run(&proxy, &mut events).await;
    let _second = start_run(&proxy, &mut events).await;
    let third = run(&proxy, &parameters()).await;
    third.is_error(503, "too_many_runs");
    assert_eq!(third.header("retry-after"), Some("10"));

    drop(first);
    assert_eq!(soon(events.recv()).await, Some("closed"));
    let _fourth = start_run(&proxy, &mut events).await;
}

#[tokio::test]
async fn progress_is_sent_before_the_upstream_has_responded() {
    let (base, mut events) = silent().await;
    let proxy = Proxy::to(&base).await;
    let mut body = start_run(&proxy, &mut events).await.into_body();
    let frame = soon(body.frame()).await.unwrap().unwrap();
    let line: Value = serde_json::from_slice(frame.data_ref().unwrap()).unwrap();
    assert!(line["progress"].is_object(), "{line}");
}

#[tokio::test]
async fn progress_is_repeated_while_nothing_changes() {
    let (base, mut events) = silent().await;
    let proxy = Proxy::to(&base).await;
    let mut body = start_run(&proxy, &mut events).await.into_body();
    let mut last_line = Bytes::new();
    soon(async {
        loop {
            let line = body.frame().await.unwrap().unwrap().into_data().unwrap();
            if line == last_line {
                return;
            }
            last_line = line;
        }
    })
    .await;
}

#[tokio::test]
async fn run_that_takes_longer_than_the_deadline_of_calls_is_complete() {
    let gate = Arc::new(Notify::new());
    let script_gate = gate.clone();
    let (events, mut received) = mpsc::channel(8);
    let address = scripted(move |mut stream| {
        let (gate, events) = (script_gate.clone(), events.clone());
        async move {
            let head = read_head(&mut stream).await;
            events.send("request").await.unwrap();
            gate.notified().await;
            let query = head.split(' ').nth(1).unwrap().split_once('?').unwrap().1;
            let page = page_of_query(query).to_string();
            let length = page.len();
            let response = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{page}"
            );
            write_then_wait(&mut stream, &response).await;
        }
    })
    .await;
    let limits = Limits { deadline: Duration::from_millis(50), ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{address}")), limits).await;
    let mut parameters = parameters();
    parameters["to"] = parameters["from"].clone();
    let run = start_run_with(&parameters, &proxy, &mut received).await;

    // A call that began later is cut.
    let call = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
    assert!(soon(client(false).request(call)).await.is_err());
    // Wakes the connection that has waited longest.
    gate.notify_one();
    let last = lines(&Reply::read(run).await.unwrap()).pop().unwrap();
    assert_eq!(last["result"]["complete"], true);
}

// === secrets ===

#[tokio::test]
async fn key_of_a_run_is_not_in_the_log() {
    let upstream = Upstream::answering(|asked: &Asked| {
        let is_second = asked.uri.query().unwrap().contains("page=");
        if is_second {
            Response::builder().status(500).body(full(KEY)).unwrap()
        } else {
            page_of_costs(asked)
        }
    })
    .await;
    let names = names();
    let mut running = Running::start(
        program()
            .args(["--port", "0", "--access-log", "--openai-base-url", &upstream.base(), "--names"])
            .arg(names.path())
            .env("RUST_LOG", "trace"),
    );
    let url = format!("http://{}/spend.json", running.address);
    for body in [parameters().to_string(), parameters().to_string().replace("openai", KEY)] {
        let request =
            Request::post(&url).header("content-type", "application/json").body(full(body)).unwrap();
        let response = soon(client(false).request(request)).await.unwrap();
        assert_no_key(response.headers());
        // The second page is requested again for minutes.
        drop(response);
    }
    let log = running.logged("POST /spend.json 400").await;
    assert!(!log.contains("Marked7Qx"), "{log}");
}

fn assert_no_key(headers: &HeaderMap) {
    assert!(!format!("{headers:?}").contains("Marked7Qx"));
}
