//! Compression above the layer and decompression below it, with clients and upstreams that use different codings.

use async_compression::tokio::write::{BrotliDecoder, BrotliEncoder, GzipDecoder, GzipEncoder};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::io::AsyncWriteExt;
use tower::{BoxError, ServiceBuilder};
use tower_http::compression::CompressionLayer;
use tower_http::decompression::DecompressionLayer;

use super::*;

async fn encoded(coding: &str, text: &str) -> Bytes {
    match coding {
        "gzip" => {
            let mut encoder = GzipEncoder::new(Vec::new());
            encoder.write_all(text.as_bytes()).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner().into()
        }
        "br" => {
            let mut encoder = BrotliEncoder::new(Vec::new());
            encoder.write_all(text.as_bytes()).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner().into()
        }
        other => panic!("{other}"),
    }
}

async fn decoded(coding: &str, bytes: &[u8]) -> String {
    let bytes = match coding {
        "gzip" => {
            let mut decoder = GzipDecoder::new(Vec::new());
            decoder.write_all(bytes).await.unwrap();
            decoder.shutdown().await.unwrap();
            decoder.into_inner()
        }
        "br" => {
            let mut decoder = BrotliDecoder::new(Vec::new());
            decoder.write_all(bytes).await.unwrap();
            decoder.shutdown().await.unwrap();
            decoder.into_inner()
        }
        other => panic!("{other}"),
    };
    String::from_utf8(bytes).unwrap()
}

/// Creates an upstream that sends the page in this coding, whether or not it was requested.
async fn upstream(coding: Option<&'static str>) -> Upstream {
    let Some(coding) = coding else { return Upstream::costs() };
    let body = encoded(coding, PLAIN).await;
    Upstream::new(move || {
        let mut response = page(Full::new(body.clone()));
        response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        response.headers_mut().insert(header::CONTENT_ENCODING, http::HeaderValue::from_static(coding));
        response
    })
}

type DecodedResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Calls the documented stack.
async fn call(layer: ApiKeyNameLayer, upstream: Upstream, accepts: Option<&'static str>) -> DecodedResponse {
    let service = ServiceBuilder::new()
        .layer(CompressionLayer::new())
        .layer(layer)
        .layer(DecompressionLayer::new())
        .service(upstream);
    let mut request = get(COSTS);
    if let Some(accepts) = accepts {
        request.headers_mut().insert(header::ACCEPT_ENCODING, http::HeaderValue::from_static(accepts));
    }
    service.oneshot(request).await.unwrap().map(|body| body.map_err(Into::into).boxed_unsync())
}

#[tokio::test]
async fn page_in_each_pair_of_codings_is_amended() {
    let clients = [
        (Some("gzip"), Some("gzip")),
        (Some("gzip;q=0.5, br"), Some("br")),
        (Some("GZIP"), Some("gzip")),
        // The decompressing layer does not support zstd, so the upstream must not receive it.
        (Some("zstd, gzip;q=0.1"), Some("gzip")),
        (Some("identity"), None),
        (Some("zstd"), None),
        (None, None),
    ];
    for limit in [1 << 20, 0] {
        for sent in [None, Some("gzip"), Some("br")] {
            for (accepts, expected) in clients {
                let case = format!("limit {limit}, upstream {sent:?}, client {accepts:?}");
                let upstream = upstream(sent).await;
                let response = call(layer().limit(limit), upstream.clone(), accepts).await;
                let request = upstream.take_request();
                let accepted = request.headers[header::ACCEPT_ENCODING].to_str().unwrap();
                assert!(
                    accepted.contains("gzip") && accepted.contains("br") && !accepted.contains("zstd"),
                    "{case}: {accepted}"
                );

                let (head, body) = response.into_parts();
                let coding = head.headers.get(header::CONTENT_ENCODING).map(|it| it.to_str().unwrap());
                assert_eq!(coding, expected, "{case}");
                let body = body.collect().await.unwrap().to_bytes();
                let text = match coding {
                    Some(coding) => decoded(coding, &body).await,
                    None => String::from_utf8(body.to_vec()).unwrap(),
                };
                assert_eq!(text, NAMED, "{case}");

                let buffered = limit > 0;
                let length = head.headers.get(header::CONTENT_LENGTH).map(|it| it.to_str().unwrap());
                let exact = NAMED.len().to_string();
                assert_eq!(length, (buffered && coding.is_none()).then_some(&*exact), "{case}");
                assert!(!head.headers.contains_key(header::ETAG), "{case}");
                let outcome = head.extensions.get().and_then(ResponseState::outcome);
                assert_eq!(matches!(outcome, Some(Outcome::Amended { .. })), buffered, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn encoded_body_without_decompression_is_unchanged() {
    for coding in ["gzip", "br"] {
        let upstream = upstream(Some(coding)).await;
        let sent = encoded(coding, PLAIN).await;
        let service = ServiceBuilder::new().layer(layer()).service(upstream);
        let mut request = get(COSTS);
        request.headers_mut().insert(header::ACCEPT_ENCODING, http::HeaderValue::from_static(coding));
        let (head, body) = service.oneshot(request).await.unwrap().into_parts();
        assert!(matches!(
            head.extensions.get().and_then(ResponseState::outcome),
            Some(Outcome::Skipped { skip: Skip::ContentEncoding, .. })
        ));
        assert_eq!(head.headers[header::CONTENT_ENCODING], coding);
        assert_eq!(head.headers[header::CONTENT_LENGTH], *sent.len().to_string());
        assert_eq!(head.headers[header::ETAG], "\"plain\"");
        assert_eq!(body.collect().await.unwrap().to_bytes(), sent);
    }
}

#[tokio::test]
async fn decompression_above_the_layer_leaves_the_page_unchanged() {
    let service = ServiceBuilder::new()
        .layer(DecompressionLayer::new())
        .layer(layer())
        .service(upstream(Some("gzip")).await);
    let (head, body) = service.oneshot(get(COSTS)).await.unwrap().into_parts();
    assert!(matches!(
        head.extensions.get().and_then(ResponseState::outcome),
        Some(Outcome::Skipped { skip: Skip::ContentEncoding, .. })
    ));
    assert_eq!(body.collect().await.unwrap().to_bytes(), PLAIN);
}

#[tokio::test]
async fn body_that_cannot_be_decoded_fails_in_the_body() {
    let broken = Upstream::new(|| {
        let mut response = page(Full::from("this is not gzip"));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        response
    });
    let response = call(layer(), broken, None).await;
    assert!(matches!(
        response.extensions().get().and_then(ResponseState::outcome),
        Some(Outcome::Skipped { skip: Skip::BodyFailed, .. })
    ));
    assert!(response.into_body().collect().await.is_err());
}
