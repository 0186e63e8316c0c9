//! The operator's paths on either listener: `/health`, the page `/spend`, its host check and its headers.
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use clap::Parser;
use http::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::binary::{Running, names, program, run};
use crate::peer::{
    self, COSTS, NAMED, Proxy, Reply, Upstream, client, exchange, full, limits, listen, read_answer,
    settings, soon,
};
use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::flags::ServeFlags;
use api_key_name_proxy::operator::hosts::AllowedHosts;
use api_key_name_proxy::operator::{self, OperatorPaths, PageWithHosts};
use api_key_name_proxy::server::{Server, ShutdownSignal};
use api_key_name_proxy::spend_page::PageRuns;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, its files and the run.
const PAGE_PATHS: [&str; 4] = ["/spend", "/spend.js", "/spend.css", "/spend.json"];

#[track_caller]
fn assert_secured(reply: &Reply) {
    for (name, value) in [
        ("content-security-policy", CSP),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{reply:?}");
    }
}

/// A proxy with the page on its main listener, whose upstream does not exist.
async fn main_listener() -> Proxy {
    Proxy::to("http://127.0.0.1:1").await
}

/// Sends a run as the page does, with other headers in addition or in place of the page's.
async fn post_run(proxy: &Proxy, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::post(proxy.url("/spend.json")).body(full("{}")).unwrap();
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    proxy.send(request).await
}

/// True if the parameters of the run were read, which follows the checks.
fn passes_the_checks(reply: &Reply) -> bool {
    reply.text().contains("invalid_run")
}

// === the page ===

#[tokio::test]
async fn page_and_its_files_have_their_types_and_the_security_headers() {
    let proxy = main_listener().await;
    for (path, content_type) in [
        ("/spend?from=2026-11-01", "text/html; charset=utf-8"),
        ("/spend.js", "text/javascript; charset=utf-8"),
        ("/spend.css", "text/css; charset=utf-8"),
    ] {
        let reply = proxy.get(path).await;
        assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, Some(content_type)));
        assert!(!reply.body.is_empty(), "{path}");
        assert_secured(&reply);
    }
}

#[tokio::test]
async fn page_for_head_has_its_length_and_no_body() {
    let proxy = main_listener().await;
    let page = proxy.get("/spend").await;
    for h2 in [false, true] {
        let request = Request::head(proxy.url("/spend")).body(full("")).unwrap();
        let reply = Reply::read(soon(client(h2).request(request)).await.unwrap()).await.unwrap();
        assert_eq!(reply.header("content-length"), Some(page.body.len().to_string().as_str()));
        assert!(reply.body.is_empty());
        assert_secured(&reply);
    }
}

#[tokio::test]
async fn page_path_with_another_method_is_405() {
    let proxy = main_listener().await;
    for (method, path, allowed) in [
        ("POST", "/spend", "GET, HEAD"),
        ("OPTIONS", "/spend.js", "GET, HEAD"),
        ("DELETE", "/spend.css", "GET, HEAD"),
        ("GET", "/spend.json", "POST"),
        ("OPTIONS", "/spend.json", "POST"),
    ] {
        let request = Request::builder().method(method).uri(proxy.url(path)).body(full("")).unwrap();
        let reply = proxy.send(request).await;
        reply.is_error(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
        assert_secured(&reply);
    }
}

#[tokio::test]
async fn path_below_the_page_without_a_file_is_404_with_the_security_headers() {
    let proxy = main_listener().await;
    for path in ["/spend/", "/spend.map", "/spendings"] {
        let reply = proxy.get(path).await;
        reply.is_error(404, "not_found");
        assert_secured(&reply);
    }
}

// === runs ===

#[tokio::test]
async fn run_of_the_page_or_of_a_command_passes_the_checks() {
    let proxy = main_listener().await;
    let own_origin = format!("http://{}", proxy.address);
    for headers in [
        &[][..],
        &[("origin", own_origin.as_str()), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("content-type", "Application/JSON; charset=utf-8")],
        // A tunnel changes the port.
        &[("host", "localhost:9"), ("origin", "http://localhost:8")],
    ] {
        let reply = post_run(&proxy, headers).await;
        assert!(passes_the_checks(&reply), "{headers:?}: {reply:?}");
        assert_secured(&reply);
    }
}

#[tokio::test]
async fn run_of_another_website_is_403() {
    let proxy = main_listener().await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.2"),
        ("origin", "http://127.0.0.1@evil.example"),
        ("origin", "null"),
        ("origin", ""),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let reply = post_run(&proxy, &[(name, value)]).await;
        reply.is_error(403, "cross_origin");
        assert_secured(&reply);
    }
}

#[tokio::test]
async fn run_without_json_is_415() {
    let proxy = main_listener().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let reply = post_run(&proxy, &[("content-type", content_type)]).await;
        reply.is_error(415, "unsupported_media_type");
        assert_secured(&reply);
    }
}

// === the host check ===

