//! Content codings: requested from the upstream, decoded, and encoded again for clients that accept them.
use async_compression::tokio::bufread::{BrotliDecoder, BrotliEncoder, GzipDecoder, GzipEncoder};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::peer::{Asked, COSTS, NAMED, Proxy, ROWS, Upstream, full, json};

async fn all(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn encoded(coding: &str, text: &str) -> Vec<u8> {
    match coding {
        "gzip" => all(GzipEncoder::new(text.as_bytes())).await,
        "br" => all(BrotliEncoder::new(text.as_bytes())).await,
        _ => text.as_bytes().to_vec(),
    }
}

async fn decoded(coding: Option<&str>, bytes: &[u8]) -> String {
    let bytes = match coding {
        Some("gzip") => all(GzipDecoder::new(bytes)).await,
        Some("br") => all(BrotliDecoder::new(bytes)).await,
        None => bytes.to_vec(),
        Some(other) => panic!("{other}"),
    };
    String::from_utf8(bytes).unwrap()
}

async fn coding_upstream(coding: &'static str, text: &str) -> Upstream {
    let body = encoded(coding, text).await;
    Upstream::answering(move |_: &Asked| {
        let mut response = json(body.clone());
        if coding != "identity" {
            response.headers_mut().insert("content-encoding", coding.parse().unwrap());
        }
        for (name, value) in [
            ("etag", "\"v1\""),
            ("content-digest", "sha-256=:AAAA:"),
            ("repr-digest", "sha-256=:AAAA:"),
            ("accept-ranges", "bytes"),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await
}

#[tokio::test]
async fn page_in_any_coding_is_named_and_recoded_for_the_client() {
    for up in ["identity", "gzip", "br"] {
        let upstream = coding_upstream(up, ROWS).await;
        let proxy = Proxy::to(&upstream.base()).await;
        for (accepts, coding) in [
            (None, None),
            (Some("identity"), None),
            (Some("gzip, deflate"), Some("gzip")),
            (Some("GZIP"), Some("gzip")),
            (Some("br, gzip, deflate"), Some("br")),
            (Some("gzip;q=1, br;q=0.5"), Some("gzip")),
            (Some("zstd"), None),
            (Some("gzip;q=0"), None),
        ] {
            let accept: Vec<_> = accepts.map(|a| ("accept-encoding", a)).into_iter().collect();
            let reply = proxy.get_with(COSTS, &accept).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("content-encoding"), coding, "{up} {accepts:?}");
            assert_eq!(decoded(coding, &reply.body).await, NAMED);
            assert!(reply.header("vary").unwrap().contains("accept-encoding"));
            let exact = (coding.is_none()).then(|| NAMED.len().to_string());
            assert_eq!(reply.header("content-length"), exact.as_deref());
            // The proxy requests the codings that it decodes, not those of the client.
            let mut asked: Vec<_> = upstream.last().headers["accept-encoding"]
                .to_str()
                .unwrap()
                .split(',')
                .map(|coding| coding.trim().to_owned())
                .collect();
            asked.sort();
            assert_eq!(asked, ["br", "gzip"]);
        }
    }
}

#[tokio::test]
async fn recoded_body_has_only_weak_validators() {
    // The page has no ids, so only its coding can change.
    const PLAIN: &str = r#"{"object":"list","data":[{"id":"key_a","name":"Alpha"}],"has_more":false}"#;
    for up in ["identity", "gzip"] {
        let upstream = coding_upstream(up, PLAIN).await;
        let proxy = Proxy::to(&upstream.base()).await;
        for accepts in ["identity", "gzip"] {
            let reply = proxy.get_with(COSTS, &[("accept-encoding", accepts)]).await;
            assert_eq!(decoded(reply.header("content-encoding"), &reply.body).await, PLAIN);
            let same = up == "identity" && accepts == "identity";
            assert_eq!(reply.header("etag"), Some(if same { "\"v1\"" } else { "W/\"v1\"" }));
            for name in ["content-digest", "repr-digest", "accept-ranges"] {
                assert_eq!(reply.header(name).is_some(), same, "{up} {accepts} {name}");
            }
        }
    }
    let upstream = coding_upstream("identity", ROWS).await;
    let reply = Proxy::to(&upstream.base()).await.get(COSTS).await;
    assert_eq!((reply.text(), reply.header("etag")), (NAMED, None));
}

#[tokio::test]
async fn response_without_content_gets_no_coding() {
    for status in [204, 205, 304] {
        let upstream = Upstream::answering(move |_| {
            Response::builder()
                .status(status)
                .header("content-type", "application/json")
                .header("etag", "\"v1\"")
                .body(full(""))
                .unwrap()
        })
        .await;
        let proxy = Proxy::to(&upstream.base()).await;
        let reply = proxy.get_with(COSTS, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(reply.status, status);
        assert_eq!((reply.header("content-encoding"), reply.header("etag")), (None, Some("\"v1\"")));
        assert!(reply.body.is_empty());
    }
    let upstream = coding_upstream("gzip", ROWS).await;
    let proxy = Proxy::to(&upstream.base()).await;
    let request = Request::head(proxy.url(COSTS)).header("accept-encoding", "gzip").body(full("")).unwrap();
    let reply = proxy.send(request).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.is_empty());
    for name in ["content-encoding", "content-length", "etag"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn partial_content_passes_uncoded() {
    // RFC 9110 §15.3.7.2: a body of several parts has its ranges inside the content.
    for range in [Some("bytes 0-9/100"), None] {
        let upstream = Upstream::answering(move |_| {
            let mut response = json(ROWS);
            *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
            if let Some(range) = range {
                response.headers_mut().insert("content-range", range.parse().unwrap());
            }
            response
        })
        .await;
        let proxy = Proxy::to(&upstream.base()).await;
        let reply = proxy.get_with(COSTS, &[("accept-encoding", "gzip")]).await;
        assert_eq!((reply.text(), reply.header("content-encoding")), (ROWS, None));
    }
}

#[tokio::test]
async fn unknown_coding_passes_unchanged() {
    let upstream = Upstream::answering(|_| {
        let mut response = json("\u{1}\u{2}\u{3} zstd, let us say");
        response.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
        response
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = proxy.get_with(COSTS, &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(reply.header("content-encoding"), Some("zstd"));
    assert_eq!(reply.text(), "\u{1}\u{2}\u{3} zstd, let us say");
}

/// tower-http decodes the first of two codings and removes both headers, and it decodes parts of a body.
#[tokio::test]
async fn undecodable_coding_passes_unchanged() {
    let bytes = encoded("gzip", ROWS).await;
    for (status, headers) in [
        (200, &[("content-encoding", "gzip"), ("content-encoding", "aes128gcm")][..]),
        (200, &[("content-encoding", "gzip"), ("content-encoding", "gzip")]),
        (200, &[("content-encoding", "gzip, gzip")]),
        (206, &[("content-encoding", "gzip"), ("content-range", "bytes 0-9/100")]),
    ] {
        let body = bytes.clone();
        let upstream = Upstream::answering(move |_| {
            let mut response = json(body.clone());
            *response.status_mut() = status.try_into().unwrap();
            for (name, value) in headers {
                response.headers_mut().append(*name, value.parse().unwrap());
            }
            response
        })
        .await;
        let reply = Proxy::to(&upstream.base()).await.get(COSTS).await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (status, &bytes[..]), "{headers:?}");
        for (name, _) in headers {
            let said = reply.headers.get_all(*name).iter().map(|value| value.to_str().unwrap());
            let came = headers.iter().filter(|(other, _)| other == name).map(|(_, value)| *value);
            assert!(said.eq(came), "{headers:?}");
        }
    }
}

/// RFC 9110 §8.4.1: codings are case-insensitive, and `x-gzip` is gzip.
#[tokio::test]
async fn coding_name_in_any_case_is_decoded() {
    for (said, coding) in [("GZIP", "gzip"), ("x-gzip", "gzip"), ("X-GZip", "gzip"), ("Br", "br")] {
        let bytes = encoded(coding, ROWS).await;
        let upstream = Upstream::answering(move |_| {
            let mut response = json(bytes.clone());
            response.headers_mut().insert("content-encoding", said.parse().unwrap());
            response
        })
        .await;
        let reply = Proxy::to(&upstream.base()).await.get(COSTS).await;
        assert_eq!((reply.text(), reply.header("content-encoding")), (NAMED, None), "{said}");
    }
}

#[tokio::test]
async fn conditional_headers_are_not_sent_upstream() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let conditions = [
        ("if-none-match", "\"v1\""),
        ("if-modified-since", "x"),
        ("range", "bytes=0-9"),
        ("if-range", "\"v\""),
    ];
    proxy.get_with(COSTS, &conditions).await;
    for (name, _) in conditions {
        assert!(!upstream.last().headers.contains_key(name), "{name}");
    }
}

/// tower-http's decoder discards bytes after the end of the coding in the same frame, and with them half of the rows.
#[tokio::test]
async fn bytes_after_the_end_of_a_coding_fail_with_502() {
    let (first, second) = ROWS.split_at(40);
    for coding in ["gzip", "br"] {
        for rest in [encoded(coding, second).await, b"\n".to_vec()] {
            let mut body = encoded(coding, first).await;
            body.extend(rest);
            let upstream = Upstream::answering(move |_: &Asked| {
                let mut response = json(body.clone());
                response.headers_mut().insert("content-encoding", coding.parse().unwrap());
                response
            })
            .await;
            Proxy::to(&upstream.base()).await.get(COSTS).await.is_error(502, "upstream_transport_error");
        }
    }
}
