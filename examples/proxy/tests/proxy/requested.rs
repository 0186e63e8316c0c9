//! `--insert-names requested` and `--name-position replace`: the other requests pass with their headers, and the bytes
//! of their responses.
use http::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_NONE_MATCH, RANGE, VIA};
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_api_key_name::names::Labels;
use tower_api_key_name::settings::{InsertNames, NamePosition, Prefer};
use tower_api_key_name::{KeyNames, SharedKeyNames};

use crate::peer::{
    Asked, COSTS, NAMED, Proxy, ROWS, Reply, Upstream, client, full, json, limits, read_head, scripted,
    settings, soon,
};
use api_key_name_proxy::settings::ProxySettings;

const GROUPED: &str = "/v1/organization/costs?group_by=api_key_name";
/// The start of a gzip member. A proxy that decoded it would fail.
const NOT_DECODABLE: &[u8] = b"\x1f\x8b\x08 not the bytes of a gzip member";

fn on_request(base: &str) -> ProxySettings {
    ProxySettings { insert_names: InsertNames::Requested, ..settings(base) }
}

fn in_place(base: &str) -> ProxySettings {
    ProxySettings { name_position: NamePosition::Replace, ..settings(base) }
}

/// An upstream whose response has the coding of the request, and validators.
async fn validating_upstream() -> Upstream {
    Upstream::answering(|request: &Asked| {
        let is_coded = request.headers.get(ACCEPT_ENCODING).is_some_and(|codings| codings != "identity");
        let response = Response::builder()
            .header("content-type", "application/json")
            .header(ETAG, "\"v1\"")
            .header("accept-ranges", "bytes")
            .header("content-digest", "sha-256=:AAAA:");
        if request.headers.contains_key(IF_NONE_MATCH) {
            return response.status(304).body(full("")).unwrap();
        }
        if request.headers.contains_key(RANGE) {
            let part = response.status(206).header(CONTENT_RANGE, "bytes 0-3/100");
            return part.body(full(&ROWS[..4])).unwrap();
        }
        if is_coded {
            return response.header("content-encoding", "gzip").body(full(NOT_DECODABLE)).unwrap();
        }
        response.body(full(ROWS)).unwrap()
    })
    .await
}

fn request(
    base: &str,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
) -> Request<crate::peer::AnyBody> {
    let request = Request::builder().method(method).uri(format!("{base}{target}"));
    let with_headers = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    with_headers.body(full("")).unwrap()
}

async fn send(request: Request<crate::peer::AnyBody>) -> Reply {
    Reply::read(soon(client(false).request(request)).await.unwrap()).await.unwrap()
}

/// The headers without those that each hop adds or changes.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in ["via", "date", "host", "te", "connection"] {
        headers.remove(name);
    }
    headers
}

#[tokio::test]
async fn request_without_a_name_passes_with_its_headers_and_the_bytes_of_its_response() {
    let upstream = validating_upstream().await;
    let on_request = Proxy::with(on_request(&upstream.base())).await;
    let in_place = Proxy::with(in_place(&upstream.base())).await;
    // In place of ids, names are sent in usage and cost responses only.
    for (proxy, target) in [
        (&on_request, "/v1/organization/costs?group_by=api_key_id"),
        (&on_request, "/v1/organizations/analytics/usage?starting_at=2026-11-01T00:00:00Z"),
        (&on_request, "/v1/organization/projects"),
        (&in_place, "/v1/organization/projects"),
    ] {
        for headers in [
            &[][..],
            &[("accept-encoding", "br;q=0.5, gzip")],
            &[("accept-encoding", "gzip"), ("accept-encoding", "br")],
            &[("accept-encoding", "identity"), ("if-none-match", "\"v1\"")],
            &[("range", "bytes=0-3"), ("if-range", "\"v1\"")],
        ] {
            for method in [Method::GET, Method::HEAD] {
                let direct = send(request(&upstream.base(), method.clone(), target, headers)).await;
                let asked_directly = upstream.last();
                let passed = send(request(&proxy.url(""), method.clone(), target, headers)).await;
                let asked = upstream.last();
                assert_eq!(
                    end_to_end(&asked.headers),
                    end_to_end(&asked_directly.headers),
                    "{method} {target}"
                );
                assert_eq!(asked.uri, asked_directly.uri);
                assert_eq!(passed.status, direct.status);
                assert_eq!(end_to_end(&passed.headers), end_to_end(&direct.headers), "{method} {headers:?}");
                assert_eq!(passed.body, direct.body, "{method} {target} {headers:?}");
                assert!(passed.headers.contains_key(VIA));
            }
        }
    }
}

#[tokio::test]
async fn response_to_a_request_without_a_name_is_not_compressed() {
    let upstream = Upstream::answering(|_| json(ROWS.repeat(100))).await;
    let proxy = Proxy::with(on_request(&upstream.base())).await;
    let reply = proxy.get_with(COSTS, &[("accept-encoding", "gzip")]).await;
    assert_eq!((reply.header("content-encoding"), reply.header("vary")), (None, None));
    assert_eq!(reply.text(), ROWS.repeat(100));
}

