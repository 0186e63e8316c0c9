use std::io;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http_body_util::Full;
use tower::service_fn;

use super::*;

fn message(error: ListError) -> String {
    match error {
        ListError::Transport(message) => message,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn transport_error_is_one_short_line_with_its_sources() {
    let shown = |text: &str| message(transport_error(text.into(), None));
    assert_eq!(shown("no\nroute"), "no route");
    assert_eq!(shown(&"é".repeat(1000)).chars().count(), 300);
    let nested = io::Error::other(io::Error::other("deep"));
    assert!(message(transport_error(nested.into(), None)).contains("deep"));
}

#[test]
fn transport_error_that_looks_like_a_secret_is_masked() {
    let error = transport_error("bad header Bearer sk-proj-abcdefgh".into(), None);
    assert_eq!(message(error), "(an error that seems to contain an API key)");
}

/// A key need not look like one, and a service may repeat the request in its error.
#[tokio::test]
async fn transport_error_that_contains_the_key_is_masked() {
    let repeating = service_fn(async |request: Request<Full<Bytes>>| {
        let sent: Vec<_> = request.headers().values().map(|value| value.to_str().unwrap()).collect();
        Err::<Response<Full<Bytes>>, _>(io::Error::other(format!("broken at {sent:?}")))
    });
    let client = ApiClient::new(repeating);
    let uri = Uri::from_static("http://x/");
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("harmless"))]);
    let error = client.get(uri.clone(), headers.clone(), 1).await.unwrap_err();
    assert!(message(error).contains("harmless"));
    let mut key = HeaderValue::from_static("Bearer let-me-in");
    key.set_sensitive(true);
    headers.insert(AUTHORIZATION, key);
    let error = client.get(uri, headers, 1).await.unwrap_err();
    assert_eq!(message(error), "(an error that seems to contain an API key)");
}

#[test]
fn content_coding_other_than_identity_is_detected() {
    let encoded = |value: &'static str| {
        is_encoded(&HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(value))]))
    };
    assert!(encoded("gzip") && encoded("identity, br"));
    assert!(!encoded("Identity") && !is_encoded(&HeaderMap::new()));
}

fn requested_delay(name: &'static str, value: &'static str) -> Option<Duration> {
    // 2026-11-21T13:00:00Z.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_266_000);
    let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
    parse_retry_after(&headers, now)
}

#[test]
fn retry_after_in_each_form_is_parsed() {
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(requested_delay("retry-after", "7"), seconds(7));
    assert_eq!(requested_delay("retry-after", " 0 "), seconds(0));
    assert_eq!(requested_delay("retry-after", "99999999999999999999999"), seconds(86_400));
    assert_eq!(requested_delay("retry-after", "Sat, 21 Nov 2026 13:00:30 GMT"), seconds(30));
    assert_eq!(requested_delay("retry-after", "Saturday, 21-Nov-26 13:00:30 GMT"), seconds(30));
    assert_eq!(requested_delay("retry-after", "Sat, 21 Nov 2026 12:00:00 GMT"), seconds(0));
    assert_eq!(requested_delay("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT"), seconds(86_400));
    assert_eq!(requested_delay("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
}

#[test]
fn retry_after_that_is_invalid_is_ignored() {
    for invalid in ["", "soon", "-1", "1.5", "2026-11-21T13:00:30Z"] {
        assert_eq!(requested_delay("retry-after", invalid), None, "{invalid}");
    }
    assert_eq!(parse_retry_after(&HeaderMap::new(), SystemTime::now()), None);
}
