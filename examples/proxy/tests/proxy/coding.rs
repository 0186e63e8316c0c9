//! gzip and brotli: asked of the upstream, taken off, and put on again for a client that takes it.
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
async fn whatever_each_side_speaks_the_rows_are_named() {
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
            // What the client takes is not what is asked for; this is.
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
async fn a_validator_never_stands_beside_other_bytes() {
    // Nothing to name: but for the coding, the answer is the upstream's own.
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
async fn what_has_no_content_gets_no_coding() {
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
async fn a_part_is_left_as_it_is() {
    // RFC 9110 §15.3.7.2: several parts say their ranges inside the content.
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
async fn a_coding_that_nobody_asked_for_passes() {
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

/// Of two lines one was taken off, and the labels of both; of a part, the coding and not its place in the whole.
#[tokio::test]
async fn what_cannot_be_decoded_whole_passes_as_it_came() {
    let bytes = encoded("gzip", ROWS).await;
    for (status, headers) in [
        (200, &[("content-encoding", "gzip"), ("content-encoding", "aes128gcm")][..]),
        (200, &[("content-encoding", "gzip"), ("content-encoding", "gzip")]),
        (200, &[("content-encoding", "gzip, gzip")]),
        (206, &[("content-encoding", "gzip"), ("content-range", "bytes 0-9/100")]),
    ] {
        let answer = bytes.clone();
        let upstream = Upstream::answering(move |_| {
            let mut response = json(answer.clone());
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

/// RFC 9110 §8.4.1: in any case of letters, and gzip by its old name.
#[tokio::test]
async fn a_coding_is_known_however_it_is_written() {
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
async fn conditions_are_not_asked_upstream() {
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

/// A decoder stops where the coding ends. What stood behind that in the same frame was left out, and the answer ended
/// well, with half of its rows.
#[tokio::test]
async fn what_follows_a_coding_is_a_502() {
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
