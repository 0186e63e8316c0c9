//! Prints the costs of the last week, with the name of each key.
//!
//! ```console
//! $ OPENAI_ADMIN_KEY=… cargo run --example minimal [names.json]
//! ```

use std::env;
use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt};
use tower_api_key_name::{ApiKeyNameLayer, SharedKeyNames};
use tower_http::decompression::DecompressionLayer;

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let path = env::args().nth(1).unwrap_or_else(|| "names.json".into());
    let base_url = env::var("OPENAI_BASE_URL").unwrap_or_else(|_| "https://api.openai.com".into());
    // By the SDKs' convention the base URL ends in `/v1`.
    let base = base_url.trim_end_matches('/').trim_end_matches("/v1");
    let key = env::var("OPENAI_ADMIN_KEY").map_err(|_| "OPENAI_ADMIN_KEY is not set")?;

    let connector =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions().build();
    let hyper_util_client = Client::builder(TokioExecutor::new()).build(connector);

    let names = SharedKeyNames::watch(path)?; // id → name, reloaded when the file changes
    let service = ServiceBuilder::new()
        .layer(ApiKeyNameLayer::new(names))
        .layer(DecompressionLayer::new()) // the API compresses; the layer reads plain bytes
        .service(hyper_util_client);

    let start = (SystemTime::now() - WEEK).duration_since(UNIX_EPOCH)?.as_secs();
    let request = Request::get(format!(
        "{base}/v1/organization/costs?start_time={start}&group_by=api_key_name" // sent to the API as api_key_id
    ))
    .header(header::AUTHORIZATION, format!("Bearer {key}"))
    .body(Empty::<Bytes>::new())?;

    let response = service.oneshot(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));
    if status.is_success() { Ok(()) } else { Err(format!("the API responded with {status}").into()) }
}
