//! `--demo`: an embedded API with the data of one organization, on a real socket in front of which the proxy runs.
//!
//! ```text
//! GET /v1/organization/costs, /usage/*              reports: buckets of generated numbers
//! GET /v1/organization/projects, …/api_keys, …      organization: the lists of projects and keys
//! GET /v1/organizations/…                           anthropic, analytics, workspaces: Anthropic's API
//! POST /v1/chat/completions, /v1/messages           models: calls with the real key of the demo
//! ```
//!
//! `endpoints` lists the reports, `params` parses the query of each request, `dates` contains the times of Anthropic's
//! reports, and `response` has the form of responses. `customers` are two users of `--demo --keys`.
mod analytics;
mod anthropic;
mod customers;
mod dates;
mod endpoints;
mod models;
mod organization;
mod params;
mod reports;
mod response;
mod workspaces;

use std::convert::Infallible;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::names::Labels;
use tower_api_key_name::{KeyNames, KeyNamesError};
use tower_http::compression::CompressionLayer;

use super::server::limits::Limits;
use super::server::{self, ShutdownSignal};
pub use customers::DemoCustomers;
use models::DemoBody;
use params::QueryParams;
use response::{DAY, DemoResponse, DemoResult, error_response, now};

pub struct Demo {
    /// The address of the demo API.
    pub base: BaseUrl,
    // Never used: the demo API runs until the process ends, so that requests in flight can finish.
    _stop: watch::Sender<u8>,
}

/// Returns the names of all keys but the deleted one, of the projects and of the workspaces, as the API's lists contain
/// them.
pub fn names() -> Result<KeyNames, KeyNamesError> {
    let openai = organization::KEYS.iter().filter(|key| !key.deleted).map(|key| (key.id, key.name));
    let anthropic = workspaces::KEYS.iter().map(|key| (key.id, key.name));
    let projects = organization::PROJECTS.iter().map(|project| (project.id, project.name));
    KeyNames::new(openai.chain(anthropic))?
        .with_section("project_id", projects)?
        .with_section("workspace_id", workspaces::WORKSPACES)
}

/// Returns the labels of keys, projects and workspaces.
pub fn labels() -> Labels {
    let with_projects = Labels::default().with("project_id", "project_name");
    with_projects.and_then(|labels| labels.with("workspace_id", "workspace_name")).unwrap_or_default()
}

impl Demo {
    /// Starts the demo API on a free port of the loopback interface.
    pub async fn start(limits: Limits) -> io::Result<Self> {
        let (stop_sender, stop_signal) = ShutdownSignal::channel();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let base = format!("http://{address}/v1").parse::<BaseUrl>().map_err(io::Error::other)?;
        let service = ServiceBuilder::new()
            // The real API compresses too.
            .layer(CompressionLayer::new())
            .service(service_fn(async |request| Ok::<_, Infallible>(respond(request).await)));
        tokio::spawn(server::Server::new(service, limits).serve(listener, stop_signal));
        Ok(Self { base, _stop: stop_sender })
    }

    /// Sends a request to the demo API, and one for each provider to the proxy at `bound`. Returns a text with the
    /// responses and with commands to try, or the error of the first request that fails. `spend_page` is the address of the page
    /// `/spend`, if it is served.
    pub async fn show(&self, bound: SocketAddr, spend_page: Option<SocketAddr>) -> Result<String, BoxError> {
        let proxy = local_url(bound);
        let last_week = (now() / DAY - 7) * DAY;
        let costs = format!("/v1/organization/costs?start_time={last_week}");
        let before = format!("{}{costs}&group_by=api_key_id,project_id&limit=1", self.base);
        let after = format!("{proxy}{costs}&group_by=api_key_name,project_name&limit=1");

        let mut text = String::new();
        for (title, url) in [("before, from the demo upstream", before), ("after, through the proxy", after)]
        {
            let page = get_text(&url).await?;
            let rows = page.replace("},{\"object\"", "},\n  {\"object\"");
            writeln!(text, "\n{title}: GET {url}\n{rows}")?;
        }
        let start = dates::timestamp(last_week);
        let by_name = "group_by[]=api_key_name&group_by[]=workspace_name";
        let analytics = format!("{proxy}/v1/organizations/analytics/cost?starting_at={start}&{by_name}");
        writeln!(text, "\nfrom Anthropic, without the null members of groups: GET {analytics}")?;
        let mut page: Value = serde_json::from_str(&get_text(&analytics).await?)?;
        for row in page["data"].as_array_mut().into_iter().flatten() {
            if let Some(group) = row["group"].as_object_mut() {
                group.retain(|_, value| !value.is_null());
            }
            writeln!(text, "  {row}")?;
        }
        text.push_str(&example_commands(&proxy, last_week));
        if let Some(address) = spend_page {
            writeln!(text, "or in a browser: {}/spend", local_url(address))?;
        }
        Ok(text)
    }
}

