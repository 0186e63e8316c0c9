mod law;

use std::fs;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Response};
use serde_json::{Value, json};

use super::*;
use crate::ApiKeyNameLayer;
use crate::proxy_keys::keys::KeyDigest;
use crate::watch::tests::within_deadline;

/// The token of an operator.
const TOKEN: &str = "operator-0123456789abcdef0123456789";

/// Creates an item of a keys file. The credential of the key is its id.
fn item(id: &str, group: Option<&str>, usage_scope: &str) -> Value {
    let mut item = json!({
        "id": id,
        "name": format!("name of {id}"),
        "hashes": [KeyDigest::of(id.as_bytes()).to_string()],
        "usage_scope": usage_scope,
    });
    if let Some(group) = group {
        item["group"] = json!(group);
    }
    item
}

/// Creates a keys file with these items and the groups `east` and `west`.
fn keys_file(items: &[Value]) -> String {
    json!({"data": items, "groups": {"east": {}, "west": {}}}).to_string()
}

/// The keys of two groups, a revoked key, an expired key and keys without a group.
fn keys() -> ProxyKeys {
    let mut revoked = item("key_revoked", Some("east"), "all");
    revoked["hashes"] = json!([]);
    let mut expired = item("key_expired", Some("east"), "all");
    expired["expires_at"] = json!("2001-01-01T00:00:00Z");
    let items = [
        item("key_own", Some("east"), "own"),
        item("key_group", Some("east"), "group"),
        item("key_west", Some("west"), "group"),
        item("key_alone", None, "group"),
        item("key_all", None, "all"),
        revoked,
        expired,
    ];
    ProxyKeys::from_json(keys_file(&items).as_bytes()).unwrap()
}

