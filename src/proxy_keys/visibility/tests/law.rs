//! The law of visibility through the naming layer: no response depends on a key that its caller may not see.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::settings::NamePosition;

/// The names of random keys: plain ones, one with a comma, its parts, and one that is an id.
const NAMES: [&str; 7] = ["quartz-a", "quartz-b", "zebra \"é\"", "onyx, pearl", "onyx", " pearl", "key_2"];

/// The number of plain names, which are at the start of `NAMES`.
const PLAIN_NAMES: usize = 3;

/// The greatest number of keys in a file. Each response has a row for each of this many ids.
const MAX_KEYS: usize = 6;

/// A key of a random keys file.
#[derive(Clone, Debug)]
struct RandomKey {
    name: usize,
    group: Option<&'static str>,
    usage_scope: &'static str,
    is_revoked: bool,
    is_expired: bool,
}

/// The sender of a random request.
#[derive(Clone, Copy, Debug)]
enum Sender {
    WithoutCredential,
    UnknownKey,
    Operator,
    Key(Index),
}

/// A random request without the names in its query.
#[derive(Clone, Debug)]
struct RandomRequest {
    sender: Sender,
    method: Method,
    /// The form of the filter.
    form: usize,
    has_group_by: bool,
    position: NamePosition,
    suggests: bool,
}

/// A response with its whole body.
type WholeResponse = (StatusCode, HeaderMap, String);

fn random_keys() -> impl Strategy<Value = Vec<RandomKey>> {
    let group = select(vec![None, Some("east"), Some("west")]);
    let usage_scope = select(vec!["own", "group", "all"]);
    let key = (0..NAMES.len(), group, usage_scope, 0..6).prop_map(|(name, group, usage_scope, state)| {
        RandomKey { name, group, usage_scope, is_revoked: state == 0, is_expired: state == 1 }
    });
    prop::collection::vec(key, 1..=MAX_KEYS)
}

fn random_request() -> impl Strategy<Value = RandomRequest> {
    let sender = prop_oneof![
        1 => Just(Sender::WithoutCredential),
        1 => Just(Sender::UnknownKey),
        1 => Just(Sender::Operator),
        6 => any::<Index>().prop_map(Sender::Key),
    ];
    let method = select(vec![Method::GET, Method::GET, Method::HEAD]);
    let position = select(vec![NamePosition::Beside, NamePosition::Replace]);
    (sender, method, 0_usize..7, any::<bool>(), position, any::<bool>()).prop_map(
        |(sender, method, form, has_group_by, position, suggests)| RandomRequest {
            sender,
            method,
            form,
            has_group_by,
            position,
            suggests,
        },
    )
}

/// The id and the credential of the key at this index.
fn id(index: usize) -> String {
    format!("key_{index}")
}

/// Creates a handle to those keys that are at these indexes. It also accepts the operator token.
fn handle_to(keys: &[RandomKey], indexes: &[usize]) -> ProxyKeys {
    let mut items = Vec::new();
    for index in indexes {
        let key = &keys[*index];
        let mut item = item(&id(*index), key.group, key.usage_scope);
        item["name"] = json!(NAMES[key.name]);
        if key.is_revoked {
            item["hashes"] = json!([]);
        }
        if key.is_expired {
            item["expires_at"] = json!("2001-01-01T00:00:00Z");
        }
        items.push(item);
    }
    let handle = ProxyKeys::from_json(keys_file(&items).as_bytes()).unwrap();
    handle.operator_token(OperatorToken::new(TOKEN.to_owned()).unwrap())
}

/// Creates a handle to all keys.
fn handle_to_all(keys: &[RandomKey]) -> ProxyKeys {
    let indexes: Vec<usize> = (0..keys.len()).collect();
    handle_to(keys, &indexes)
}

/// True if a sender may see the key at this index. This is the second implementation of the scopes.
fn is_visible(keys: &[RandomKey], sender: Sender, index: usize) -> bool {
    let own_index = match sender {
        Sender::WithoutCredential | Sender::UnknownKey => return false,
        Sender::Operator => return true,
        Sender::Key(own) => own.index(keys.len()),
    };
    let own = &keys[own_index];
    let has_same_group = own.group.is_some() && own.group == keys[index].group;
    let is_in_scope = match own.usage_scope {
        "all" => true,
        "group" => has_same_group || index == own_index,
        _ => index == own_index,
    };
    is_in_scope && !own.is_revoked && !own.is_expired
}

/// Returns the headers of a request of this sender.
fn headers_of(keys: &[RandomKey], sender: Sender) -> HeaderMap {
    match sender {
        Sender::WithoutCredential => HeaderMap::new(),
        Sender::UnknownKey => credential("key_unknown"),
        Sender::Operator => credential(TOKEN),
        Sender::Key(own) => credential(&id(own.index(keys.len()))),
    }
}

