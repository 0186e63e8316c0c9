//! The law of the gate: isolation, against a predicate that is written a second time.

mod body;
mod naive;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request};
use serde_json::Value;

use self::body::write_body;
use self::naive::{ENDPOINTS, Node, is_body_permitted, permitted_endpoint};
use crate::unstructured::{Unstructured, smallest_chunks, split_at_offsets};

/// The headers that pass, and the model, the edited body, and two flags: a stream, and a usage event that is not requested.
pub type PermittedRequest = (HeaderMap, Option<(String, Bytes, bool, bool)>);

/// Checks a request whose body consists of these chunks, with the keys `sk-px-1` and `sk-px-2`. `sk-px-1` may use the models
/// `gpt-5*` and `claude-*`, and the tools `web_search*`. `sk-px-2` has expired. Returns the status and message of a refusal.
pub type CheckRequest = fn(&Parts, &[&[u8]]) -> Result<PermittedRequest, (u16, String)>;

/// Checks that the gate permits a request exactly if the naive predicate does, in any chunks, and that it changes only what
/// it may change.
pub fn check(input: &[u8], check_request: CheckRequest) {
    let mut source = Unstructured::new(input);
    let (provider, method, path) = match source.byte() {
        // The endpoints with the most members.
        0..=159 => source.choose(&ENDPOINTS[..3]),
        _ => source.choose(ENDPOINTS),
    };
    let Some(parts) = head(&mut source, provider, method, path) else { return };
    let offsets = source.offsets(6);
    let body = if source.byte() == 255 { source.take_rest().to_vec() } else { write_body(&mut source, path) };
    let text = String::from_utf8_lossy(&body);
    let whole = check_request(&parts, &[&body]);
    for chunks in [split_at_offsets(&body, &offsets), smallest_chunks(&body)] {
        assert_eq!(check_request(&parts, &chunks), whole, "{parts:?} {text} in {chunks:?}");
    }
    let endpoint = permitted_endpoint(&parts);
    let expected = match endpoint {
        Some(endpoint) if endpoint["method"] == "POST" => is_body_permitted(endpoint, &body),
        endpoint => Some(endpoint.is_some()),
    };
    if let Some(expected) = expected {
        assert_eq!(whole.is_ok(), expected, "{whole:?} for {parts:?} {text}");
    }
    match whole {
        Ok((headers, checked)) => {
            let endpoint = endpoint.expect("the head is permitted");
            let streams = checked.as_ref().is_some_and(|(_, _, streams, _)| *streams);
            check_headers(endpoint, streams, &parts.headers, &headers);
            if let Some((_, edited, streams, hides_usage_event)) = checked {
                let adds_usage_event = endpoint["adds_usage_event"] == true;
                check_edit(&body, &edited, streams && adds_usage_event, hides_usage_event);
            }
        }
        Err((_, message)) => {
            let has_credential = ["sk-px-1", "sk-px-2", "sk-px-3"].iter().any(|it| message.contains(it));
            assert!(!has_credential || text.contains("sk-px-"), "{message}");
        }
    }
}

/// Checks that exactly the first values of the listed headers pass, and the values of the gate itself.
fn check_headers(endpoint: &Value, streams: bool, sent: &HeaderMap, passed: &HeaderMap) {
    let mut expected = HeaderMap::new();
    let accept = if streams { "text/event-stream" } else { "application/json" };
    expected.insert("accept", HeaderValue::from_static(accept));
    if endpoint["method"] == "POST" {
        expected.insert("content-type", HeaderValue::from_static("application/json"));
    }
    let mut listed = vec!["user-agent"];
    if endpoint["provider"] == "anthropic" {
        listed.push("anthropic-version");
        let betas: Vec<&str> = sent
            .get_all("anthropic-beta")
            .iter()
            .flat_map(|value| value.to_str().expect("the values are ASCII").split(','))
            .map(str::trim)
            .filter(|beta| beta.starts_with("compact-") || beta.starts_with("pdfs-"))
            .collect();
        if !betas.is_empty() {
            let list = betas.join(",").parse().expect("the betas are ASCII");
            expected.insert("anthropic-beta", list);
        }
    }
    for name in listed {
        if let Some(value) = sent.get(name) {
            expected.insert(name, value.clone());
        }
    }
    assert_eq!(*passed, expected, "{sent:?}");
}

/// Checks that a stream requests its usage, and that nothing else in the body has changed.
fn check_edit(body: &[u8], edited: &[u8], needs_usage: bool, hides_usage_event: bool) {
    let text = String::from_utf8_lossy(edited);
    assert_eq!(hides_usage_event, body != edited, "{text}");
    if !needs_usage {
        assert_eq!(body, edited, "{text}");
        return;
    }
    // One splice: the longest equal start and end leave a short text between them, which is what was inserted.
    let start = body.iter().zip(edited).take_while(|(old, new)| old == new).count();
    let rest = body[start..].iter().rev().zip(edited[start..].iter().rev());
    let end = rest.take_while(|(old, new)| old == new).count();
    let removed = &body[start..body.len() - end];
    assert!(removed.len() <= "false".len() && edited.len() <= body.len() + 41, "{removed:?} in {text}");
    let (Ok(old), Ok(new)) = (serde_json::from_slice::<Node>(body), serde_json::from_slice::<Node>(edited))
    else {
        return;
    };
    let usage = new.member("stream_options").and_then(|options| options.member("include_usage"));
    assert_eq!(usage, Some(&Node::Scalar("true".to_owned())), "{text}");
    assert_eq!(without_usage_option(old), without_usage_option(new), "{text}");
}

