//! The usage of proxy keys: at the main listener for their callers, and at the operator listener for the operator token.
use std::fs;
use std::net::SocketAddr;

use http::{HeaderMap, Request};
use serde_json::{Value, json};

use super::world::{
    Files, REAL_KEY, TestKey, WITH_TOKEN, assert_refused, chat, chat_body, get, providers, send,
};
use crate::binary::Running;
use crate::peer::{COSTS, Reply, Upstream, client, full, soon};

/// The path of the usage of completions, with a start that the test's calls are not before.
const USAGE: &str = "/v1/organization/usage/completions?start_time=1790000000&bucket_width=1d&limit=31";

/// The text of an operator token.
const TOKEN: &str = "operator-Marked4Zq0123456789abcdef";

/// A service with two keys, of which the first one has made two calls and the second one has made one.
struct Customers {
    alpha: TestKey,
    beta: TestKey,
    files: Files,
    upstream: Upstream,
    service: Running,
}

impl Customers {
    /// Starts the service with further flags. `TOKEN_FILE` in a flag is the path of the file with the token.
    async fn start(more: &[&str]) -> Self {
        let upstream = providers().await;
        let alpha = TestKey::new("key_a", &json!({"name": "Alpha"}));
        let beta = TestKey::new("key_b", &json!({"name": "Beta"}));
        let files = Files::new(&[&alpha, &beta]);
        let service = files.start_with_token(&upstream.base(), TOKEN, more);
        for key in [&alpha, &alpha, &beta] {
            assert_eq!(chat(service.address, &key.text).await.status, 200);
        }
        Self { alpha, beta, files, upstream, service }
    }

    /// Starts the service with an operator listener that accepts the token. Returns the address of the listener.
    async fn start_with_token() -> (Self, SocketAddr) {
        let mut customers = Self::start(&WITH_TOKEN).await;
        let operator = customers.service.read_operator_address();
        (customers, operator)
    }

    /// Requests a path at the main listener.
    async fn get(&self, path: &str, key: &TestKey) -> Reply {
        get(self.service.address, path, &key.text).await
    }
}

/// Returns the results of all buckets: names, requests, input and output tokens.
#[track_caller]
fn named_results(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let page: Value = serde_json::from_slice(&reply.body).unwrap();
    let mut rows = Vec::new();
    for bucket in page["data"].as_array().unwrap() {
        for row in bucket["results"].as_array().unwrap() {
            let tokens = json!([row["num_model_requests"], row["input_tokens"], row["output_tokens"]]);
            rows.push(json!([row["api_key_id"], row["api_key_name"], tokens]));
        }
    }
    rows
}

/// Returns a path of the usage with the calls of today only, so that a page has all of them.
fn usage_of_today(more: &str) -> String {
    let start = jiff::Timestamp::now().as_second() - 86_400;
    format!("/v1/organization/usage/completions?start_time={start}{more}")
}

// === the main listener ===

#[tokio::test]
async fn key_reads_its_own_usage_with_its_name() {
    let customers = Customers::start(&[]).await;
    let path = usage_of_today("&group_by=api_key_name");
    let reply = customers.get(&path, &customers.alpha).await;
    assert_eq!(named_results(&reply), [json!(["key_a", "Alpha", [2, 14, 10]])]);
    assert_eq!(reply.header("api-key-name-sent"), Some("group_by=api_key_id"));
    let reply = customers.get(&path, &customers.beta).await;
    assert_eq!(named_results(&reply), [json!(["key_b", "Beta", [1, 7, 5]])]);
}

#[tokio::test]
async fn key_with_the_scope_of_all_keys_reads_and_filters_by_their_names() {
    let upstream = providers().await;
    let all = TestKey::new("key_all", &json!({"name": "Finance", "usage_scope": "all"}));
    let alpha = TestKey::new("key_a", &json!({"name": "Alpha"}));
    let files = Files::new(&[&all, &alpha]);
    let service = files.start(&upstream.base(), &[]);
    assert_eq!(chat(service.address, &alpha.text).await.status, 200);
    let path = usage_of_today("&group_by[]=api_key_name&api_key_names[]=Alpha");
    let reply = get(service.address, &path, &all.text).await;
    assert_eq!(named_results(&reply), [json!(["key_a", "Alpha", [1, 7, 5]])]);
}

/// Returns the headers but the time of the response.
fn lasting_headers(reply: &Reply) -> HeaderMap {
    let mut headers = reply.headers.clone();
    headers.remove("date");
    headers
}

