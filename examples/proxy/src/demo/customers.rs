//! Two customers of the demo with proxy keys. One of them reaches its limit.
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tower::BoxError;
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::names::Provider;
use tower_api_key_name::proxy_keys::{MintedKey, ProxyKeys, Upstream, UpstreamKey, Upstreams, mint};

use super::local_url;
use super::models::REAL_KEY;
use super::response::{DAY, now};

/// The tokens per day of the customer with the small limit, which three calls reach.
const SMALL_LIMIT: u32 = 60;

/// The path of the usage of chats.
const USAGE: &str = "/v1/organization/usage/completions";

const LARGE_LIMIT: u32 = 100_000;

/// The proxy keys of two customers.
pub struct DemoCustomers {
    school: MintedKey,
    pilot: MintedKey,
}

impl DemoCustomers {
    /// Mints the keys. Fails if the system has no random source.
    pub fn mint() -> Result<Self, BoxError> {
        Ok(Self { school: mint()?, pilot: mint()? })
    }

    /// Returns the keys of a keys file with both customers.
    pub fn keys(&self) -> Result<ProxyKeys, BoxError> {
        let entry = |id: &str, name: &str, key: &MintedKey, tokens: u32| json!({"id": id, "name": name, "hashes": [key.digest()], "limits": {"tokens": {"day": tokens}}});
        let data = [
            entry("key_school", "St Mary's School", &self.school, LARGE_LIMIT),
            entry("key_pilot", "Pilot", &self.pilot, SMALL_LIMIT),
        ];
        let prices = json!({"gpt-5-mini*": {"input": "0.25", "output": "2.00"}, "claude-*": {"input": "15", "output": "75"}});
        let file = json!({"object": "list", "data": data, "prices": prices});
        Ok(ProxyKeys::from_json(file.to_string().as_bytes())?)
    }

    /// Returns the demo API as the upstream of both providers, with its real key.
    pub fn upstreams(&self, base: &BaseUrl) -> Result<Upstreams, BoxError> {
        let mut upstreams = Upstreams::default();
        for provider in [Provider::OpenAi, Provider::Anthropic] {
            let key = UpstreamKey::new(REAL_KEY.to_owned())?;
            upstreams = upstreams.with(Upstream::new(provider, base.clone(), key)?);
        }
        Ok(upstreams)
    }

    /// Sends calls of the pilot to the proxy at `bound` until its limit is reached. Returns a text with the keys, the
    /// responses, and commands to try. Fails if a call fails.
    pub async fn show(&self, bound: SocketAddr) -> Result<String, BoxError> {
        let proxy = local_url(bound);
        let [school, pilot] = [self.school.key(), self.pilot.key()];
        let mut text = format!(
            "\ntwo customers, each with a proxy key. The real key of the demo API stays in the proxy.\n  \
             St Mary's School  {school}  {LARGE_LIMIT} tokens per day\n  \
             Pilot             {pilot}  {SMALL_LIMIT} tokens per day\n\n\
             the pilot calls until its limit is reached:\n"
        );
        loop {
            let (status, response) = post_chat(&proxy, pilot).await?;
            if status != StatusCode::OK {
                let error = &response["error"];
                let [code, message] =
                    [&error["code"], &error["message"]].map(|member| member.as_str().unwrap_or_default());
                writeln!(text, "  {} {code}: {message}", status.as_u16())?;
                break;
            }
            let tokens = &response["usage"]["total_tokens"];
            writeln!(text, "  {} {tokens} tokens", status.as_u16())?;
        }
        // The calls before midnight in UTC are those of the day before.
        let start = now() - DAY;
        text.push_str("\nits usage by name, from the ledger, which the pilot reads with its key:\n");
        for row in get_usage(&proxy, pilot, start).await? {
            let [name, requests] = [&row["api_key_name"], &row["num_model_requests"]];
            let [input, output] = [&row["input_tokens"], &row["output_tokens"]];
            writeln!(text, "  {name}: {requests} requests, {input} input tokens, {output} output tokens")?;
        }
        text.push_str(&example_commands(&proxy, school, pilot, start));
        Ok(text)
    }
}

/// Returns commands for calls of both customers, for their usage since `start`, and for calls that are refused.
fn example_commands(proxy: &str, school: &str, pilot: &str, start: u64) -> String {
    let json = "-H 'Content-Type: application/json'";
    let chat = format!("curl -N {proxy}/v1/chat/completions {json} -H 'Authorization: Bearer");
    let streamed = r#"-d '{"model":"gpt-5-mini","stream":true,"messages":[{"role":"user","content":"Hi"}]}'"#;
    let plain = r#"-d '{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hi"}]}'"#;
    let message = r#"-d '{"model":"claude-opus-4-1","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"Hi"}]}'"#;
    format!(
        "\nto try (Ctrl-C ends the demo):\n  \
         {chat} {school}' {streamed}\n  \
         {chat} {school}' {plain}\n  \
         curl -N {proxy}/v1/messages {json} -H 'anthropic-version: 2023-06-01' -H 'x-api-key: {school}' {message}\n  \
         curl {proxy}/v1/models -H 'Authorization: Bearer {school}'\n  \
         curl '{proxy}{USAGE}?start_time={start}&group_by=api_key_name' -H 'Authorization: Bearer {pilot}'\n  \
         {chat} {pilot}' {plain}\n  \
         {chat} sk-other' {plain}\n\
         or with an SDK: base_url=\"{proxy}/v1\", api_key=\"{school}\"\n"
    )
}

/// Sends a chat to the proxy, and returns the status and the JSON of the response.
async fn post_chat(proxy: &str, key: &str) -> Result<(StatusCode, Value), BoxError> {
    let body = json!({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}]});
    let request = Request::post(format!("{proxy}/v1/chat/completions"))
        .header(AUTHORIZATION, format!("Bearer {key}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))?;
    send(request).await
}

/// Returns the usage of a key by name since `start`, as the rows of all days.
async fn get_usage(proxy: &str, key: &str, start: u64) -> Result<Vec<Value>, BoxError> {
    let request = Request::get(format!("{proxy}{USAGE}?start_time={start}&group_by=api_key_name"))
        .header(AUTHORIZATION, format!("Bearer {key}"))
        .body(Full::default())?;
    let (_, page) = send(request).await?;
    let mut rows = Vec::new();
    for bucket in page["data"].as_array().into_iter().flatten() {
        rows.extend(bucket["results"].as_array().cloned().unwrap_or_default());
    }
    Ok(rows)
}

/// Sends a request, and returns the status and the JSON of the response.
async fn send(request: Request<Full<Bytes>>) -> Result<(StatusCode, Value), BoxError> {
    let exchange = async {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>((status, serde_json::from_slice(&bytes)?))
    };
    tokio::time::timeout(Duration::from_secs(10), exchange).await?
}
