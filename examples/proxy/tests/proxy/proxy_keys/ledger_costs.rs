//! The costs in the ledger by name: the subcommand `spend --provider ledger`, and the page at the operator listener.
use std::fs;
use std::process::Output;

use api_key_name_proxy::spend::periods::day_of;
use http::Request;
use serde_json::{Value, json};

use super::world::{Files, TestKey, WITH_TOKEN, assert_refused, chat, get, providers};
use crate::binary::{Running, program};
use crate::peer::{Reply, Upstream, client, full, soon};

/// The text of an operator token.
const TOKEN: &str = "operator-Marked4Zq0123456789abcdef";

/// The model in the responses of the upstream.
const MODEL: &str = "gpt-5-mini-2025-08-07";

/// The cost of one call, exact to the picodollar.
const CALL_COST: &str = "0.000010000012";

/// A service with a key in a group and a key without a group, whose calls have prices.
struct PricedCalls {
    files: Files,
    _upstream: Upstream,
    service: Running,
}

impl PricedCalls {
    /// Starts the service with further flags. The key of the group makes two calls, the other one makes one.
    async fn start(more: &[&str]) -> Self {
        let upstream = providers().await;
        let alpha = TestKey::new("key_a", &json!({"name": "Alpha", "group": "school"}));
        let beta = TestKey::new("key_b", &json!({"name": "Beta"}));
        let files = Files::new(&[]);
        files.write_priced_keys(&[&alpha, &beta]);
        let service = files.start_with_token(&upstream.base(), TOKEN, more);
        for key in [&alpha, &alpha, &beta] {
            assert_eq!(chat(service.address, &key.text).await.status, 200);
        }
        Self { files, _upstream: upstream, service }
    }

    /// Runs `spend` with the files of the service, for yesterday and today.
    async fn spend(&self, more: &[&str]) -> Output {
        spend(&self.files, more).await
    }
}

