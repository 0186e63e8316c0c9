//! Asking by name, at the layer: what the inner service is asked, and what the layer answers itself.
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

type Answer = Response<Full<Bytes>>;
type Named = Response<ResponseBody<Full<Bytes>>>;

const COSTS: &str = "/v1/organization/costs";

fn names() -> SharedKeyNames {
    let pairs = [("key_1", "checkout"), ("key_2", "Secret Key"), ("key_3", "Secret Key")];
    SharedKeyNames::new(KeyNames::new(pairs).unwrap())
}

fn layer() -> ApiKeyNameLayer {
    ApiKeyNameLayer::new(names())
}

fn get(target: &str) -> Request<()> {
    Request::get(target).body(()).unwrap()
}

fn rows() -> Answer {
    let rows = r#"[{"api_key_id":"key_1"}]"#;
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(rows.into()).unwrap()
}

/// The answer, and what the inner service was asked, if it was.
async fn ask(layer: ApiKeyNameLayer, request: Request<()>) -> (Named, Option<Uri>) {
    let asked = Mutex::new(None);
    let inner = service_fn(|request: Request<()>| {
        assert!(asked.lock().unwrap().replace(request.uri().clone()).is_none());
        async { Ok::<_, Infallible>(rows()) }
    });
    let answer = ServiceBuilder::new().layer(layer).service(inner).oneshot(request).await.unwrap();
    (answer, asked.into_inner().unwrap())
}

#[tokio::test]
async fn names_reach_the_api_as_ids() {
    for (asked, expected) in [
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
        for path in [COSTS, "/v1/organizations/usage_report/messages"] {
            let (answer, uri) = ask(layer(), get(&format!("{path}{asked}"))).await;
            assert_eq!(uri.unwrap().to_string(), format!("{path}{expected}"));
            assert!(matches!(
                answer.extensions().get().and_then(ResponseState::outcome),
                Some(Outcome::Amended { .. })
            ));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, r#"[{"api_key_id":"key_1","api_key_name":"checkout"}]"#);
        }
    }
    let absolute = get("https://api.example:8443/v1/organization/costs?api_key_names=checkout");
    let uri = ask(layer(), absolute).await.1.unwrap();
    assert_eq!(uri, "https://api.example:8443/v1/organization/costs?api_key_ids=key_1");
}

