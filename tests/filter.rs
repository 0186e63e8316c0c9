//! Queries by name: the request that the inner service receives, and the responses that the layer sends itself.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_api_key_name::outcome::{Outcome, Refusal, ResponseState};
use tower_api_key_name::{ApiKeyName, ApiKeyNameLayer, KeyNames, ResponseBody, SharedKeyNames};
use tower_test::mock;

type FullResponse = Response<Full<Bytes>>;
type LayerResponse = Response<ResponseBody<Full<Bytes>>>;

const COSTS: &str = "/v1/organization/costs";

fn names() -> SharedKeyNames {
    let pairs = [("key_1", "checkout"), ("key_2", "Secret Key"), ("key_3", "Secret Key")];
    SharedKeyNames::new(KeyNames::new(pairs).unwrap())
}

/// The same names with ids of Anthropic, and the name of the key in the response.
fn anthropic_names() -> SharedKeyNames {
    let pairs = [
        ("apikey_1", "checkout"),
        ("apikey_2", "Secret Key"),
        ("apikey_3", "Secret Key"),
        ("key_1", "checkout"),
    ];
    SharedKeyNames::new(KeyNames::new(pairs).unwrap())
}

fn layer() -> ApiKeyNameLayer {
    ApiKeyNameLayer::new(names())
}

fn get(target: &str) -> Request<()> {
    Request::get(target).body(()).unwrap()
}

fn rows() -> FullResponse {
    let rows = r#"[{"api_key_id":"key_1"}]"#;
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(rows.into()).unwrap()
}

/// Returns the response, and the URI that the inner service received, if it was called.
async fn call(layer: ApiKeyNameLayer, request: Request<()>) -> (LayerResponse, Option<Uri>) {
    let sent = Mutex::new(None);
    let inner = service_fn(|request: Request<()>| {
        assert!(sent.lock().unwrap().replace(request.uri().clone()).is_none());
        async { Ok::<_, Infallible>(rows()) }
    });
    let response = ServiceBuilder::new().layer(layer).service(inner).oneshot(request).await.unwrap();
    (response, sent.into_inner().unwrap())
}

#[tokio::test]
async fn names_in_the_query_become_ids() {
    for (sent, expected) in [
        ("?api_key_names[]=checkout", "?api_key_ids[]=key_1"),
        ("?a=%5b&api_key_names=Secret+Key,checkout&b", "?a=%5b&api_key_ids=key_2,key_3,key_1&b"),
        (
            "?api_key_names=checkout&group_by=api_key_name,model",
            "?api_key_ids=key_1&group_by=api_key_id,model",
        ),
        ("?group_by=api_key_id&group_by=api_key_name", "?group_by=api_key_id"),
        ("?api_key_ids[]=x&page=A%3D", "?api_key_ids[]=x&page=A%3D"),
        ("?", "?"),
        ("", ""),
    ] {
        let (anthropic_names, anthropic_path) =
            (anthropic_names(), "/v1/organizations/usage_report/messages");
        for (names, path, prefix) in [(names(), COSTS, "key_"), (anthropic_names, anthropic_path, "apikey_")]
        {
            let layer = ApiKeyNameLayer::new(names);
            let (response, uri) = call(layer, get(&format!("{path}{sent}"))).await;
            let expected =
                expected.replace("=key_", &format!("={prefix}")).replace(",key_", &format!(",{prefix}"));
            assert_eq!(uri.unwrap().to_string(), format!("{path}{expected}"));
            assert!(matches!(
                response.extensions().get().and_then(ResponseState::outcome),
                Some(Outcome::Amended { .. })
            ));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, r#"[{"api_key_id":"key_1","api_key_name":"checkout"}]"#);
        }
    }
    let absolute = get("https://api.example:8443/v1/organization/costs?api_key_names=checkout");
    let uri = call(layer(), absolute).await.1.unwrap();
    assert_eq!(uri, "https://api.example:8443/v1/organization/costs?api_key_ids=key_1");
}

#[tokio::test]
async fn query_out_of_scope_is_unchanged() {
    for target in ["/v1/chat/completions?api_key_names=absent", "/x/v1/organization/costs?api_key_names="] {
        let (response, uri) = call(layer(), get(target)).await;
        assert_eq!((response.status(), uri.unwrap().to_string().as_str()), (StatusCode::OK, target));
    }
}

