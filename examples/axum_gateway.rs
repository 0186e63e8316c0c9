//! The layer in an axum gateway that was there before it: other routes, and tower-http's layers.
//!
//! ```console
//! $ cargo run --example axum_gateway -- --names names.json
//! $ curl -G http://127.0.0.1:8080/openai/v1/organization/costs -H "Authorization: Bearer $OPENAI_ADMIN_KEY" \
//!     -d start_time=1792000000 -d group_by=api_key_name
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::{any_service, get};
use clap::Parser;
use http::header::{
    CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};
use tower_http::compression::CompressionLayer;
use tower_http::decompression::DecompressionLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing_subscriber::EnvFilter;

/// A gateway whose `/openai/…` goes to the API, and whose organization answers have names.
#[derive(Parser)]
struct Flags {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, env = "GATEWAY_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the API is.
    #[arg(long, env = "OPENAI_BASE_URL", default_value = "https://api.openai.com")]
    openai_base_url: String,
    /// The map from ids to names; followed when it changes.
    #[arg(long, env = "GATEWAY_NAMES", default_value = "names.json")]
    names: PathBuf,
}

/// The longest that the head of an answer may take: the SDKs' own limit. A page of usage that is held comes
/// within seconds; a completion that is thought over takes minutes.
const TIMEOUT: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let names = SharedKeyNames::watch(&flags.names)?;
    let gateway = gateway(names, Upstream::new(&flags.openai_base_url));
    let listener = TcpListener::bind(flags.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, gateway).with_graceful_shutdown(interrupted).await?;
    Ok(())
}

fn gateway(names: SharedKeyNames, upstream: Upstream) -> Router {
    let openai = ServiceBuilder::new()
        // Names the keys. This gateway's paths have a prefix that the API's have not, so its scope is said in
        // one line: without it every answer would pass unnamed, and nothing would complain. (Under
        // `Router::nest("/openai", …)` axum takes the prefix off, and the default scope is right.)
        .layer(ApiKeyNameLayer::new(names).scope(|uri| uri.path().starts_with("/openai/v1/organization/")))
        // Within: in scope the layer above takes the client's `Accept-Encoding` off, this one asks the API for
        // what it can decode, and the layer above reads plain bytes.
        .layer(DecompressionLayer::new())
        // The API, or this gateway's own 502: a route must not fail.
        .service(service_fn(move |request| upstream.clone().forward(request)));

    // What was there before, and stands above all routes, from the client inwards.
    let around = ServiceBuilder::new()
        // Outermost: it sees what the client sees.
        .layer(TraceLayer::new_for_http())
        // Outside of the names, so that they are compressed too, in what the client takes.
        .layer(CompressionLayer::new())
        // Above a layer that holds bodies a timeout counts the hold as well.
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT));

    Router::new()
        .route("/", get(|| async { "A gateway. The API is under /openai/v1/." }))
        .route("/health", get(|| async { "ok" }))
        // `route`, not `nest`: the path stays as the client sent it.
        .route("/openai/{*path}", any_service(openai))
        .layer(around)
}

#[derive(Clone)]
struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    base: String,
}

impl Upstream {
    fn new(base: &str) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions().build();
        // The SDKs' convention has `/v1` in the base URL.
        let base = base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Self { client: Client::builder(TokioExecutor::new()).build(connector), base }
    }

    async fn forward(self, mut request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let target = target.strip_prefix("/openai").unwrap_or(target);
        let Ok(uri) = format!("{}{target}", self.base).parse::<Uri>() else {
            return Ok(StatusCode::BAD_REQUEST.into_response());
        };
        *request.uri_mut() = uri;
        // The connection to the API has a version of its own, and a `Host`.
        *request.version_mut() = Version::default();
        request.headers_mut().remove(HOST);
        keep_end_to_end(request.headers_mut());
        match self.client.request(request).await {
            Ok(mut response) => {
                keep_end_to_end(response.headers_mut());
                Ok(response.map(Body::new))
            }
            Err(error) => {
                tracing::warn!(%error, "the API could not be reached");
                Ok((StatusCode::BAD_GATEWAY, "the API could not be reached\n").into_response())
            }
        }
    }
}

/// Takes off what is meant for one connection only (RFC 9110 §7.6.1).
fn keep_end_to_end(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    let named: Vec<HeaderName> =
        lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    let always = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in named.into_iter().chain(always) {
        headers.remove(name);
    }
}