/// Returns the target of a request with these names in its query.
fn target(request: &RandomRequest, names: &[&str]) -> String {
    let encoded: Vec<String> = names.iter().map(|name| encode(name)).collect();
    let mut pairs = Vec::new();
    if request.has_group_by {
        pairs.push("group_by=api_key_name".to_owned());
    }
    for (index, name) in encoded.iter().enumerate() {
        match request.form {
            0 => pairs.push(format!("api_key_names[]={name}")),
            1 => pairs.push(format!("api_key_names[{index}]={name}")),
            2 => pairs.push(format!("api_key_ids[]={name}")),
            3 => pairs.push(format!("api_key_ids[]={name}&api_key_names[]={name}")),
            4 => pairs.push(format!("api_key_names={name}")),
            _ => {}
        }
    }
    match request.form {
        5 => pairs.push(format!("api_key_names={}", encoded.join(","))),
        6 => pairs.push(format!("api_key_ids={}", encoded.join(","))),
        _ => {}
    }
    format!("/v1/organization/usage/completions?{}", pairs.join("&"))
}

fn encode(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// Sends the request through the naming layer to an upstream that returns the query and a row for each id.
fn send(keys: &ProxyKeys, headers: &HeaderMap, random: &RandomRequest, names: &[&str]) -> WholeResponse {
    let upstream = service_fn(async |request: Request<()>| {
        let rows: Vec<Value> = (0..MAX_KEYS).map(|index| json!({"api_key_id": id(index)})).collect();
        let body = json!({"data": rows, "query": request.uri().query()}).to_string();
        let response = Response::builder().header("content-type", "application/json").header("etag", "\"1\"");
        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
    });
    let layer = ApiKeyNameLayer::new(keys.names());
    let service = layer.name_position(random.position).suggest_names(random.suggests).layer(upstream);
    let mut request = Request::builder().method(&random.method).uri(target(random, names)).body(()).unwrap();
    *request.headers_mut() = headers.clone();
    within_deadline(async {
        let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    })
}

/// Replaces a name in the body of a response, in each form in which it may occur.
fn without_name((status, headers, body): WholeResponse, name: &str) -> WholeResponse {
    let quoted = json!(name).to_string();
    let in_json = &quoted[1..quoted.len() - 1];
    (status, headers, body.replace(&encode(name), "?").replace(in_json, "?"))
}

/// Returns a name that no key has. It has the length and the punctuation of this name.
fn absent_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { 'x' } else { c }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn response_is_the_same_if_the_file_lacks_the_invisible_keys(
        keys in random_keys(),
        request in random_request(),
        names in prop::collection::vec(0..NAMES.len(), 0..4),
    ) {
        let visible: Vec<usize> =
            (0..keys.len()).filter(|index| is_visible(&keys, request.sender, *index)).collect();
        let names: Vec<&str> = names.into_iter().map(|name| NAMES[name]).collect();
        let headers = headers_of(&keys, request.sender);
        let response = send(&handle_to_all(&keys), &headers, &request, &names);
        let expected = send(&handle_to(&keys, &visible), &headers, &request, &names);
        prop_assert_eq!(response, expected);
    }

    #[test]
    fn invisible_name_has_the_response_of_an_absent_name(
        keys in random_keys(),
        request in random_request(),
        name in 0..PLAIN_NAMES,
    ) {
        // A suggestion depends on the text of the requested name.
        let request = RandomRequest { suggests: false, ..request };
        for (index, key) in keys.iter().enumerate() {
            prop_assume!(key.name != name || !is_visible(&keys, request.sender, index));
        }
        let (handle, headers) = (handle_to_all(&keys), headers_of(&keys, request.sender));
        let absent = absent_name(NAMES[name]);
        let response = send(&handle, &headers, &request, &[NAMES[name]]);
        let expected = send(&handle, &headers, &request, &[&absent]);
        prop_assert_eq!(without_name(response, NAMES[name]), without_name(expected, &absent));
    }

    #[test]
    fn row_has_its_name_only_if_the_key_is_visible(keys in random_keys(), request in random_request()) {
        let request = RandomRequest { method: Method::GET, form: 0, position: NamePosition::Beside, ..request };
        let headers = headers_of(&keys, request.sender);
        let (_, _, body) = send(&handle_to_all(&keys), &headers, &request, &[]);
        let body: Value = serde_json::from_str(&body).unwrap();
        let rows = body["data"].as_array().unwrap();
        prop_assert_eq!(rows.len(), MAX_KEYS);
        for (index, row) in rows.iter().enumerate() {
            let is_named = index < keys.len() && is_visible(&keys, request.sender, index);
            let expected = if is_named { NAMES[keys[index].name] } else { "unknown" };
            prop_assert_eq!(&row["api_key_name"], expected, "{}", row);
        }
    }

    #[test]
    fn names_are_those_of_the_keys_whose_rows_are_visible(keys in random_keys(), request in random_request()) {
        let (handle, headers) = (handle_to_all(&keys), headers_of(&keys, request.sender));
        let visible = handle.usage_access(&headers).map(|access| access.visible);
        let snapshot = handle.names().snapshot_for(&headers);
        for (index, key) in keys.iter().enumerate() {
            let row_group = key.group.unwrap_or_default();
            let is_row_visible =
                visible.as_ref().is_some_and(|visible| visible.includes(&id(index), row_group));
            prop_assert_eq!(snapshot.name(&id(index)).is_some(), is_row_visible, "{}", index);
        }
    }
}
