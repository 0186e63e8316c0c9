//! The settings of labels, requested names and positions: requests, headers and refusals, without names in bodies.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_api_key_name::names::Labels;
use tower_api_key_name::outcome::API_KEY_NAME_SENT;
use tower_api_key_name::outcome::{Outcome, Refusal, ResponseState};
use tower_api_key_name::settings::{ErrorForm, InsertNames, NamePosition};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, ResponseBody, SharedKeyNames};

const COSTS: &str = "/v1/organization/costs";
const REPORTS: [&str; 6] = [
    "/v1/organization/usage/completions",
    COSTS,
    "/v1/organizations/usage_report/messages",
    "/v1/organizations/cost_report",
    "/v1/organizations/analytics/usage",
    "/v1/organizations/analytics/cost",
];
/// Paths in scope that are no usage or cost reports.
const MANAGEMENT: [&str; 3] = [
    "/v1/organization/projects/proj_1/api_keys",
    "/v1/organization/audit_logs",
    "/v1/organizations/analytics",
];

const ROWS: &str = r#"[{"project_id":"proj_1","api_key_id":"key_1"}]"#;

/// Names with one that belongs to a key of each provider and to a project. The section of the users is absent.
fn names() -> SharedKeyNames {
    let keys =
        [("key_1", "checkout"), ("key_2", "Secret Key"), ("key_3", "Secret Key"), ("apikey_1", "checkout")];
    let projects = [("proj_1", "checkout"), ("proj_2", "storefront")];
    let map = KeyNames::new(keys).and_then(|map| map.with_section("project_id", projects));
    SharedKeyNames::new(map.and_then(|map| map.with_section("apiKeyId", [("7", "checkout")])).unwrap())
}

fn layer() -> ApiKeyNameLayer {
    let mut labels = Labels::default();
    for (id, name) in [("project_id", "project_name"), ("user_id", "user_name"), ("apiKeyId", "apiKeyName")] {
        labels = labels.with(id, name).unwrap();
    }
    ApiKeyNameLayer::new(names()).labels(labels)
}

fn get(target: &str) -> Request<()> {
    Request::get(target).body(()).unwrap()
}

/// A response with validators.
fn rows(status: u16, content_type: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("etag", "\"1\"")
        .body(ROWS.into())
        .unwrap()
}

type LayerResponse = Response<ResponseBody<Full<Bytes>>>;

