use http::{Request, Response};

use super::*;

fn head(headers: &[(&'static str, &'static str)]) -> response::Parts {
    let mut response = Response::new(());
    for (name, value) in headers {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    response.into_parts().0
}

fn json_with(headers: &[(&'static str, &'static str)]) -> response::Parts {
    head(&[&[("content-type", "application/json")], headers].concat())
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

#[test]
fn media_types() {
    for yes in [
        "application/json",
        "Application/JSON ; charset=utf-8",
        "application/json;profile=\"a;b\"",
        "application/problem+json",
        "image/svg+xml+JSON",
        "application/vnd.api+json; x",
    ] {
        assert_eq!(skip(&Method::GET, &head(&[("content-type", yes)]), false), None, "{yes}");
    }
    for no in [
        "text/json",
        "application/jsonp",
        "application/json5",
        "application/x-ndjson",
        "text/event-stream",
        "application/json-seq",
        "application+json",
        "/+json",
        "json",
        "",
        "application/",
        "application/json, text/html",
        "text/html, application/x+json",
    ] {
        assert_eq!(skip(&Method::GET, &head(&[("content-type", no)]), false), Some(Skip::MediaType), "{no}");
    }
    assert_eq!(skip(&Method::GET, &head(&[]), false), Some(Skip::MediaType));
    let two = [("content-type", "application/json"), ("content-type", "text/html")];
    assert_eq!(skip(&Method::GET, &head(&two), false), Some(Skip::MediaType));
}

#[test]
fn encodings() {
    for (encoding, expected) in [
        ("identity", None),
        ("Identity, identity", None),
        ("", None),
        ("gzip", Some(Skip::ContentEncoding)),
        ("identity, br", Some(Skip::ContentEncoding)),
        ("GZIP", Some(Skip::ContentEncoding)),
        ("what", Some(Skip::ContentEncoding)),
    ] {
        let head = json_with(&[("content-encoding", encoding)]);
        assert_eq!(skip(&Method::GET, &head, false), expected, "{encoding}");
    }
}

#[test]
fn statuses_and_methods() {
    let with = |method: Method, status: u16| {
        let mut head = json_with(&[]);
        head.status = StatusCode::from_u16(status).unwrap();
        skip(&method, &head, false)
    };
    for status in [100, 101, 103, 204, 205, 304] {
        assert_eq!(with(Method::GET, status), Some(Skip::NoBody), "{status}");
    }
    for status in [200, 201, 203, 300, 400, 404, 429, 500, 503] {
        assert_eq!(with(Method::GET, status), None, "{status}");
        assert_eq!(with(Method::POST, status), None, "{status}");
        assert_eq!(with(Method::HEAD, status), None, "{status}");
    }
    assert_eq!(with(Method::GET, 206), Some(Skip::Partial));
    assert_eq!(with(Method::CONNECT, 200), Some(Skip::NoBody));
    assert_eq!(with(Method::CONNECT, 400), None);
    let ranged = json_with(&[("content-range", "bytes 0-1/2")]);
    assert_eq!(skip(&Method::GET, &ranged, false), Some(Skip::Partial));
}

#[test]
fn no_transform_binds_where_it_is_honored() {
    let head = json_with(&[("cache-control", "private, No-Transform")]);
    assert_eq!(skip(&Method::GET, &head, false), None);
    assert_eq!(skip(&Method::GET, &head, true), Some(Skip::NoTransform));
    let other = json_with(&[("cache-control", "no-transformer")]);
    assert_eq!(skip(&Method::GET, &other, true), None);
}

const DESCRIBED: &[(&str, &str)] = &[
    ("content-length", "7"),
    ("transfer-encoding", "chunked"),
    ("etag", "\"a\""),
    ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("accept-ranges", "bytes"),
    ("digest", "sha-256=x"),
    ("content-md5", "x"),
    ("content-digest", "sha-256=:x:"),
    ("repr-digest", "sha-256=:x:"),
    ("x-request-id", "req_1"),
    ("set-cookie", "a=1"),
    ("set-cookie", "b=2"),
    ("x-ratelimit-remaining-requests", "1"),
];

#[test]
fn what_describes_the_bytes_is_corrected() {
    let kept =
        ["x-request-id: req_1", "set-cookie: a=1", "set-cookie: b=2", "x-ratelimit-remaining-requests: 1"];
    let mut whole = json_with(DESCRIBED).headers;
    amend_response(&mut whole, Some(1234));
    assert_eq!(whole[CONTENT_LENGTH], "1234");
    assert!(!whole.contains_key(TRANSFER_ENCODING));
    let mut rest = lines(&whole);
    rest.retain(|line| !line.starts_with("content-"));
    rest.sort();
    let mut expected = kept.map(String::from);
    expected.sort();
    assert_eq!(rest, expected);

    let mut streaming = json_with(DESCRIBED).headers;
    amend_response(&mut streaming, None);
    assert!(!streaming.contains_key(CONTENT_LENGTH));
    assert_eq!(streaming[TRANSFER_ENCODING], "chunked");
}

#[test]
fn digests_are_not_announced_as_trailers() {
    for (announced, left) in [
        ("x-checksum, Content-Digest,x-other", Some("x-checksum, x-other")),
        ("Repr-Digest", None),
        ("x-checksum ,x-other", Some("x-checksum ,x-other")),
    ] {
        let mut headers = json_with(&[("trailer", announced)]).headers;
        amend_response(&mut headers, None);
        assert_eq!(headers.get(TRAILER).map(|line| line.to_str().unwrap()), left);
    }
    let mut trailers = head(&[("repr-digest", "x"), ("grpc-status", "0")]).headers;
    amend_trailers(&mut trailers);
    assert_eq!(lines(&trailers), ["grpc-status: 0"]);
}

#[test]
fn requests() {
    let ask = |method: Method| {
        let mut request = Request::builder()
            .method(method)
            .uri("http://h:1/v1/organization/costs?group_by=api_key_name&b=[]");
        for name in [
            "accept-encoding",
            "if-none-match",
            "if-modified-since",
            "range",
            "if-range",
            "if-match",
            "accept",
        ] {
            request = request.header(name, "x");
        }
        let mut request = request.body(()).unwrap();
        amend_request(&mut request, &KeyNames::default()).unwrap();
        assert_eq!(request.uri(), "http://h:1/v1/organization/costs?group_by=api_key_id&b=[]");
        let mut left = lines(request.headers());
        left.sort();
        left
    };
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(ask(method), ["accept: x", "if-match: x"]);
    }
    let all =
        ["accept: x", "if-match: x", "if-modified-since: x", "if-none-match: x", "if-range: x", "range: x"];
    assert_eq!(ask(Method::POST), all);
}

#[test]
fn targets_of_every_form_and_length() {
    let becomes = |uri: &str, expected: &str| {
        let mut request = Request::builder().uri(uri).body(()).unwrap();
        amend_request(&mut request, &KeyNames::default()).unwrap();
        assert_eq!(request.uri().to_string(), expected);
    };
    becomes("/v1/organization/costs?group_by=api_key_name", "/v1/organization/costs?group_by=api_key_id");
    becomes("https://h/?group_by=api_key_name#f", "https://h/?group_by=api_key_id");
    becomes("//a//b?group_by=api_key_name", "//a//b?group_by=api_key_id");
    becomes("/a%2F..?x=%3D&&group_by=api_key_name&y", "/a%2F..?x=%3D&&group_by=api_key_id&y");
    becomes("/plain", "/plain");
    // The longest target that `http` takes.
    let long = format!("/?group_by=api_key_name&x={}", "y".repeat(65_534 - 26));
    becomes(&long, &long.replace("api_key_name", "api_key_id"));
}