/// Returns the URL with which this machine reaches a listener.
fn local_url(bound: SocketAddr) -> String {
    let ip = match bound.ip() {
        // An unspecified address is for listening only.
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        specific => specific,
    };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

/// Returns commands for reports that begin at `start`, and for the other endpoints.
fn example_commands(proxy: &str, start: u64) -> String {
    let costs = format!("{proxy}/v1/organization/costs");
    format!(
        "\nto try (any key will do, sk-bad is refused; Ctrl-C ends the demo):\n  \
         curl '{costs}?start_time={start}&group_by=api_key_name,project_name'\n  \
         curl -G {proxy}/v1/organization/usage/completions -d start_time={start} -d bucket_width=1h --data-urlencode 'group_by[]=api_key_name' -d 'group_by[]=model'\n  \
         curl --compressed '{costs}?start_time={start}&group_by=api_key_name,line_item'\n  \
         curl -G {costs} -d start_time={start} -d group_by=api_key_name --data-urlencode 'api_key_names[]=notebooks – Zürich'\n  \
         curl {proxy}/v1/organization/projects/{}/api_keys\n  \
         curl '{proxy}/v1/organizations/usage_report/messages?starting_at={}&group_by[]=api_key_name'\n  \
         curl -g '{proxy}/v1/organizations/analytics/usage?starting_at={}&group_by[]=api_key_name&api_key_names[]=assistant-prod'\n  \
         curl -i -H 'Authorization: Bearer sk-bad' '{costs}?start_time={start}&group_by=api_key_name'\n  \
         curl {proxy}/health\n\
         or with an SDK: base_url=\"{proxy}/v1\"\n",
        organization::PROJECTS[0].id,
        dates::timestamp(start),
        dates::timestamp(start),
    )
}

/// Sends a GET request with a key, and returns the body of the response.
async fn get_text(url: &str) -> Result<String, BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).header(AUTHORIZATION, "Bearer demo").body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = client.request(request).await?;
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>(String::from_utf8(bytes.into())?)
    };
    tokio::time::timeout(Duration::from_secs(10), exchange).await?
}

// === the API ===

/// Returns the response to a request, with headers of the real API.
async fn respond(request: Request<Incoming>) -> Response<DemoBody> {
    if models::has_endpoint(&request) {
        return models::respond(request).await;
    }
    let DemoResponse(status, body) = route(&request);
    let mut response = Response::new(Full::from(body).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    headers.insert("openai-organization", HeaderValue::from_static("org-demo"));
    headers.insert("x-request-id", HeaderValue::from_static("req_demo"));
    response
}

/// Returns the status and JSON of an endpoint. The key `sk-bad` is refused; any other key is accepted, even none.
fn route(request: &Request<Incoming>) -> DemoResponse {
    let path = request.uri().path();
    let params = QueryParams::parse(request.uri().query());
    let has_refused_token =
        request.headers().get(AUTHORIZATION).is_some_and(|value| value == "Bearer sk-bad");
    if let Some(anthropic_path) = path.strip_prefix("/v1/organizations/") {
        let has_refused_key = request.headers().get("x-api-key").is_some_and(|value| value == "sk-bad");
        if has_refused_key || has_refused_token {
            let message = "invalid x-api-key";
            return anthropic::error_response(StatusCode::UNAUTHORIZED, "authentication_error", message);
        }
        return anthropic::respond(request.method(), anthropic_path, &params);
    }
    if has_refused_token {
        let message = "Incorrect API key provided.";
        return error_response(StatusCode::UNAUTHORIZED, message, None, "invalid_api_key");
    }
    match route_openai(request.method(), path, &params) {
        Ok(response) | Err(response) => response,
    }
}

/// Returns the response of an endpoint of OpenAI's API. An error is the response to an invalid request.
fn route_openai(method: &Method, path: &str, params: &QueryParams) -> DemoResult {
    let Some(endpoint) = path.strip_prefix("/v1/organization/") else { return Err(unknown_path(path)) };
    if !matches!(*method, Method::GET | Method::HEAD) {
        let message = "The demo supports only GET and HEAD.";
        return Err(error_response(StatusCode::METHOD_NOT_ALLOWED, message, None, "method_not_allowed"));
    }
    match endpoint.split('/').collect::<Vec<_>>()[..] {
        ["costs"] => reports::costs(params),
        ["usage", kind] => reports::usage(kind, params),
        ["projects"] => organization::list_projects(params),
        ["projects", project, "api_keys"] => organization::list_project_keys(project, params),
        ["users"] => organization::list_users(params),
        ["admin_api_keys"] => organization::list_admin_keys(params),
        _ => Err(unknown_path(path)),
    }
}

/// Returns OpenAI's response to a request for a path without an endpoint.
fn unknown_path(path: &str) -> DemoResponse {
    let message = format!("Invalid URL (GET {path})");
    error_response(StatusCode::NOT_FOUND, &message, None, "unknown_url")
}
