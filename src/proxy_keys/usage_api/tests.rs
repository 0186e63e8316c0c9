//! Tests of the layer below the naming layer, with the rows of real ledgers.

mod faults;
mod law;
mod naive;
mod pages;
mod parameters;
mod results;
mod visibility;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use super::{UsageBody, UsageLayer};
use crate::ApiKeyNameLayer;
use crate::proxy_keys::keys::Limits;
use crate::proxy_keys::ledger::tests::{Fixture, group, key};
use crate::proxy_keys::ledger::{AdmissionRequest, CallInfo, Charge, Settlement};
use crate::proxy_keys::{MintedKey, OperatorToken, ProxyKeys, TokenUsage, mint};

/// 2026-07-15T00:00:00Z.
const DAY: i64 = 1_784_073_600;

const OPERATOR: &str = "operator-token-0123456789-abcdefghij";

const COMPLETIONS: &str = "/v1/organization/usage/completions";
const COSTS: &str = "/v1/organization/costs";

/// The keys of the file: id, name, group and scope.
const KEYS: [(&str, &str, Option<&str>, &str); 5] = [
    ("key_own", "Own, EU", Some("g"), "own"),
    ("key_group", "Group", Some("g"), "group"),
    ("key_all", "All", Some("h"), "all"),
    ("key_lone", "Lone", None, "group"),
    ("key_other", "Other", Some("h"), "own"),
];

/// A settled call in the ledger.
#[derive(Clone, Debug)]
struct TestCall {
    /// The second of the admission.
    at: i64,
    key: &'static str,
    group: Option<&'static str>,
    endpoint: &'static str,
    model: &'static str,
    charge: Charge,
    usage: TokenUsage,
}

impl TestCall {
    /// A chat of a key, with 12 input and 3 output tokens.
    fn chat(at: i64, key: &'static str) -> Self {
        let usage = TokenUsage { input_tokens: Some(12), output_tokens: Some(3), ..TokenUsage::default() };
        Self {
            at,
            key,
            group: group_of(key),
            endpoint: "/v1/chat/completions",
            model: "gpt-5",
            charge: Charge { tokens: 15, picodollars: 1_000_000_000_001 },
            usage,
        }
    }
}

/// Returns the group of a key in the file.
fn group_of(key_id: &str) -> Option<&'static str> {
    KEYS.iter().find(|(id, ..)| *id == key_id).and_then(|(_, _, group, _)| *group)
}

/// A ledger with the two layers above an inner service that responds with 404.
struct World {
    fixture: Fixture,
    keys: ProxyKeys,
    layer: UsageLayer,
    minted: Vec<(&'static str, MintedKey)>,
}

impl World {
    fn new(fixture: Fixture) -> Self {
        let mut minted = Vec::new();
        let mut items = Vec::new();
        for (id, name, group, scope) in KEYS {
            let key = mint().unwrap();
            let mut item = json!({"id": id, "name": name, "hashes": [key.digest()], "usage_scope": scope});
            if let Some(group) = group {
                item["group"] = group.into();
            }
            items.push(item);
            minted.push((id, key));
        }
        let file = json!({"data": items, "groups": {"g": {}, "h": {}}});
        let keys = ProxyKeys::from_json(file.to_string().as_bytes()).unwrap();
        let keys = keys.operator_token(OperatorToken::new(OPERATOR.to_owned()).unwrap());
        let layer = UsageLayer::new(keys.clone(), &fixture.ledger);
        Self { fixture, keys, layer, minted }
    }

    /// Creates a world with a ledger in memory that contains these calls.
    async fn with_calls(calls: &[TestCall]) -> Self {
        let world = Self::new(Fixture::memory());
        for call in calls {
            world.add(call).await;
        }
        world
    }

    /// Settles a call.
    async fn add(&self, call: &TestCall) {
        self.fixture.clock.set(&Timestamp::from_second(call.at).unwrap().to_string());
        let group = call.group.map(|id| group(id, Limits::default()));
        let request = AdmissionRequest {
            key: key(call.key, Limits::default(), group.as_ref()),
            info: CallInfo {
                provider: "openai".into(),
                endpoint: call.endpoint.into(),
                model: call.model.to_owned(),
            },
            estimate: Charge::default(),
        };
        let reservation = self.fixture.ledger.admit(request).await.unwrap();
        let settlement =
            Settlement { actual: call.charge, usage: call.usage.clone(), ..Settlement::default() };
        reservation.settle(settlement).await.unwrap();
    }

    /// Deletes the rows before a second. The sums of their hours stay.
    async fn delete_rows(&self, before: i64) {
        let before = Timestamp::from_second(before).unwrap();
        self.fixture.ledger.read(move |store| store.delete_old_rows(before, 1_000).unwrap()).await.unwrap();
    }

    /// Returns the credential of a key, or the operator token for the id `operator`.
    fn credential(&self, caller: &str) -> String {
        match self.minted.iter().find(|(id, _)| *id == caller) {
            Some((_, key)) => format!("Bearer {}", key.key()),
            None => format!("Bearer {OPERATOR}"),
        }
    }

    fn request(&self, caller: &str, target: &str) -> Request<()> {
        Request::get(target).header("authorization", self.credential(caller)).body(()).unwrap()
    }

    /// Sends a request through both layers.
    async fn send_request(&self, request: Request<()>) -> Response<Bytes> {
        let service =
            ApiKeyNameLayer::new(self.keys.names()).layer(self.layer.layer(service_fn(respond_404)));
        collect(service.oneshot(request).await.unwrap()).await
    }

    async fn send(&self, caller: &str, target: &str) -> Response<Bytes> {
        self.send_request(self.request(caller, target)).await
    }

    /// Starts a response of the usage layer alone.
    async fn start(&self, caller: &str, target: &str) -> Response<UsageBody<Full<Bytes>>> {
        let service = self.layer.layer(service_fn(respond_404));
        service.oneshot(self.request(caller, target)).await.unwrap()
    }

    /// Returns the page that a request gets. Fails if it is refused.
    async fn page(&self, caller: &str, target: &str) -> Value {
        let response = self.send(caller, target).await;
        assert_eq!(response.status(), 200, "{target}: {:?}", response.body());
        parse(response.body())
    }

    /// Returns the results of all buckets of a page.
    async fn results(&self, caller: &str, target: &str) -> Vec<Value> {
        let page = self.page(caller, target).await;
        let buckets = page["data"].as_array().unwrap();
        buckets.iter().flat_map(|bucket| bucket["results"].as_array().unwrap().clone()).collect()
    }

    /// Returns the results of the day [`DAY`] at the endpoint of completions, for an operator.
    async fn day(&self, query: &str) -> Vec<Value> {
        self.results("operator", &format!("{COMPLETIONS}?start_time={DAY}&end_time={}&{query}", DAY + 1))
            .await
    }

    /// Returns the parameter and the code of an error with the status 400.
    async fn error(&self, target: &str) -> (String, String) {
        let response = self.send("operator", target).await;
        let error = parse(response.body())["error"].clone();
        assert_eq!(response.status(), 400, "{target}: {error}");
        (error["param"].as_str().unwrap().to_owned(), error["code"].as_str().unwrap().to_owned())
    }
}

/// The inner service.
async fn respond_404(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder().status(404).header("x-inner", "1");
    Ok(response.body(Full::from("inner")).unwrap())
}

async fn collect<B: Body<Data = Bytes>>(response: Response<B>) -> Response<Bytes>
where
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// Returns a member of each result.
fn members(results: &[Value], name: &str) -> Vec<Value> {
    results.iter().map(|result| result[name].clone()).collect()
}
