//! The layer in an axum gateway with other routes and with layers of tower-http.
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

/// A gateway that forwards `/openai/…` to the API, with key names in organization responses.
#[derive(Parser)]
struct GatewayFlags {
    /// Address to listen on. Port 0 selects a free one.
    #[arg(long, env = "GATEWAY_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Base URL of the API.
    #[arg(long, env = "OPENAI_BASE_URL", default_value = "https://api.openai.com")]
    openai_base_url: String,
    /// Map from ids to names. It is reloaded when it changes.
    #[arg(long, env = "GATEWAY_NAMES", default_value = "names.json")]
    names: PathBuf,
}

/// The maximum time until the response headers, which is also the limit of the SDKs. A buffered usage page takes seconds,
/// and a completion may take minutes.
const TIMEOUT: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = GatewayFlags::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let names = SharedKeyNames::watch(&flags.names)?;
    let gateway = build_gateway(names, GatewayUpstream::new(&flags.openai_base_url));
    let listener = TcpListener::bind(flags.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, gateway).with_graceful_shutdown(interrupted).await?;
    Ok(())
}

/// Builds the routes of the gateway: its own pages, and the API below `/openai/` with key names.
/// A request passes the layers of a `ServiceBuilder` from the first to the last, and the response passes them from the
/// last to the first. The layers for all routes are outside of those for one route.
fn build_gateway(names: SharedKeyNames, api: GatewayUpstream) -> Router {
    // `Router::route` leaves the prefix `/openai` in the path. The default scope expects paths without a prefix, as
    // `Router::nest` would pass them.
    let naming_layer =
        ApiKeyNameLayer::new(names).scope(|uri| uri.path().starts_with("/openai/v1/organization/"));
    let api_with_names = ServiceBuilder::new()
        // Removes the client's `Accept-Encoding`, and inserts names into uncompressed responses.
        .layer(naming_layer)
        // Requests the codings that it can decode, and decodes the API's responses for the naming layer.
        .layer(DecompressionLayer::new())
        // axum's routes cannot return an error, so `forward` returns a 502 response if the API fails.
        .service(service_fn(move |request| api.clone().forward(request)));

    let layers_for_all_routes = ServiceBuilder::new()
        // Traces the responses that the client receives.
        .layer(TraceLayer::new_for_http())
        // Compresses responses after the names were inserted, with a coding that the client accepts.
        .layer(CompressionLayer::new())
        // Limits the time until the response headers. It includes the time in which the naming layer buffers a body.
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT));

    Router::new()
        .route("/", get(|| async { "A gateway. The API is under /openai/v1/." }))
        .route("/health", get(|| async { "ok" }))
        .route("/openai/{*path}", any_service(api_with_names))
        .layer(layers_for_all_routes)
}

/// The API behind the gateway.
#[derive(Clone)]
struct GatewayUpstream {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    base: String,
}

impl GatewayUpstream {
    /// Creates an upstream client for the API at a base URL, with or without a trailing `/v1`.
    fn new(base: &str) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions().build();
        // By the SDKs' convention the base URL ends in `/v1`.
        let base = base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Self { client: Client::builder(TokioExecutor::new()).build(connector), base }
    }

    /// Forwards a request to the API, without the prefix `/openai` of its path. Returns the API's response, a 400 if the
    /// target is invalid, or a 502 if the API cannot be reached.
    async fn forward(self, mut request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let gateway_target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let api_target = gateway_target.strip_prefix("/openai").unwrap_or(gateway_target);
        let Ok(uri) = format!("{}{api_target}", self.base).parse::<Uri>() else {
            return Ok(StatusCode::BAD_REQUEST.into_response());
        };
        *request.uri_mut() = uri;
        // The connection to the API has its own version and `Host`.
        *request.version_mut() = Version::default();
        request.headers_mut().remove(HOST);
        remove_hop_by_hop(request.headers_mut());
        match self.client.request(request).await {
            Ok(mut response) => {
                remove_hop_by_hop(response.headers_mut());
                Ok(response.map(Body::new))
            }
            Err(error) => {
                tracing::warn!(%error, "the API could not be reached");
                Ok((StatusCode::BAD_GATEWAY, "the API could not be reached\n").into_response())
            }
        }
    }
}

/// Removes the hop-by-hop headers, which apply to one connection only (RFC 9110 §7.6.1), and those that `Connection` lists.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    let mut hop_by_hop = vec![
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for value in headers.get_all(CONNECTION) {
        for listed_name in value.to_str().unwrap_or_default().split(',') {
            if let Ok(name) = listed_name.trim().parse::<HeaderName>() {
                hop_by_hop.push(name);
            }
        }
    }
    for name in hop_by_hop {
        headers.remove(name);
    }
}
