//! Writes the names of all keys of an OpenAI organization to a map file.
//!
//! ```console
//! $ OPENAI_ADMIN_KEY=… cargo run --features directory --example sync_names -- names.json
//! 250 projects, 12002 keys: 12002 new, 0 renamed, 0 gone
//! ```
//!
//! The program `api-key-name-proxy sync` does the same for both APIs, with progress, repetition and exit codes.

use std::error::Error;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_api_key_name::directory::{AdminKey, BaseUrl, Directory};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "names.json".into());
    let base = match std::env::var("OPENAI_BASE_URL") {
        Ok(url) => url.parse()?,
        Err(_) => BaseUrl::openai(),
    };

    // Neither redirects nor retries: the directory retries, and a redirect would send the key elsewhere.
    let connector =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    // From OPENAI_ADMIN_KEY, or from the file that OPENAI_ADMIN_KEY_FILE names.
    let key = AdminKey::from_env("OPENAI_ADMIN_KEY")?;

    let synced = Directory::openai(client, key).base_url(base).sync(&file).await?;
    println!("{synced}");
    for missing in &synced.listing.missing {
        eprintln!("missing: {missing}");
    }
    if synced.listing.missing.is_empty() { Ok(()) } else { Err("some lists are missing".into()) }
}
