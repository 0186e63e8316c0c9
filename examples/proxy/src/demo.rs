//! The demo: an organization that stands in for the API, asked over a real socket by the same stack.
mod anthropic;
mod organization;
mod pages;
mod query;

use std::convert::Infallible;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_api_key_name::WatchError;
use tower_api_key_name::{KeyNames, KeyNamesError, SharedKeyNames};
use tower_http::compression::CompressionLayer;

use super::base::Base;
use super::limits::Limits;
use super::server::{self, ShutdownSignal};
use query::Query;

const DAY: u64 = 24 * 60 * 60;

pub struct Demo {
    /// Where the organization answers.
    pub base: Base,
    /// Where its map is written.
    folder: tempfile::TempDir,
    // Never used: it answers as long as anybody asks, also while the proxy finishes what is in flight.
    _stop: watch::Sender<u8>,
}

/// What an answer of the organization is: status and JSON.
pub struct Answer(StatusCode, String);

/// The map: every key's name but that of the one that was deleted, as it would be in a saved list.
pub fn names() -> Result<KeyNames, KeyNamesError> {
    let openai = organization::KEYS.iter().filter(|k| !k.deleted);
    KeyNames::new(openai.map(|k| (k.id, k.name)).chain(anthropic::KEYS.iter().map(|k| (k.id, k.name))))
}

impl Demo {
    pub async fn start(limits: Limits) -> io::Result<Self> {
        let (_stop, stop) = ShutdownSignal::channel();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let base = Base::parse(&format!("http://{address}/v1")).map_err(io::Error::other)?;
        let service = ServiceBuilder::new()
            // As the API: gzip or brotli for whoever asks.
            .layer(CompressionLayer::new())
            .service(service_fn(async |request| Ok::<_, Infallible>(answer(&request))));
        tokio::spawn(server::serve(listener, service, limits, stop));
        Ok(Self { base, folder: tempfile::tempdir()?, _stop })
    }

    /// An empty map, which is filled while you watch: `sync` writes it from the organization's lists.
    pub fn names(&self) -> Result<SharedKeyNames, WatchError> {
        SharedKeyNames::watch_with_synced([] as [PathBuf; 0], self.map())
    }

    /// Where that map is written.
    pub fn map(&self) -> PathBuf {
        self.folder.path().join("names.json")
    }

    /// One call, first to the organization itself and then through the proxy at `bound`, as text.
    pub async fn show(&self, bound: SocketAddr) -> Result<String, BoxError> {
        // A listener on every address is called at one that can be called.
        let ip = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let proxy = format!("http://{}", SocketAddr::new(ip, bound.port()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let start = (now / DAY - 7) * DAY;
        let costs = format!("/v1/organization/costs?start_time={start}&group_by=");

        let mut text = String::new();
        for (title, base, group) in [
            ("before, from the demo upstream", self.base.to_string(), "api_key_id"),
            ("after, through the proxy", proxy.clone(), "api_key_name"),
        ] {
            let target = format!("{costs}{group}&limit=1");
            let body = get(&format!("{base}{target}")).await?;
            writeln!(text, "\n{title}: GET {base}{target}")?;
            for line in body.split_inclusive("[").flat_map(|part| part.split_inclusive("},{\"object\"")) {
                // A row a line.
                match line.strip_suffix("{\"object\"") {
                    Some(row) => write!(text, "{row}\n  {{\"object\"")?,
                    None => text.push_str(line),
                }
            }
            text.push('\n');
        }
        write!(
            text,
            "\nto try (any key will do, sk-bad is refused; Ctrl-C ends the demo):\n  \
             curl '{proxy}{costs}api_key_name'\n  \
             curl -G {proxy}/v1/organization/usage/completions -d start_time={start} -d bucket_width=1h --data-urlencode 'group_by[]=api_key_name' -d 'group_by[]=model'\n  \
             curl --compressed '{proxy}/v1/organization/costs?start_time={start}&group_by=api_key_name,line_item'\n  \
             curl -G {proxy}/v1/organization/costs -d start_time={start} -d group_by=api_key_name --data-urlencode 'api_key_names[]=notebooks – Zürich'\n  \
             curl {proxy}/v1/organization/projects/{}/api_keys\n  \
             curl '{proxy}/v1/organizations/usage_report/messages?starting_at={}&group_by[]=api_key_name'\n  \
             curl -i -H 'Authorization: Bearer sk-bad' '{proxy}{costs}api_key_name'\n  \
             curl {proxy}/health\n\
             or with an SDK: base_url=\"{proxy}/v1\"\n",
            organization::PROJECTS[0].id,
            anthropic::timestamp(start),
        )?;
        Ok(text)
    }
}

async fn get(url: &str) -> Result<String, BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).header(AUTHORIZATION, "Bearer demo").body(Empty::<Bytes>::new())?;
    let call = async {
        let body = client.request(request).await?.into_body();
        let body = body.collect().await?.to_bytes();
        Ok::<_, BoxError>(String::from_utf8(body.into())?)
    };
    tokio::time::timeout(Duration::from_secs(10), call).await?
}

// === the API ===

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let Answer(status, body) = route(request);
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "application/json"),
        (HeaderName::from_static("openai-version"), "2020-10-01"),
        (HeaderName::from_static("openai-organization"), "org-demo"),
        (HeaderName::from_static("x-request-id"), "req_demo"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn route(request: &Request<Incoming>) -> Answer {
    let path = request.uri().path();
    let bad = |name: HeaderName, key: &str| {
        request.headers().get(name).is_some_and(|value| value.as_bytes() == key.as_bytes())
    };
    if let Some(tree) = path.strip_prefix("/v1/organizations/") {
        if bad(HeaderName::from_static("x-api-key"), "sk-bad") {
            return anthropic::error(StatusCode::UNAUTHORIZED, "authentication_error", "invalid x-api-key");
        }
        return anthropic::answer(request.method(), tree, &Query::parse(request.uri().query()));
    }
    if bad(AUTHORIZATION, "Bearer sk-bad") {
        return error(StatusCode::UNAUTHORIZED, "Incorrect API key provided.", None, "invalid_api_key");
    }
    let Some(tree) = path.strip_prefix("/v1/organization/") else {
        return unknown(path);
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return error(
            StatusCode::METHOD_NOT_ALLOWED,
            "The demo only answers GET.",
            None,
            "method_not_allowed",
        );
    }
    let query = Query::parse(request.uri().query());
    let answer = match tree.split('/').collect::<Vec<_>>()[..] {
        ["costs"] => pages::costs(&query),
        ["usage", kind] => pages::usage(kind, &query),
        ["projects"] => organization::projects(&query),
        ["projects", project, "api_keys"] => organization::project_keys(project, &query),
        ["admin_api_keys"] => organization::admin_keys(&query),
        _ => return unknown(path),
    };
    answer.unwrap_or_else(|refused| refused)
}

/// All four members, as the API writes them.
fn error(status: StatusCode, message: &str, param: Option<&str>, code: &str) -> Answer {
    let body = serde_json::json!({
        "error": {
            "message": message, "type": "invalid_request_error", "param": param, "code": code
        }
    });
    Answer(status, body.to_string())
}

fn unknown(path: &str) -> Answer {
    error(StatusCode::NOT_FOUND, &format!("Invalid URL (GET {path})"), None, "unknown_url")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}