#[tokio::test]
async fn request_with_a_name_is_named_decoded_and_compressed() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::with(on_request(&upstream.base())).await;
    for target in [GROUPED, "/v1/organization/costs?api_key_names[]=Alpha"] {
        let reply = proxy.get_with(target, &[("if-none-match", "\"v1\"")]).await;
        assert_eq!(reply.text(), NAMED, "{target}");
        let asked = upstream.last();
        assert!(!asked.headers.contains_key(IF_NONE_MATCH));
        assert!(asked.headers[ACCEPT_ENCODING].to_str().unwrap().contains("gzip"));
    }
    let coded = proxy.get_with(GROUPED, &[("accept-encoding", "gzip")]).await;
    assert_eq!(coded.header("content-encoding"), Some("gzip"));
    let head = send(request(&proxy.url(""), Method::HEAD, GROUPED, &[("accept-encoding", "gzip")])).await;
    assert_eq!((head.header("content-length"), head.header("content-encoding")), (None, None));
}

#[tokio::test]
async fn response_to_a_request_without_a_name_is_not_buffered() {
    let upstream = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let part = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"api_key_id\":";
        stream.write_all(part.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = Proxy::with(on_request(&format!("http://{upstream}"))).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(format!("GET {COSTS} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut received = Vec::new();
    soon(async {
        while !received.ends_with(b"{\"api_key_id\":") {
            stream.read_buf(&mut received).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn rewritten_request_has_a_response_header_with_the_text_that_was_sent() {
    let upstream = Upstream::answering(|_| {
        let message = r#"{"error":{"message":"group_by=api_key_id is not supported","type":"invalid_request_error","param":null,"code":null}}"#;
        let mut response = json(message);
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        response
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let reply = proxy.get(&format!("{GROUPED}&api_key_names[]=Alpha")).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.header("api-key-name-sent"), Some("group_by=api_key_id, api_key_ids=1 ids"));
    assert_eq!(proxy.get(COSTS).await.header("api-key-name-sent"), None);
    let refused = proxy.get("/v1/organization/costs?group_by=api_key_name&api_key_names[]=nobody").await;
    assert_eq!((refused.status.as_u16(), refused.header("api-key-name-sent")), (400, None));
}

#[tokio::test]
async fn error_in_place_of_a_broken_response_has_the_text_that_was_sent() {
    let upstream = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        let part = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n[";
        stream.write_all(part.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(&format!("http://{upstream}")).await;
    for (target, expected) in [(GROUPED, Some("group_by=api_key_id")), (COSTS, None)] {
        let reply = proxy.get(target).await;
        assert_eq!((reply.status.as_u16(), reply.header("api-key-name-sent")), (502, expected));
    }
}

fn names_and_projects() -> SharedKeyNames {
    let names = KeyNames::new([("key_a", "Alpha")]).unwrap();
    names.with_section("project_id", [("proj_1", "storefront")]).unwrap().into()
}

fn with_projects(settings: ProxySettings) -> ProxySettings {
    ProxySettings { labels: Labels::default().with("project_id", "project_name").unwrap(), ..settings }
}

const ROW: &str =
    r#"{"data":[{"api_key_id":"key_a","project_id":"proj_1"},{"api_key_id":"key_x","project_id":null}]}"#;

#[tokio::test]
async fn label_is_named_in_usage_and_cost_responses_only() {
    let upstream = Upstream::answering(|_| json(ROW)).await;
    let proxy =
        Proxy::naming(names_and_projects(), with_projects(settings(&upstream.base())), limits()).await;
    let named = r#"{"data":[{"api_key_id":"key_a","api_key_name":"Alpha","project_id":"proj_1","project_name":"storefront"},{"api_key_id":"key_x","api_key_name":"unknown","project_id":null}]}"#;
    assert_eq!(proxy.get(COSTS).await.text(), named);
    let listed = proxy.get("/v1/organization/audit_logs").await;
    assert!(listed.text().contains("api_key_name") && !listed.text().contains("project_name"));
    // The name of a project is translated in queries.
    proxy.get("/v1/organization/costs?group_by=project_name&project_names[]=storefront").await;
    assert_eq!(upstream.last().uri, "/v1/organization/costs?group_by=project_id&project_ids[]=proj_1");
}

#[tokio::test]
async fn label_that_a_request_does_not_name_is_not_inserted_on_request() {
    let upstream = Upstream::answering(|_| json(ROW)).await;
    let proxy =
        Proxy::naming(names_and_projects(), with_projects(on_request(&upstream.base())), limits()).await;
    let reply = proxy.get("/v1/organization/costs?group_by=project_name").await;
    assert!(
        reply.text().contains("storefront") && !reply.text().contains("api_key_name"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn name_in_place_of_the_id_leaves_unmatched_ids_and_null() {
    let upstream = Upstream::answering(|_| json(ROW)).await;
    let proxy =
        Proxy::naming(names_and_projects(), with_projects(in_place(&upstream.base())), limits()).await;
    let replaced = r#"{"data":[{"api_key_id":"Alpha","project_id":"storefront"},{"api_key_id":"key_x","project_id":null}]}"#;
    assert_eq!(proxy.get("/v1/organization/costs?api_key_ids[]=Alpha").await.text(), replaced);
    assert_eq!(upstream.last().uri, "/v1/organization/costs?api_key_ids[]=key_a");
}

#[tokio::test]
async fn name_of_the_upstream_stays_if_it_is_preferred() {
    let row = r#"{"api_key_id":"key_a","api_key_name":"theirs"}"#;
    let upstream = Upstream::answering(move |_| json(row)).await;
    for (prefer, expected) in
        [(Prefer::Map, row.replace("theirs", "Alpha")), (Prefer::Upstream, row.to_owned())]
    {
        let settings = ProxySettings { prefer, ..settings(&upstream.base()) };
        assert_eq!(Proxy::with(settings).await.get(COSTS).await.text(), expected);
    }
}