/// An operator listener on loopback that takes `bound` for its own address.
async fn operator_listener(bound: &str, allowed: &[&str]) -> Proxy {
    let hosts: Vec<_> = allowed.iter().map(|host| host.parse().unwrap()).collect();
    let names = ByProvider::both(peer::names());
    let runs = PageRuns::new(names.clone(), settings("http://127.0.0.1:1"));
    let hosts = AllowedHosts::new(bound.parse::<IpAddr>().unwrap(), &hosts);
    let operator = OperatorPaths::with_details(names, Some(PageWithHosts { hosts, runs }));
    let (listener, address) = listen().await;
    let (ask_to_stop, stop) = ShutdownSignal::channel();
    let serving = tokio::spawn(Server::new(operator::service(operator), limits()).serve(listener, stop));
    Proxy { address, ask_to_stop, serving }
}

/// Requests the page with this `Host`, and returns the status and the whole response.
async fn get_page(proxy: &Proxy, host: &str) -> (u16, String) {
    let request = format!("GET /spend HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let response = exchange(proxy.address, &request).await;
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    (status, response)
}

#[tokio::test]
async fn page_for_a_loopback_host_is_served_at_any_port() {
    let proxy = operator_listener("0.0.0.0", &[]).await;
    for host in [
        "localhost",
        "LocalHost:18081",
        "localhost.:9",
        "spend.localhost",
        "127.0.0.1",
        "127.9.9.9:80",
        "[::1]:18081",
        "[::ffff:127.0.0.1]",
    ] {
        assert_eq!(get_page(&proxy, host).await.0, 200, "{host}");
    }
}

#[tokio::test]
async fn page_for_another_host_is_421_and_names_the_flag() {
    let proxy = operator_listener("0.0.0.0", &[]).await;
    for host in [
        "evil.example",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "0.0.0.0:18081",
        "192.0.2.7",
        "[2001:db8::1]",
        "",
    ] {
        let (status, response) = get_page(&proxy, host).await;
        assert_eq!(status, 421, "{host}: {response}");
        assert!(response.contains("--allowed-host") && response.contains(CSP), "{response}");
    }
}

#[tokio::test]
async fn page_for_the_bound_address_is_served() {
    let proxy = operator_listener("192.0.2.7", &[]).await;
    assert_eq!(get_page(&proxy, "192.0.2.7:18081").await.0, 200);
    assert_eq!(get_page(&proxy, "192.0.2.8:18081").await.0, 421);
}

#[tokio::test]
async fn page_for_an_allowed_host_is_served() {
    let proxy = operator_listener("0.0.0.0", &["Spend.Example.com", "2001:db8::1", "10.0.0.9"]).await;
    for host in
        ["spend.example.com", "SPEND.example.COM.:443", "[2001:DB8:0::1]:18081", "10.0.0.9", "localhost"]
    {
        assert_eq!(get_page(&proxy, host).await.0, 200, "{host}");
    }
    assert_eq!(get_page(&proxy, "x.spend.example.com").await.0, 421);
}

#[tokio::test]
async fn every_path_of_the_page_for_another_host_is_421() {
    let proxy = main_listener().await;
    for path in PAGE_PATHS {
        let reply = proxy.get_with(path, &[("host", "evil.example")]).await;
        reply.is_error(421, "host_not_allowed");
        assert_secured(&reply);
    }
}

#[tokio::test]
async fn page_without_a_host_is_not_served() {
    let proxy = main_listener().await;
    let response = exchange(proxy.address, "GET /spend HTTP/1.0\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.0 421 "), "{response}");
    let response = exchange(proxy.address, "GET /spend HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
}

#[tokio::test]
async fn host_in_the_target_has_priority_over_the_header() {
    let proxy = main_listener().await;
    for (target_host, header, status) in
        [("evil.example", "localhost", 421), ("localhost", "evil.example", 200)]
    {
        let request =
            format!("GET http://{target_host}/spend HTTP/1.1\r\nhost: {header}\r\nconnection: close\r\n\r\n");
        let response = exchange(proxy.address, &request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
}

#[tokio::test]
async fn authority_of_http2_is_checked() {
    let proxy = main_listener().await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (authority, status) in [("evil.example", 421), ("localhost:1", 200)] {
        let request = Request::get(format!("http://{authority}/spend")).body(full("")).unwrap();
        assert_eq!(soon(sender.send_request(request)).await.unwrap().status(), status, "{authority}");
    }
}

#[tokio::test]
async fn api_path_and_health_for_any_host_are_served() {
    let upstream = Upstream::rows().await;
    let proxy = Proxy::to(&upstream.base()).await;
    for path in [COSTS, "/health"] {
        assert_eq!(proxy.get_with(path, &[("host", "evil.example")]).await.status, 200, "{path}");
    }
}

// === the operator listener ===

fn command(upstream: &str, names: &tempfile::NamedTempFile, more: &[&str]) -> Command {
    let mut command = program();
    command.args(["--port", "0", "--openai-base-url", upstream, "--names"]).arg(names.path()).args(more);
    command
}

/// Starts the program with an operator listener, and returns its address.
pub(crate) fn start(upstream: &str, names: &tempfile::NamedTempFile, more: &[&str]) -> (Running, SocketAddr) {
    let flags = [&["--operator-listen", "127.0.0.1:0"], more].concat();
    let mut running = Running::start(&mut command(upstream, names, &flags));
    let line = running.read_line();
    let address = line.trim_end().strip_prefix("operator listening on http://").expect(&line);
    (running, address.parse().unwrap())
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    let request = Request::get(format!("http://{address}{path}")).body(full("")).unwrap();
    Reply::read(soon(client(false).request(request)).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn main_listener_beside_an_operator_listener_has_only_liveness() {
    let upstream = Upstream::rows().await;
    let names = names();
    let (running, _) = start(&upstream.base(), &names, &[]);
    let health = get(running.address, "/health").await;
    assert_eq!((health.status, health.text()), (StatusCode::OK, r#"{"status":"ok"}"#));
    assert_eq!(health.header("content-type"), Some("application/json"));
    for path in PAGE_PATHS {
        get(running.address, path).await.is_error(404, "not_found");
    }
    assert_eq!(get(running.address, COSTS).await.text(), NAMED);
}

#[tokio::test]
async fn operator_listener_has_the_page_and_the_details_of_health() {
    let names = names();
    let (_running, operator) = start("http://127.0.0.1:1", &names, &[]);
    let health = get(operator, "/health").await;
    assert!(health.text().starts_with(r#"{"status":"ok","entries":1,"#), "{health:?}");
    let page = get(operator, "/spend").await;
    assert_eq!(page.status, 200);
    assert_secured(&page);
}

#[tokio::test]
async fn api_path_on_the_operator_listener_is_404() {
    let upstream = Upstream::rows().await;
    let names = names();
    let (_running, operator) = start(&upstream.base(), &names, &[]);
    for path in [COSTS, "/v1/organizations/cost_report", "/", "/healthz"] {
        get(operator, path).await.is_error(404, "not_found");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn request_without_host_on_the_operator_listener_is_400() {
    let names = names();
    let (_running, operator) = start("http://127.0.0.1:1", &names, &[]);
    let response = exchange(operator, "GET /health HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
}

#[tokio::test]
async fn allowed_host_of_the_command_line_is_served() {
    let names = names();
    let (_running, operator) = start("http://127.0.0.1:1", &names, &["--allowed-host", "Spend.example"]);
    let request = "GET /spend HTTP/1.1\r\nhost: spend.example\r\nconnection: close\r\n\r\n";
    let response = exchange(operator, request).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

#[tokio::test]
async fn page_with_no_spend_page_is_404() {
    let names = names();
    let (_with_operator, operator) = start("http://127.0.0.1:1", &names, &["--no-spend-page"]);
    let alone = Running::start(&mut command("http://127.0.0.1:1", &names, &["--no-spend-page"]));
    for address in [operator, alone.address] {
        for path in PAGE_PATHS {
            get(address, path).await.is_error(404, "not_found");
        }
        assert!(get(address, "/health").await.text().contains("entries"));
    }
}

#[tokio::test]
async fn operator_address_in_use_exits_with_1() {
    let taken = main_listener().await.address.to_string();
    let names = names();
    let file = names.path().to_str().unwrap();
    let output = run(&["--port", "0", "--names", file, "--operator-listen", &taken]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("cannot listen on {taken} (--operator-listen)")), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn operator_address_open_to_other_machines_logs_a_warning() {
    let names = names();
    let flags = ["--operator-listen", "0.0.0.0:0"];
    let running = Running::start(&mut command("http://127.0.0.1:1", &names, &flags));
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("WARN") && log.contains("(--operator-listen) is open to other machines"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_closes_idle_connections_of_both_listeners() {
    let names = names();
    let (running, operator) = start("http://127.0.0.1:1", &names, &["--grace", "3600"]);
    let mut clients = Vec::new();
    for address in [running.address, operator] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        read_answer(&mut stream).await;
        clients.push(stream);
    }
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn cut_request_of_the_operator_listener_exits_with_3() {
    let names = names();
    let (running, operator) = start("http://127.0.0.1:1", &names, &["--grace", "0.2"]);
    let stream = TcpStream::connect(operator).await.unwrap();
    // Without a window the response body is not sent.
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://localhost/spend").body(full("")).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    drop(response);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("stopped with 1 calls in flight"), "{log}");
}

// === flags ===

#[test]
fn allowed_host_and_operator_address_that_are_invalid_are_bad_use() {
    for (flag, value) in [
        ("--allowed-host", "spend.example:443"),
        ("--allowed-host", "https://spend.example"),
        ("--allowed-host", "spend.example/"),
        ("--allowed-host", "*.example"),
        ("--allowed-host", "spend..example"),
        ("--allowed-host", ""),
        ("--operator-listen", "localhost:18081"),
        ("--operator-listen", "127.0.0.1"),
        ("--operator-listen", "127.0.0.1:99999"),
        ("--operator-listen", "18081"),
    ] {
        let error = ServeFlags::try_parse_from(["proxy", flag, value]).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{flag} {value}");
        assert!(error.to_string().contains("such as"), "{error}");
    }
}