/// Returns the response to a request, and the headers and the URI that the inner service received, if it was called.
async fn exchange(
    layer: ApiKeyNameLayer,
    request: Request<()>,
    inner: Response<Full<Bytes>>,
) -> (LayerResponse, Option<(Uri, HeaderMap)>) {
    let sent = Mutex::new(None);
    let prepared = Mutex::new(Some(inner));
    let inner = service_fn(|request: Request<()>| {
        let parts = request.into_parts().0;
        assert!(sent.lock().unwrap().replace((parts.uri, parts.headers)).is_none());
        let response = prepared.lock().unwrap().take().unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    let response = ServiceBuilder::new().layer(layer).service(inner).oneshot(request).await.unwrap();
    (response, sent.into_inner().unwrap())
}

/// Returns the query that the inner service receives. Panics if the request is refused.
async fn sent_query(layer: ApiKeyNameLayer, target: &str) -> String {
    let (response, sent) = exchange(layer, get(target), rows(200, "application/json")).await;
    assert_eq!(response.status(), 200, "{target}");
    sent.unwrap().0.query().unwrap().to_owned()
}

/// Returns the response to a refused request and its body.
async fn refusal(layer: ApiKeyNameLayer, target: &str) -> (Refusal, HeaderMap, serde_json::Value) {
    let (response, sent) = exchange(layer, get(target), rows(200, "application/json")).await;
    assert!(sent.is_none(), "{target}");
    let state: ResponseState = *response.extensions().get().unwrap();
    let Some(Outcome::Refused { refusal }) = state.outcome() else { panic!("{target}: {state:?}") };
    let headers = response.headers().clone();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (refusal, headers, serde_json::from_slice(&body).unwrap())
}

// === Labels ===

#[tokio::test]
async fn names_of_each_label_in_the_query_of_a_report_become_ids() {
    for path in REPORTS {
        let key = if path.starts_with("/v1/organizations/") { "apikey_1" } else { "key_1" };
        for (query, expected) in [
            ("group_by=project_name,api_key_name", "group_by=project_id,api_key_id".to_owned()),
            ("project_names[]=checkout", "project_ids[]=proj_1".to_owned()),
            ("api_key_names[]=checkout&apiKeyNames=checkout", format!("api_key_ids[]={key}&apiKeyIds=7")),
            ("api_key_ids[]=&api_key_names[]=checkout", format!("api_key_ids[]=&api_key_ids[]={key}")),
            ("page=A%3D&group_by=user_name", "page=A%3D&group_by=user_id".to_owned()),
        ] {
            assert_eq!(sent_query(layer(), &format!("{path}?{query}")).await, expected, "{path}");
        }
    }
}

#[tokio::test]
async fn names_of_keys_alone_become_ids_outside_of_reports() {
    for path in MANAGEMENT {
        let query = "group_by=project_name,api_key_name&project_names[]=absent&projectNames=x";
        let expected = "group_by=project_name,api_key_id&project_names[]=absent&projectNames=x";
        assert_eq!(sent_query(layer(), &format!("{path}?{query}")).await, expected);
    }
}

#[tokio::test]
async fn labels_that_are_off_are_not_translated() {
    let target = format!("{COSTS}?group_by=project_name&project_names[]=checkout");
    assert!(target.ends_with(&sent_query(ApiKeyNameLayer::new(names()), &target).await));
}

#[tokio::test]
async fn refusal_contains_the_parameter_and_the_code_of_its_label() {
    for (query, expected, param, code) in [
        ("project_names[]=absent", Refusal::UnknownName, "project_names", "unknown_project_name"),
        ("project_names[]=", Refusal::EmptyName, "project_names", "empty_project_name"),
        ("projectNames[]=checkout", Refusal::InvalidParameter, "project_names", "invalid_parameter"),
        ("user_names[]=checkout", Refusal::NamesIncomplete, "user_names", "user_names_incomplete"),
        ("apiKeyNames=storefront", Refusal::UnknownName, "apiKeyNames", "unknown_apiKeyName"),
        ("api_key_names=storefront", Refusal::UnknownName, "api_key_names", "unknown_api_key_name"),
    ] {
        let (actual, headers, body) = refusal(layer(), &format!("{COSTS}?{query}")).await;
        let error = &body["error"];
        assert_eq!(
            (actual, &error["param"], &error["code"]),
            (expected, &param.into(), &code.into()),
            "{query}"
        );
        assert!(!headers.contains_key(&API_KEY_NAME_SENT), "{query}");
    }
}

/// The label of the keys is always on.
#[tokio::test]
async fn absent_section_of_the_keys_is_incomplete() {
    for (map, expected) in [
        (&br#"{"project_id":{"proj_1":"a"}}"#[..], Refusal::NamesIncomplete),
        (br#"{"project_id":{"proj_1":"a"},"api_key_id":{}}"#, Refusal::UnknownName),
    ] {
        let shared = SharedKeyNames::new(KeyNames::from_json(map).unwrap());
        let (actual, ..) = refusal(ApiKeyNameLayer::new(shared), &format!("{COSTS}?api_key_names=a")).await;
        assert_eq!(actual, expected);
    }
}

/// A name of a label without a section may exist. In a map with an empty section it does not.
#[tokio::test]
async fn absent_section_is_incomplete_and_an_empty_section_is_complete() {
    for (map, expected, status) in [
        (&br#"{"api_key_id":{"key_1":"a"},"user_id":{}}"#[..], Refusal::UnknownName, 400),
        (br#"{"api_key_id":{"key_1":"a"}}"#, Refusal::NamesIncomplete, 503),
        (br#"{"key_1":"a"}"#, Refusal::NamesIncomplete, 503),
    ] {
        let shared = SharedKeyNames::new(KeyNames::from_json(map).unwrap());
        let labels = Labels::default().with("user_id", "user_name").unwrap();
        let layer = ApiKeyNameLayer::new(shared).labels(labels);
        let (actual, headers, _) = refusal(layer, &format!("{COSTS}?user_names=a")).await;
        assert_eq!((actual, headers.contains_key("retry-after")), (expected, status == 503));
        assert_eq!(actual.status(), status);
    }
}

#[tokio::test]
async fn name_of_the_other_provider_alone_is_unknown() {
    let target = |path: &str, name: &str| format!("{path}?api_key_names={name}");
    let anthropic = "/v1/organizations/analytics/cost";
    assert_eq!(sent_query(layer(), &target(COSTS, "checkout")).await, "api_key_ids=key_1");
    assert_eq!(sent_query(layer(), &target(anthropic, "checkout")).await, "api_key_ids=apikey_1");
    assert_eq!(refusal(layer(), &target(anthropic, "Secret+Key")).await.0, Refusal::UnknownName);
    // A path without a provider's segment may use all ids.
    let any = layer().scope(|_| true);
    let query = sent_query(any, &target("/costs", "checkout")).await;
    assert_eq!(query, "api_key_ids=key_1&api_key_ids=apikey_1");
}

#[tokio::test]
async fn empty_key_name_under_an_anthropic_path_explains_usage_without_a_key() {
    let target = "/v1/organizations/analytics/cost?api_key_names[]=";
    let (actual, _, body) = refusal(layer(), target).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert_eq!((actual, body["type"].as_str()), (Refusal::EmptyName, Some("error")));
    assert!(message.contains("send an empty api_key_ids[]="), "{message}");
}

#[tokio::test]
async fn error_form_setting_overrides_the_form_of_the_path() {
    let (path, query) = ("/v1/organizations/analytics/cost", "api_key_names=absent");
    let target = format!("{path}?{query}");
    let (_, _, body) = refusal(layer().error_form(ErrorForm::OpenAi), &target).await;
    assert_eq!(body["error"]["code"], "unknown_api_key_name");
    let target = format!("{COSTS}?{query}");
    let (_, _, body) = refusal(layer().error_form(ErrorForm::Anthropic), &target).await;
    assert_eq!(body["type"], "error");
}

// === Names on request ===

fn requested() -> ApiKeyNameLayer {
    layer().insert_names(InsertNames::Requested)
}

fn conditional(method: Method, target: &str) -> Request<()> {
    let names = ["accept-encoding", "if-none-match", "if-modified-since", "range", "if-range"];
    let request = Request::builder().method(method).uri(target);
    names.iter().fold(request, |request, name| request.header(*name, "x")).body(()).unwrap()
}

/// The exchange is the same as out of scope: no header is removed, no outcome is reported.
#[tokio::test]
async fn request_without_a_name_is_out_of_scope_if_names_are_inserted_on_request() {
    for method in [Method::GET, Method::HEAD] {
        for target in [
            COSTS.to_owned(),
            format!("{COSTS}?group_by=api_key_id&page=A%3D"),
            format!("{COSTS}?api_key_ids[]=checkout"),
            format!("{}?group_by=project_name", MANAGEMENT[0]),
        ] {
            let layer = requested().on_outcome(|outcome, _| panic!("{outcome:?}"));
            let request = conditional(method.clone(), &target);
            let (response, sent) = exchange(layer, request, rows(200, "application/json")).await;
            let (uri, headers) = sent.unwrap();
            assert_eq!((uri.to_string(), headers.len()), (target, 5));
            assert!(response.extensions().get::<ResponseState>().is_none());
            assert_eq!(response.headers(), rows(200, "application/json").headers());
            let body = response.into_body();
            assert_eq!(body.size_hint().exact(), Some(ROWS.len() as u64));
            assert_eq!(body.collect().await.unwrap().to_bytes(), ROWS);
        }
    }
}

#[tokio::test]
async fn request_with_a_name_is_in_scope_if_names_are_inserted_on_request() {
    for method in [Method::GET, Method::HEAD] {
        for (query, expected) in [
            ("group_by=api_key_name", "group_by=api_key_id"),
            ("api_key_names=checkout", "api_key_ids=key_1"),
            ("group_by=project_name", "group_by=project_id"),
            // The following pages repeat the query.
            ("group_by=api_key_name&page=A%3D", "group_by=api_key_id&page=A%3D"),
        ] {
            let request = conditional(method.clone(), &format!("{COSTS}?{query}"));
            let (response, sent) = exchange(requested(), request, rows(200, "application/json")).await;
            let (uri, headers) = sent.unwrap();
            assert_eq!((uri.query(), headers.len()), (Some(expected), 0));
            assert!(response.extensions().get::<ResponseState>().is_some());
        }
        let request = conditional(method, &format!("{COSTS}?group_by=api_key_name"));
        let (response, _) = exchange(requested(), request, rows(200, "application/json")).await;
        assert!(!response.headers().contains_key("etag"));
    }
}

#[tokio::test]
async fn page_of_a_request_with_a_name_contains_names_like_the_first() {
    for page in ["", "&page=page_2%3D"] {
        let target = format!("{COSTS}?group_by[]=api_key_name{page}");
        let (response, _) = exchange(requested(), get(&target), rows(200, "application/json")).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, ROWS.replace(r#""key_1""#, r#""key_1","api_key_name":"checkout""#));
    }
}

/// Dropping the filter would widen the query.
#[tokio::test]
async fn filter_that_cannot_be_translated_is_refused_if_names_are_inserted_on_request() {
    for query in ["api_key_names=absent", "apiKeyName=checkout", "project_names="] {
        refusal(requested(), &format!("{COSTS}?{query}")).await;
    }
}

// === Names in place of ids ===

fn replacing() -> ApiKeyNameLayer {
    layer().name_position(NamePosition::Replace)
}

#[tokio::test]
async fn name_in_place_of_an_id_in_the_query_becomes_the_id() {
    for (query, expected) in [
        ("api_key_ids[]=checkout", "api_key_ids[]=key_1"),
        ("api_key_ids=x,checkout,Secret+Key", "api_key_ids=x,key_1,key_2,key_3"),
        ("project_ids[]=checkout&api_key_ids[]=storefront", "project_ids[]=proj_1&api_key_ids[]=storefront"),
        ("group_by=api_key_name", "group_by=api_key_id"),
    ] {
        let target = format!("{COSTS}?{query}");
        assert_eq!(sent_query(replacing(), &target).await, expected);
        let beside = sent_query(layer(), &target).await;
        assert_eq!(beside == query, !query.contains("name"), "{query}");
    }
}

#[tokio::test]
async fn request_outside_of_reports_is_out_of_scope_if_names_replace_ids() {
    for path in MANAGEMENT {
        let target = format!("{path}?group_by=api_key_name&api_key_names=&api_key_ids[]=checkout");
        let request = conditional(Method::GET, &target);
        let (response, sent) = exchange(replacing(), request, rows(200, "application/json")).await;
        let (uri, headers) = sent.unwrap();
        assert_eq!((uri.to_string(), headers.len()), (target, 5));
        assert!(response.extensions().get::<ResponseState>().is_none());
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), ROWS);
    }
}

/// A name in place of an id requests the name.
#[tokio::test]
async fn name_in_place_of_an_id_requests_the_names_of_its_label() {
    let layer = || replacing().insert_names(InsertNames::Requested);
    for (query, is_in_scope) in [("api_key_ids[]=checkout", true), ("api_key_ids[]=key_1", false)] {
        let target = format!("{COSTS}?{query}");
        let (response, _) = exchange(layer(), get(&target), rows(200, "application/json")).await;
        assert_eq!(response.extensions().get::<ResponseState>().is_some(), is_in_scope, "{query}");
    }
}

// === The header with the sent text ===

#[tokio::test]
async fn response_to_a_rewritten_request_contains_the_sent_text() {
    for (query, expected) in [
        ("group_by[]=api_key_name", Some("group_by=api_key_id")),
        (
            "project_names[]=storefront&group_by=model,project_name&api_key_names=Secret+Key",
            Some("group_by=project_id, api_key_ids=2 ids, project_ids=1 ids"),
        ),
        ("group_by=api_key_id&api_key_ids[]=key_1", None),
        ("", None),
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            for (status, content_type) in [
                (200, "application/json"),
                (400, "application/json"),
                (204, "application/json"),
                (500, "text/plain"),
            ] {
                for limit in [0, 1 << 20] {
                    let request = Request::builder().method(&method).uri(format!("{COSTS}?{query}"));
                    let layer = layer().limit(limit);
                    let response = rows(status, content_type);
                    let (response, _) = exchange(layer, request.body(()).unwrap(), response).await;
                    let values: Vec<_> = response.headers().get_all(&API_KEY_NAME_SENT).iter().collect();
                    assert_eq!(values, expected.as_slice(), "{method} {query} {status} {limit}");
                }
            }
        }
    }
}

#[tokio::test]
async fn response_out_of_scope_has_no_sent_text() {
    let target = "/v1/models?group_by=api_key_name";
    let (response, _) = exchange(layer(), get(target), rows(200, "application/json")).await;
    assert!(!response.headers().contains_key(&API_KEY_NAME_SENT));
}

/// A layer below may have translated other names.
#[tokio::test]
async fn sent_text_of_the_upstream_is_replaced_only_by_that_of_this_layer() {
    for (query, expected) in [("?group_by=api_key_name", "group_by=api_key_id"), ("", "theirs")] {
        let mut inner = rows(200, "application/json");
        inner.headers_mut().insert(&API_KEY_NAME_SENT, "theirs".parse().unwrap());
        let (response, _) = exchange(layer(), get(&format!("{COSTS}{query}")), inner).await;
        assert_eq!(response.headers()[&API_KEY_NAME_SENT], expected);
    }
}

#[tokio::test]
async fn sent_text_is_at_most_one_kibibyte() {
    let mut labels = Labels::default();
    let mut query = String::from("group_by=api_key_name");
    for number in 1..16 {
        let name = format!("{}{number:02}", "n".repeat(62));
        labels = labels.with(&format!("{}{number:02}", "i".repeat(62)), &name).unwrap();
        query += &format!(",{name}");
    }
    let layer = ApiKeyNameLayer::new(names()).labels(labels);
    let target = format!("{COSTS}?{query}");
    let (response, _) = exchange(layer, get(&target), rows(200, "application/json")).await;
    let value = response.headers()[&API_KEY_NAME_SENT].to_str().unwrap();
    assert!(value.len() <= 1024 && value.starts_with("group_by=api_key_id, group_by=i"), "{value}");
    let parts: Vec<_> = value.split(", ").collect();
    assert_eq!(parts.last(), Some(&"..."));
    assert!(parts[1..parts.len() - 1].iter().all(|part| part.len() == 9 + 64), "{value}");
}