#[tokio::test]
async fn filter_by_an_invisible_name_has_the_response_to_an_absent_name() {
    let customers = Customers::start(&[]).await;
    for filter in ["&api_key_names[]=", "&group_by=api_key_name&api_key_names=", "&api_key_names=Alpha,"] {
        let response_to = |name: &'static str| {
            let path = usage_of_today(&format!("{filter}{name}"));
            let customers = &customers;
            async move { customers.get(&path, &customers.alpha).await }
        };
        let invisible = response_to("Beta").await;
        let absent = response_to("Zeta").await;
        assert_eq!(invisible.status, 400, "{filter}: {invisible:?}");
        assert_eq!(invisible.status, absent.status, "{filter}");
        assert_eq!(lasting_headers(&invisible), lasting_headers(&absent), "{filter}");
        assert_eq!(invisible.text().replace("Beta", "Zeta"), absent.text(), "{filter}");
    }
}

#[tokio::test]
async fn filter_by_an_invisible_id_has_the_response_to_an_absent_id() {
    let customers = Customers::start(&[]).await;
    let response_to = |id: &'static str| {
        let path = usage_of_today(&format!("&group_by=api_key_name&api_key_ids[]={id}"));
        let customers = &customers;
        async move { customers.get(&path, &customers.alpha).await }
    };
    let invisible = response_to("key_b").await;
    let absent = response_to("key_z").await;
    assert_eq!(named_results(&invisible), Vec::<Value>::new());
    assert_eq!((invisible.status, invisible.text()), (absent.status, absent.text()));
    assert_eq!(lasting_headers(&invisible), lasting_headers(&absent));
}

#[tokio::test]
async fn credential_is_refused_before_a_filter_by_name() {
    let customers = Customers::start(&[]).await;
    for path in [usage_of_today("&api_key_names[]=Alpha"), usage_of_today("&api_key_names[]=Zeta")] {
        let reply = get(customers.service.address, &path, "sk-other").await;
        assert_refused(&reply, 401, "invalid_api_key");
    }
}