/// Headers with this credential.
fn credential(text: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {text}")).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

/// Returns the ids whose names a request with these headers sees.
fn named_ids(keys: &ProxyKeys, headers: &HeaderMap) -> Vec<String> {
    let snapshot = keys.names().snapshot_for(headers);
    snapshot.iter().map(|(id, _)| id.to_owned()).collect()
}

/// All ids in `keys`.
const ALL_IDS: [&str; 7] =
    ["key_own", "key_group", "key_west", "key_alone", "key_all", "key_revoked", "key_expired"];

#[test]
fn scope_own_sees_the_rows_and_the_name_of_its_key() {
    let (keys, headers) = (keys(), credential("key_own"));
    let visible = keys.usage_access(&headers).unwrap().visible;
    assert_eq!(visible, VisibleUsage::Own { key_id: "key_own".into() });
    assert!(visible.includes("key_own", "east") && visible.includes("key_own", ""));
    assert!(!visible.includes("key_group", "east") && !visible.includes("", ""));
    assert_eq!(named_ids(&keys, &headers), ["key_own"]);
}

#[test]
fn scope_group_sees_the_rows_of_its_group_and_its_own_of_any_group() {
    let (keys, headers) = (keys(), credential("key_group"));
    let visible = keys.usage_access(&headers).unwrap().visible;
    assert_eq!(visible, VisibleUsage::Group { group_id: "east".into(), key_id: "key_group".into() });
    assert!(visible.includes("key_own", "east") && visible.includes("key_west", "east"));
    assert!(visible.includes("key_group", "west") && visible.includes("key_group", ""));
    assert!(!visible.includes("key_own", "west") && !visible.includes("key_own", ""));
    assert_eq!(named_ids(&keys, &headers), ["key_own", "key_group", "key_revoked", "key_expired"]);
}

#[test]
fn scope_group_of_a_key_without_a_group_is_own() {
    let (keys, headers) = (keys(), credential("key_alone"));
    let visible = keys.usage_access(&headers).unwrap().visible;
    assert_eq!(visible, VisibleUsage::Own { key_id: "key_alone".into() });
    assert!(!visible.includes("key_all", ""));
    assert_eq!(named_ids(&keys, &headers), ["key_alone"]);
}

#[test]
fn scope_all_sees_all_rows_and_names() {
    let (keys, headers) = (keys(), credential("key_all"));
    let visible = keys.usage_access(&headers).unwrap().visible;
    assert!(visible.includes("key_west", "west") && visible.includes("key_gone", ""));
    assert_eq!(named_ids(&keys, &headers), ALL_IDS);
}

#[test]
fn request_without_a_valid_key_sees_no_rows_and_no_names() {
    let keys = keys();
    let mut two_keys = credential("key_all");
    two_keys.append(AUTHORIZATION, HeaderValue::from_static("Bearer key_own"));
    let mut requests = vec![HeaderMap::new(), two_keys];
    requests.extend(["key_revoked", "key_expired", "key_unknown", TOKEN].map(credential));
    for headers in requests {
        assert_eq!(keys.usage_access(&headers), None, "{headers:?}");
        assert_eq!(named_ids(&keys, &headers), [""; 0], "{headers:?}");
    }
}

#[test]
fn operator_token_sees_all_rows_and_names_on_its_handle_only() {
    let (other_handle, headers) = (keys(), credential(TOKEN));
    let keys = other_handle.clone().operator_token(OperatorToken::new(TOKEN.to_owned()).unwrap());
    for handle in [&keys, &keys.clone()] {
        assert!(handle.is_operator(&headers));
        assert_eq!(
            handle.usage_access(&headers),
            Some(UsageAccess { key_id: None, visible: VisibleUsage::All })
        );
        assert_eq!(named_ids(handle, &headers), ALL_IDS);
    }
    assert!(!other_handle.is_operator(&headers));
    assert_eq!(other_handle.usage_access(&headers), None);
    assert_eq!(named_ids(&other_handle, &headers), [""; 0]);
}

#[test]
fn operator_token_is_no_credential_of_a_call() {
    let keys = keys().operator_token(OperatorToken::new(TOKEN.to_owned()).unwrap());
    assert!(!keys.accepts(&credential(TOKEN)));
    assert!(gate::authenticate(&credential(TOKEN), &keys.table(), Timestamp::now()).is_err());
}

#[test]
fn proxy_key_is_no_operator_and_keeps_its_scope_beside_a_token() {
    let keys = keys().operator_token(OperatorToken::new(TOKEN.to_owned()).unwrap());
    for id in ALL_IDS {
        assert!(!keys.is_operator(&credential(id)), "{id}");
    }
    assert_eq!(named_ids(&keys, &credential("key_own")), ["key_own"]);
}

#[test]
fn token_beside_another_credential_is_no_operator() {
    let keys = keys().operator_token(OperatorToken::new(TOKEN.to_owned()).unwrap());
    let mut headers = credential(TOKEN);
    headers.append("x-api-key", HeaderValue::from_static("key_own"));
    assert!(!keys.is_operator(&headers) && keys.usage_access(&headers).is_none());
}

#[test]
fn handle_itself_and_its_status_concern_all_names() {
    let names = keys().names();
    assert_eq!(names.snapshot().len(), ALL_IDS.len());
    assert_eq!((names.status().generation, names.status().entries), (1, ALL_IDS.len()));
}

#[test]
fn selected_names_are_complete_in_the_current_generation() {
    for keys in [keys(), ProxyKeys::from_json(b"{\"data\":[]}").unwrap()] {
        let snapshot = keys.names().snapshot_for(&HeaderMap::new());
        assert_eq!((snapshot.generation(), snapshot.len(), snapshot.is_complete), (1, 0, true));
    }
}

#[test]
fn replaced_map_is_not_visible_to_requests() {
    let names = keys().names();
    names.replace(KeyNames::new([("key_west", "secret plan")]).unwrap());
    assert_eq!(names.snapshot().name("key_west"), Some("secret plan"));
    for id in ["key_own", "key_group", "key_all"] {
        assert_ne!(names.snapshot_for(&credential(id)).name("key_west"), Some("secret plan"), "{id}");
    }
}

#[test]
fn scope_that_changes_in_the_file_counts_for_the_next_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let items = |scope: &str| [item("key_a", Some("east"), scope), item("key_b", Some("east"), "own")];
    fs::write(&path, keys_file(&items("group"))).unwrap();
    let keys = ProxyKeys::watch(&path).unwrap();
    let names = keys.names();
    let headers = credential("key_a");
    let before = names.snapshot_for(&headers);
    fs::write(&path, keys_file(&items("own"))).unwrap();
    within_deadline(names.wait_for(|status| status.generation == 2));
    let after = names.snapshot_for(&headers);
    assert_eq!((before.generation(), before.len()), (1, 2));
    assert_eq!((after.generation(), after.len()), (2, 1));
}

#[tokio::test]
async fn invisible_id_in_a_response_is_not_reported_as_unmatched() {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use tower::{Layer, ServiceExt, service_fn};

    let names = keys().names();
    let mut unmatched = names.unmatched_ids().unwrap();
    let service = ApiKeyNameLayer::new(names).layer(service_fn(async |_: http::Request<()>| {
        let body = r#"[{"api_key_id":"key_west"},{"api_key_id":"key_gone"}]"#;
        let response = Response::builder().header("content-type", "application/json");
        response.body(Full::new(Bytes::from_static(body.as_bytes())))
    }));
    let mut request = http::Request::get("/v1/organization/costs").body(()).unwrap();
    *request.headers_mut() = credential("key_own");
    let response = service.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("name of"), "{body:?}");
    assert_eq!(unmatched.try_recv(), ["key_gone"]);
}