#[tokio::test]
async fn filter_that_cannot_be_translated_is_rejected() {
    let (empty, partial) =
        (SharedKeyNames::default(), br#"{"data":[{"id":"a","name":"a"}],"has_more":true}"#);
    let partial = SharedKeyNames::new(KeyNames::from_json(partial).unwrap());
    let long = (0..3_000).map(|nth| (format!("key_{nth:020}"), "long"));
    let long = SharedKeyNames::new(KeyNames::new(long).unwrap());
    let complete = names();
    for (names, query, refusal, status) in [
        (&complete, "api_key_names=absent", Refusal::UnknownName, 400),
        (&complete, "group_by=api_key_name&api_key_names=checkout,absent", Refusal::UnknownName, 400),
        (&complete, "api_key_names", Refusal::EmptyName, 400),
        (&complete, "api_key_names[x]=checkout", Refusal::InvalidParameter, 400),
        (&empty, "api_key_names=checkout", Refusal::NamesIncomplete, 503),
        (&partial, "api_key_names=checkout", Refusal::NamesIncomplete, 503),
        (&long, "api_key_names=long", Refusal::UriTooLong, 414),
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let outcomes = Arc::new(Mutex::new(Vec::new()));
            let writer = outcomes.clone();
            let layer = ApiKeyNameLayer::new(names.clone())
                .on_outcome(move |outcome, _| writer.lock().unwrap().push(*outcome));
            let target = format!("{COSTS}?{query}");
            let request = Request::builder().method(&method).uri(&target).body(()).unwrap();
            let (response, uri) = call(layer, request).await;
            assert_eq!(uri, None, "{method} {target}");
            let outcome = Outcome::Refused { refusal };
            let state = response.extensions().get().and_then(ResponseState::outcome);
            assert_eq!((response.status().as_u16(), state), (status, Some(outcome)));
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503);
            assert!(outcomes.lock().unwrap().is_empty(), "the outcome is reported at the end of the body");

            let length: u64 = response.headers()[header::CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
            let mut body = response.into_body();
            assert_eq!(body.is_end_stream(), method == Method::HEAD);
            let exact = body.size_hint().exact();
            assert_eq!(exact, Some(if method == Method::HEAD { 0 } else { length }));
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
            }
            assert!(body.is_end_stream() && body.frame().await.is_none());
            assert_eq!(exact, Some(bytes.len() as u64));
            if method != Method::HEAD {
                let error: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(error["error"]["param"], "api_key_names");
            }
            drop(body);
            assert_eq!(*outcomes.lock().unwrap(), [outcome], "reported once");
        }
    }
}

/// The maximum is that of `http::Uri`, for the whole URI.
#[tokio::test]
async fn rewritten_uri_longer_than_the_maximum_is_rejected() {
    let pairs = [("key_1234567890", "a")];
    for prefix in ["", "http://host"] {
        let sent = |length: usize| {
            let target = format!("{prefix}{COSTS}?api_key_names=a&x=");
            let grown = target.len() - "names=a".len() + "ids=key_1234567890".len();
            get(&format!("{target}{}", "x".repeat(length - grown)))
        };
        let layer = || ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new(pairs).unwrap()));
        let (response, uri) = call(layer(), sent(65_534)).await;
        let uri = uri.unwrap().to_string();
        assert_eq!((response.status(), uri.len()), (StatusCode::OK, 65_534));
        assert!(uri.parse::<Uri>().is_ok());
        let (response, uri) = call(layer(), sent(65_535)).await;
        assert_eq!((response.status(), uri), (StatusCode::URI_TOO_LONG, None));
    }
}

#[tokio::test]
async fn suggestions_setting_adds_similar_names() {
    for (layer, suggests) in [(layer(), false), (layer().suggest_names(true), true)] {
        let (response, _) = call(layer, get(&format!("{COSTS}?api_key_names=chekout"))).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(String::from_utf8(body.into()).unwrap().contains("'checkout'"), suggests);
    }
}

