use http::Response;

use super::*;

fn parts(headers: &[(&'static str, &'static str)]) -> response::Parts {
    let mut response = Response::new(());
    for (name, value) in headers {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    response.into_parts().0
}

fn json_with(headers: &[(&'static str, &'static str)]) -> response::Parts {
    parts(&[&[("content-type", "application/json")], headers].concat())
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

#[test]
fn media_type_other_than_json_is_skipped() {
    for yes in [
        "application/json",
        "Application/JSON ; charset=utf-8",
        "application/json;profile=\"a;b\"",
        "application/problem+json",
        "image/svg+xml+JSON",
        "application/vnd.api+json; x",
    ] {
        assert_eq!(skip_reason(&Method::GET, &parts(&[("content-type", yes)]), false), None, "{yes}");
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
        assert_eq!(
            skip_reason(&Method::GET, &parts(&[("content-type", no)]), false),
            Some(Skip::MediaType),
            "{no}"
        );
    }
    assert_eq!(skip_reason(&Method::GET, &parts(&[]), false), Some(Skip::MediaType));
    let two = [("content-type", "application/json"), ("content-type", "text/html")];
    assert_eq!(skip_reason(&Method::GET, &parts(&two), false), Some(Skip::MediaType));
}

#[test]
fn content_encoding_other_than_identity_is_skipped() {
    for (encoding, expected) in [
        ("identity", None),
        ("Identity, identity", None),
        ("", None),
        ("gzip", Some(Skip::ContentEncoding)),
        ("identity, br", Some(Skip::ContentEncoding)),
        ("GZIP", Some(Skip::ContentEncoding)),
        ("unknown", Some(Skip::ContentEncoding)),
    ] {
        let response = json_with(&[("content-encoding", encoding)]);
        assert_eq!(skip_reason(&Method::GET, &response, false), expected, "{encoding}");
    }
}

#[test]
fn status_or_method_without_content_is_skipped() {
    let reason = |method: Method, status: u16| {
        let mut response = json_with(&[]);
        response.status = StatusCode::from_u16(status).unwrap();
        skip_reason(&method, &response, false)
    };
    for status in [100, 101, 103, 204, 205, 304] {
        assert_eq!(reason(Method::GET, status), Some(Skip::NoBody), "{status}");
    }
    for status in [200, 201, 203, 300, 400, 404, 429, 500, 503] {
        assert_eq!(reason(Method::GET, status), None, "{status}");
        assert_eq!(reason(Method::POST, status), None, "{status}");
        assert_eq!(reason(Method::HEAD, status), None, "{status}");
    }
    assert_eq!(reason(Method::GET, 206), Some(Skip::Partial));
    assert_eq!(reason(Method::CONNECT, 200), Some(Skip::NoBody));
    assert_eq!(reason(Method::CONNECT, 400), None);
    let ranged = json_with(&[("content-range", "bytes 0-1/2")]);
    assert_eq!(skip_reason(&Method::GET, &ranged, false), Some(Skip::Partial));
}

#[test]
fn no_transform_is_skipped_only_if_honored() {
    let response = json_with(&[("cache-control", "private, No-Transform")]);
    assert_eq!(skip_reason(&Method::GET, &response, false), None);
    assert_eq!(skip_reason(&Method::GET, &response, true), Some(Skip::NoTransform));
    let other = json_with(&[("cache-control", "no-transformer")]);
    assert_eq!(skip_reason(&Method::GET, &other, true), None);
}

const HEADERS: &[(&str, &str)] = &[
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
fn headers_of_changed_bytes_are_corrected() {
    let kept =
        ["x-request-id: req_1", "set-cookie: a=1", "set-cookie: b=2", "x-ratelimit-remaining-requests: 1"];
    let mut buffered = json_with(HEADERS).headers;
    amend(&mut buffered, Some(1234));
    assert_eq!(buffered[CONTENT_LENGTH], "1234");
    assert!(!buffered.contains_key(TRANSFER_ENCODING));
    let mut rest = lines(&buffered);
    rest.retain(|line| !line.starts_with("content-"));
    rest.sort();
    let mut expected = kept.map(String::from);
    expected.sort();
    assert_eq!(rest, expected);

    let mut streaming = json_with(HEADERS).headers;
    amend(&mut streaming, None);
    assert!(!streaming.contains_key(CONTENT_LENGTH));
    assert_eq!(streaming[TRANSFER_ENCODING], "chunked");
}

#[test]
fn digests_are_removed_from_trailers() {
    for (announced, expected) in [
        ("x-checksum, Content-Digest,x-other", Some("x-checksum, x-other")),
        ("Repr-Digest", None),
        ("x-checksum ,x-other", Some("x-checksum ,x-other")),
    ] {
        let mut headers = json_with(&[("trailer", announced)]).headers;
        amend(&mut headers, None);
        assert_eq!(headers.get(TRAILER).map(|line| line.to_str().unwrap()), expected);
    }
    let mut trailers = parts(&[("repr-digest", "x"), ("grpc-status", "0")]).headers;
    amend_trailers(&mut trailers);
    assert_eq!(lines(&trailers), ["grpc-status: 0"]);
}