#[tokio::test]
async fn costs_of_a_key_are_exact() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({"name": "Alpha"}));
    let files = Files::new(&[&key]);
    files.write_priced_keys(&[&key]);
    let service = files.start(&upstream.base(), &[]);
    for _ in 0..3 {
        assert_eq!(chat(service.address, &key.text).await.status, 200);
    }
    let start = jiff::Timestamp::now().as_second() - 86_400;
    let path = format!("{COSTS}?start_time={start}&group_by=api_key_name");
    let reply = get(service.address, &path, &key.text).await;
    assert!(reply.text().contains(r#""amount":{"value":0.000030000036,"currency":"usd"}"#), "{reply:?}");
    assert!(reply.text().contains(r#""api_key_id":"key_a","api_key_name":"Alpha""#), "{reply:?}");
}

#[tokio::test]
async fn other_path_of_the_organization_is_refused() {
    let customers = Customers::start(&[]).await;
    for path in
        ["/v1/organization/projects", "/v1/organization/usage/vector_stores", "/v1/organizations/users"]
    {
        let reply = customers.get(path, &customers.alpha).await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
    let called_paths: Vec<_> =
        customers.upstream.asked().iter().map(|asked| asked.uri.path().to_owned()).collect();
    assert!(called_paths.iter().all(|path| path == "/v1/chat/completions"), "{called_paths:?}");
}

#[tokio::test]
async fn settings_of_names_apply_to_the_usage() {
    let customers = Customers::start(&["--name-position", "replace"]).await;
    let reply = customers.get(&usage_of_today("&group_by=api_key_id"), &customers.alpha).await;
    assert!(reply.text().contains(r#""api_key_id":"Alpha""#), "{reply:?}");
}

// === the operator listener ===

#[tokio::test]
async fn operator_token_reads_the_usage_of_all_keys() {
    let (customers, operator) = Customers::start_with_token().await;
    let reply = get(operator, &usage_of_today("&group_by=api_key_name"), TOKEN).await;
    let rows = [json!(["key_a", "Alpha", [2, 14, 10]]), json!(["key_b", "Beta", [1, 7, 5]])];
    assert_eq!(named_results(&reply), rows);
    let filtered = get(operator, &usage_of_today("&group_by=api_key_name&api_key_names=Beta"), TOKEN).await;
    assert_eq!(named_results(&filtered), rows[1..]);
    assert_eq!(customers.upstream.asked().len(), 3);
}

#[tokio::test]
async fn other_path_with_the_operator_token_receives_a_404_with_the_served_paths() {
    let (customers, operator) = Customers::start_with_token().await;
    let reply = get(operator, "/v1/organization/projects", TOKEN).await;
    assert_refused(&reply, 404, "not_found");
    assert!(reply.text().contains("GET /v1/organization/costs"), "{reply:?}");
    let reply = send(operator, "/v1/chat/completions", TOKEN, &chat_body(false)).await;
    assert_refused(&reply, 404, "not_found");
    let reply = get(operator, "/v1/organizations/users", TOKEN).await;
    assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap()["error"]["type"], "not_found_error");
    assert_eq!(customers.upstream.asked().len(), 3);
}

#[tokio::test]
async fn operator_token_in_another_form_is_refused_and_never_forwarded() {
    let (customers, operator) = Customers::start_with_token().await;
    for headers in [
        [("authorization", format!("Bearer {TOKEN},x")), ("accept", "*/*".to_owned())],
        [("authorization", format!("Bearer {TOKEN}")), ("x-api-key", "sk-admin".to_owned())],
        [("authorization", "Bearer sk-admin".to_owned()), ("x-api-key", TOKEN.to_owned())],
        [("authorization", format!("Bearer {TOKEN}")), ("authorization", "Bearer sk-admin".to_owned())],
        [("authorization", TOKEN.to_owned()), ("accept", "*/*".to_owned())],
        [("authorization", format!("Basic {TOKEN}")), ("accept", "*/*".to_owned())],
        [("authorization", format!("Bearer sk-admin, Bearer {TOKEN}")), ("accept", "*/*".to_owned())],
    ] {
        let mut request = Request::get(format!("http://{operator}{COSTS}"));
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let response = soon(client(false).request(request.body(full("")).unwrap())).await.unwrap();
        assert_refused(&Reply::read(response).await.unwrap(), 401, "invalid_api_key");
    }
    assert_eq!(customers.upstream.asked().len(), 3);
}

#[tokio::test]
async fn operator_token_is_refused_at_the_main_address() {
    let (customers, _) = Customers::start_with_token().await;
    let main = customers.service.address;
    assert_refused(&get(main, &usage_of_today(""), TOKEN).await, 401, "invalid_api_key");
    assert_refused(&chat(main, TOKEN).await, 401, "invalid_api_key");
}

#[tokio::test]
async fn other_credential_at_the_operator_address_is_that_of_the_api() {
    let (customers, operator) = Customers::start_with_token().await;
    assert_eq!(get(operator, COSTS, "sk-admin").await.status, 200);
    assert_eq!(customers.upstream.last().headers["authorization"], "Bearer sk-admin");
}

#[tokio::test]
async fn operator_token_is_replaced_with_its_file() {
    let (customers, operator) = Customers::start_with_token().await;
    let new_token = TOKEN.replace("Marked", "Changed");
    fs::write(customers.files.path("token.new"), &new_token).unwrap();
    fs::rename(customers.files.path("token.new"), customers.files.path("token")).unwrap();
    let path = usage_of_today("&group_by=api_key_name");
    let reply = soon(async {
        loop {
            // Until then, the token is a credential of the API, which accepts all of them.
            let reply = get(operator, &path, &new_token).await;
            if reply.text().contains("key_b\",\"api_key_name\":\"Beta") {
                return reply;
            }
        }
    });
    assert_eq!(named_results(&reply.await).len(), 2);
}

/// The log at TRACE, with requests that are served and refused.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_at_trace_level_contains_no_operator_token() {
    let upstream = providers().await;
    let key = TestKey::new("key_a", &json!({}));
    let files = Files::new(&[&key]);
    fs::write(files.path("token"), TOKEN).unwrap();
    let mut command = files.command(&upstream.base());
    command.args(["--operator-listen", "127.0.0.1:0", "--access-log", "--operator-token-file"]);
    command.arg(files.path("token")).env("RUST_LOG", "trace");
    let mut service = Running::start(&mut command);
    let operator = service.read_operator_address();
    let run = json!({"from": "2026-11-01", "to": "2026-11-02", "by": ["api_key_name"], "providers": ["ledger"],
        "keys": {"ledger": TOKEN}});
    let replies = [
        chat(service.address, &key.text).await,
        get(operator, USAGE, TOKEN).await,
        get(operator, "/v1/organization/projects", TOKEN).await,
        get(operator, COSTS, &format!("{TOKEN}, sk-x")).await,
        get(service.address, USAGE, TOKEN).await,
        send(operator, "/spend.json", TOKEN, &run).await,
    ];
    // A file without a token is reported, and keeps the old token.
    fs::write(files.path("token"), &TOKEN[..20]).unwrap();
    service.logged("operator token").await;
    service.signal("-TERM");
    let (_, log) = service.ended().await;
    assert!(log.contains("TRACE ") && log.contains("GET /v1/organization/costs 401"), "{log}");
    assert!(!log.contains("log lines were dropped"), "dropped lines cannot be searched");
    for secret in [&TOKEN[..18], &REAL_KEY[8..]] {
        assert!(!log.contains(secret), "{log}");
        for reply in &replies {
            assert!(!reply.text().contains(secret), "{reply:?}");
        }
    }
}
