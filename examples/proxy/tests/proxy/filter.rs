//! Filters by name through the proxy: the translated request, and the errors of the naming layer.
use http::{Method, Request};
use serde_json::{Value, json};
use tower_api_key_name::{KeyNames, SharedKeyNames};

use crate::peer::{NAMED, Proxy, Reply, Upstream, client, exchange, full, limits, settings, soon};

fn error(reply: &Reply) -> Value {
    assert_eq!(reply.header("content-type"), Some("application/json"));
    serde_json::from_slice::<Value>(&reply.body).unwrap()["error"].clone()
}

#[tokio::test]
async fn filter_by_name_reaches_the_upstream_as_ids() {
    let upstream = Upstream::rows().await;
    // The same names for the keys of both providers.
    let keys = [("a", "Alpha"), ("1", "Secret Key"), ("2", "Secret Key")];
    let ids = |prefix| keys.map(|(id, name)| (format!("{prefix}{id}"), name));
    let names = KeyNames::new(ids("key_").into_iter().chain(ids("apikey_"))).unwrap();
    let proxy = Proxy::naming(names.into(), settings(&upstream.base()), limits()).await;
    for (query, translated) in [
        (
            "api_key_names%5B%5D=Alpha&api_key_names%5B%5D=Secret+Key",
            "api_key_ids%5B%5D=ID_a&api_key_ids%5B%5D=ID_1&api_key_ids%5B%5D=ID_2",
        ),
        ("api_key_names=Alpha,Secret%20Key&x=%7e+", "api_key_ids=ID_a,ID_1,ID_2&x=%7e+"),
        (
            "group_by[]=api_key_name&api_key_names[]=Alpha&api_key_ids[]=other",
            "group_by[]=api_key_id&api_key_ids[]=ID_a&api_key_ids[]=other",
        ),
    ] {
        for (tree, prefix) in [
            ("/v1/organization/usage/completions", "key_"),
            ("/v1/organizations/usage_report/messages", "apikey_"),
        ] {
            let translated = translated.replace("ID_", prefix);
            let reply = proxy.get(&format!("{tree}?{query}")).await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, NAMED));
            assert_eq!(upstream.last().uri.to_string(), format!("{tree}?{translated}"));
        }
    }
}

#[tokio::test]
async fn filter_that_cannot_be_translated_does_not_reach_the_upstream() {
    let upstream = Upstream::rows().await;
    let many = (0..3_000).map(|nth| (format!("key_{nth:020}"), "many"));
    let many: SharedKeyNames = KeyNames::new(many).unwrap().into();
    for (names, query, status, code) in [
        (&many, "api_key_names[]=nobody", 400, "unknown_api_key_name"),
        (&many, "api_key_names=", 400, "empty_api_key_name"),
        (&many, "api_key_names[a]=b", 400, "invalid_parameter"),
        (&many, "api_key_names=many", 414, "uri_too_long"),
        (&SharedKeyNames::default(), "api_key_names=many", 503, "api_key_names_incomplete"),
    ] {
        let proxy = Proxy::naming(names.clone(), settings(&upstream.base()), limits()).await;
        let target = proxy.url(&format!("/v1/organization/costs?group_by=api_key_name&{query}"));
        for h2 in [false, true] {
            for coding in ["identity", "gzip"] {
                let get = Request::get(&target).header("accept-encoding", coding).body(full("")).unwrap();
                let reply = Reply::read(soon(client(h2).request(get)).await.unwrap()).await.unwrap();
                assert_eq!(reply.status.as_u16(), status, "{query}");
                assert_eq!(reply.header("retry-after"), (status == 503).then_some("5"));
                assert_eq!(reply.header("cache-control"), Some("no-store"));
                if reply.header("content-encoding").is_none() {
                    let error = error(&reply);
                    assert_eq!(error.as_object().unwrap().len(), 4);
                    assert_eq!((&error["param"], &error["code"]), (&json!("api_key_names"), &json!(code)));
                    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
                }
            }
            let head = Request::head(&target).body(full("")).unwrap();
            let reply = Reply::read(soon(client(h2).request(head)).await.unwrap()).await.unwrap();
            assert_eq!((reply.status.as_u16(), reply.body.len()), (status, 0), "{query}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

/// The body of a refused request is not read, but the next request on the connection is.
#[tokio::test]
async fn connection_after_a_refusal_serves_the_next_request() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let refused = "/v1/organization/costs?api_key_names=nobody";
    let response = exchange(
        proxy.address,
        &format!(
            "POST {refused} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody\
             GET {refused} HTTP/1.1\r\nhost: x\r\n\r\n\
             GET /v1/organization/costs?api_key_names=Alpha HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ),
    )
    .await;
    assert_eq!(response.matches("HTTP/1.1 400 ").count(), 2, "{response}");
    assert!(response.ends_with(NAMED), "{response}");
    assert_eq!(upstream.asked().len(), 1);
    let request =
        Request::builder().method(Method::POST).uri(proxy.url(refused)).body(full("x".repeat(1 << 20)));
    assert_eq!(proxy.send(request.unwrap()).await.status, 400);
}
