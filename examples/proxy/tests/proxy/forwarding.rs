//! The duties of a gateway (RFC 9110 §7.6), and messages that it must not change.
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Channel};

use crate::peer::{
    AnyBody, COSTS, NAMED, Proxy, ROWS, Reply, Upstream, client, exchange, full, json, limits, listen, names,
    read_head, scripted, settings, soon, write_then_wait,
};
use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::server::{self, ShutdownSignal};
use api_key_name_proxy::stack;
use api_key_name_proxy::upstream::forward::Gateway;

#[tokio::test]
async fn hop_by_hop_headers_are_removed_both_ways() {
    let upstream = Upstream::answering(|_| {
        let mut response = json(ROWS);
        for (name, value) in [
            ("connection", "x-hop-down, keep-alive"),
            ("connection", "X-Hop-Too"),
            ("x-hop-down", "1"),
            ("x-hop-too", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("x-stays", "1"),
        ] {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let response = exchange(
        proxy.address,
        "GET /v1/organization/costs HTTP/1.1\r\nhost: client.example\r\n\
         connection: close, X-Hop-Up\r\nconnection: x-hop-two,\tx-hop-three ,, bad name\r\n\
         x-hop-up: 1\r\nx-hop-two: 1\r\nx-hop-three: 1\r\nkeep-alive: timeout=5\r\nte: gzip, trailers\r\n\
         proxy-connection: keep-alive\r\nproxy-authorization: Basic x\r\nupgrade: websocket\r\n\
         authorization: Bearer k\r\nx-stays: 1\r\n\r\n",
    )
    .await;
    let up = upstream.last().headers;
    for gone in [
        "x-hop-up",
        "x-hop-two",
        "x-hop-three",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "transfer-encoding",
    ] {
        assert!(!up.contains_key(gone), "{gone}");
    }
    assert_eq!(up["te"], "trailers");
    assert_eq!(up["connection"], "te");
    assert_eq!(up["x-stays"], "1");
    assert_eq!(up["authorization"], "Bearer k");

    let head = response.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
    for gone in ["x-hop-down", "x-hop-too", "keep-alive", "proxy-authenticate", "proxy-connection", "upgrade"]
    {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    assert!(head.contains("x-stays: 1"));
}

/// Debug omits sensitive headers, and HPACK never indexes them.
#[test]
fn secret_headers_are_marked_sensitive_both_ways() {
    fn marked(headers: &HeaderMap) -> Vec<&str> {
        let marked = headers.iter().filter(|(_, value)| value.is_sensitive());
        marked.map(|(_, value)| value.to_str().unwrap()).collect()
    }
    let gateway = Gateway::new(&settings("http://127.0.0.1:1").base.openai);
    let request = Request::get(COSTS)
        .header("authorization", "Bearer k")
        .header("x-api-key", "k")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-stays", "1");
    let mut request = request.body(()).unwrap();
    gateway.prepare_request(&mut request).unwrap();
    assert_eq!(marked(request.headers()), ["Bearer k", "k", "a=1", "b=2"]);
    let response = Response::builder().header("set-cookie", "c=3").header("set-cookie", "d=4");
    let mut response = response.header("x-stays", "1").body(()).unwrap();
    gateway.prepare_response(&mut response).unwrap();
    assert_eq!(marked(response.headers()), ["c=3", "d=4"]);
}

#[tokio::test]
async fn host_header_is_replaced_by_the_upstreams() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    proxy.get_with(COSTS, &[("host", "client.example")]).await;
    let asked = upstream.last();
    assert_eq!(asked.headers["host"], upstream.address.to_string());
    assert_eq!(asked.headers.get_all("host").iter().count(), 1);
}

#[tokio::test]
async fn via_has_the_received_version_and_a_pseudonym() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = proxy.get_with(COSTS, &[("via", "1.0 before.example (a, comment)")]).await;
    let via: Vec<_> = upstream.last().headers.get_all("via").iter().cloned().collect();
    assert_eq!(via[0], "1.0 before.example (a, comment)");
    let pseudonym = via[1].to_str().unwrap().strip_prefix("1.1 ").unwrap().to_owned();
    assert!(pseudonym.len() > 16 && !pseudonym.contains(' '));
    assert_eq!(reply.header("via"), Some(format!("1.1 {pseudonym}").as_str()));

    // The version is that of the received message (§7.6.3).
    soon(client(true).request(Request::get(proxy.url(COSTS)).body(full("")).unwrap())).await.unwrap();
    assert_eq!(upstream.last().headers["via"], format!("2.0 {pseudonym}"));
    exchange(proxy.address, "GET /v1/organization/costs HTTP/1.0\r\n\r\n").await;
    let asked = upstream.last();
    assert_eq!(asked.headers["via"], format!("1.0 {pseudonym}"));
    assert_eq!(asked.version, Version::HTTP_11);

    // Each process has its own pseudonym.
    let other = Proxy::to(&upstream.base()).await;
    other.get(COSTS).await;
    assert_ne!(upstream.last().headers["via"], format!("1.1 {pseudonym}"));
}

#[tokio::test]
async fn request_with_the_own_pseudonym_fails_with_508() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let via = proxy.get(COSTS).await.header("via").unwrap().to_owned();
    for seen in [format!("{via}, 1.1 other"), format!("1.1 other (x),{via} (c)"), via.clone()] {
        let reply = proxy.get_with(COSTS, &[("via", "1.1 first"), ("via", &seen)]).await;
        reply.is_error(508, "loop_detected");
        assert_eq!(reply.header("x-should-retry"), Some("false"));
    }
    assert_eq!(upstream.asked().len(), 1);
    // A longer word is another proxy's pseudonym.
    assert_eq!(proxy.get_with(COSTS, &[("via", &format!("{via}0"))]).await.status, 200);
}

#[tokio::test]
async fn request_loop_ends_after_one_round() {
    // Two listeners of one proxy, whose upstream is the second listener.
    let ((front, front_address), (back, back_address)) = (listen().await, listen().await);
    let service =
        stack::stack(ByProvider::both(names()), &settings(&format!("http://{back_address}"))).unwrap();
    let (_ask, stop) = ShutdownSignal::channel();
    tokio::spawn(server::Server::new(service.clone(), limits()).serve(front, stop.clone()));
    tokio::spawn(server::Server::new(service, limits()).serve(back, stop));
    let response = exchange(
        front_address,
        "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 508 "), "{response}");
    assert!(response.contains("loop_detected"));
}

#[tokio::test]
async fn upstream_error_passes_with_its_headers() {
    let upstream = Upstream::answering(|_| {
        let mut response = json(r#"{"error":{"message":"m","type":"t","param":null,"code":null}}"#);
        *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
        for (name, value) in [
            ("set-cookie", "a=1; Path=/"),
            ("set-cookie", "b=2"),
            ("set-cookie", "a=1; Path=/"),
            ("x-request-id", "req_1"),
            ("openai-processing-ms", "12"),
            ("retry-after", "3"),
            ("retry-after-ms", "2500"),
            ("x-should-retry", "true"),
            ("x-ratelimit-remaining-requests", "0"),
        ] {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = proxy.get(COSTS).await;
    assert_eq!(reply.status, 429);
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2", "a=1; Path=/"]);
    for (name, value) in [
        ("x-request-id", "req_1"),
        ("openai-processing-ms", "12"),
        ("retry-after", "3"),
        ("retry-after-ms", "2500"),
        ("x-should-retry", "true"),
        ("x-ratelimit-remaining-requests", "0"),
    ] {
        assert_eq!(reply.header(name), Some(value));
    }
    assert_eq!(reply.text(), r#"{"error":{"message":"m","type":"t","param":null,"code":null}}"#);
}

#[tokio::test]
async fn redirect_is_passed_and_not_followed() {
    let elsewhere = Upstream::rows().await;
    let to = format!("{}/v1/organization/costs", elsewhere.base());
    let upstream = Upstream::answering(move |_| {
        Response::builder().status(307).header("location", &to).body(full("")).unwrap()
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = proxy.get_with(COSTS, &[("authorization", "Bearer k")]).await;
    assert_eq!(reply.status, 307);
    assert_eq!(reply.header("location").unwrap(), format!("{}/v1/organization/costs", elsewhere.base()));
    assert_eq!(elsewhere.connections(), 0);
}

/// A body of unknown length, since HTTP/1.1 allows trailers only after chunks.
pub(crate) fn with_trailers(text: &'static str, name: &'static str, value: &'static str) -> AnyBody {
    let (mut send, body) = Channel::<Bytes, std::io::Error>::new(2);
    let trailers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
    send.try_send(Frame::data(Bytes::from_static(text.as_bytes()))).unwrap();
    send.try_send(Frame::trailers(trailers)).unwrap();
    body.boxed()
}

#[tokio::test]
async fn trailers_pass_both_ways_in_both_protocols() {
    let upstream = Upstream::answering(|_| {
        Response::builder()
            .header("content-type", "application/json")
            .header("trailer", "x-down")
            .body(with_trailers(ROWS, "x-down", "2"))
            .unwrap()
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    for h2 in [false, true] {
        let request = Request::post(proxy.url(COSTS))
            .header("te", "trailers")
            .header("trailer", "x-up")
            .body(with_trailers("{}", "x-up", "1"))
            .unwrap();
        let reply = Reply::read(soon(client(h2).request(request)).await.unwrap()).await.unwrap();
        let asked = upstream.last();
        assert_eq!(asked.body, "{}");
        assert_eq!(asked.trailers.unwrap()["x-up"], "1");
        assert_eq!(asked.headers["te"], "trailers");
        assert_eq!(reply.text(), NAMED);
        assert_eq!(reply.trailers.as_ref().unwrap()["x-down"], "2");
        // RFC 9112 §6.3: chunks exclude a length.
        assert_eq!(reply.header("content-length"), None);
    }
}

/// An HTTP/2 client would reject the whole response (RFC 9113 §8.2.2).
#[tokio::test]
async fn hop_by_hop_trailers_are_removed_both_ways() {
    for name in ["connection", "keep-alive", "proxy-connection", "upgrade"] {
        let upstream = Upstream::answering(move |_| {
            Response::builder()
                .header("content-type", "application/json")
                .header("trailer", name)
                .body(with_trailers(ROWS, name, "x"))
                .unwrap()
        })
        .await;
        let proxy = Proxy::to(&upstream.base()).await;
        for h2 in [false, true] {
            let body = if h2 { full("{}") } else { with_trailers("{}", name, "x") };
            let request = Request::post(proxy.url(COSTS)).header("te", "trailers").header("trailer", name);
            let request = request.body(body).unwrap();
            let reply = Reply::read(soon(client(h2).request(request)).await.unwrap()).await.unwrap();
            assert_eq!(reply.text(), NAMED, "{name} {h2}");
            assert!(reply.trailers.is_none_or(|trailers| trailers.is_empty()), "{name} {h2}");
            assert!(upstream.last().trailers.is_none_or(|trailers| trailers.is_empty()), "{name} {h2}");
        }
    }
}

/// RFC 9113 §8.2.3.
#[tokio::test]
async fn http2_cookies_are_joined_into_one_header() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let request = Request::get(proxy.url(COSTS)).header("cookie", "a=1").header("cookie", "b=2; c=3");
    let reply = soon(client(true).request(request.body(full("")).unwrap())).await.unwrap();
    assert_eq!(reply.status(), 200);
    let asked = upstream.last();
    assert!(asked.headers.get_all("cookie").iter().eq(["a=1; b=2; c=3"]), "{:?}", asked.headers);
}

/// hyper omits the content of a GET without a header that announces it.
#[tokio::test]
async fn content_of_unknown_length_is_sent_with_any_method() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for method in ["GET", "DELETE", "POST"] {
        let asked = format!(
            "{method} {COSTS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        );
        assert!(exchange(proxy.address, &asked).await.starts_with("HTTP/1.1 200 "), "{method}");
        assert_eq!((upstream.last().method.as_str(), &upstream.last().body[..]), (method, &b"hello"[..]));
    }
}

#[tokio::test]
async fn http10_upstream_response_is_sent_as_http11() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        write_then_wait(
            &mut stream,
            "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    let reply = proxy.get(COSTS).await;
    assert_eq!((reply.version, reply.text()), (Version::HTTP_11, "ok"));
    assert!(reply.header("via").unwrap().starts_with("1.0 "));
}

#[tokio::test]
async fn unrequested_101_response_fails_with_502() {
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        write_then_wait(
            &mut stream,
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        )
        .await;
    })
    .await;
    let proxy = Proxy::to(&format!("http://{address}")).await;
    proxy.get(COSTS).await.is_error(502, "upstream_transport_error");
}

#[tokio::test]
async fn request_framing_is_kept_for_length_and_chunks() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    exchange(
        proxy.address,
        "POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\nconnection: close, content-length\r\ncontent-length: 5\r\n\r\nhello",
    )
    .await;
    let asked = upstream.last();
    assert_eq!((&asked.body[..], asked.headers["content-length"].as_bytes()), (&b"hello"[..], &b"5"[..]));
    exchange(
        proxy.address,
        "POST /v1/organization/projects HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    )
    .await;
    let asked = upstream.last();
    assert_eq!(&asked.body[..], b"hello");
    assert!(!asked.headers.contains_key("content-length"));
}

#[tokio::test]
async fn base_url_path_is_prepended_to_the_target() {
    let upstream = Upstream::rows().await;
    for (base, path) in [
        ("", "/v1/organization/costs?a=1"),
        ("/", "/v1/organization/costs?a=1"),
        ("/v1", "/v1/organization/costs?a=1"),
        ("/v1/", "/v1/organization/costs?a=1"),
        ("/openai/v1//", "/openai/v1/organization/costs?a=1"),
        ("/openai", "/openai/v1/organization/costs?a=1"),
        ("/xv1", "/xv1/v1/organization/costs?a=1"),
    ] {
        let proxy = Proxy::to(&format!("{}{base}", upstream.base())).await;
        assert_eq!(proxy.get("/v1/organization/costs?a=1").await.text(), NAMED);
        assert_eq!(upstream.last().uri, path);
    }
}

#[tokio::test]
async fn target_that_grows_too_long_fails_with_414() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&format!("{}/a-prefix", upstream.base())).await;
    let target = format!("/v1/organization/{}", "x".repeat(65_510));
    let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let response = exchange(proxy.address, &request).await;
    assert!(response.starts_with("HTTP/1.1 414 "), "{}", &response[..response.len().min(200)]);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn http2_client_gets_the_same_responses() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    let client = client(true);
    let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
    let reply = Reply::read(soon(client.request(request)).await.unwrap()).await.unwrap();
    assert_eq!((reply.version, reply.text()), (Version::HTTP_2, NAMED));
    assert_eq!(reply.header("content-length"), Some(NAMED.len().to_string().as_str()));
    // A response to HEAD has no content in HTTP/2 either, also if the proxy made it.
    for target in [COSTS, "/nowhere", "/health"] {
        let request = Request::head(proxy.url(target)).body(full("")).unwrap();
        let reply = Reply::read(soon(client.request(request)).await.unwrap()).await.unwrap();
        assert!(reply.body.is_empty(), "{target}");
        if target == COSTS {
            // The length would differ from that of GET (RFC 9110 §8.6).
            assert_eq!(reply.header("content-length"), None);
        }
    }
    // One connection carries many calls at once.
    let calls = (0..50).map(|_| {
        let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
        let call = client.request(request);
        tokio::spawn(async move { Reply::read(call.await.unwrap()).await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(soon(call).await.unwrap().text(), NAMED);
    }
}