/// Returns the document without `stream_options.include_usage`, and without the options if they are then empty or null.
fn without_usage_option(document: Node) -> Vec<(String, Node)> {
    let Node::Object(mut members) = document else { return Vec::new() };
    for (name, value) in &mut members {
        if let Node::Object(options) = value
            && name == "stream_options"
        {
            options.retain(|(option, _)| option != "include_usage");
        }
    }
    let nothing = [Node::Object(Vec::new()), Node::Scalar("null".to_owned())];
    members.retain(|(name, value)| name != "stream_options" || !nothing.contains(value));
    members
}

/// The headers beside those of the first request, most of which change nothing.
const HEADERS: &[(&str, &str)] = &[
    ("accept", "application/json"),
    ("accept", "text/event-stream"),
    ("user-agent", "test"),
    ("openai-organization", "org-1"),
    ("openai-project", "proj_1"),
    ("anthropic-beta", "beta-1"),
    ("anthropic-beta", "compact-2026-01-12, context-1m-2025-08-07"),
    ("anthropic-beta", "pdfs-2024-09-25"),
    ("anthropic-version", "2024-01-01"),
    ("anthropic-version", "2023-06-01"),
    ("idempotency-key", "1"),
    ("cookie", "a=b"),
    ("accept-encoding", "gzip"),
    ("content-encoding", "identity"),
    ("upgrade", "h2c"),
    ("x-api-key", "sk-px-1"),
    ("authorization", "bearer sk-px-1"),
    ("upgrade", "websocket"),
    ("content-encoding", "gzip"),
    ("content-encoding", "identity,br"),
    ("content-type", "application/json"),
    ("x-api-key", "sk-px-3"),
    ("x-api-key", ""),
    ("authorization", "Bearer sk-px-2"),
    ("authorization", "Basic sk-px-1"),
];

const CONTENT_TYPES: &[&str] = &[
    "application/json",
    "application/json",
    "application/json; charset=utf-8",
    "Application/Json;a=b",
    "application/json; charset=\"UTF-8\"",
    "application/json; charset=utf-16",
    "application/jsonl",
    "text/plain; a=application/json",
    "",
];

/// Returns a request whose head is mostly permitted. Returns `None` if it is no valid request of HTTP.
fn head(source: &mut Unstructured<'_>, provider: &str, method: &str, path: &str) -> Option<Parts> {
    let is_valid = source.byte() < 230;
    let sent_method =
        if is_valid { method } else { source.choose(&["POST", "GET", "HEAD", "OPTIONS", "post"]) };
    let sent_path = if is_valid { path.to_owned() } else { other_spelling(source, path) };
    let query = match source.byte() {
        0..=229 => "",
        230..=239 => "?beta=true",
        _ => source.choose(&[
            "?",
            "?limit=1&after_id=a",
            "?beta=false",
            "?model=gpt-6",
            "?beta=true&beta=true",
            "?&",
        ]),
    };
    let credential = match source.byte() {
        0..=249 => "sk-px-1",
        _ => source.choose(&["sk-px-2", "sk-px-3", "", "sha256:9f86d081", "sk-px-1 x"]),
    };
    let mut request = Request::builder().method(sent_method).uri(format!("{sent_path}{query}"));
    let sends_api_key = source.boolean() == (provider == "openai");
    request = if sends_api_key {
        request.header("x-api-key", credential)
    } else {
        request.header("authorization", format!("Bearer {credential}"))
    };
    let content_type = if is_valid { CONTENT_TYPES[0] } else { source.choose(CONTENT_TYPES) };
    request = request.header("content-type", content_type);
    for _ in 0..source.byte() % 4 {
        // The later headers are mostly refused.
        let limit = if source.byte() > 240 { HEADERS.len() } else { 15 };
        let (name, value) = source.choose(&HEADERS[..limit]);
        request = request.header(name, HeaderValue::from_static(value));
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// Returns a path that is equal or similar to an endpoint's.
fn other_spelling(source: &mut Unstructured<'_>, path: &str) -> String {
    match source.byte() % 10 {
        0 => path.replacen("/v1/", "/v1//", 1),
        1 => path.replacen("/v1/", "/v1%2F", 1),
        2 => path.replacen("/v1/", "/v1/x/../", 1),
        3 => path.to_uppercase(),
        4 => format!("{path}/"),
        5 => path.replace('e', "%65"),
        6 => format!("https://example.com{path}"),
        7 => format!("{path}/../files"),
        8 => "/v1/files".to_owned(),
        _ => path.to_owned(),
    }
}
