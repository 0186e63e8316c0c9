//! The names of several labels in bodies, in chunks of each size.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use test_support::service::FixedService;
use tower::{Layer, ServiceExt};
use tower_api_key_name::names::Labels;
use tower_api_key_name::settings::{InsertNames, NamePosition};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames};

const USAGE: &str = "/v1/organization/usage/completions";
const ANALYTICS: &str = "/v1/organizations/analytics/usage";
const MANAGEMENT: &str = "/v1/organization/projects/proj_1/api_keys";

/// Rows with known, unmatched and null ids of three labels.
const ROWS: &str = r#"[{"project_id":"proj_1","user_id":"u_1","api_key_id":"key_1","n":0.10},{"api_key_id":null,"project_id":null,"user_id":"u_x"}]"#;

fn names() -> SharedKeyNames {
    // `key_9` has a name that is the id of another key.
    let map = KeyNames::new([("key_1", "checkout"), ("apikey_1", "ci"), ("key_9", "key_1")]).unwrap();
    let map = map.with_section("project_id", [("proj_1", "store \"front\"")]).unwrap();
    SharedKeyNames::new(map.with_section("user_id", [("u_1", "Ana")]).unwrap())
}

fn layer(names: &SharedKeyNames) -> ApiKeyNameLayer {
    let labels = Labels::default().with("project_id", "project_name").unwrap();
    ApiKeyNameLayer::new(names.clone()).labels(labels.with("user_id", "user_name").unwrap())
}

/// Returns the body of the response to a request for `target`, in chunks of this size.
async fn body(layer: &ApiKeyNameLayer, target: &str, upstream: &str, chunk: usize) -> String {
    let service = layer.layer(FixedService::json(&Bytes::copy_from_slice(upstream.as_bytes()), chunk));
    let response = service.oneshot(Request::get(target).body(()).unwrap()).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

/// Checks the response body at each chunk size, buffered and streamed.
async fn assert_body(layer: &ApiKeyNameLayer, target: &str, upstream: &str, expected: &str) {
    for layer in [layer.clone(), layer.clone().limit(0)] {
        for chunk in 1..=upstream.len() {
            assert_eq!(body(&layer, target, upstream, chunk).await, expected, "{target}, {chunk}");
        }
    }
}

#[tokio::test]
async fn report_contains_the_names_of_all_labels() {
    let expected = r#"[{"project_id":"proj_1","project_name":"store \"front\"","user_id":"u_1","user_name":"Ana","api_key_id":"key_1","api_key_name":"checkout","n":0.10},{"api_key_id":null,"api_key_name":null,"project_id":null,"user_id":"u_x","user_name":"unknown"}]"#;
    assert_body(&layer(&names()), USAGE, ROWS, expected).await;
}

#[tokio::test]
async fn response_outside_of_reports_contains_only_the_names_of_keys() {
    let expected = ROWS
        .replace(r#""key_1""#, r#""key_1","api_key_name":"checkout""#)
        .replace(r#""api_key_id":null"#, r#""api_key_id":null,"api_key_name":null"#);
    assert_body(&layer(&names()), MANAGEMENT, ROWS, &expected).await;
}

#[tokio::test]
async fn report_contains_only_the_requested_names() {
    let project = ROWS.replace(r#""proj_1""#, r#""proj_1","project_name":"store \"front\"""#);
    let project_and_user = project
        .replace(r#""u_1""#, r#""u_1","user_name":"Ana""#)
        .replace(r#""u_x""#, r#""u_x","user_name":"unknown""#);
    let requested = layer(&names()).insert_names(InsertNames::Requested);
    for (query, expected) in [
        ("group_by=project_name", project.as_str()),
        ("group_by=project_name&page=A%3D", &project),
        ("project_names[]=store%20%22front%22", &project),
        ("group_by=project_name,api_key_id&user_names=Ana", &project_and_user),
        ("group_by=project_id,api_key_id", ROWS),
    ] {
        assert_body(&requested, &format!("{USAGE}?{query}"), ROWS, expected).await;
    }
}

#[tokio::test]
async fn name_replaces_the_id_in_a_report() {
    let upstream = r#"[{"project_id":"proj_1","api_key_id" : "key_1"},{"api_key_id":"key_9","api_key_name":"theirs","user_id":"u_x"},{"api_key_id":null,"user_id":7}]"#;
    let expected =
        upstream.replace(r#""proj_1""#, r#""store \"front\"""#).replace(r#": "key_1""#, r#": "checkout""#);
    let replacing = layer(&names()).name_position(NamePosition::Replace);
    assert_body(&replacing, USAGE, upstream, &expected).await;
    assert_body(&replacing, MANAGEMENT, upstream, upstream).await;
    // With names on request, only the requested labels are replaced.
    let requested = replacing.insert_names(InsertNames::Requested);
    let expected = upstream.replace(r#""proj_1""#, r#""store \"front\"""#);
    assert_body(&requested, &format!("{USAGE}?group_by=project_name"), upstream, &expected).await;
    assert_body(&requested, &format!("{USAGE}?group_by=project_id"), upstream, upstream).await;
}

/// The rows of the analytics API contain an id in the group and in the actor.
#[tokio::test]
async fn row_of_the_analytics_api_contains_names_at_both_places() {
    let upstream = r#"{"data":[{"group":{"api_key_id":"apikey_1","actor":{"type":"api_actor","api_key_id":"apikey_1"},"project_id":null}}]}"#;
    let expected = upstream.replace(r#""apikey_1""#, r#""apikey_1","api_key_name":"ci""#);
    assert_body(&layer(&names()), ANALYTICS, upstream, &expected).await;
}

#[tokio::test]
async fn unmatched_ids_of_all_labels_have_one_receiver() {
    let names = names();
    let mut unmatched = names.unmatched_ids().unwrap();
    let upstream = r#"[{"project_id":"proj_x","user_id":"u_x","api_key_id":"key_x"}]"#;
    body(&layer(&names), USAGE, upstream, upstream.len()).await;
    assert_eq!(unmatched.try_recv(), ["proj_x", "u_x", "key_x"]);
}
