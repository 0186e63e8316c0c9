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

/// Builds the routes of the gateway: its own pages, and the API with key names.
fn build_gateway(names: SharedKeyNames, api: GatewayUpstream) -> Router {
    let openai = ServiceBuilder::new()
        // Inserts the names. The paths of this gateway have a prefix, so the default scope would match none of them.
        // (Under `Router::nest("/openai", …)` axum removes the prefix, and the default scope matches.)
        .layer(ApiKeyNameLayer::new(names).scope(|uri| uri.path().starts_with("/openai/v1/organization/")))
        // Below the names: the layer above removes the client's `Accept-Encoding` and reads plain bytes. The
        // decompression requests the codings that it can decode.
        .layer(DecompressionLayer::new())
        // If the API fails, the response is a 502 of this gateway, because a route must not fail.
        .service(service_fn(move |request| api.clone().forward(request)));

    // Layers for all routes, from the client inwards.
    let layers = ServiceBuilder::new()
        // The outermost layer traces the responses that the client receives.
        .layer(TraceLayer::new_for_http())
        // The compression is above the names, so that it compresses them too, with a coding that the client accepts.
        .layer(CompressionLayer::new())
        // The timeout is above the layer that buffers bodies, so that it includes the buffering.
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT));

    Router::new()
        .route("/", get(|| async { "A gateway. The API is under /openai/v1/." }))
        .route("/health", get(|| async { "ok" }))
        // `route` keeps the path as the client sent it, unlike `nest`.
        .route("/openai/{*path}", any_service(openai))
        .layer(layers)
}

#[derive(Clone)]
struct GatewayUpstream {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    base: String,
}

impl GatewayUpstream {
    fn new(base: &str) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions().build();
        // By the SDKs' convention the base URL ends in `/v1`.
        let base = base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Self { client: Client::builder(TokioExecutor::new()).build(connector), base }
    }

    /// Forwards a request to the API. The response is a 400 if the target is invalid, and a 502 if the API fails.
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

/// Removes the headers of one connection (RFC 9110 §7.6.1).
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
    // `Connection` lists other headers that are for this connection only.
    for value in headers.get_all(CONNECTION) {
        let names = value.to_str().unwrap_or_default().split(',');
        hop_by_hop.extend(names.filter_map(|name| name.trim().parse::<HeaderName>().ok()));
    }
    for name in hop_by_hop {
        headers.remove(name);
    }
}
