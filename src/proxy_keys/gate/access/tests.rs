use http::{Request, header};

use super::*;
use crate::proxy_keys::gate::test_key::test_keys;

const CHAT: &str = "/v1/chat/completions";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Checks a request with a valid key and these headers.
fn check(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<PermittedHead, Refusal> {
    let with_key = [&[("authorization", "Bearer sk-px-1")], headers].concat();
    check_all(&parts(method, target, &with_key))
}

/// Checks the key and everything else of a request but its body.
fn check_all(parts: &Parts) -> Result<PermittedHead, Refusal> {
    check_head(parts, authenticate(&parts.headers, &test_keys(), Timestamp::UNIX_EPOCH)?)
}

fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// Checks the status of a refusal, and a part of its message.
fn assert_refused(result: Result<PermittedHead, Refusal>, status: u16, expected: &str) {
    let refusal = result.expect_err(expected);
    assert_eq!(refusal.response(Provider::OpenAi).status(), status, "{}", refusal.message());
    assert!(refusal.message().contains(expected), "{}", refusal.message());
}

#[test]
fn every_endpoint_is_permitted() {
    for (provider, method, path, is_metered) in [
        (Provider::OpenAi, "POST", CHAT, true),
        (Provider::OpenAi, "POST", "/v1/completions", true),
        (Provider::OpenAi, "POST", "/v1/responses", true),
        (Provider::OpenAi, "POST", "/v1/responses/compact", true),
        (Provider::OpenAi, "POST", "/v1/embeddings", true),
        (Provider::OpenAi, "POST", "/v1/moderations", true),
        (Provider::OpenAi, "POST", "/v1/images/generations", true),
        (Provider::OpenAi, "GET", "/v1/models", false),
        (Provider::Anthropic, "POST", "/v1/messages", true),
        (Provider::Anthropic, "POST", "/v1/messages/count_tokens", false),
    ] {
        let endpoint = check(method, path, &[JSON]).unwrap().endpoint;
        assert_eq!((endpoint.provider, endpoint.is_metered), (provider, is_metered), "{path}");
        assert_eq!(endpoint.has_body(), method == "POST", "{path}");
        assert_eq!(endpoint.is_model_list(), method == "GET", "{path}");
    }
}

#[test]
fn request_with_an_unknown_or_expired_key_is_refused() {
    for (credential, expected) in [
        ("sk-px-3", "is not known"),
        ("sk-px-11", "is not known"),
        ("sha256:cbe8e6a3", "is not known"),
        ("sk-px-2", "has expired"),
    ] {
        let request = parts("GET", "/v1/models", &[("x-api-key", credential)]);
        assert_refused(check_all(&request), 401, expected);
    }
    let in_query = parts("GET", "/v1/models?api_key=sk-px-1", &[]);
    assert_refused(check_all(&in_query), 401, "Send a proxy key");
}

#[test]
fn credential_is_checked_before_everything_else() {
    let request = parts("TRACE", "/v1/files?a=b", &[("upgrade", "websocket")]);
    assert_refused(check_all(&request), 401, "Send a proxy key");
}

#[test]
fn path_outside_the_table_is_refused() {
    for path in [
        "/",
        "/v1",
        "/v1/files",
        "/v1/chat/completions/",
        "/v1/chat/completions/chatcmpl-1",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat%2Fcompletions",
        "/v1/%63hat/completions",
        "/v1/x/../chat/completions",
        "/v1/./chat/completions",
        "/V1/chat/completions",
        "/v1/chat/completions;a",
        "/chat/completions",
        "/v1/realtime/client_secrets",
        "/v1/organization/usage/completions",
    ] {
        assert_refused(check("POST", path, &[JSON]), 404, "no endpoint at this path");
    }
    assert_refused(check("CONNECT", "example.com:443", &[]), 404, "no endpoint at this path");
    assert_refused(check("OPTIONS", "*", &[]), 404, "no endpoint at this path");
}

#[test]
fn another_method_of_a_known_path_is_refused_with_the_methods() {
    for (method, path, methods) in [
        ("GET", CHAT, "POST"),
        ("HEAD", CHAT, "POST"),
        ("OPTIONS", CHAT, "POST"),
        ("CONNECT", CHAT, "POST"),
        ("post", CHAT, "POST"),
        ("HEAD", "/v1/models", "GET"),
        ("DELETE", "/v1/models", "GET"),
    ] {
        let refusal = check(method, path, &[JSON]).unwrap_err();
        let response = refusal.response(Provider::OpenAi);
        assert_eq!(
            (response.status().as_u16(), &response.headers()[header::ALLOW]),
            (405, &methods.parse().unwrap())
        );
    }
}

#[test]
fn absolute_target_is_decided_by_its_path_alone() {
    let target = "https://api.example.com/v1/chat/completions";
    assert_eq!(check("POST", target, &[JSON]).unwrap().endpoint.path, CHAT);
    assert_refused(
        check("POST", "https://api.example.com/v1/files", &[JSON]),
        404,
        "no endpoint at this path",
    );
}

#[test]
fn upgrade_to_another_protocol_than_h2c_is_refused() {
    for value in ["websocket", "h2c, websocket", "h2c/1", "TLS/1.0"] {
        assert_refused(check("POST", CHAT, &[JSON, ("upgrade", value)]), 400, "Upgrade");
    }
    let two = [JSON, ("upgrade", "h2c"), ("upgrade", "websocket")];
    assert_refused(check("POST", CHAT, &two), 400, "Upgrade");
    assert!(check("POST", CHAT, &[JSON, ("upgrade", "H2C")]).is_ok());
}

#[test]
fn query_with_another_parameter_is_refused() {
    for target in [
        "/v1/responses?model=gpt-6",
        "/v1/responses?beta=false",
        "/v1/responses?beta",
        "/v1/responses?beta=true&beta=true",
        "/v1/responses?beta=true&",
        "/v1/responses?%62eta=true",
    ] {
        assert_refused(check("POST", target, &[JSON]), 400, "query");
    }
    assert_refused(check("GET", "/v1/models?limit=1", &[]), 400, "parameter \"limit\" of the query");
    let secret = "/v1/models?sk-0123456789abcdefGHIJKLMN=1";
    assert_refused(check("GET", secret, &[]), 400, crate::secret::HIDDEN);
    let anthropic = [("anthropic-version", "2023-06-01")];
    assert_refused(check("GET", "/v1/models?limit=1&limit=2", &anthropic), 400, "query");
    assert!(check("GET", "/v1/models?limit=1&after_id=a&before_id=b&beta=true", &anthropic).is_ok());
    assert!(check("POST", "/v1/messages?beta=true", &[JSON]).is_ok());
    assert!(check("POST", "/v1/messages?", &[JSON]).is_ok());
}

#[test]
fn body_with_a_content_coding_is_refused() {
    for value in ["gzip", "identity, gzip", "identity;q=1"] {
        assert_refused(check("POST", CHAT, &[JSON, ("content-encoding", value)]), 415, "Content-Encoding");
    }
    for value in ["identity", "Identity, ", ""] {
        assert!(check("POST", CHAT, &[JSON, ("content-encoding", value)]).is_ok(), "{value}");
    }
}

#[test]
fn body_of_another_media_type_is_refused() {
    for value in [
        "text/plain",
        "application/jsonl",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/json; charset=latin1",
        "application/json; charset = \"UTF-16\"",
        "",
    ] {
        assert_refused(check("POST", CHAT, &[("content-type", value)]), 415, "must be JSON");
    }
    assert_refused(check("POST", CHAT, &[]), 415, "must be JSON");
    assert_refused(check("POST", CHAT, &[JSON, JSON]), 415, "must be JSON");
    for value in
        ["Application/JSON", "application/json;charset=UTF-8", "application/json; a=b; charset=\"utf-8\""]
    {
        assert!(check("POST", CHAT, &[("content-type", value)]).is_ok(), "{value}");
    }
    assert!(check("GET", "/v1/models", &[("content-encoding", "gzip")]).is_ok());
}

#[test]
fn refusal_has_the_form_of_the_path_or_else_of_the_headers() {
    let anthropic = ("anthropic-version", "2023-06-01");
    for (path, headers, form) in [
        (CHAT, &[anthropic][..], Provider::OpenAi),
        ("/v1/messages", &[], Provider::Anthropic),
        ("/v1/messages/count_tokens", &[], Provider::Anthropic),
        ("/v1/models", &[], Provider::OpenAi),
        ("/v1/models", &[anthropic], Provider::Anthropic),
        ("/v1/models", &[("x-api-key", "a")], Provider::Anthropic),
        ("/v1/files", &[], Provider::OpenAi),
        ("/v1/files", &[anthropic], Provider::Anthropic),
    ] {
        assert_eq!(provider_of_request(&parts("GET", path, headers)), form, "{path} {headers:?}");
    }
}

/// Returns the headers that are sent for a request with these headers.
fn sent_headers(path: &str, headers: &[(&str, &str)], is_stream: bool) -> Vec<(String, String)> {
    let head = check("POST", path, &[&[JSON], headers].concat()).unwrap();
    let sent = head.request_headers(&parts("POST", path, headers).headers, is_stream);
    let mut fields: Vec<_> =
        sent.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    fields.sort_unstable();
    fields
}

#[test]
fn only_listed_request_headers_pass() {
    let sent = [
        ("accept", "a/b"),
        ("user-agent", "test"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-version", "2024-01-01"),
        ("anthropic-beta", "compact-2026-01-12"),
        ("x-api-key", "sk-px-1"),
        ("openai-organization", "org-1"),
        ("openai-project", "proj_1"),
        ("idempotency-key", "1"),
        ("cookie", "a=b"),
        ("x-stainless-lang", "python"),
        ("accept-encoding", "gzip"),
        ("host", "example.com"),
        ("content-length", "9"),
        ("connection", "upgrade"),
    ];
    let fields = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let json = ("content-type", "application/json");
    assert_eq!(
        sent_headers(CHAT, &sent, false),
        fields(&[("accept", "application/json"), json, ("user-agent", "test")])
    );
    assert_eq!(
        sent_headers("/v1/messages", &sent, true),
        fields(&[
            ("accept", "text/event-stream"),
            ("anthropic-beta", "compact-2026-01-12"),
            ("anthropic-version", "2023-06-01"),
            json,
            ("user-agent", "test"),
        ])
    );
}

#[test]
fn beta_features_that_are_not_listed_are_removed() {
    for (values, expected) in [
        (&["context-1m-2025-08-07"][..], None),
        (&["files-api-2025-04-14, mcp-client-2025-11-20", ""], None),
        (
            &["interleaved-thinking-2025-05-14,context-1m-2025-08-07", "pdfs-2024-09-25"],
            Some("interleaved-thinking-2025-05-14,pdfs-2024-09-25"),
        ),
    ] {
        let headers: Vec<_> = values.iter().map(|value| ("anthropic-beta", *value)).collect();
        let sent = sent_headers("/v1/messages", &headers, false);
        let beta = sent.iter().find(|(name, _)| name == "anthropic-beta").map(|(_, value)| value.as_str());
        assert_eq!(beta, expected, "{values:?}");
    }
}

#[test]
fn content_type_is_sent_without_parameters() {
    let request = [("content-type", "application/json; charset=utf-8; charset*=utf-16''a")];
    let head = check("POST", CHAT, &request).unwrap();
    let sent = head.request_headers(&parts("POST", CHAT, &request).headers, false);
    assert_eq!(sent[header::CONTENT_TYPE], "application/json");
}