#[tokio::test]
async fn refusal_response_setting_replaces_the_default_response() {
    let layer = || {
        layer().refusal_response(|refusal, message, request| {
            let text = format!("{} {}: {message}", request.method(), refusal.code());
            Response::builder().status(StatusCode::IM_A_TEAPOT).body(text.into()).unwrap()
        })
    };
    let uri = format!("{COSTS}?api_key_names=absent");
    let expected = "unknown_api_key_name: No API key is named 'absent'.";
    for (method, body) in [(Method::GET, format!("GET {expected}")), (Method::HEAD, String::new())] {
        let length = format!("{method} {expected}").len();
        let request = Request::builder().method(method).uri(&uri).body(()).unwrap();
        let (response, sent) = call(layer(), request).await;
        assert_eq!((response.status(), sent), (StatusCode::IM_A_TEAPOT, None));
        assert_eq!(response.headers()[header::CONTENT_LENGTH], length.to_string().as_str());
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
    }
}

#[tokio::test]
async fn refusal_under_an_anthropic_path_has_its_error_form() {
    let uri = "/v1/organizations/usage_report/messages?api_key_names=absent";
    let (response, _) = call(layer(), get(uri)).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let error: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&error["type"], &error["error"]["type"]), (&"error".into(), &"invalid_request_error".into()));
}

/// Law 5: the query and the response use the same map.
#[tokio::test]
async fn snapshot_is_used_from_the_query_to_the_last_byte() {
    let names = names();
    let swapped = names.clone();
    let inner = service_fn(move |request: Request<()>| {
        assert_eq!(request.uri().query(), Some("api_key_ids=key_1"));
        swapped.replace(KeyNames::new([("key_1", "other"), ("key_9", "checkout")]).unwrap());
        async { Ok::<_, Infallible>(rows()) }
    });
    let service = ServiceBuilder::new().layer(ApiKeyNameLayer::new(names)).service(inner);
    let response = service.oneshot(get(&format!("{COSTS}?api_key_names=checkout"))).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"[{"api_key_id":"key_1","api_key_name":"checkout"}]"#);
}

/// Law 3: a second layer changes nothing, and passes the error response of the first.
#[tokio::test]
async fn layer_applied_twice_equals_once() {
    for (query, status, seen) in
        [("api_key_names=checkout", 200, Some("api_key_ids=key_1")), ("api_key_names=absent", 400, None)]
    {
        let sent = Mutex::new(None);
        let inner = service_fn(|request: Request<()>| {
            *sent.lock().unwrap() = request.uri().query().map(str::to_owned);
            async { Ok::<_, Infallible>(rows()) }
        });
        let service = ServiceBuilder::new().layer(layer()).layer(layer()).service(inner);
        let response = service.oneshot(get(&format!("{COSTS}?{query}"))).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(sent.lock().unwrap().as_deref(), seen);
    }
}

// === Readiness ===

type MockService = mock::Spawn<ApiKeyName<mock::Mock<Request<()>, FullResponse>>>;

fn mock_service() -> (MockService, mock::Handle<Request<()>, FullResponse>) {
    mock::spawn_layer(layer())
}

/// The mock is ready for one call at a time, and panics if it is called without being ready.
#[tokio::test]
async fn refusal_keeps_the_inner_service_ready_for_the_next_call() {
    let (mut service, mut handle) = mock_service();
    handle.allow(1);
    assert!(service.poll_ready::<Request<()>>().is_ready());
    for _ in 0..3 {
        let response = service.call(get(&format!("{COSTS}?api_key_names=absent"))).await.unwrap();
        assert_eq!(response.status(), 400);
        assert!(service.poll_ready::<Request<()>>().is_ready(), "the readiness was not used");
    }
    let response = service.call(get(&format!("{COSTS}?api_key_names=checkout")));
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request.uri().query(), Some("api_key_ids=key_1"));
    send.send_response(rows());
    assert_eq!(response.await.unwrap().status(), 200);
    handle.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending(), "the readiness was used");
}

/// Callers that clone the service for each call, such as hyper's servers and routers, drop the permit with the clone.
#[tokio::test]
async fn refusal_does_not_keep_a_permit() {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(rows()) });
    let service = ServiceBuilder::new().layer(layer()).concurrency_limit(1).service(inner);
    let (mut first, mut second) = (service.clone(), service);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.poll_ready(&mut context).is_ready());
    let refused = first.call(get(&format!("{COSTS}?api_key_names=absent")));
    assert!(matches!(second.poll_ready(&mut context), Poll::Pending), "the ready instance has the permit");
    drop(first);
    assert!(second.poll_ready(&mut context).is_ready());
    assert_eq!(refused.await.unwrap().status(), 400);
}