#[tokio::test]
async fn out_of_scope_it_is_not_looked_at() {
    for target in ["/v1/chat/completions?api_key_names=nobody", "/x/v1/organization/costs?api_key_names="] {
        let (answer, uri) = ask(layer(), get(target)).await;
        assert_eq!((answer.status(), uri.unwrap().to_string().as_str()), (StatusCode::OK, target));
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_answered_and_nobody_else_is() {
    let (unnamed, part) = (SharedKeyNames::default(), br#"{"data":[{"id":"a","name":"a"}],"has_more":true}"#);
    let part = SharedKeyNames::new(KeyNames::from_json(part).unwrap());
    let many = (0..3_000).map(|nth| (format!("key_{nth:020}"), "many"));
    let many = SharedKeyNames::new(KeyNames::new(many).unwrap());
    let here = names();
    for (names, query, refusal, status) in [
        (&here, "api_key_names=nobody", Refusal::UnknownName, 400),
        (&here, "group_by=api_key_name&api_key_names=checkout,nobody", Refusal::UnknownName, 400),
        (&here, "api_key_names", Refusal::EmptyName, 400),
        (&here, "api_key_names[x]=checkout", Refusal::Form, 400),
        (&unnamed, "api_key_names=checkout", Refusal::NamesIncomplete, 503),
        (&part, "api_key_names=checkout", Refusal::NamesIncomplete, 503),
        (&many, "api_key_names=many", Refusal::UriTooLong, 414),
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let told = Arc::new(Mutex::new(Vec::new()));
            let writer = told.clone();
            let layer = ApiKeyNameLayer::new(names.clone())
                .on_outcome(move |outcome, _| writer.lock().unwrap().push(*outcome));
            let target = format!("{COSTS}?{query}");
            let request = Request::builder().method(&method).uri(&target).body(()).unwrap();
            let (answer, uri) = ask(layer, request).await;
            assert_eq!(uri, None, "{method} {target}");
            let outcome = Outcome::Refused { refusal };
            let state = answer.extensions().get().and_then(ResponseState::outcome);
            assert_eq!((answer.status().as_u16(), state), (status, Some(outcome)));
            assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), status == 503);
            assert!(told.lock().unwrap().is_empty(), "told at the end of the body");

            let length: u64 = answer.headers()[header::CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
            let mut body = answer.into_body();
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
            assert_eq!(*told.lock().unwrap(), [outcome], "once");
        }
    }
}

/// The whole URI counts, and not a byte less than `http::Uri` takes.
#[tokio::test]
async fn the_longest_uri_still_passes() {
    let pairs = [("key_1234567890", "a")];
    for prefix in ["", "http://host"] {
        let asked = |length: usize| {
            let target = format!("{prefix}{COSTS}?api_key_names=a&x=");
            let grown = target.len() - "names=a".len() + "ids=key_1234567890".len();
            get(&format!("{target}{}", "x".repeat(length - grown)))
        };
        let layer = || ApiKeyNameLayer::new(SharedKeyNames::new(KeyNames::new(pairs).unwrap()));
        let (answer, uri) = ask(layer(), asked(65_534)).await;
        let uri = uri.unwrap().to_string();
        assert_eq!((answer.status(), uri.len()), (StatusCode::OK, 65_534));
        assert!(uri.parse::<Uri>().is_ok());
        let (answer, uri) = ask(layer(), asked(65_535)).await;
        assert_eq!((answer.status(), uri), (StatusCode::URI_TOO_LONG, None));
    }
}

#[tokio::test]
async fn suggestions_are_a_setting() {
    for (layer, suggests) in [(layer(), false), (layer().suggest_names(true), true)] {
        let (answer, _) = ask(layer, get(&format!("{COSTS}?api_key_names=chekout"))).await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(String::from_utf8(body.into()).unwrap().contains("'checkout'"), suggests);
    }
}

/// Law 5: the map of the question is the map of the answer.
#[tokio::test]
async fn one_map_from_the_query_to_the_last_byte() {
    let names = names();
    let swapped = names.clone();
    let inner = service_fn(move |request: Request<()>| {
        assert_eq!(request.uri().query(), Some("api_key_ids=key_1"));
        swapped.replace(KeyNames::new([("key_1", "other"), ("key_9", "checkout")]).unwrap());
        async { Ok::<_, Infallible>(rows()) }
    });
    let service = ServiceBuilder::new().layer(ApiKeyNameLayer::new(names)).service(inner);
    let answer = service.oneshot(get(&format!("{COSTS}?api_key_names=checkout"))).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"[{"api_key_id":"key_1","api_key_name":"checkout"}]"#);
}

/// Law 3: a second layer finds nothing to do, and passes what the first refused.
#[tokio::test]
async fn twice_is_once() {
    for (query, status, seen) in
        [("api_key_names=checkout", 200, Some("api_key_ids=key_1")), ("api_key_names=nobody", 400, None)]
    {
        let asked = Mutex::new(None);
        let inner = service_fn(|request: Request<()>| {
            *asked.lock().unwrap() = request.uri().query().map(str::to_owned);
            async { Ok::<_, Infallible>(rows()) }
        });
        let service = ServiceBuilder::new().layer(layer()).layer(layer()).service(inner);
        let answer = service.oneshot(get(&format!("{COSTS}?{query}"))).await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(asked.lock().unwrap().as_deref(), seen);
    }
}

// === Readiness ===

type Strict = mock::Spawn<ApiKeyName<mock::Mock<Request<()>, Answer>>>;

fn strict() -> (Strict, mock::Handle<Request<()>, Answer>) {
    mock::spawn_layer(layer())
}

/// The mock gives its readiness for one call, and panics where it is called without.
#[tokio::test]
async fn a_refusal_leaves_the_inner_service_ready_for_the_next_call() {
    let (mut service, mut handle) = strict();
    handle.allow(1);
    assert!(service.poll_ready::<Request<()>>().is_ready());
    for _ in 0..3 {
        let answer = service.call(get(&format!("{COSTS}?api_key_names=nobody"))).await.unwrap();
        assert_eq!(answer.status(), 400);
        assert!(service.poll_ready::<Request<()>>().is_ready(), "not used up");
    }
    let answer = service.call(get(&format!("{COSTS}?api_key_names=checkout")));
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request.uri().query(), Some("api_key_ids=key_1"));
    send.send_response(rows());
    assert_eq!(answer.await.unwrap().status(), 200);
    handle.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending(), "used up by the call");
}

/// Who clones the service for each call, as hyper's servers and routers do, gives the permit back with the clone.
#[tokio::test]
async fn a_refusal_keeps_no_permit() {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(rows()) });
    let service = ServiceBuilder::new().layer(layer()).concurrency_limit(1).service(inner);
    let (mut first, mut second) = (service.clone(), service);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.poll_ready(&mut context).is_ready());
    let refused = first.call(get(&format!("{COSTS}?api_key_names=nobody")));
    assert!(matches!(second.poll_ready(&mut context), Poll::Pending), "held by the instance that was ready");
    drop(first);
    assert!(second.poll_ready(&mut context).is_ready());
    assert_eq!(refused.await.unwrap().status(), 400);
}