/// Runs `spend` with the files of a folder, for yesterday and today.
async fn spend(files: &Files, more: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(program());
    command.args(["spend", "--provider", "ledger", "--last", "2d", "--today", "--keys"]);
    command.arg(files.path("keys.json")).arg("--ledger").arg(files.path("ledger.sqlite")).args(more);
    soon(command.kill_on_drop(true).output()).await.unwrap()
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the rows of JSON output as their values and amounts.
fn rows_by(output: &Output, member: &str) -> Vec<(Value, Value)> {
    let report: Value = serde_json::from_str(&stdout(output)).unwrap();
    assert_eq!(report["totals"], json!([{"currency": "USD", "amount": "0.000030000036"}]));
    let rows = report["rows"].as_array().unwrap();
    rows.iter().map(|row| (row[member].clone(), row["amount"].clone())).collect()
}

#[tokio::test]
async fn spend_of_a_ledger_that_is_written_is_exact_by_each_dimension() {
    let calls = PricedCalls::start(&[]).await;
    let twice = json!("0.000020000024");
    let once = json!(CALL_COST);
    let all = json!("0.000030000036");
    for (dimension, expected) in [
        ("api_key_name", vec![(json!("Alpha"), twice.clone()), (json!("Beta"), once.clone())]),
        ("api_key_id", vec![(json!("key_a"), twice.clone()), (json!("key_b"), once.clone())]),
        ("project_name", vec![(json!("school"), twice), (json!(null), once)]),
        ("line_item", vec![(json!(MODEL), all.clone())]),
        ("model", vec![(json!(MODEL), all)]),
    ] {
        let output = calls.spend(&["--by", dimension, "--format", "json"]).await;
        assert_eq!(rows_by(&output, dimension), expected, "{dimension}");
    }
}

#[tokio::test]
async fn text_csv_and_focus_of_a_ledger_are_exact() {
    let calls = PricedCalls::start(&[]).await;
    let text = stdout(&calls.spend(&[]).await);
    assert!(text.contains("Alpha") && text.contains("total: 0.000030000036 USD"), "{text}");
    let csv = stdout(&calls.spend(&["--format", "csv", "--by", "api_key_name,model"]).await);
    assert!(csv.contains("Alpha,gpt-5-mini") && csv.contains("0.000020000024"), "{csv}");
    let focus = stdout(&calls.spend(&["--format", "focus"]).await);
    let lines: Vec<_> = focus.lines().filter(|line| line.contains("key_a")).collect();
    assert_eq!(lines.len(), 1, "{focus}");
    for cell in ["0.000020000024", "Alpha", "gpt-5-mini", "school", "Ledger"] {
        assert!(lines[0].contains(cell), "{cell}: {focus}");
    }
}

#[tokio::test]
async fn spend_of_a_ledger_reads_no_real_key() {
    let calls = PricedCalls::start(&[]).await;
    let text = fs::read_to_string(calls.files.path("keys.json")).unwrap();
    let mut keys: Value = serde_json::from_str(&text).unwrap();
    keys["upstreams"] = json!({"own": {"provider": "openai", "key_env": "NOT_SET"}});
    fs::write(calls.files.path("other.json"), keys.to_string()).unwrap();
    fs::rename(calls.files.path("other.json"), calls.files.path("keys.json")).unwrap();
    let text = stdout(&calls.spend(&[]).await);
    assert!(text.contains("total: 0.000030000036 USD"), "{text}");
}

#[tokio::test]
async fn spend_of_a_ledger_with_an_unusable_file_fails_with_its_path() {
    let files = Files::new(&[]);
    let missing_ledger = spend(&files, &[]).await;
    assert_eq!(missing_ledger.status.code(), Some(1));
    assert!(stderr(&missing_ledger).contains("ledger.sqlite"), "{}", stderr(&missing_ledger));
    fs::write(files.path("keys.json"), "{\"data\":[\n{\"id\":\"key_a\",\"unknown\":1}]}").unwrap();
    let invalid_keys = spend(&files, &[]).await;
    assert_eq!(invalid_keys.status.code(), Some(1));
    let error = stderr(&invalid_keys);
    assert!(error.contains("--keys: ") && error.contains("keys.json: line 2"), "{error}");
}

// === the page ===

/// Starts a run of the page over yesterday and today.
async fn run_page(operator: std::net::SocketAddr, token: &str) -> Reply {
    let today = day_of(jiff::Timestamp::now());
    let run = json!({
        "from": today.yesterday().unwrap().to_string(), "to": today.to_string(), "by": ["api_key_name"],
        "providers": ["ledger"], "keys": {"ledger": token}, "focus": true,
    });
    let request = Request::post(format!("http://{operator}/spend.json"))
        .header("content-type", "application/json")
        .body(full(run.to_string()))
        .unwrap();
    Reply::read(soon(client(false).request(request)).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn page_shows_the_costs_of_the_ledger_to_the_operator() {
    let mut calls = PricedCalls::start(&WITH_TOKEN).await;
    let operator = calls.service.read_operator_address();
    let page = get(operator, "/spend", "").await;
    assert!(page.text().contains(r#"<option value="ledger">"#), "{page:?}");
    let reply = run_page(operator, TOKEN).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let line: Value = serde_json::from_str(reply.text().lines().last().unwrap()).unwrap();
    let result = &line["result"];
    assert_eq!(result["totals"], json!([{"currency": "USD", "amount": "0.000030000036"}]), "{line}");
    let rows = result["rows"].as_array().unwrap();
    let named: Vec<_> = rows.iter().map(|row| (&row["values"][0]["value"], &row["amount"])).collect();
    assert_eq!(named, [(&json!("Alpha"), &json!("0.000020000024")), (&json!("Beta"), &json!(CALL_COST))]);
    assert!(result["focus"].as_str().unwrap().contains("0.000020000024"), "{line}");
}

#[tokio::test]
async fn page_rejects_another_operator_token() {
    let mut calls = PricedCalls::start(&WITH_TOKEN).await;
    let operator = calls.service.read_operator_address();
    for token in ["sk-other", "", &TOKEN[1..], "a\nb"] {
        assert_refused(&run_page(operator, token).await, 401, "invalid_operator_token");
    }
}

#[tokio::test]
async fn page_without_a_token_file_has_no_ledger() {
    let mut calls = PricedCalls::start(&WITH_TOKEN[..2]).await;
    let operator = calls.service.read_operator_address();
    assert!(!get(operator, "/spend", "").await.text().contains(r#"value="ledger""#));
    assert_refused(&run_page(operator, TOKEN).await, 400, "invalid_run");
}
